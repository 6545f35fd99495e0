//! What goes wrong in mutants: the flaws of breakers as they are written in many a tutorial.

use squall_env::{Env, mutant};

/// Which flaws a breaker has. It has none unless it belongs to a node of a build with mutants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flaws {
    /// While it is half-open, every call goes through.
    pub(super) any_probe: bool,
    /// Failures count as long as it is closed, whatever came between them.
    pub(super) never_forgets: bool,
    /// What comes back late counts as if it had begun now.
    pub(super) counts_late: bool,
    /// A result that says nothing keeps its place while it is half-open.
    pub(super) keeps_ignored: bool,
    /// A call that is given up keeps its place while it is half-open.
    pub(super) keeps_dropped: bool,
    /// While it is half-open, it wants as many calls as when it is closed before it decides.
    pub(super) keeps_minimum: bool,
    /// While it is open, every call goes through.
    pub(super) lets_through: bool,
    /// It waits for calls that never come back.
    pub(super) waits_for_lost: bool,
    /// It tells the time by a clock that is set: after a step forward it is not open any more, and
    /// after a step back it is for as long as that was.
    pub(super) wall_clock: bool,
    /// In a window of seconds none of them ever ends.
    pub(super) keeps_seconds: bool,
}

impl Flaws {
    pub(super) fn of(env: &Env) -> Flaws {
        Flaws {
            any_probe: mutant!(env, "breaker/every-call-is-a-probe"),
            never_forgets: mutant!(env, "breaker/never-forgets"),
            counts_late: mutant!(env, "breaker/counts-late-results"),
            keeps_ignored: mutant!(env, "breaker/keeps-ignored-permits"),
            keeps_dropped: mutant!(env, "breaker/keeps-dropped-permits"),
            keeps_minimum: mutant!(env, "breaker/keeps-its-minimum-half-open"),
            lets_through: mutant!(env, "breaker/lets-calls-through-while-open"),
            waits_for_lost: mutant!(env, "breaker/waits-for-calls-that-never-come-back"),
            wall_clock: mutant!(env, "breaker/reads-the-wall-clock"),
            keeps_seconds: mutant!(env, "breaker/keeps-seconds-for-ever"),
        }
    }

    /// Whether it waits for ever for calls that never come back.
    pub(super) fn waits(self) -> bool {
        self.keeps_ignored || self.keeps_dropped || self.keeps_minimum || self.waits_for_lost
    }
}
