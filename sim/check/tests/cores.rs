//! The verdict and the report are the same on any number of cores.

mod common;

use std::collections::BTreeSet;

use common::actions;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use squall_check::*;

type SetHistory = History<SetCall<u16>, SetReturn<u16>>;

const OPERATIONS: usize = 6_000;
const CLIENTS: usize = 6;

/// Clients that put elements into a set and take them out; the answers of some operations are
/// wrong. Each element is a part of its own.
fn build(seed: u64, wrong: &BTreeSet<usize>) -> SetHistory {
    let recorder = Recorder::new();
    let mut elements = BTreeSet::new();
    let mut waiting = [None; CLIENTS];
    for (at, (client, kind, value)) in actions(seed, 2 * OPERATIONS).into_iter().enumerate() {
        let client = usize::from(client) % CLIENTS;
        if let Some((id, answer)) = waiting[client].take() {
            recorder.ok(id, SetReturn::Bool(answer), 0);
            continue;
        }
        let element = u16::from(value) % 200;
        let (call, answer) = match kind % 3 {
            0 => (SetCall::Add(element), elements.insert(element)),
            1 => (SetCall::Remove(element), elements.remove(&element)),
            _ => (SetCall::Contains(element), elements.contains(&element)),
        };
        let id = recorder.invoke(client as u64, call, 0);
        waiting[client] = Some((id, answer != wrong.contains(&at)));
    }
    recorder.finish()
}

#[test]
fn there_are_enough_parts_and_operations_for_several_cores() {
    let history = build(1, &BTreeSet::new());
    assert!(history.len() > 5_000, "{}", history.len());
    assert!(linearizable(&Set::new(), &history, &Limits::default()).is_ok());
    let wrong = (0..OPERATIONS).step_by(100).collect();
    let verdict = linearizable(&Set::new(), &build(1, &wrong), &Limits::default());
    assert!(verdict.violation().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(5),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_number_of_cores_does_not_count(
        seed in any::<u64>(),
        wrong in prop::collection::btree_set(0..2 * OPERATIONS, 0..4),
        steps in prop::sample::select(vec![20_u64, 60, 10_000_000]),
    ) {
        let history = build(seed, &wrong);
        let verdict = |cores| {
            let limits = Limits { cores, steps, ..Limits::default() };
            linearizable(&Set::new(), &history, &limits)
        };
        let alone = verdict(1);
        prop_assert!(!wrong.is_empty() || alone.violation().is_none());
        for cores in [0, 2, 3, 8] {
            // How much of it was explored when it ended is the only thing that may differ.
            match (&alone, verdict(cores)) {
                (
                    Verdict::Undecided { reason, ordered, operations, .. },
                    Verdict::Undecided { reason: same, ordered: order, operations: all, .. },
                ) => prop_assert_eq!((reason, *ordered, *operations), (&same, order, all)),
                (alone, verdict) => prop_assert_eq!(alone, &verdict),
            }
        }
    }
}
