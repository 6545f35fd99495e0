//! Properties beside linearizability, each against its definition written out and on examples.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use squall_check::properties::{
    Guarantee, SequentialLimits, Status, causal_reverse, counter, long_fork, monotonic,
    register_access, sequential_keys, sequentially_consistent, session_guarantees, set_full,
    strictly_monotonic, total_queue, unique_ids,
};
use squall_check::{
    CounterCall, CounterReturn, History, Operation, Outcome, QueueCall, QueueReturn, Recorder,
    Register, RegisterCall, RegisterReturn, SetCall, SetReturn,
};

type OfSet = Operation<SetCall<u64>, SetReturn<u64>>;
type OfQueue = Operation<QueueCall<u64>, QueueReturn<u64>>;

/// Reads of a set with what they show, and additions with what they add.
type Parts<'a> = (Vec<(&'a OfSet, &'a BTreeSet<u64>)>, Vec<(&'a OfSet, u64)>);

/// Draws small numbers from bytes; zeros once they run out.
struct Dice<'a>(std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next().map_or(0, |&byte| u64::from(byte) % bound)
    }
}

/// A history of up to so many operations of three clients, with made-up calls and answers.
fn record<I: Clone, O>(
    bytes: &[u8],
    most: u64,
    mut ask: impl FnMut(&mut Dice<'_>) -> I,
    mut answer: impl FnMut(&mut Dice<'_>, &I) -> O,
) -> History<I, O> {
    let mut dice = Dice(bytes.iter());
    let recorder = Recorder::new();
    let count = dice.below(most + 1);
    let mut processes = [0, 1, 2];
    let mut open: BTreeMap<usize, (squall_check::OperationId, I)> = BTreeMap::new();
    let (mut asked, mut at_ns) = (0, 0);
    while asked < count || !open.is_empty() {
        at_ns += 1_000;
        let client = dice.below(3) as usize;
        let waiting = open.remove(&client);
        let Some((id, call)) = waiting.or_else(|| match asked == count {
            true => open.pop_first().map(|(_, waiting)| waiting),
            false => None,
        }) else {
            let call = ask(&mut dice);
            let id = recorder.invoke(processes[client], call.clone(), at_ns);
            open.insert(client, (id, call));
            asked += 1;
            continue;
        };
        match dice.below(12) {
            0 => recorder.fail(id, at_ns),
            1 => {
                recorder.unknown(id, at_ns);
                // Whoever did not learn an outcome goes on under a new number.
                processes[client] += 3;
            }
            _ => {
                let answered = answer(&mut dice, &call);
                recorder.ok(id, answered, at_ns);
            }
        }
    }
    recorder.finish()
}

fn is_before<I, O>(one: &Operation<I, O>, other: &Operation<I, O>) -> bool {
    one.returned.is_some_and(|returned| returned.index < other.invoked.index)
}

fn value<I, O>(operation: &Operation<I, O>) -> Option<&O> {
    match &operation.outcome {
        Outcome::Ok(output) => Some(output),
        Outcome::Fail | Outcome::Unknown => None,
    }
}

type Registers = History<RegisterCall<u64>, RegisterReturn<u64>>;

fn registers(bytes: &[u8], most: u64) -> Registers {
    let mut next = 0;
    let ask = |dice: &mut Dice<'_>| match dice.below(2) {
        0 => RegisterCall::Read,
        _ => {
            next += 1;
            RegisterCall::Write(next)
        }
    };
    record(bytes, most, ask, |dice, call| match call {
        RegisterCall::Read => RegisterReturn::Value(dice.below(4)),
        RegisterCall::Write(_) => RegisterReturn::Written,
    })
}

/// Whether some interleaving of the processes is legal, trying all.
fn interleaves(
    lines: &[Vec<&Operation<RegisterCall<u64>, RegisterReturn<u64>>>],
    now: u64,
) -> bool {
    if lines.iter().all(Vec::is_empty) {
        return true;
    }
    (0..lines.len()).filter(|&line| !lines[line].is_empty()).any(|line| {
        let mut rest = lines.to_vec();
        let operation = rest[line].remove(0);
        let is_known = value(operation).is_some();
        let skipped = !is_known && interleaves(&rest, now);
        skipped
            || match (&operation.input, value(operation)) {
                (RegisterCall::Write(new), _) => interleaves(&rest, *new),
                (RegisterCall::Read, Some(RegisterReturn::Value(seen))) => {
                    *seen == now && interleaves(&rest, now)
                }
                (RegisterCall::Read, _) => interleaves(&rest, now),
            }
    })
}

fn by_process<'a, I, O>(history: &'a History<I, O>) -> Vec<Vec<&'a Operation<I, O>>> {
    let mut lines: BTreeMap<u64, Vec<&'a Operation<I, O>>> = BTreeMap::new();
    for operation in history.operations() {
        if !matches!(operation.outcome, Outcome::Fail) {
            lines.entry(operation.process).or_default().push(operation);
        }
    }
    lines.into_values().collect()
}

