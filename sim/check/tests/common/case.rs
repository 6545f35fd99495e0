//! A model with clients, a correct object, a liar, and a checker that tries every order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError};
use squall_check::properties::{SequentialLimits, Status, sequentially_consistent};
use squall_check::*;

use super::actions;

/// How clients use a model, and how a correct object answers them.
pub struct Case<M: Model> {
    pub model: M,
    /// What is asked, for two arbitrary bytes and the number of the operation.
    pub call: fn(u8, u8, u64) -> M::Input,
    /// What a correct object answers; `None` if it refuses, which has no effect.
    pub answer: Answer<M>,
    /// Any answer of the right kind.
    pub lie: fn(&M::Input, u8) -> M::Output,
    /// An answer that is wrong in every state.
    pub never: (M::Input, M::Output),
}

/// The answer of a correct object in a state, given the time.
type Answer<M> =
    fn(&<M as Model>::State, &<M as Model>::Input, u64) -> Option<<M as Model>::Output>;

/// An operation that waits for its answer.
struct Waiting<I, O> {
    id: OperationId,
    input: I,
    /// Whether it took effect, and the answer.
    answer: Option<Option<O>>,
}

const CLIENTS: usize = 4;

/// Turns arbitrary bytes into a history of at most `most` operations.
fn build<M: Model>(
    case: &Case<M>,
    actions: &[(u8, u8, u8)],
    most: u64,
    lies: bool,
) -> History<M::Input, M::Output> {
    let recorder = Recorder::new();
    let mut state = case.model.initial();
    let mut waiting: Vec<Option<Waiting<M::Input, M::Output>>> =
        (0..CLIENTS).map(|_| None).collect();
    let mut processes: Vec<u64> = (0..CLIENTS as u64).collect();
    let mut invoked = 0;
    for (at, &(client, kind, value)) in (0..).zip(actions) {
        let client = usize::from(client) % CLIENTS;
        let mut effect = |input: &M::Input| {
            let answer = (case.answer)(&state, input, at);
            if let Some(answer) = &answer {
                let after = case.model.step(&state, input, Some(answer));
                state = after.unwrap_or_else(|| panic!("{input:?} gives {answer:?} in {state:?}"));
            }
            answer
        };
        match waiting[client].take() {
            None if invoked < most => {
                let input = (case.call)(kind, value, invoked);
                let id = recorder.invoke(processes[client], input.clone(), at);
                waiting[client] = Some(Waiting { id, input, answer: None });
                invoked += 1;
            }
            None => {}
            Some(Waiting { id, input, answer: None }) if kind % 8 < 4 => {
                let answer = Some(effect(&input));
                waiting[client] = Some(Waiting { id, input, answer });
            }
            Some(Waiting { id, .. }) if kind % 8 == 4 => {
                recorder.unknown(id, at);
                processes[client] += CLIENTS as u64;
            }
            Some(Waiting { id, answer: None, .. }) if kind % 8 == 5 => recorder.fail(id, at),
            Some(Waiting { id, input, .. }) if lies && kind % 8 == 6 => {
                recorder.ok(id, (case.lie)(&input, value), at);
            }
            Some(Waiting { id, input, answer }) => match answer.unwrap_or_else(|| effect(&input)) {
                Some(answer) => recorder.ok(id, answer, at),
                None => recorder.fail(id, at),
            },
        }
    }
    recorder.finish()
}

/// Whether the operations that are left have a legal order from this state.
fn brute_force<M: Model>(
    model: &M,
    left: &[&Operation<M::Input, M::Output>],
    state: &M::State,
) -> bool {
    if left.iter().all(|operation| output(operation).is_none()) {
        return true;
    }
    (0..left.len()).any(|next| {
        let mut rest = left.to_vec();
        let next = rest.remove(next);
        let is_first = rest.iter().all(|other| match (output(other), other.returned) {
            (Some(_), Some(returned)) => returned.index > next.invoked.index,
            _ => true,
        });
        let after = || model.step(state, &next.input, output(next));
        is_first && after().is_some_and(|after| brute_force(model, &rest, &after))
    })
}

fn output<I, O>(operation: &Operation<I, O>) -> Option<&O> {
    match &operation.outcome {
        Outcome::Ok(output) => Some(output),
        Outcome::Fail | Outcome::Unknown => None,
    }
}

