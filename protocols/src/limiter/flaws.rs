//! What goes wrong in mutants: the published bugs of rate limiters.

use squall_env::{Env, mutant};

/// Which flaws a limiter has. It has none unless it belongs to a node of a build with mutants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flaws {
    /// It tells the time by a clock that is set, so that a step forward fills every bucket, and
    /// after a step back nothing comes through (Eventra #11452, go-limiter #41).
    pub(super) wall_clock: bool,
    /// The time by which a clock went back is taken from the bucket, as it is where what has
    /// elapsed may be negative (go-limiter #41, MediaWiki-MCP-Server #557).
    pub(super) takes_back: bool,
    /// A time that is older moves the bucket to where it would have been then, and the next newer
    /// one fills it again (golang/go #56287).
    pub(super) follows_back: bool,
    /// What is refused is counted as if it had come through.
    pub(super) counts_refused: bool,
    /// A key that is busy is forgotten for a new one, and begins anew when it comes back.
    pub(super) forgets_busy: bool,
    /// Of a time from before its key was forgotten it thinks that nothing came then.
    pub(super) forgets_forgetting: bool,
    /// There is no bound on how many keys are remembered.
    pub(super) unbounded: bool,
}

impl Flaws {
    pub(super) fn of(env: &Env) -> Flaws {
        Flaws {
            wall_clock: mutant!(env, "limiter/reads-the-wall-clock"),
            takes_back: mutant!(env, "limiter/takes-time-back"),
            follows_back: mutant!(env, "limiter/follows-old-times"),
            counts_refused: mutant!(env, "limiter/counts-what-it-refuses"),
            forgets_busy: mutant!(env, "limiter/forgets-busy-keys"),
            forgets_forgetting: mutant!(env, "limiter/forgets-that-it-forgot"),
            unbounded: mutant!(env, "limiter/remembers-every-key"),
        }
    }
}
