//! Histories for the tests, and a second opinion on them that shares no code with the checker.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of these helpers")]

pub mod case;

use squall_check::{
    History, Limits, Operation, Outcome, Recorder, Register, RegisterCall, RegisterReturn, Verdict,
    linearizable,
};

pub type Call = RegisterCall<u64>;
pub type Return = RegisterReturn<u64>;
pub type RegisterHistory = History<Call, Return>;

/// Checks against a register that starts at 0.
pub fn check(history: &RegisterHistory) -> Verdict<Call, Return> {
    linearizable(&Register::new(0), history, &Limits::default())
}

/// Records events written as text: `1:w7` and `1:r` invoke, `1:4` and `1:done` are the answers of
/// a read and a write, `1:fail` and `1:?` end without one. Each event takes a millisecond.
pub fn history(script: &str) -> RegisterHistory {
    let recorder = Recorder::new();
    let mut open = std::collections::BTreeMap::new();
    for (at_ms, event) in (0..).zip(script.split_whitespace()) {
        let at_ns = at_ms * 1_000_000;
        let (process, what) = event.split_once(':').expect("process:event");
        let process: u64 = process.parse().expect("a process number");
        let mut end = || open.remove(&process).expect("an open operation");
        match what.as_bytes() {
            b"done" => recorder.ok(end(), Return::Written, at_ns),
            b"fail" => recorder.fail(end(), at_ns),
            b"?" => recorder.unknown(end(), at_ns),
            b"r" => {
                open.insert(process, recorder.invoke(process, Call::Read, at_ns));
            }
            [b'w', ..] => {
                let call = Call::Write(what[1..].parse().expect("a value"));
                open.insert(process, recorder.invoke(process, call, at_ns));
            }
            _ => recorder.ok(end(), Return::Value(what.parse().expect("a value")), at_ns),
        }
    }
    recorder.finish()
}

/// A client of [`build`] that waits for an answer.
struct Waiting {
    id: squall_check::OperationId,
    call: Call,
    /// The answer, once the operation took effect.
    answer: Option<Return>,
}

/// Turns arbitrary bytes into a history of at most `most` operations on a register.
///
/// Operations take effect between invocation and return, but some answers are made up, so that the
/// histories are of both kinds.
pub fn build(actions: &[(u8, u8, u8)], clients: usize, most: usize) -> RegisterHistory {
    let recorder = Recorder::new();
    let mut register = 0;
    let mut waiting: Vec<Option<Waiting>> = (0..clients).map(|_| None).collect();
    let mut processes: Vec<u64> = (0..clients as u64).collect();
    let mut invoked = 0;
    for (at, &(client, kind, value)) in (0..).zip(actions) {
        let client = usize::from(client) % clients;
        let value = u64::from(value % 3);
        match &mut waiting[client] {
            slot @ None if invoked < most => {
                let call = if kind % 2 == 0 { Call::Read } else { Call::Write(value) };
                let id = recorder.invoke(processes[client], call, at);
                *slot = Some(Waiting { id, call, answer: None });
                invoked += 1;
            }
            None => {}
            Some(Waiting { call, answer, .. }) if kind % 8 < 4 && answer.is_none() => {
                *answer = Some(take_effect(&mut register, *call));
            }
            slot @ Some(_) => {
                let Some(Waiting { id, call, answer }) = slot.take() else { continue };
                match (kind % 8, answer) {
                    (4, _) => {
                        recorder.unknown(id, at);
                        processes[client] += clients as u64;
                    }
                    (5, None) => recorder.fail(id, at),
                    (6, _) if call == Call::Read => recorder.ok(id, Return::Value(value), at),
                    (_, Some(answer)) => recorder.ok(id, answer, at),
                    (_, None) => recorder.ok(id, take_effect(&mut register, call), at),
                }
            }
        }
    }
    recorder.finish()
}

fn take_effect(register: &mut u64, call: Call) -> Return {
    match call {
        Call::Read => Return::Value(*register),
        Call::Write(value) => {
            *register = value;
            Return::Written
        }
    }
}

/// Reproducible bytes for [`build`].
pub fn actions(seed: u64, count: usize) -> Vec<(u8, u8, u8)> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(|_| (next(), next(), next())).collect()
}

/// Tries every subset of the unknown operations in every order.
pub fn brute_force(operations: &[Operation<Call, Return>], initial: u64) -> bool {
    let relevant: Vec<_> =
        operations.iter().filter(|operation| operation.outcome != Outcome::Fail).collect();
    let unknown: Vec<usize> = (0..relevant.len())
        .filter(|&position| relevant[position].outcome == Outcome::Unknown)
        .collect();
    (0..1_u32 << unknown.len()).any(|subset| {
        let chosen: Vec<_> = (0..relevant.len())
            .filter(|position| match unknown.iter().position(|other| other == position) {
                Some(bit) => subset & (1 << bit) != 0,
                None => true,
            })
            .map(|position| relevant[position])
            .collect();
        some_order(&chosen, &mut Vec::new(), initial)
    })
}

/// Extends an order in every way and looks at each complete one as a whole.
fn some_order(chosen: &[&Operation<Call, Return>], order: &mut Vec<usize>, initial: u64) -> bool {
    if order.len() == chosen.len() {
        return is_legal(chosen, order, initial);
    }
    (0..chosen.len()).any(|next| {
        if order.contains(&next) {
            return false;
        }
        order.push(next);
        let found = some_order(chosen, order, initial);
        order.pop();
        found
    })
}

fn is_legal(chosen: &[&Operation<Call, Return>], order: &[usize], initial: u64) -> bool {
    let mut register = initial;
    for (position, &this) in order.iter().enumerate() {
        let this = chosen[this];
        for &later in &order[position + 1..] {
            let later = chosen[later];
            if let (Outcome::Ok(_), Some(returned)) = (&later.outcome, later.returned)
                && returned.index < this.invoked.index
            {
                return false;
            }
        }
        match (this.input, this.outcome) {
            (Call::Write(value), _) => register = value,
            (Call::Read, Outcome::Ok(Return::Value(value))) if value != register => return false,
            (Call::Read, _) => {}
        }
    }
    true
}