fn is_allowed<M: Model>(model: &M, operations: &[Operation<M::Input, M::Output>]) -> bool {
    let took_place = |operation: &&Operation<_, _>| !matches!(operation.outcome, Outcome::Fail);
    let operations: Vec<_> = operations.iter().filter(took_place).collect();
    brute_force(model, &operations, &model.initial())
}

/// Whether the processes' operations, from these places on, have an order that is legal from this
/// state and keeps to the order in each process.
fn interleaves<M: Model>(
    model: &M,
    lines: &[&[&Operation<M::Input, M::Output>]],
    state: &M::State,
) -> bool {
    if lines.iter().all(|line| line.is_empty()) {
        return true;
    }
    (0..lines.len()).any(|line| {
        let Some((next, rest)) = lines[line].split_first() else { return false };
        let mut left = lines.to_vec();
        left[line] = rest;
        let never = output(next).is_none() && interleaves(model, &left, state);
        let after = || model.step(state, &next.input, output(next));
        never || after().is_some_and(|after| interleaves(model, &left, &after))
    })
}

fn is_sequential<M: Model>(model: &M, history: &History<M::Input, M::Output>) -> bool {
    let mut lines: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for operation in history.operations() {
        if !matches!(operation.outcome, Outcome::Fail) {
            lines.entry(operation.process).or_default().push(operation);
        }
    }
    let lines: Vec<&[_]> = lines.values().map(Vec::as_slice).collect();
    interleaves(model, &lines, &model.initial())
}

/// The invocations and returns in their order, as positions of operations.
fn events<I, O>(history: &History<I, O>) -> Vec<(bool, usize)> {
    let mut events = Vec::new();
    for (at, operation) in history.operations().iter().enumerate() {
        events.push((operation.invoked.index, (false, at)));
        events.extend(operation.returned.map(|returned| (returned.index, (true, at))));
    }
    events.sort_unstable();
    events.into_iter().map(|(_, event)| event).collect()
}

/// Records the events of a history again, in this order and at these times.
fn replay<I: Clone, O: Clone>(
    history: &History<I, O>,
    events: impl IntoIterator<Item = ((bool, usize), u64)>,
) -> History<I, O> {
    let recorder = Recorder::new();
    let mut ids = BTreeMap::new();
    for ((is_return, at), time) in events {
        let operation = &history.operations()[at];
        if !is_return {
            let input = operation.input.clone();
            ids.insert(at, recorder.invoke(operation.process, input, time));
            continue;
        }
        match &operation.outcome {
            Outcome::Ok(output) => recorder.ok(ids[&at], output.clone(), time),
            Outcome::Fail => recorder.fail(ids[&at], time),
            Outcome::Unknown => recorder.unknown(ids[&at], time),
        }
    }
    recorder.finish()
}

/// The history with neighbouring invocations, and neighbouring returns, in another order: what
/// happens at one time may be written down in any.
fn shuffled<I: Clone, O: Clone>(history: &History<I, O>, seed: u8) -> History<I, O> {
    let mut events = events(history);
    for tied in events.chunk_by_mut(|one, other| one.0 == other.0) {
        match seed % 3 {
            0 => tied.reverse(),
            _ => tied.rotate_left(usize::from(seed) % tied.len()),
        }
    }
    replay(history, events.into_iter().map(|event| (event, 0)))
}

/// The history merged from a file for each process, by a clock that shows two events at a time the
/// same; `None` if the clock is too coarse for that. `turn` says with which file to start.
fn merged<I: Clone, O: Clone>(history: &History<I, O>, turn: u8) -> Option<History<I, O>> {
    let mut files: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for (index, event) in (0..).zip(events(history)) {
        let process = history.operations()[event.1].process;
        files.entry(process).or_default().push((event, index / 2));
    }
    let mut files: Vec<_> = files.into_values().map(|file| replay(history, file)).collect();
    let count = files.len().max(1);
    files.rotate_left(usize::from(turn) % count);
    History::merge(files).ok()
}

type Tested = Result<(), TestCaseError>;

