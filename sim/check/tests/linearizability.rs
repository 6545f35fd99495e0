//! What the checker accepts, what it rejects, and that a slow and simple checker agrees.

mod common;

use common::{Call, RegisterHistory, Return, actions, brute_force, build, check, history};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use squall_check::{
    History, Limits, Model, Mutex, MutexCall, MutexReturn, Outcome, Reason, Recorder, Register,
    Verdict, linearizable,
};

#[track_caller]
fn allowed(script: &str) {
    assert_eq!(check(&history(script)), Verdict::Ok, "{script}");
}

#[track_caller]
fn forbidden(script: &str) {
    assert!(check(&history(script)).violation().is_some(), "{script}");
}

#[test]
fn an_empty_history_is_allowed_whatever_the_limits() {
    let limits = Limits { steps: 0, memory: 0, minimise_steps: 0, ..Limits::default() };
    let empty = RegisterHistory::default();
    assert_eq!(linearizable(&Register::new(0), &empty, &limits), Verdict::Ok);
}

#[test]
fn a_read_returns_the_initial_value_until_a_write() {
    allowed("0:r 0:0");
    forbidden("0:r 0:1");
}

#[test]
fn a_read_may_not_miss_a_write_that_is_over() {
    allowed("0:w1 0:done 1:r 1:1");
    forbidden("0:w1 0:done 1:r 1:0");
}

#[test]
fn a_read_may_see_either_side_of_a_concurrent_write() {
    allowed("0:w1 1:r 1:0 0:done");
    allowed("0:w1 1:r 1:1 0:done");
    forbidden("0:w1 1:r 1:2 0:done");
}

#[test]
fn a_read_may_not_go_back_in_time() {
    allowed("0:w1 1:r 1:0 2:r 2:1 0:done");
    forbidden("0:w1 1:r 1:1 2:r 2:0 0:done");
}

#[test]
fn concurrent_reads_may_disagree_on_a_concurrent_write() {
    allowed("0:w1 1:r 2:r 1:1 2:0 0:done");
}

#[test]
fn two_readers_may_not_see_two_writes_in_opposite_orders() {
    let writes = "0:w1 1:w2 0:done 1:done";
    allowed(&format!("{writes} 2:r 2:2 3:r 3:2"));
    forbidden(&format!("{writes} 2:r 2:2 3:r 3:1"));
    forbidden("0:w1 1:w2 2:r 3:r 2:1 3:2 2:r 3:r 2:2 3:1 0:done 1:done");
}

#[test]
fn a_read_may_not_see_a_write_that_is_still_to_come() {
    forbidden("0:r 0:1 1:w1 1:done");
}

#[test]
fn a_lost_write_does_not_come_back() {
    forbidden("0:w1 0:done 0:w2 0:done 1:r 1:1");
}

#[test]
fn a_failed_write_is_never_seen() {
    allowed("0:w1 0:fail 1:r 1:0");
    forbidden("0:w1 0:fail 1:r 1:1");
}

#[test]
fn an_unknown_write_may_take_effect_long_after() {
    allowed("0:w1 0:? 1:r 1:0 1:w2 1:done 1:r 1:2 1:r 1:1");
}

#[test]
fn an_unknown_write_may_never_take_effect() {
    allowed("0:w1 0:? 1:r 1:0 1:r 1:0");
}

#[test]
fn an_unknown_write_takes_effect_at_most_once() {
    allowed("0:w1 0:? 1:r 1:1 1:w2 1:done 1:r 1:2");
    forbidden("0:w1 0:? 1:r 1:1 1:w2 1:done 1:r 1:1");
}

#[test]
fn an_unknown_write_does_not_take_effect_before_it_was_asked_for() {
    forbidden("1:r 1:1 0:w1 0:?");
}

#[test]
fn an_operation_left_open_counts_as_unknown() {
    allowed("0:w1 1:r 1:0 1:r 1:1");
    forbidden("0:w1 1:r 1:1 1:r 1:0");
}

#[test]
fn a_read_without_an_answer_asks_for_nothing() {
    allowed("0:r 0:? 1:w1 1:done 2:r 1:r 1:1");
}

#[test]
fn the_order_of_events_counts_and_not_the_time() {
    let recorder = Recorder::new();
    let write = recorder.invoke(0, Call::Write(1), 900);
    recorder.ok(write, Return::Written, 900);
    let read = recorder.invoke(1, Call::Read, 5);
    recorder.ok(read, Return::Value(0), 6);
    assert!(check(&recorder.finish()).violation().is_some());
}

