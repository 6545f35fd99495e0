//! One broken and one sound history for each property, and what is said of them.

use std::collections::{BTreeMap, BTreeSet};

use squall_check::properties::{
    BankCall, BankReturn, Guarantee, Met, SequentialLimits, Status, bank, causal_reverse, counter,
    long_fork, monotonic, sequentially_consistent, session_guarantees, set, set_full,
    strictly_monotonic, total_queue, unique_ids, unordered_queue,
};
use squall_check::{
    CounterCall, CounterReturn, History, QueueCall, QueueReturn, Recorder, Register, RegisterCall,
    RegisterReturn, SetCall, SetReturn,
};

/// A history of operations one after the other, each with the process that asks.
fn serial<I, O>(operations: impl IntoIterator<Item = (u64, I, O)>) -> History<I, O> {
    let recorder = Recorder::new();
    for (time, (process, call, answer)) in (0..).zip(operations) {
        let id = recorder.invoke(process, call, 2 * time);
        recorder.ok(id, answer, 2 * time + 1);
    }
    recorder.finish()
}

fn read(value: u64) -> (RegisterCall<u64>, RegisterReturn<u64>) {
    (RegisterCall::Read, RegisterReturn::Value(value))
}

fn write(value: u64) -> (RegisterCall<u64>, RegisterReturn<u64>) {
    (RegisterCall::Write(value), RegisterReturn::Written)
}

type Step = (u64, (RegisterCall<u64>, RegisterReturn<u64>));

fn sequential(steps: &[Step]) -> (Status, String) {
    let history =
        serial(steps.iter().copied().map(|(process, (call, answer))| (process, call, answer)));
    let limits = SequentialLimits::default();
    let report = sequentially_consistent(&Register::new(0), &history, &limits);
    (report.status(), report.to_string())
}

#[test]
fn a_stale_read_is_sequentially_consistent_and_two_opposite_orders_are_not() {
    let stale = [(0, write(1)), (1, read(0)), (1, read(1))];
    assert_eq!(sequential(&stale).0, Status::Holds);
    let opposite =
        [(0, write(1)), (1, write(2)), (2, read(1)), (2, read(2)), (3, read(2)), (3, read(1))];
    let (status, words) = sequential(&opposite);
    assert_eq!(status, Status::Violated);
    assert!(words.starts_with("no order of all operations is legal; the longest has 5"), "{words}");
    assert!(
        words.contains("process 2 reads 2 (event 6)") || words.contains("process 3"),
        "{words}"
    );
}

#[test]
fn a_search_for_a_sequential_order_ends_at_its_limits() {
    let steps: Vec<Step> = (0..40).map(|at| (at % 20, write(at))).chain([(0, read(99))]).collect();
    let history =
        serial(steps.into_iter().map(|(process, (call, answer))| (process, call, answer)));
    for limits in [
        SequentialLimits { steps: 100, ..SequentialLimits::default() },
        SequentialLimits { memory: 10, ..SequentialLimits::default() },
    ] {
        let report = sequentially_consistent(&Register::new(0), &history, &limits);
        assert!(matches!(report.status(), Status::Undecided(_)), "{report}");
    }
}

/// What a process did to a key: `+` is a write.
type Act<'a> = (u64, &'a str, &'a str, u64);

