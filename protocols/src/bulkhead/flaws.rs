//! What goes wrong in mutants.

use squall_env::{Env, mutant};

/// Which flaws a bulkhead has. It has none unless it belongs to a node of a build with mutants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flaws {
    /// All keys share the places of one.
    pub(super) one_pool: bool,
    /// A place that was given to somebody who had just stopped waiting is lost.
    pub(super) loses_granted: bool,
    /// Who stops waiting gives a place back that it never had.
    pub(super) frees_unheld: bool,
    /// Who came last goes first.
    pub(super) last_first: bool,
    /// One call too many goes through.
    pub(super) one_more: bool,
    /// There is no bound on how many wait.
    pub(super) endless_queue: bool,
    /// A place is given to somebody whose time is over.
    pub(super) grants_late: bool,
}

impl Flaws {
    pub(super) fn of(env: &Env) -> Flaws {
        Flaws {
            one_pool: mutant!(env, "bulkhead/one-pool-for-all"),
            loses_granted: mutant!(env, "bulkhead/loses-granted-places"),
            frees_unheld: mutant!(env, "bulkhead/frees-what-it-never-had"),
            last_first: mutant!(env, "bulkhead/last-come-first-served"),
            one_more: mutant!(env, "bulkhead/one-place-too-many"),
            endless_queue: mutant!(env, "bulkhead/endless-queue"),
            grants_late: mutant!(env, "bulkhead/grants-after-the-deadline"),
        }
    }
}
