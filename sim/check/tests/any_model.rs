//! A model whose operations depend on the state before them, and whose states all have one hash.
//!
//! A write to a register fits every state, so registers alone would not notice a search that comes
//! back to the wrong state, nor one that takes equal hashes for equal states.

mod common;

use std::hash::{Hash, Hasher};

use common::actions;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use squall_check::{History, Limits, Model, Operation, Outcome, Recorder, linearizable};

/// A cell whose only operation puts a value in and returns the one that was there.
struct Swap;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell(u64);

impl Hash for Cell {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Model for Swap {
    type State = Cell;
    type Input = u64;
    type Output = u64;

    fn initial(&self) -> Cell {
        Cell(0)
    }

    fn step(&self, state: &Cell, input: &u64, output: Option<&u64>) -> Option<Cell> {
        output.is_none_or(|output| *output == state.0).then_some(Cell(*input))
    }

    fn describe(&self, input: &u64, output: Option<&u64>) -> String {
        match output {
            Some(output) => format!("swaps {input} for {output}"),
            None => format!("swaps {input}, outcome unknown"),
        }
    }
}

fn build(actions: &[(u8, u8, u8)]) -> History<u64, u64> {
    let recorder = Recorder::new();
    let mut cell = 0;
    let mut waiting = [None; 4];
    let mut processes = [0, 1, 2, 3];
    for (at, &(client, kind, value)) in (0..).zip(actions) {
        let client = usize::from(client) % 4;
        match (waiting[client].take(), kind % 16) {
            (None, _) if at < 24 => {
                let input = u64::from(value % 3);
                let id = recorder.invoke(processes[client], input, at);
                waiting[client] = Some((id, input, None));
            }
            (None, _) => {}
            (Some((id, input, None)), 0..8) => {
                waiting[client] = Some((id, input, Some(std::mem::replace(&mut cell, input))));
            }
            (Some((id, ..)), 8) => {
                recorder.unknown(id, at);
                processes[client] += 4;
            }
            (Some((id, ..)), 9) => recorder.ok(id, u64::from(value % 3), at),
            (Some((id, input, output)), _) => {
                let output = output.unwrap_or_else(|| std::mem::replace(&mut cell, input));
                recorder.ok(id, output, at);
            }
        }
    }
    recorder.finish()
}

/// Whether the operations that are left have a legal order from this state.
fn brute_force(left: &[&Operation<u64, u64>], state: &Cell) -> bool {
    if left.iter().all(|operation| operation.outcome == Outcome::Unknown) {
        return true;
    }
    (0..left.len()).any(|next| {
        let mut rest = left.to_vec();
        let next = rest.remove(next);
        let is_first = rest.iter().all(|other| match (other.outcome, other.returned) {
            (Outcome::Ok(_), Some(returned)) => returned.index > next.invoked.index,
            _ => true,
        });
        let output = match &next.outcome {
            Outcome::Ok(output) => Some(output),
            Outcome::Fail | Outcome::Unknown => None,
        };
        let after = Swap.step(state, &next.input, output);
        is_first && after.is_some_and(|after| brute_force(&rest, &after))
    })
}

fn is_allowed(history: &History<u64, u64>) -> bool {
    brute_force(&history.operations().iter().collect::<Vec<_>>(), &Cell(0))
}

#[test]
fn random_swaps_are_of_both_kinds() {
    let wrong = (0..500).filter(|&seed| !is_allowed(&build(&actions(seed, 30)))).count();
    assert!((100..=400).contains(&wrong), "{wrong} of 500 are violations");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(3),
        ..ProptestConfig::default()
    })]

    #[test]
    fn trying_every_order_gives_the_same_verdict(
        actions in prop::collection::vec(any::<(u8, u8, u8)>(), 0..30),
    ) {
        let history = build(&actions);
        let verdict = linearizable(&Swap, &history, &Limits::default());
        prop_assert_eq!(verdict.is_ok(), is_allowed(&history));
        if let Some(violation) = verdict.violation() {
            let witness: Vec<_> = violation.operations().iter().collect();
            prop_assert!(!brute_force(&witness, &Cell(0)), "the witness is a violation by itself");
        }
    }
}