fn orders(things: &[u64]) -> Vec<Vec<u64>> {
    let Some((&first, rest)) = things.split_first() else { return vec![Vec::new()] };
    let insert = |order: Vec<u64>| {
        (0..=order.len()).map(move |at| {
            let mut order = order.clone();
            order.insert(at, first);
            order
        })
    };
    orders(rest).into_iter().flat_map(insert).collect()
}

/// What a session did, in its order: wrote or read a value, 0 being the initial one.
type Session = Vec<(bool, u64)>;

/// Whether an order of the writes keeps a guarantee, as its definition reads.
fn keeps(sessions: &[Session], order: &[u64], guarantee: Guarantee) -> bool {
    let place = |value: u64| order.iter().position(|&other| other == value).map_or(0, |at| at + 1);
    let last = |done: &[(bool, u64)], is_write: bool| {
        done.iter().rev().find(|one| one.0 == is_write).map(|one| one.1)
    };
    sessions.iter().all(|session| {
        (0..session.len()).all(|at| {
            let (is_write, now) = session[at];
            let done = &session[..at];
            let not_behind =
                |before: Option<u64>| before.is_none_or(|before| place(before) <= place(now));
            let brought = |is_write: bool, seen: u64| {
                let find = |other: &Session| {
                    let at = other.iter().position(|&one| one == (true, seen))?;
                    last(&other[..at], is_write)
                };
                sessions.iter().find_map(find)
            };
            let seen = || done.iter().filter(|one| !one.0);
            match guarantee {
                Guarantee::ReadYourWrites => is_write || not_behind(last(done, true)),
                Guarantee::MonotonicReads => is_write || not_behind(last(done, false)),
                Guarantee::MonotonicWrites if is_write => not_behind(last(done, true)),
                Guarantee::MonotonicWrites => {
                    seen().all(|&(_, one)| not_behind(brought(true, one)))
                }
                Guarantee::WritesFollowReads if is_write => not_behind(last(done, false)),
                Guarantee::WritesFollowReads => {
                    seen().all(|&(_, one)| not_behind(brought(false, one)))
                }
            }
        })
    })
}