fn guarantees(acts: &[Act<'_>]) -> (Vec<Guarantee>, String) {
    let history =
        serial(acts.iter().map(|&(process, act, key, value)| (process, (act, key, value), ())));
    let report = session_guarantees(&history, |&(act, key, value), _| match act {
        "+" => Some(Met::Wrote(key, value)),
        _ => Some(Met::Read(key, (value > 0).then_some(value))),
    });
    (report.broken.keys().copied().collect(), report.to_string())
}

#[test]
fn each_session_guarantee_is_named_when_it_alone_is_broken() {
    let cases: [(&[Act<'_>], &[Guarantee]); 6] = [
        (&[(0, "+", "x", 1), (0, "", "x", 1), (1, "", "x", 0), (1, "", "x", 1)], &[]),
        (&[(0, "+", "x", 1), (0, "", "x", 0)], &[Guarantee::ReadYourWrites]),
        (&[(0, "+", "x", 1), (1, "", "x", 1), (1, "", "x", 0)], &[Guarantee::MonotonicReads]),
        (
            // A session sees the second write of another, and misses the first, on another key.
            &[(0, "+", "x", 1), (0, "+", "y", 2), (1, "", "y", 2), (1, "", "x", 0)],
            &[Guarantee::MonotonicWrites],
        ),
        (
            // The answer is seen without the question.
            &[
                (0, "+", "x", 1),
                (1, "", "x", 1),
                (1, "+", "y", 2),
                (2, "", "y", 2),
                (2, "", "x", 0),
            ],
            &[Guarantee::WritesFollowReads],
        ),
        (&[(0, "+", "x", 1), (1, "+", "x", 2), (2, "", "x", 2), (3, "", "x", 1)], &[]),
    ];
    for (acts, expected) in cases {
        let (broken, words) = guarantees(acts);
        assert_eq!(broken, expected, "{words}");
    }
    let (_, words) = guarantees(&[(0, "+", "x", 1), (0, "", "x", 0)]);
    assert_eq!(
        words,
        "not kept: read your writes; \"x\" = 1 before the state before any write for process 0 \
         (event 2)"
    );
}

#[test]
fn a_bank_must_keep_its_total_its_accounts_and_its_sign() {
    let initial = BTreeMap::from([("a", 5), ("b", 5)]);
    let judge = |balances: &[(&'static str, i64)], may_be_negative: bool| {
        let balances = BankReturn::Balances(balances.iter().copied().collect());
        let transfer = BankCall::Transfer { from: "a", to: "b", amount: 1 };
        let history = serial([(0, transfer, BankReturn::Done), (1, BankCall::Read, balances)]);
        let report = bank(&initial, may_be_negative, &history);
        (report.status(), report.to_string())
    };
    assert_eq!(judge(&[("a", 4), ("b", 6)], false).0, Status::Holds);
    assert_eq!(judge(&[("a", -1), ("b", 11)], true).0, Status::Holds);
    let wrong = [
        (judge(&[("a", 4), ("b", 5)], false), "read 9 in all instead of 10"),
        (judge(&[("a", -1), ("b", 11)], false), "read -1 in the account \"a\""),
        (judge(&[("a", 10)], false), "missed the account \"b\""),
        (judge(&[("a", 4), ("b", 6), ("c", 0)], false), "read the account \"c\""),
    ];
    for ((status, words), expected) in wrong {
        assert_eq!(status, Status::Violated, "{words}");
        assert!(words.contains(expected), "{words}");
    }
}

#[test]
fn elements_that_come_out_of_nowhere_are_named() {
    let put = |element| (0, QueueCall::Enqueue(element), QueueReturn::Done);
    let take = |element| (1, QueueCall::Dequeue, QueueReturn::Item(element));
    assert_eq!(total_queue(&serial([put(1), put(2), take(2), take(1)])).status(), Status::Holds);
    let report = total_queue(&serial([put(1), put(2), take(2), take(2), take(7)]));
    assert_eq!(report.status(), Status::Violated);
    assert_eq!(
        report.to_string(),
        "1 of 2 acknowledged elements lost: 1; came out without having been put in: 7; \
         came out too often: 2"
    );
    assert_eq!(unordered_queue(&serial([put(1), take(1), put(1), take(1)])), Ok(()));
    assert_eq!(unordered_queue(&serial([put(1), take(1), take(1)])), Err((1, 5)));
}

#[test]
fn sets_are_accounted_for_by_the_last_read_and_by_all() {
    let add = |element: u64| (0, SetCall::Add(element), SetReturn::Done);
    let read = |elements: &[u64]| {
        (1, SetCall::Read, SetReturn::Elements(elements.iter().copied().collect()))
    };
    let sound = serial([add(1), add(2), read(&[1, 2])]);
    assert_eq!(set(&sound).status(), Status::Holds);
    assert_eq!(set_full(&sound, true).status(), Status::Holds);
    assert_eq!(causal_reverse(&sound).status(), Status::Holds);
    let stale = serial([add(1), add(2), read(&[2]), read(&[1, 2])]);
    assert_eq!(set(&stale).status(), Status::Holds);
    assert_eq!(set_full(&stale, false).status(), Status::Holds);
    let report = set_full(&stale, true);
    assert_eq!(report.status(), Status::Violated);
    assert_eq!(report.to_string(), "2 of 2 elements stable; 1 stale for up to 3 ns: 1");
    let reversed = causal_reverse(&stale);
    assert_eq!(reversed.status(), Status::Violated);
    assert!(reversed.to_string().contains("read 2 (event 4), but not what came before it: 1"));
    let lost = serial([add(1), add(2), read(&[2])]);
    assert_eq!(set(&lost).to_string(), "1 of 2 acknowledged elements lost: 1");
    assert_eq!(set_full(&lost, false).lost(), BTreeSet::from([&1]));
}

#[test]
fn numbers_that_go_back_or_repeat_are_named() {
    let ids = |ids: &[u64]| serial(ids.iter().map(|&id| (0, (), id)));
    let meets = |(): &(), id: &u64| Some(*id);
    assert_eq!(unique_ids(&ids(&[1, 2, 3])).status(), Status::Holds);
    let report = unique_ids(&ids(&[1, 2, 1]));
    assert_eq!(report.to_string(), "1 of the 3 identifiers handed out more than once: 1");
    assert_eq!(monotonic(&ids(&[1, 1, 2]), meets).status(), Status::Holds);
    assert_eq!(strictly_monotonic(&ids(&[1, 1, 2]), meets).status(), Status::Violated);
    let report = monotonic(&ids(&[1, 5, 2]), meets);
    assert_eq!(
        report.to_string(),
        "1 of 3 values go back\n  process 0 met 2 (from event 4) after process 0 had met 5 \
         (until event 3)"
    );
    let add = |amount| (0, CounterCall::Add(amount), CounterReturn::Done);
    let read = |value| (1, CounterCall::Read, CounterReturn::Value(value));
    assert_eq!(counter(0, &serial([add(2), add(3), read(5)])).status(), Status::Holds);
    let report = counter(0, &serial([add(2), read(3)]));
    assert!(
        report.to_string().contains("process 1 read 3 (event 2), which must lie between 2 and 2")
    );
}

/// What a read saw under each key.
type Seen = BTreeMap<&'static str, Option<u64>>;

#[test]
fn a_long_fork_names_who_saw_what() {
    let see = |process, x: Option<u64>, y: Option<u64>| {
        (process, (), BTreeMap::from([("x", x), ("y", y)]))
    };
    let judge =
        |reads: [(u64, (), Seen); 2]| long_fork(&serial(reads), |(), seen| Some(seen.clone()));
    let sound = judge([see(0, Some(1), None), see(1, Some(1), Some(2))]);
    assert_eq!(sound.status(), Status::Holds);
    let forked = judge([see(0, Some(1), None), see(1, None, Some(2))]);
    assert_eq!(forked.status(), Status::Violated);
    assert!(forked.to_string().starts_with("1 long forks among 2 reads\n  process "), "{forked}");
    let rewritten = judge([see(0, Some(1), None), see(1, Some(2), None)]);
    assert!(matches!(rewritten.status(), Status::Undecided(_)), "{rewritten}");
}
