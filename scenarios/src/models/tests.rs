//! The numbers of states, which are those that stateright 0.31 counts for the same systems.

use super::{Paxos, TwoPhaseCommit};
use squall::explore::{Explored, Limits, Model, breadth_first, depth_first};

/// Visits a model both ways.
fn both<M: Model>(model: &M) -> [Explored; 2] {
    let limits = Limits::default();
    [breadth_first(model, &limits), depth_first(model, &limits)]
}

fn counts_to<M: Model>(model: &M, states: u64, transitions: u64) {
    for explored in both(model) {
        assert!(explored.is_clean(), "{explored:?}");
        assert_eq!((explored.states, explored.transitions), (states, transitions));
    }
}

#[test]
fn two_phase_commit_has_as_many_states_as_others_count() {
    counts_to(&TwoPhaseCommit::<3>, 288, 1_145);
    counts_to(&TwoPhaseCommit::<5>, 8_832, 58_145);
    counts_to(&TwoPhaseCommit::<6>, 50_816, 402_305);
}

#[test]
fn paxos_has_as_many_states_as_others_count() {
    counts_to(&Paxos::<1>, 176, 381);
    counts_to(&Paxos::<2>, 30_976, 100_245);
}
