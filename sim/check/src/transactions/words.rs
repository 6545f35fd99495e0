//! Transactions and their dependencies in words.

use std::fmt::Write as _;

use super::dependencies::{Dependency, Order, Tie};
use super::history::{Fate, Kind, Op, Transactions, Txn};
use super::names::Shown;
use crate::value::Value;

/// How many operations of a transaction are shown.
const OPERATIONS_SHOWN: usize = 12;

/// The short name of a transaction: `T1` is the first of the history.
pub(super) fn name(txn: u32) -> String {
    format!("T{}", u64::from(txn) + 1)
}

/// The transaction on a line: "T2 (process 1, events 3 to 4): append x 3, read y [1]".
pub(super) fn title(history: &Transactions, txn: u32) -> String {
    let mut line = name(txn);
    let about = about(history.txn(txn));
    if !about.is_empty() {
        let _ = write!(line, " ({about})");
    }
    let ops = history.ops(txn);
    for (at, op) in ops.iter().take(OPERATIONS_SHOWN).enumerate() {
        let separator = if at == 0 { ": " } else { ", " };
        let _ = write!(line, "{separator}{}", operation(history, op));
    }
    if ops.len() > OPERATIONS_SHOWN {
        let _ = write!(line, " and {} more", ops.len() - OPERATIONS_SHOWN);
    }
    line
}

fn about(txn: &Txn) -> String {
    let mut parts = Vec::new();
    match (txn.process, txn.number) {
        (Some(session), Some(number)) => {
            parts.push(format!("session {session}, transaction {number}"));
        }
        (Some(process), None) => parts.push(format!("process {process}")),
        (None, Some(number)) => parts.push(format!("transaction {number}")),
        (None, None) => {}
    }
    match (txn.invoked, txn.returned) {
        (Some(invoked), Some(returned)) => parts.push(format!("events {invoked} to {returned}")),
        (Some(invoked), None) => parts.push(format!("from event {invoked} on")),
        (None, Some(returned)) => parts.push(format!("event {returned}")),
        (None, None) => {}
    }
    match txn.fate {
        Fate::Committed => {}
        Fate::Aborted => parts.push("aborted".to_owned()),
        Fate::Indeterminate => parts.push("outcome unknown".to_owned()),
    }
    parts.join(", ")
}

fn operation(history: &Transactions, op: &Op) -> String {
    match *op {
        Op::Write { key, value } => {
            let verb = if history.kind() == Kind::ListAppend { "append" } else { "write" };
            format!("{verb} {} {}", history.keys.shown(key), history.values.shown(value))
        }
        Op::Read { key, value } => {
            format!("read {} {}", history.keys.shown(key), history.values.shown(value))
        }
        Op::ReadList { key, first, end } => {
            format!("read {} {}", history.keys.shown(key), list(history, first, end))
        }
    }
}

/// A list that was read.
pub(super) fn list(history: &Transactions, first: u32, end: u32) -> String {
    let values = history.list(first, end).iter();
    let values = values.map(|&value| history.values.value(value).clone()).collect();
    Shown(&Value::List(values)).to_string()
}

/// The dependency as a sentence: "T1 appended 3 to x and T2 read x = [1 3]".
pub(super) fn sentence(history: &Transactions, dependency: &Dependency) -> String {
    let Dependency { from, to, key, before, after, order, .. } = *dependency;
    let (first, second) = (name(from), name(to));
    // A tie of processes or time has no key.
    let key_name = || history.keys.shown(key);
    let value = |number: u32| history.values.shown(number).to_string();
    match dependency.tie {
        Tie::Process => {
            let process = history.txn(from).process.unwrap_or_default();
            format!("process {process} ran {first} before {second}")
        }
        Tie::RealTime => {
            let (returned, invoked) = (history.txn(from).returned, history.txn(to).invoked);
            let (returned, invoked) = (returned.unwrap_or_default(), invoked.unwrap_or_default());
            format!(
                "{first} had returned (event {returned}) before {second} was invoked \
                 (event {invoked})"
            )
        }
        Tie::Wr => {
            let did = before.map(|before| wrote(history, key, before)).unwrap_or_default();
            format!(
                "{first} {did} and {second} read {} = {}",
                key_name(),
                read(history, to, key, after)
            )
        }
        Tie::Ww => {
            let did = before.map(|before| wrote(history, key, before)).unwrap_or_default();
            let next = after.map(value).unwrap_or_default();
            format!("{first} {did} before {second}'s {next}{}", because(history, order))
        }
        Tie::Rw => {
            let next = after.map(|after| wrote(history, key, after)).unwrap_or_default();
            format!(
                "{first} read {} = {} and {second} {next} after that{}",
                key_name(),
                read(history, from, key, before),
                because(history, order)
            )
        }
    }
}

/// "appended 3 to x" or "wrote x = 3".
pub(super) fn wrote(history: &Transactions, key: u32, value: u32) -> String {
    let (key, value) = (history.keys.shown(key), history.values.shown(value));
    match history.kind() {
        Kind::ListAppend => format!("appended {value} to {key}"),
        Kind::RwRegister => format!("wrote {key} = {value}"),
    }
}

/// What a transaction read of a key when it met the version.
fn read(history: &Transactions, txn: u32, key: u32, version: Option<u32>) -> String {
    for op in history.ops(txn) {
        match *op {
            Op::ReadList { key: other, first, end } if other == key => {
                let seen = history.list(first, end);
                if seen.last().copied() == version || version.is_some_and(|v| seen.contains(&v)) {
                    return list(history, first, end);
                }
            }
            Op::Read { key: other, value }
                if other == key && version.is_none_or(|version| version == value) =>
            {
                return history.values.shown(value).to_string();
            }
            _ => {}
        }
    }
    version.map_or("the initial value".to_owned(), |value| history.values.shown(value).to_string())
}

fn because(history: &Transactions, order: Order) -> String {
    match order {
        Order::Observed | Order::Initial => String::new(),
        Order::Unobserved => ", which the longest read does not show yet".to_owned(),
        Order::WritesFollowReads(by) => {
            format!(" ({} read the one and wrote the other)", name(by))
        }
        Order::Visible(to) => {
            format!(" ({} sees the first and yet read what the second wrote)", name(to))
        }
        Order::SequentialKey => " (a process met the one before the other)".to_owned(),
        Order::LinearizableKey => " (the one was met before the other in real time)".to_owned(),
        Order::Commits => " (as the given order of commits has it)".to_owned(),
        Order::Forced => {
            let what = if history.kind() == Kind::ListAppend { "appends" } else { "writes" };
            format!(" (the other order of these {what} would close a cycle)")
        }
    }
}
