//! Every model of locks and the like against a checker that tries every order, and that of a log.

mod common;

use common::case::{Case, agreement, check_case, correct_histories, value};
use squall_check::*;

#[test]
fn mutexes() {
    // Whoever acquires twice in a row is wrong whatever the state, which takes two answers.
    let case = Case {
        model: Mutex::default(),
        call: |kind, _, _| if kind % 2 == 0 { MutexCall::Acquire } else { MutexCall::Release },
        answer: |is_held, call, _| {
            (*is_held == (*call == MutexCall::Release)).then_some(MutexReturn::Done)
        },
        lie: |_, _| MutexReturn::Done,
        never: (MutexCall::Acquire, MutexReturn::Done),
    };
    agreement(&case);
    correct_histories(&case);
    let recorder = Recorder::new();
    for at in [0, 2] {
        let acquire = recorder.invoke(0, MutexCall::Acquire, at);
        recorder.ok(acquire, MutexReturn::Done, at + 1);
    }
    let verdict = linearizable(&Mutex::default(), &recorder.finish(), &Limits::default());
    assert!(verdict.violation().is_some());
}

#[test]
fn locks_with_fencing_tokens() {
    type Call = FencedLockCall<u8>;
    check_case(&Case {
        model: FencedLock::new(),
        call: |kind, byte, _| match kind % 4 {
            0 | 1 => Call::Acquire(byte % 3),
            2 => Call::Release(byte % 3),
            _ => Call::Expire(byte % 3),
        },
        answer: |state, call, at| match call {
            Call::Acquire(_) if state.owner.is_some() => Some(FencedLockReturn::Refused),
            // Tokens may leave gaps.
            Call::Acquire(_) => Some(FencedLockReturn::Granted(state.next_token + at % 2)),
            Call::Release(owner) if state.owner != Some(*owner) => Some(FencedLockReturn::Refused),
            Call::Expire(owner) if state.owner != Some(*owner) => None,
            Call::Release(_) | Call::Expire(_) => Some(FencedLockReturn::Done),
        },
        lie: |call, byte| match call {
            Call::Acquire(_) => FencedLockReturn::Granted(u64::from(byte % 4)),
            _ => FencedLockReturn::Done,
        },
        never: (Call::Acquire(0), FencedLockReturn::Done),
    });
}

#[test]
fn semaphores() {
    check_case(&Case {
        model: Semaphore::new(3),
        call: |kind, byte, _| match kind % 2 {
            0 => SemaphoreCall::Acquire(1 + u64::from(byte % 2)),
            _ => SemaphoreCall::Release(1 + u64::from(byte % 2)),
        },
        answer: |free, call, _| match call {
            SemaphoreCall::Acquire(count) if count > free => Some(SemaphoreReturn::Refused),
            SemaphoreCall::Release(count) if free + count > 3 => None,
            _ => Some(SemaphoreReturn::Done),
        },
        lie: |call, byte| match call {
            SemaphoreCall::Acquire(_) if byte % 4 == 0 => SemaphoreReturn::Refused,
            _ => SemaphoreReturn::Done,
        },
        never: (SemaphoreCall::Acquire(4), SemaphoreReturn::Done),
    });
}

#[test]
fn logs() {
    type Call = LogCall<u64>;
    check_case(&Case {
        model: AppendLog::new(),
        call: |kind, byte, number| match kind % 4 {
            0 | 1 => Call::Append(value(byte, number)),
            2 => Call::Read,
            _ => Call::ReadAt(usize::from(byte % 4)),
        },
        answer: |state, call, at| {
            Some(match call {
                Call::Append(_) if at % 2 == 0 => LogReturn::Done,
                Call::Append(_) => LogReturn::Offset(state.len()),
                Call::Read => LogReturn::Entries(state.clone()),
                Call::ReadAt(offset) => LogReturn::Entry(state.get(*offset).copied()),
            })
        },
        lie: |call, byte| match call {
            Call::Append(_) => LogReturn::Offset(usize::from(byte % 4)),
            Call::Read => LogReturn::Entries(vec![u64::from(byte % 3)]),
            Call::ReadAt(_) => LogReturn::Entry(Some(u64::from(byte % 3))),
        },
        never: (Call::ReadAt(0), LogReturn::Entry(Some(9))),
    });
}

#[test]
fn leases() {
    type Call = LeaseCall<u8>;
    check_case(&Case {
        model: Lease::new(5),
        call: |kind, byte, _| match kind % 4 {
            0 | 1 => Call::Acquire(byte % 3),
            2 => Call::Renew(byte % 3),
            _ => Call::Release(byte % 3),
        },
        answer: |state, call, at| {
            let (Call::Acquire(owner) | Call::Renew(owner) | Call::Release(owner)) = call;
            let is_over = at >= state.since_ns + 5;
            let is_holder = state.holder == Some(*owner);
            let is_done = match call {
                Call::Acquire(_) => is_holder || state.holder.is_none() || is_over,
                Call::Renew(_) | Call::Release(_) => is_holder && !is_over,
            };
            Some(if is_done { LeaseReturn::Done(at) } else { LeaseReturn::Refused(at) })
        },
        lie: |_, byte| LeaseReturn::Done(u64::from(byte % 32)),
        never: (Call::Renew(9), LeaseReturn::Done(10_000)),
    });
}
