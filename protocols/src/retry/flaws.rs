//! What goes wrong in mutants.

use squall_env::{Env, mutant};

/// Which flaws retries have. They have none unless they belong to a node of a build with mutants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flaws {
    /// What the budget says is passed over.
    pub(super) no_budget: bool,
    /// What failed adds to the budget as well.
    pub(super) pays_for_failures: bool,
    /// A call that may have taken effect is made again, whatever it does.
    pub(super) repeats_effects: bool,
    /// What is said of the effect is what the last try says.
    pub(super) last_word: bool,
    /// Each try has all the time that the call had.
    pub(super) new_deadline: bool,
    /// There is one try more than allowed.
    pub(super) one_more: bool,
}

impl Flaws {
    pub(super) fn of(env: &Env) -> Flaws {
        Flaws {
            no_budget: mutant!(env, "retry/no-budget"),
            pays_for_failures: mutant!(env, "retry/pays-for-failures"),
            repeats_effects: mutant!(env, "retry/repeats-what-may-be-done"),
            last_word: mutant!(env, "retry/believes-the-last-try"),
            new_deadline: mutant!(env, "retry/each-try-has-all-the-time"),
            one_more: mutant!(env, "retry/one-try-too-many"),
        }
    }
}