#[test]
fn a_limit_gives_no_verdict_instead_of_a_guess() {
    let reason = |script: &str, steps, memory| {
        let limits = Limits { steps, memory, minimise_steps: 0, ..Limits::default() };
        match linearizable(&Register::new(0), &history(script), &limits) {
            Verdict::Undecided { reason, ordered, operations, .. } => {
                assert!(ordered < operations, "{script}");
                Some(reason)
            }
            Verdict::Ok | Verdict::Violation(_) => None,
        }
    };
    let writes = "0:w1 1:w2 0:done 1:done 2:r 2:2 3:r";
    for script in [format!("{writes} 3:2"), format!("{writes} 3:1")] {
        assert_eq!(reason(&script, 1, 10_000), Some(Reason::Steps));
        assert_eq!(reason(&script, 100, 1), Some(Reason::Memory));
        assert_eq!(reason(&script, 100, 10_000), None);
    }
}

/// A counter whose increments return nothing, so that a state can be reached in many ways.
struct Counter;

impl Model for Counter {
    type State = u64;
    type Input = bool;
    type Output = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, is_increment: &bool, output: Option<&u64>) -> Option<u64> {
        match (is_increment, output) {
            (true, _) => Some(state + 1),
            (false, Some(value)) => (value == state).then_some(*state),
            (false, None) => Some(*state),
        }
    }

    fn describe(&self, is_increment: &bool, output: Option<&u64>) -> String {
        format!("{is_increment} {output:?}")
    }
}

#[test]
fn a_state_reached_again_is_not_searched_again() {
    let recorder = Recorder::new();
    let increments: Vec<_> = (0..16).map(|process| recorder.invoke(process, true, 0)).collect();
    for (number, id) in (0..).zip(increments) {
        recorder.ok(id, number, 0);
    }
    let read = recorder.invoke(99, false, 0);
    recorder.ok(read, 15, 0);
    // There are 16! orders but only 2^16 sets of increments.
    let limits = Limits { steps: 1_100_000, minimise_steps: 0, ..Limits::default() };
    let verdict = linearizable(&Counter, &recorder.finish(), &limits);
    let violation = verdict.violation().expect("sixteen increments are not fifteen");
    assert!(!violation.is_minimal());
}

#[test]
fn of_operations_that_are_alike_only_one_order_is_tried() {
    let recorder = Recorder::new();
    let increments: Vec<_> = (0..100).map(|process| recorder.invoke(process, true, 0)).collect();
    for id in increments {
        recorder.ok(id, 0, 0);
    }
    let read = recorder.invoke(100, false, 0);
    recorder.ok(read, 99, 0);
    let limits = Limits { steps: 500, minimise_steps: 0, ..Limits::default() };
    let verdict = linearizable(&Counter, &recorder.finish(), &limits);
    assert!(verdict.violation().is_some(), "{verdict:?}");
}

#[test]
fn a_read_that_fits_is_not_tried_anywhere_else() {
    let mut script = String::new();
    (1..20).for_each(|process| script += &format!("{process}:r "));
    script += "0:w1 ";
    (1..20).for_each(|process| script += &format!("{process}:{} ", process % 2));
    script += "20:r 20:7 0:done";
    let limits = Limits { steps: 100, ..Limits::default() };
    let verdict = linearizable(&Register::new(0), &history(&script), &limits);
    assert!(verdict.violation().is_some(), "{verdict:?}");
}

#[test]
fn a_long_history_needs_neither_recursion_nor_much_memory() {
    let recorder = Recorder::new();
    for round in 0..20_000 {
        let write = recorder.invoke(0, Call::Write(round), round);
        let read = recorder.invoke(1, Call::Read, round);
        recorder.ok(write, Return::Written, round);
        recorder.ok(read, Return::Value(round), round);
    }
    let limits = Limits { memory: 4 << 20, ..Limits::default() };
    assert_eq!(linearizable(&Register::new(0), &recorder.finish(), &limits), Verdict::Ok);
}

#[test]
fn random_histories_are_of_both_kinds() {
    let histories: Vec<_> = (0..500).map(|seed| build(&actions(seed, 30), 3, 6)).collect();
    let wrong = histories.iter().filter(|history| !brute_force(history.operations(), 0)).count();
    assert!((100..=400).contains(&wrong), "{wrong} of 500 are violations");
    let unknown = histories.iter().filter(|history| history.counts().unknown > 0).count();
    assert!(unknown > 100, "{unknown} of 500 have an unknown outcome");
}

