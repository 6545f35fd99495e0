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
    /// A borrower counts the time of a portion from when it came.
    pub(super) from_the_answer: bool,
    /// It admits while it asks for more, as if it would get it.
    pub(super) admits_asking: bool,
    /// It uses what its portions have left, also when they have ended.
    pub(super) keeps_portions: bool,
    /// An owner that starts anew takes it that nothing was lent.
    pub(super) forgets_lent: bool,
    /// It lends the whole burst, as if what was lent were used at once.
    pub(super) whole_burst: bool,
    /// It lends to every copy of a question, also after it has refused the first.
    pub(super) lends_to_copies: bool,
    /// Of what comes back it does not ask what was used.
    pub(super) takes_used_back: bool,
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
            from_the_answer: mutant!(env, "limiter/counts-portions-from-the-answer"),
            admits_asking: mutant!(env, "limiter/admits-while-it-asks"),
            keeps_portions: mutant!(env, "limiter/keeps-portions-for-ever"),
            forgets_lent: mutant!(env, "limiter/forgets-what-it-lent"),
            whole_burst: mutant!(env, "limiter/lends-the-whole-burst"),
            lends_to_copies: mutant!(env, "limiter/lends-to-every-copy"),
            takes_used_back: mutant!(env, "limiter/takes-back-what-was-used"),
        }
    }
}