fn judge_sessions(history: &Registers) {
    let report = session_guarantees(history, register_access(0));
    let writes: Vec<u64> = history
        .operations()
        .iter()
        .filter_map(|one| match one.input {
            RegisterCall::Write(value) if !matches!(one.outcome, Outcome::Fail) => Some(value),
            _ => None,
        })
        .collect();
    let met =
        |one: &&Operation<RegisterCall<u64>, RegisterReturn<u64>>| match (&one.input, value(one)) {
            (RegisterCall::Write(value), _) => Some((true, *value)),
            (RegisterCall::Read, Some(RegisterReturn::Value(value))) => Some((false, *value)),
            (RegisterCall::Read, _) => None,
        };
    let sessions: Vec<Session> =
        by_process(history).iter().map(|line| line.iter().filter_map(met).collect()).collect();
    let nobody = |one: &&(bool, u64)| !one.0 && one.1 != 0 && !writes.contains(&one.1);
    if sessions.iter().flatten().any(|one| nobody(&one)) {
        assert!(matches!(report.status(), Status::Undecided(_)), "{report}");
        return;
    }
    let orders = orders(&writes);
    let some_keeps = |guarantees: &[Guarantee]| {
        orders.iter().any(|order| guarantees.iter().all(|&one| keeps(&sessions, order, one)))
    };
    let reads = some_keeps(&[Guarantee::MonotonicReads]);
    assert_eq!(report.keeps(Guarantee::MonotonicReads), reads, "{report} {sessions:?}");
    let own = some_keeps(&[Guarantee::ReadYourWrites]);
    assert_eq!(report.keeps(Guarantee::ReadYourWrites), own, "{report} {sessions:?}");
    for guarantee in [Guarantee::MonotonicWrites, Guarantee::WritesFollowReads] {
        let both = [guarantee, Guarantee::MonotonicReads];
        let kept = some_keeps(if reads { &both } else { &both[..1] });
        // Who reads backwards may meet what was brought along in any order.
        let is_same = report.keeps(guarantee) == kept || (!reads && report.keeps(guarantee));
        assert!(is_same, "{guarantee}: {report} {sessions:?}");
    }
}

fn elements(dice: &mut Dice<'_>) -> BTreeSet<u64> {
    (1..=6).filter(|_| dice.below(2) == 0).collect()
}

fn sets(bytes: &[u8]) -> History<SetCall<u64>, SetReturn<u64>> {
    let mut next = 0;
    let ask = |dice: &mut Dice<'_>| match dice.below(2) {
        0 => SetCall::Read,
        _ => {
            next += 1;
            SetCall::Add(next)
        }
    };
    record(bytes, 14, ask, |dice, call| match call {
        SetCall::Read => SetReturn::Elements(elements(dice)),
        _ => SetReturn::Done,
    })
}

/// The reads of a set with what they show, and the additions.
fn parts(history: &History<SetCall<u64>, SetReturn<u64>>) -> Parts<'_> {
    let reads = history.operations().iter().filter_map(|one| match value(one) {
        Some(SetReturn::Elements(elements)) => Some((one, elements)),
        _ => None,
    });
    let adds = history.operations().iter().filter_map(|one| match one.input {
        SetCall::Add(element) => Some((one, element)),
        _ => None,
    });
    (reads.collect(), adds.collect())
}

fn judge_set_full(history: &History<SetCall<u64>, SetReturn<u64>>) {
    let report = set_full(history, false);
    let (reads, adds) = parts(history);
    for (add, element) in adds {
        let end = |one: &Operation<SetCall<u64>, SetReturn<u64>>| one.returned.unwrap().index;
        let counts: Vec<_> =
            reads.iter().filter(|(read, _)| end(read) > add.invoked.index).collect();
        let acknowledged = value(add).map(|_| end(add));
        let shown =
            counts.iter().filter(|(_, seen)| seen.contains(&element)).map(|(read, _)| end(read));
        let known = acknowledged.into_iter().chain(shown).min();
        let begun = |is_shown: bool| {
            let these = counts.iter().filter(|(_, seen)| seen.contains(&element) == is_shown);
            these.map(|(read, _)| read.invoked.index).max()
        };
        let (present, absent) = (begun(true), begun(false));
        let is_stable = present.is_some() && present > absent;
        let is_lost = !is_stable && known.is_some() && absent > known;
        assert_eq!(report.stable().contains(&element), is_stable, "{element} {history:?}");
        assert_eq!(report.lost().contains(&element), is_lost, "{element} {history:?}");
        assert_eq!(report.never_read().contains(&element), !is_stable && !is_lost);
        let is_stale = is_stable && absent.is_some() && absent > known;
        assert_eq!(report.stale().contains(&element), is_stale, "{element} {history:?}");
    }
}