#[test]
fn every_longer_history_of_a_correct_register_is_allowed() {
    for seed in 0..200 {
        let mut actions = actions(seed, 600);
        // Kind 6 is the one that makes up an answer.
        actions.iter_mut().filter(|action| action.1 % 8 == 6).for_each(|action| action.1 = 7);
        let history = build(&actions, 5, 150);
        assert!(history.len() > 80);
        assert_eq!(check(&history), Verdict::Ok, "seed {seed}");
    }
}

type Written = squall_check::Operation<Call, Return>;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn trying_every_order_gives_the_same_verdict(
        actions in prop::collection::vec(any::<(u8, u8, u8)>(), 0..36),
    ) {
        let history = build(&actions, 3, 6);
        let verdict = check(&history);
        prop_assert_eq!(verdict.is_ok(), brute_force(history.operations(), 0));
        if let Some(violation) = verdict.violation() {
            assert_is_a_minimal_witness(&history, violation)?;
        }
    }
}

/// Whether one operation writes another value between a write and a read, and one that value again.
fn overwrites_and_repeats(kept: &[Written], write: &Written, read: &Written) -> bool {
    let Some(written) = write.returned else { return false };
    let later = |other: &&Written| {
        matches!(other.input, Call::Write(_)) && written.index < other.invoked.index
    };
    let ends_before_read = |other: &Written| {
        matches!(other.outcome, Outcome::Ok(_))
            && other.returned.is_some_and(|end| end.index < read.invoked.index)
    };
    let mut later_writes = kept.iter().filter(later);
    later_writes.clone().any(|other| other.input == write.input)
        && later_writes.any(|other| other.input != write.input && ends_before_read(other))
}

fn assert_is_a_minimal_witness(
    history: &RegisterHistory,
    violation: &squall_check::Violation<Call, Return>,
) -> Result<(), TestCaseError> {
    prop_assert!(violation.is_minimal());
    let kept = violation.operations();
    prop_assert!(!brute_force(kept, 0), "the witness is a violation by itself");
    for operation in kept {
        let original = history.operations().iter().find(|other| other.invoked == operation.invoked);
        let original = original.expect("the witness invents no operation");
        prop_assert_eq!(original.input, operation.input);
        if operation.outcome != Outcome::Unknown {
            prop_assert_eq!(original, operation);
        }
        if let Outcome::Ok(Return::Value(value)) = operation.outcome {
            let end = violation.end().expect("something completed").index;
            for other in history.operations() {
                let is_source = other.input == Call::Write(value)
                    && other.outcome != Outcome::Fail
                    && other.invoked.index < end;
                let is_kept = kept.iter().any(|kept| kept.invoked == other.invoked);
                let is_overwritten = || overwrites_and_repeats(kept, other, operation);
                prop_assert!(!is_source || is_kept || is_overwritten(), "{:?} is gone", other);
            }
        }
    }
    for omitted in 0..kept.len() {
        let mut fewer = kept.to_vec();
        let gone = fewer.remove(omitted);
        let is_sound = match gone.input {
            Call::Read => true,
            Call::Write(value) => {
                fewer.iter().all(|other| other.outcome != Outcome::Ok(Return::Value(value)))
            }
        };
        prop_assert!(!is_sound || brute_force(&fewer, 0), "{:?} is not needed", gone);
    }
    Ok(())
}

#[test]
fn a_violation_is_cut_down_to_what_shows_it() {
    let mut script = String::new();
    for value in 10..40 {
        script += &format!("0:w{value} 1:r 0:done 1:{value} ");
    }
    script += "2:w7 2:done 3:r 3:39 ";
    for value in 50..80 {
        script += &format!("0:w{value} 1:r 0:done 1:{value} ");
    }
    let verdict = check(&history(&script));
    let violation = verdict.violation().expect("the read goes back in time");
    assert!(violation.is_minimal());
    assert_eq!(violation.end().map(|end| end.index), Some(123));
    assert_eq!(
        violation.to_string(),
        "no order of these 3 operations is allowed, as of event 123 (0.123 s)\n  \
         process 0 writes 39, between event 116 and 118 (0.116 s to 0.118 s)\n  \
         process 2 writes 7, between event 120 and 121 (0.120 s to 0.121 s)\n  \
         process 3 reads 39, between event 122 and 123 (0.122 s to 0.123 s)\n  \
         why: the furthest order is process 0 writes 39, process 2 writes 7; then the system \
         holds 7\n  \
         process 3 reads 39 does not fit: it needs a system that holds 39, which ended with \
         \"process 2 writes 7\"; an operation that brings this back would have to come between \
         the two"
    );
    let page = violation.timeline();
    for wanted in ["<svg", "1. writes 39", "2. writes 7", "class=\"blocked\"", "would have to come"]
    {
        assert!(page.contains(wanted), "{wanted} in {page}");
    }
    assert!(!page.contains("http") || page.matches("http").count() == 1, "only the name of SVG");
}

