//! Every model of data against a checker that tries every order, on thousands of small histories.

mod common;

use std::collections::BTreeMap;

use common::case::{Case, check_case, value};
use squall_check::*;

#[test]
fn registers() {
    type Call = RegisterCall<u64>;
    check_case(&Case {
        model: Register::new(0),
        call: |kind, byte, number| match kind % 2 {
            0 => Call::Read,
            _ => Call::Write(value(byte, number)),
        },
        answer: |state, call, _| {
            Some(match call {
                Call::Read => RegisterReturn::Value(*state),
                Call::Write(_) => RegisterReturn::Written,
            })
        },
        lie: |call, byte| match call {
            Call::Read => RegisterReturn::Value(value(byte, u64::from(byte % 7))),
            Call::Write(_) => RegisterReturn::Written,
        },
        never: (Call::Read, RegisterReturn::Value(9)),
    });
}

/// Whether a comparison that fails is told apart changes how much the search knows.
fn cas_register(tells: bool) -> Case<CasRegister<u64>> {
    type Call = CasCall<u64>;
    fn answer(state: &u64, call: &Call) -> CasReturn<u64> {
        match call {
            Call::Read => CasReturn::Value(*state),
            Call::Write(_) => CasReturn::Written,
            Call::Cas(old, _) => CasReturn::Swapped(old == state),
        }
    }
    Case {
        model: CasRegister::new(0),
        call: |kind, byte, number| match kind % 3 {
            0 => Call::Read,
            1 => Call::Write(value(byte, number)),
            _ => Call::Cas(u64::from(byte % 4), value(byte.rotate_left(3), number)),
        },
        answer: match tells {
            true => |state, call, _| Some(answer(state, call)),
            false => |state, call, _| {
                Some(answer(state, call)).filter(|answer| *answer != CasReturn::Swapped(false))
            },
        },
        lie: |call, byte| match call {
            Call::Read => CasReturn::Value(u64::from(byte % 4)),
            Call::Write(_) => CasReturn::Written,
            Call::Cas(..) => CasReturn::Swapped(true),
        },
        never: (Call::Read, CasReturn::Value(9)),
    }
}

#[test]
fn registers_with_compare_and_set() {
    check_case(&cas_register(false));
    check_case(&cas_register(true));
}

/// Pieces of which some are beginnings of others, or pieces that are not.
fn append_kv(initial: &str, is_clear: bool) -> Case<AppendKv> {
    fn answer(state: &BTreeMap<String, String>, call: &AppendKvCall, initial: &str) -> String {
        state.get(call.key()).cloned().unwrap_or_else(|| initial.to_owned())
    }
    fn call(kind: u8, byte: u8, piece: String) -> AppendKvCall {
        let key = if byte.is_multiple_of(5) { "a" } else { "b" }.to_owned();
        match kind % 4 {
            0 | 1 => AppendKvCall::Get(key),
            2 => AppendKvCall::Append(key, piece),
            _ if kind % 16 == 3 => AppendKvCall::Put(key, piece),
            _ => AppendKvCall::Append(key, piece),
        }
    }
    Case {
        model: AppendKv::new(initial),
        call: match is_clear {
            true => |kind, byte, number| {
                let name = if byte % 4 == 0 { u64::from(byte % 2) } else { number };
                call(kind, byte, format!("<{name}>"))
            },
            false => |kind, byte, _| call(kind, byte, "xy".repeat(1 + usize::from(byte % 2))),
        },
        answer: match initial {
            "" => |state, call, _| {
                Some(match call {
                    AppendKvCall::Get(_) => AppendKvReturn::Value(answer(state, call, "")),
                    _ => AppendKvReturn::Done,
                })
            },
            _ => |state, call, _| {
                Some(match call {
                    AppendKvCall::Get(_) => AppendKvReturn::Value(answer(state, call, "<9>")),
                    _ => AppendKvReturn::Done,
                })
            },
        },
        lie: match is_clear {
            true => |call, byte| match call {
                AppendKvCall::Get(_) => AppendKvReturn::Value(format!("<{}>", byte % 5)),
                _ => AppendKvReturn::Done,
            },
            false => |call, byte| match call {
                AppendKvCall::Get(_) => AppendKvReturn::Value("xy".repeat(usize::from(byte % 4))),
                _ => AppendKvReturn::Done,
            },
        },
        never: (AppendKvCall::Get("a".into()), AppendKvReturn::Value("?".into())),
    }
}

#[test]
fn maps_of_strings() {
    check_case(&append_kv("", true));
    check_case(&append_kv("", false));
    check_case(&append_kv("<9>", true));
}

#[test]
fn registers_with_transactions() {
    type Txn = Vec<Access<u8, u64>>;
    check_case(&Case {
        model: MultiRegister::new(BTreeMap::from([(0, 0), (1, 0)]), 0),
        call: |kind, byte, number| {
            let mut txn = Txn::new();
            for access in 0..=kind % 3 {
                let key = (byte >> access) % 4;
                txn.push(match (kind >> (2 + access)) % 2 {
                    0 => Access::Read(key),
                    _ => Access::Write(key, value(byte, number)),
                });
            }
            txn
        },
        answer: |state, txn, _| {
            let mut state = state.clone();
            let mut observed = Vec::new();
            for access in txn {
                match access {
                    Access::Read(key) => {
                        observed.push(Some(state.get(key).copied().unwrap_or_default()));
                    }
                    Access::Write(key, value) => {
                        state.insert(*key, *value);
                    }
                }
            }
            Some(observed)
        },
        lie: |txn, byte| {
            let reads = txn.iter().filter(|access| matches!(access, Access::Read(_)));
            reads.map(|_| (!byte.is_multiple_of(4)).then_some(u64::from(byte % 3))).collect()
        },
        never: (vec![Access::Read(0)], vec![Some(9)]),
    });
}