fn judge_order(history: &History<SetCall<u64>, SetReturn<u64>>) {
    let (reads, adds) = parts(history);
    let wrong = |same_process: bool| {
        reads.iter().any(|(_, seen)| {
            adds.iter().any(|(late, shown)| {
                seen.contains(shown)
                    && adds.iter().any(|(early, missed)| {
                        let is_line = !same_process || early.process == late.process;
                        is_line
                            && value(early).is_some()
                            && is_before(early, late)
                            && !seen.contains(missed)
                    })
            })
        })
    };
    let status = |is_wrong: bool| if is_wrong { Status::Violated } else { Status::Holds };
    assert_eq!(causal_reverse(history).status(), status(wrong(false)), "{history:?}");
    assert_eq!(sequential_keys(history).status(), status(wrong(true)), "{history:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn sequential_consistency_is_that_some_interleaving_is_legal(
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let history = registers(&bytes, 8);
        let model = Register::new(0);
        let report = sequentially_consistent(&model, &history, &SequentialLimits::default());
        let is_legal = interleaves(&by_process(&history), 0);
        let expected = if is_legal { Status::Holds } else { Status::Violated };
        prop_assert_eq!(report.status(), expected, "{}", report);
    }

    #[test]
    fn a_session_guarantee_is_kept_if_some_order_of_writes_keeps_it(
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        judge_sessions(&registers(&bytes, 9));
    }

    #[test]
    fn a_counter_lies_between_what_was_done_and_what_was_tried(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let ask = |dice: &mut Dice<'_>| match dice.below(2) {
            0 => CounterCall::Read,
            _ => CounterCall::Add(dice.below(7) as i64 - 3),
        };
        let history = record(&bytes, 14, ask, |dice, call| match call {
            CounterCall::Read => CounterReturn::Value(dice.below(9) as i64 - 4),
            CounterCall::Add(_) => CounterReturn::Done,
        });
        let report = counter(1, &history);
        let reads = history.operations().iter().filter(|one| one.input == CounterCall::Read);
        let mut expected = Vec::new();
        for read in reads.filter(|read| value(read).is_some()) {
            let sum = |is_up: bool, is_certain: bool| -> i64 {
                let counts = |one: &&Operation<CounterCall, CounterReturn>| match is_certain {
                    true => value(one).is_some() && is_before(one, read),
                    false => !matches!(one.outcome, Outcome::Fail) && !is_before(read, one),
                };
                history.operations().iter().filter(counts).map(|one| match one.input {
                    CounterCall::Add(amount) if (amount > 0) == is_up => amount,
                    _ => 0,
                }).sum()
            };
            let upper = 1 + sum(true, false) + sum(false, true);
            expected.push((read.invoked.index, 1 + sum(true, true) + sum(false, false), upper));
        }
        let mut found: Vec<_> =
            report.reads.iter().map(|read| (read.invoked, read.lower, read.upper)).collect();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn elements_of_a_set_are_stable_lost_stale_or_never_read(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        judge_set_full(&sets(&bytes));
        judge_order(&sets(&bytes));
    }

    #[test]
    fn values_are_monotonic_if_no_two_operations_contradict_it(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let history = record(&bytes, 8, |_| (), |dice, ()| dice.below(12));
        let meets = |(): &(), seen: &u64| Some(*seen);
        let all = history.operations();
        let pairs = || all.iter().flat_map(|one| all.iter().map(move |other| (one, other)));
        let both = |one, other| value::<(), u64>(one).zip(value(other));
        let back = pairs().any(|(one, other)| {
            is_before(one, other) && both(one, other).is_some_and(|(one, other)| one > other)
        });
        let equal = pairs().any(|(one, other)| {
            one.invoked != other.invoked
                && both(one, other).is_some_and(|(one, other)| one == other)
        });
        prop_assert_eq!(monotonic(&history, meets).status() == Status::Violated, back);
        let strictly = strictly_monotonic(&history, meets);
        prop_assert_eq!(strictly.status() == Status::Violated, back || equal);
        prop_assert_eq!(unique_ids(&history).status() == Status::Violated, equal);
    }

    #[test]
    fn a_long_fork_is_two_reads_that_each_miss_what_the_other_shows(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let history = record(&bytes, 8, |_| (), |dice, ()| {
            let count = 1 + dice.below(3);
            let seen = |key| (key, (dice.below(2) == 0).then_some(1));
            (0..count).map(seen).collect::<BTreeMap<_, _>>()
        });
        let report = long_fork(&history, |(), seen| Some(seen.clone()));
        let reads: Vec<_> = history.operations().iter().filter_map(value).collect();
        let more = |one: &BTreeMap<u64, Option<u64>>, other: &BTreeMap<u64, Option<u64>>| {
            one.len() == other.len()
                && one.iter().any(|(key, seen)| seen.is_some() && other[key].is_none())
        };
        let has_fork =
            reads.iter().any(|one| reads.iter().any(|other| more(one, other) && more(other, one)));
        prop_assert_eq!(report.status() == Status::Violated, has_fork, "{}", report);
    }

    #[test]
    fn a_queue_that_is_drained_accounts_for_every_element(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let ask = |dice: &mut Dice<'_>| match dice.below(2) {
            0 => QueueCall::Dequeue,
            _ => QueueCall::Enqueue(dice.below(5)),
        };
        let history = record(&bytes, 14, ask, |dice, call| match call {
            QueueCall::Dequeue if dice.below(5) == 0 => QueueReturn::Empty,
            QueueCall::Dequeue => QueueReturn::Item(dice.below(6)),
            QueueCall::Enqueue(_) => QueueReturn::Done,
        });
        let report = total_queue(&history);
        for element in 0..6 {
            let count = |is_wanted: &dyn Fn(&OfQueue) -> bool| {
                history.operations().iter().filter(|one| is_wanted(one)).count()
            };
            let tried = count(&|one| one.input == QueueCall::Enqueue(element));
            let done =
                count(&|one| one.input == QueueCall::Enqueue(element) && value(one).is_some());
            let out = count(&|one| value(one) == Some(&QueueReturn::Item(element)));
            let of = |bag: &BTreeMap<u64, usize>| bag.get(&element).copied().unwrap_or(0);
            prop_assert_eq!(of(&report.lost), done.saturating_sub(out));
            prop_assert_eq!(of(&report.unexpected), if tried == 0 { out } else { 0 });
            let more = if tried == 0 { 0 } else { out.saturating_sub(tried) };
            prop_assert_eq!(of(&report.duplicated), more);
            prop_assert_eq!(of(&report.recovered), out.min(tried).saturating_sub(done));
        }
    }
}