#[test]
fn of_writes_of_a_value_that_is_read_too_late_the_last_one_is_reported() {
    let mut script = String::new();
    for _ in 0..20 {
        script += "0:w1 0:done 1:w2 1:done ";
    }
    let verdict = check(&history(&(script + "2:r 2:1")));
    let violation = verdict.violation().expect("the value was overwritten");
    assert_eq!(
        violation.lines(),
        [
            "process 0 writes 1, between event 76 and 77 (0.076 s to 0.077 s)",
            "process 1 writes 2, between event 78 and 79 (0.078 s to 0.079 s)",
            "process 2 reads 1, between event 80 and 81 (0.080 s to 0.081 s)",
        ]
    );
}

#[test]
fn of_a_lock_only_what_was_open_since_it_was_last_free_is_reported() {
    let recorder = Recorder::new();
    let turn = |process, call, at_ms: u64| {
        let id = recorder.invoke(process, call, at_ms * 1_000_000);
        recorder.ok(id, MutexReturn::Done, at_ms * 1_000_000 + 500_000);
    };
    for round in 0..40 {
        turn(round % 3, MutexCall::Acquire, 2 * round);
        turn(round % 3, MutexCall::Release, 2 * round + 1);
    }
    turn(0, MutexCall::Acquire, 80);
    turn(1, MutexCall::Acquire, 81);
    turn(0, MutexCall::Release, 82);
    let verdict = linearizable(&Mutex::default(), &recorder.finish(), &Limits::default());
    let violation = verdict.violation().expect("two hold the lock");
    let lines = violation.lines();
    assert_eq!(lines.len(), 2, "{violation}");
    assert!(lines[0].starts_with("process 0 acquires the lock, between event 160"), "{violation}");
    assert!(lines[1].starts_with("process 1 acquires the lock, between event 162"), "{violation}");
}

#[test]
fn a_write_stays_in_the_report_while_a_read_of_its_value_does() {
    let verdict = check(&history("0:w1 0:? 1:r 1:1 1:w2 1:done 2:r 2:1"));
    let violation = verdict.violation().expect("the write takes effect twice");
    assert_eq!(
        violation.lines()[0],
        "process 0 writes 1, outcome unknown, from event 0 on (0.000 s)"
    );
    assert_eq!(violation.operations().len(), 4);
}

#[test]
fn an_operation_still_open_at_the_end_of_a_violation_has_no_outcome_in_it() {
    let verdict = check(&history("0:w1 1:r 1:1 2:r 2:0 0:done"));
    let violation = verdict.violation().expect("the read goes back in time");
    assert_eq!(violation.operations()[0].outcome, Outcome::Unknown);
    assert_eq!(violation.end().map(|end| end.index), Some(4));
}

#[test]
fn a_report_has_as_many_decimals_as_tell_its_times_apart() {
    let first_line = |step_ns: u64| {
        let recorder = Recorder::new();
        let read = recorder.invoke(3, Call::Read, 13_481_000_000);
        recorder.ok(read, Return::Value(4), 13_481_000_000 + step_ns);
        let verdict = check(&recorder.finish());
        verdict.violation().expect("nobody wrote 4").lines()[0].clone()
    };
    let prefix = "process 3 reads 4, between event 0 and 1";
    assert_eq!(first_line(723_000_000), format!("{prefix} (13.481 s to 14.204 s)"));
    assert_eq!(first_line(2_000), format!("{prefix} (13.481000 s to 13.481002 s)"));
    assert_eq!(first_line(7), format!("{prefix} (13.481000000 s to 13.481000007 s)"));
}

#[test]
fn a_model_that_omits_nothing_keeps_every_operation_of_a_violation() {
    let recorder = Recorder::new();
    for (process, is_increment, output) in [(0, true, 0), (0, false, 1), (0, false, 5)] {
        let id = recorder.invoke(process, is_increment, 0);
        recorder.ok(id, output, 0);
    }
    recorder.invoke(0, true, 0);
    let history: History<bool, u64> = recorder.finish();
    let verdict = linearizable(&Counter, &history, &Limits::default());
    let violation = verdict.violation().expect("one increment is not five");
    // The last increment came after the end.
    assert_eq!(violation.operations(), &history.operations()[..3]);
}