/// The verdict is that of trying every order, and so is the witness's.
fn agrees<M: Model>(case: &Case<M>, actions: &[(u8, u8, u8)], turn: u8) -> Tested {
    let history = build(case, actions, 7, true);
    let verdict = linearizable(&case.model, &history, &Limits::default());
    let allowed = is_allowed(&case.model, history.operations());
    prop_assert_eq!(verdict.is_ok(), allowed);
    if let Some(violation) = verdict.violation() {
        let witness = violation.operations();
        prop_assert!(!is_allowed(&case.model, witness), "the witness is wrong by itself");
    }
    let other = shuffled(&history, turn);
    prop_assert_eq!(is_linearizable(&case.model, &other, &Limits::default()), Some(allowed));
    let verdict = |turn: u8| {
        let merged = merged(&history, turn)?;
        is_linearizable(&case.model, &merged, &Limits::default())
    };
    prop_assert_eq!(verdict(0), verdict(turn), "the order of files counts");
    prop_assert!(!allowed || verdict(0) != Some(false), "a coarse clock makes up an order");

    let sequential = is_sequential(&case.model, &history);
    let expected = if sequential { Status::Holds } else { Status::Violated };
    let limits = SequentialLimits::default();
    let report = sequentially_consistent(&case.model, &history, &limits);
    prop_assert_eq!(report.status(), expected);
    prop_assert!(sequential || !allowed, "what is linearizable is sequentially consistent");
    Ok(())
}

pub fn check_case<M: Model>(case: &Case<M>) {
    agreement(case);
    correct_histories(case);
    for seed in 0..100 {
        assert_eq!(plant(case, seed), Some(false), "a wrong answer at the end of {seed}");
    }
}

pub fn agreement<M: Model>(case: &Case<M>) {
    let config = ProptestConfig {
        cases: 2_500,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(11),
        ..ProptestConfig::default()
    };
    let any_actions = prop::collection::vec(any::<(u8, u8, u8)>(), 0..32);
    proptest!(config, |(actions in any_actions, turn in any::<u8>())| {
        agrees(case, &actions, turn)?;
    });
    let allowed = (0..300)
        .filter(|&seed| {
            let history = build(case, &actions(seed, 30), 7, true);
            is_linearizable(&case.model, &history, &Limits::default()) == Some(true)
        })
        .count();
    assert!((15..=285).contains(&allowed), "{allowed} of 300 small histories are allowed");
}

pub fn correct_histories<M: Model>(case: &Case<M>) {
    let mut undecided = 0;
    for seed in 0..100 {
        let history = build(case, &actions(seed, 160), 40, false);
        let limits = Limits { steps: 1_000_000, ..Limits::default() };
        match is_linearizable(&case.model, &history, &limits) {
            Some(true) => {}
            Some(false) => panic!("what a correct object made of {seed} is rejected"),
            None => undecided += 1,
        }
    }
    assert!(undecided <= 15, "{undecided} of 100 longer histories are undecided");
}

/// The verdict on a correct object's history with one answer that no state gives.
///
/// What is reported of it is part of the history and wrong by itself.
fn plant<M: Model>(case: &Case<M>, seed: u64) -> Option<bool> {
    let history = build(case, &actions(seed, 60), 12, false);
    let recorder = Recorder::new();
    let wrong = recorder.invoke(99, case.never.0.clone(), 0);
    recorder.ok(wrong, case.never.1.clone(), 1_000);
    let merged = History::merge(vec![history, recorder.finish()]).expect("one clock");
    let verdict = linearizable(&case.model, &merged, &Limits::default());
    let Some(violation) = verdict.violation() else {
        return is_linearizable(&case.model, &merged, &Limits::default());
    };
    let witness = violation.operations();
    for operation in witness {
        let known = merged
            .operations()
            .iter()
            .any(|other| (other.invoked, &other.input) == (operation.invoked, &operation.input));
        assert!(known, "{operation:?} is reported and did not take place");
    }
    assert!(witness.len() > 7 || !is_allowed(&case.model, witness), "{violation}");
    Some(false)
}

/// A value out of three, or one that nobody else has.
pub fn value(byte: u8, number: u64) -> u64 {
    if byte.is_multiple_of(2) { u64::from(byte / 2 % 3) } else { 10 + number }
}
