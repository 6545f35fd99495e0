//! What goes wrong in mutants: the flaws of sagas as they are written in many a tutorial.

use squall_env::{Env, mutant};

/// Which flaws a saga has. It has none unless it belongs to a node of a build with mutants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flaws {
    /// A step of which nobody knows whether it is done is not undone.
    pub(super) leaves_unknown: bool,
    /// Steps are undone in the order in which they were done.
    pub(super) undoes_forwards: bool,
    /// Who takes a saga over undoes everything anew.
    pub(super) undoes_again: bool,
    /// Who takes a saga over takes what is done for what has failed.
    pub(super) undoes_done: bool,
    /// A saga that turns back and has nothing to undo never ends.
    pub(super) never_ends_empty: bool,
    /// A step that cannot be undone counts as undone.
    pub(super) hides_stuck: bool,
    /// Steps are undone all at once.
    pub(super) undoes_at_once: bool,
    /// What cannot be undone is done before everything that can.
    pub(super) decides_early: bool,
}

impl Flaws {
    pub(super) fn of(env: &Env) -> Flaws {
        Flaws {
            leaves_unknown: mutant!(env, "saga/leaves-unknown-steps"),
            undoes_forwards: mutant!(env, "saga/undoes-in-forward-order"),
            undoes_again: mutant!(env, "saga/undoes-again-after-restart"),
            undoes_done: mutant!(env, "saga/undoes-what-is-done-after-a-restart"),
            never_ends_empty: mutant!(env, "saga/never-ends-what-did-nothing"),
            hides_stuck: mutant!(env, "saga/hides-a-stuck-undo"),
            undoes_at_once: mutant!(env, "saga/undoes-all-at-once"),
            decides_early: mutant!(env, "saga/decides-before-all-is-done"),
        }
    }
}