/// How many of some histories each property rejects, and how many it has to accept.
#[test]
fn random_histories_are_of_both_kinds() {
    let mut state = 1_u64;
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for _ in 0..2_000 {
        let byte = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        let bytes: Vec<u8> = (0..60).map(byte).collect();
        let (registers, sets) = (registers(&bytes, 8), sets(&bytes));
        let model = Register::new(0);
        let limits = SequentialLimits::default();
        let sequential = sequentially_consistent(&model, &registers, &limits).status();
        let sessions = session_guarantees(&registers, register_access(0)).status();
        let mut met = vec![
            ("sequential consistency", sequential),
            ("session guarantees", sessions),
            ("set", set_full(&sets, false).status()),
            ("causal reverse", causal_reverse(&sets).status()),
            ("sequential keys", sequential_keys(&sets).status()),
        ];
        let ids = record(&bytes, 8, |_| (), |dice, ()| dice.below(12));
        met.push(("monotonic", monotonic(&ids, |(), seen| Some(*seen)).status()));
        met.push(("unique ids", unique_ids(&ids).status()));
        for (name, status) in met {
            counts.entry(name).or_default()[usize::from(status == Status::Violated)] += 1;
        }
    }
    for (name, [kept, broken]) in counts {
        assert!(kept >= 100 && broken >= 100, "{name}: {kept} keep it and {broken} do not");
    }
}