#[test]
fn sets() {
    type Call = SetCall<u64>;
    fn case(reads: bool) -> Case<Set<u64>> {
        Case {
            model: Set::new(),
            call: match reads {
                true => |kind, byte, _| match kind % 4 {
                    0 => Call::Add(u64::from(byte % 3)),
                    1 => Call::Remove(u64::from(byte % 3)),
                    2 => Call::Contains(u64::from(byte % 3)),
                    _ => Call::Read,
                },
                false => |kind, byte, _| match kind % 3 {
                    0 => Call::Add(u64::from(byte % 3)),
                    1 => Call::Remove(u64::from(byte % 3)),
                    _ => Call::Contains(u64::from(byte % 3)),
                },
            },
            answer: |state, call, at| {
                let has = call.element().is_some_and(|element| state.contains(element));
                Some(match call {
                    Call::Add(_) | Call::Remove(_) if at % 3 == 0 => SetReturn::Done,
                    Call::Add(_) => SetReturn::Bool(!has),
                    Call::Remove(_) | Call::Contains(_) => SetReturn::Bool(has),
                    Call::Read => SetReturn::Elements(state.clone()),
                })
            },
            lie: |call, byte| match call {
                Call::Read => SetReturn::Elements([u64::from(byte % 3)].into()),
                _ => SetReturn::Bool(byte.is_multiple_of(2)),
            },
            never: (Call::Contains(9), SetReturn::Bool(true)),
        }
    }
    check_case(&case(true));
    check_case(&case(false));
}

#[test]
fn counters() {
    check_case(&Case {
        model: Counter::new(0),
        call: |kind, byte, _| match kind % 2 {
            0 => CounterCall::Read,
            _ => CounterCall::Add(i64::from(byte % 4) - 1),
        },
        answer: |state, call, at| {
            Some(match call {
                CounterCall::Read => CounterReturn::Value(*state),
                CounterCall::Add(_) if at % 2 == 0 => CounterReturn::Done,
                CounterCall::Add(amount) => CounterReturn::Value(state + amount),
            })
        },
        lie: |_, byte| CounterReturn::Value(i64::from(byte % 4)),
        never: (CounterCall::Read, CounterReturn::Done),
    });
}

/// Elements that are put in once, or also more often.
fn queue_call(kind: u8, element: u64) -> QueueCall<u64> {
    if kind.is_multiple_of(2) { QueueCall::Enqueue(element) } else { QueueCall::Dequeue }
}

fn queue_answer(next: Option<&u64>, call: &QueueCall<u64>) -> Option<QueueReturn<u64>> {
    Some(match (call, next) {
        (QueueCall::Enqueue(_), _) => QueueReturn::Done,
        (QueueCall::Dequeue, Some(item)) => QueueReturn::Item(*item),
        (QueueCall::Dequeue, None) => QueueReturn::Empty,
    })
}

fn queue_lie(call: &QueueCall<u64>, byte: u8) -> QueueReturn<u64> {
    match call {
        QueueCall::Enqueue(_) => QueueReturn::Done,
        QueueCall::Dequeue if byte.is_multiple_of(4) => QueueReturn::Empty,
        QueueCall::Dequeue => QueueReturn::Item(10 + u64::from(byte % 6)),
    }
}

#[test]
fn fifo_queues() {
    let case = |call| Case {
        model: FifoQueue::new(),
        call,
        answer: |state, call, _| queue_answer(state.front(), call),
        lie: queue_lie,
        never: (QueueCall::Dequeue, QueueReturn::Item(9)),
    };
    check_case(&case(|kind, _, number| queue_call(kind, 10 + number)));
    check_case(&case(|kind, byte, number| queue_call(kind, value(byte, number))));
}

#[test]
fn priority_queues() {
    let case = |call| Case {
        model: PriorityQueue::new(),
        call,
        answer: |state, call, _| queue_answer(state.first(), call),
        lie: queue_lie,
        never: (QueueCall::Dequeue, QueueReturn::Item(9)),
    };
    check_case(&case(|kind, _, number| queue_call(kind, 10 + number)));
    check_case(&case(|kind, byte, number| queue_call(kind, value(byte, number))));
}

#[test]
fn stacks() {
    type Call = StackCall<u64>;
    check_case(&Case {
        model: Stack::new(),
        call: |kind, byte, number| match kind % 2 {
            0 => Call::Push(value(byte, number)),
            _ => Call::Pop,
        },
        answer: |state, call, _| {
            Some(match (call, state.last()) {
                (Call::Push(_), _) => StackReturn::Done,
                (Call::Pop, Some(item)) => StackReturn::Item(*item),
                (Call::Pop, None) => StackReturn::Empty,
            })
        },
        lie: |call, byte| match call {
            Call::Push(_) => StackReturn::Done,
            Call::Pop if byte.is_multiple_of(4) => StackReturn::Empty,
            Call::Pop => StackReturn::Item(value(byte, u64::from(byte % 6))),
        },
        never: (Call::Pop, StackReturn::Item(9)),
    });
}
