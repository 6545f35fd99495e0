//! Histories of transactions, with keys and values as numbers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::names::{Map, Names};
use crate::history::{History, Outcome};
use crate::value::Value;

/// What the values of a history's keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lists that transactions append to and read whole. A read shows the order of all versions.
    ListAppend,
    /// Registers that transactions write and read. Nothing shows the order of their versions.
    RwRegister,
}

impl Kind {
    /// The name of the model: `list-append` or `rw-register`.
    pub fn model(self) -> &'static str {
        match self {
            Self::ListAppend => "list-append",
            Self::RwRegister => "rw-register",
        }
    }
}

/// One operation inside a transaction.
///
/// As JSON, it is a list of three: `["append", "x", 3]`, `["w", "x", 3]`, `["r", "x", null]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Verb, Value, Value)", into = "(Verb, Value, Value)")]
pub enum Micro {
    /// Adds an element to the end of a list; no other append to the key has the same.
    Append(Value, Value),
    /// Writes a register; no other write to the key has the same value.
    Write(Value, Value),
    /// Reads a key. Of an invocation the value is nil; of a list that was read it is a list, where
    /// nil is the empty one.
    Read(Value, Value),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verb {
    Append,
    #[serde(alias = "write")]
    W,
    #[serde(alias = "read")]
    R,
}

impl From<(Verb, Value, Value)> for Micro {
    fn from((verb, key, value): (Verb, Value, Value)) -> Self {
        match verb {
            Verb::Append => Self::Append(key, value),
            Verb::W => Self::Write(key, value),
            Verb::R => Self::Read(key, value),
        }
    }
}

impl From<Micro> for (Verb, Value, Value) {
    fn from(micro: Micro) -> Self {
        match micro {
            Micro::Append(key, value) => (Verb::Append, key, value),
            Micro::Write(key, value) => (Verb::W, key, value),
            Micro::Read(key, value) => (Verb::R, key, value),
        }
    }
}

/// Whether a transaction took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It certainly did not.
    Aborted,
    /// Nobody knows; if a read shows one of its writes, it did. Its own reads count for nothing.
    Indeterminate,
    /// It did.
    Committed,
}

/// One transaction as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Who ran it. The transactions of one process follow each other in the order they are pushed.
    pub process: Option<u64>,
    /// Its name in the file it comes from, for those that number transactions.
    pub number: Option<i64>,
    /// The index of the event that began it; `None` if that is not known.
    pub invoked: Option<u64>,
    /// The index of the event that ended it; `None` if it never ended or that is not known.
    pub returned: Option<u64>,
    /// What became of it.
    pub fate: Fate,
    /// What it did, in its own order.
    pub micros: Vec<Micro>,
}

/// Why a transaction cannot be part of a history.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unfit {
    /// An element was appended before, so that a read could not tell the two appends apart.
    #[error("{element} is appended to {key} a second time, so reads cannot tell who did")]
    AppendedTwice {
        /// The key.
        key: Value,
        /// The element.
        element: Value,
    },
    /// A write in a history of lists.
    #[error("a write in a list-append history")]
    WriteAmongLists,
    /// An append in a history of registers.
    #[error("an append in a rw-register history")]
    AppendAmongRegisters,
    /// A read of a list that returned something else.
    #[error("a read of a list returned {0}")]
    NotAList(Value),
    /// A read of a register that returned a list.
    #[error("a read of a register returned a list, {0}")]
    NotARegister(Value),
    /// More than 2^32 operations, keys or values.
    #[error("the history has more operations than the checker can number")]
    TooLong,
}

/// A history of transactions, ready to be checked.
#[derive(Debug)]
pub struct Transactions {
    kind: Kind,
    pub(super) all: Vec<Txn>,
    pub(super) operations: Vec<Op>,
    pub(super) elements: Vec<u32>,
    pub(super) keys: Names,
    pub(super) values: Names,
    /// Who wrote each version.
    pub(super) writers: Map<(u32, u32), Writer>,
    pub(super) sessions: Map<u64, u32>,
    /// The last write of each transaction to each key.
    last_writes: Map<(u32, u32), u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Txn {
    pub(super) process: Option<u64>,
    pub(super) number: Option<i64>,
    pub(super) invoked: Option<u64>,
    pub(super) returned: Option<u64>,
    pub(super) fate: Fate,
    pub(super) first: u32,
    pub(super) end: u32,
}

/// An operation of a transaction; reads are there only if it committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// An append or a write.
    Write { key: u32, value: u32 },
    /// A read of a register.
    Read { key: u32, value: u32 },
    /// A read of a list, which is a part of `elements`.
    ReadList { key: u32, first: u32, end: u32 },
}

/// The write that made a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    pub(super) txn: u32,
    pub(super) op: u32,
    fate: Fate,
    /// Whether another transaction wrote the same value.
    pub(super) ambiguous: bool,
}

impl Transactions {
    /// A history without transactions.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            all: Vec::new(),
            operations: Vec::new(),
            elements: Vec::new(),
            keys: Names::default(),
            values: Names::default(),
            writers: Map::default(),
            sessions: Map::default(),
            last_writes: Map::default(),
        }
    }

    /// What the values of its keys are.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many transactions it has.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a transaction. Those of one process come in the order it ran them.
    ///
    /// # Errors
    ///
    /// If the transaction has operations of another kind, a read without a value, or appends what
    /// another one, which was not aborted, has appended.
    pub fn push(&mut self, transaction: Transaction) -> Result<(), Unfit> {
        let Transaction { process, number, invoked, returned, fate, micros } = transaction;
        let txn = u32::try_from(self.all.len()).map_err(|_| Unfit::TooLong)?;
        let first = self.operations.len();
        let room = u32::MAX as usize - 1;
        if first + micros.len() > room || self.elements.len() > room || self.values.len() > room {
            return Err(Unfit::TooLong);
        }
        for micro in micros {
            let op = match micro {
                Micro::Append(..) if self.kind == Kind::RwRegister => {
                    return Err(Unfit::AppendAmongRegisters);
                }
                Micro::Write(..) if self.kind == Kind::ListAppend => {
                    return Err(Unfit::WriteAmongLists);
                }
                Micro::Append(key, value) | Micro::Write(key, value) => {
                    self.write(txn, fate, key, value)?
                }
                Micro::Read(..) if fate != Fate::Committed => continue,
                Micro::Read(key, value) => self.read(key, value)?,
            };
            self.operations.push(op);
        }
        if let Some(process) = process {
            let next = self.sessions.len() as u32;
            self.sessions.entry(process).or_insert(next);
        }
        let (first, end) = (first as u32, self.operations.len() as u32);
        self.all.push(Txn { process, number, invoked, returned, fate, first, end });
        Ok(())
    }

    /// Takes a recorded history whose inputs and outputs are the operations of transactions.
    ///
    /// # Errors
    ///
    /// As [`push`](Transactions::push) does.
    pub fn from_history(
        kind: Kind,
        history: &History<Vec<Micro>, Vec<Micro>>,
    ) -> Result<Self, Unfit> {
        let mut transactions = Self::new(kind);
        for operation in history.operations() {
            let (fate, micros) = match &operation.outcome {
                Outcome::Ok(micros) => (Fate::Committed, micros),
                Outcome::Fail => (Fate::Aborted, &operation.input),
                Outcome::Unknown => (Fate::Indeterminate, &operation.input),
            };
            transactions.push(Transaction {
                process: Some(operation.process),
                number: None,
                invoked: Some(operation.invoked.index),
                returned: operation.returned.map(|moment| moment.index),
                fate,
                micros: micros.clone(),
            })?;
        }
        Ok(transactions)
    }

    /// How many transactions may have had an effect.
    pub fn effective(&self) -> usize {
        self.all.iter().filter(|txn| txn.fate != Fate::Aborted).count()
    }

    fn write(&mut self, txn: u32, fate: Fate, key: Value, value: Value) -> Result<Op, Unfit> {
        let op = self.operations.len() as u32;
        let (key, value) = (self.keys.number(key), self.values.number(value));
        let mut writer = Writer { txn, op, fate, ambiguous: false };
        if let Some(before) = self.writers.get(&(key, value)) {
            let both_may_count = fate.min(before.fate) > Fate::Aborted;
            if both_may_count && self.kind == Kind::ListAppend {
                let element = self.values.value(value).clone();
                return Err(Unfit::AppendedTwice { key: self.keys.value(key).clone(), element });
            }
            writer.ambiguous = before.ambiguous || (both_may_count && before.txn != txn);
            if before.fate > fate {
                writer = Writer { ambiguous: writer.ambiguous, ..*before };
            }
        }
        self.writers.insert((key, value), writer);
        self.last_writes.insert((txn, key), op);
        Ok(Op::Write { key, value })
    }

    fn read(&mut self, key: Value, value: Value) -> Result<Op, Unfit> {
        let key = self.keys.number(key);
        match (self.kind, value) {
            (Kind::RwRegister, list @ Value::List(_)) => Err(Unfit::NotARegister(list)),
            (Kind::RwRegister, value) => Ok(Op::Read { key, value: self.values.number(value) }),
            (Kind::ListAppend, Value::Nil) => Ok(Op::ReadList { key, first: 0, end: 0 }),
            (Kind::ListAppend, Value::List(values)) => {
                let first = self.elements.len() as u32;
                for value in values {
                    self.elements.push(self.values.number(value));
                }
                let end = u32::try_from(self.elements.len()).map_err(|_| Unfit::TooLong)?;
                Ok(Op::ReadList { key, first, end })
            }
            (Kind::ListAppend, other) => Err(Unfit::NotAList(other)),
        }
    }

    pub(super) fn txn(&self, txn: u32) -> &Txn {
        &self.all[txn as usize]
    }

    pub(super) fn ops(&self, txn: u32) -> &[Op] {
        let Txn { first, end, .. } = self.all[txn as usize];
        &self.operations[first as usize..end as usize]
    }

    pub(super) fn list(&self, first: u32, end: u32) -> &[u32] {
        &self.elements[first as usize..end as usize]
    }

    pub(super) fn is_committed(&self, txn: u32) -> bool {
        self.txn(txn).fate == Fate::Committed
    }

    pub(super) fn committed(&self) -> impl Iterator<Item = u32> {
        (0..self.all.len() as u32).filter(|&txn| self.is_committed(txn))
    }

    pub(super) fn writer(&self, key: u32, value: u32) -> Option<Writer> {
        self.writers.get(&(key, value)).copied()
    }

    /// What a transaction wrote to a key last.
    pub(super) fn last_write(&self, txn: u32, key: u32) -> Option<u32> {
        let &op = self.last_writes.get(&(txn, key))?;
        match self.operations[op as usize] {
            Op::Write { value, .. } => Some(value),
            Op::Read { .. } | Op::ReadList { .. } => None,
        }
    }

    /// Whether a transaction writes a key again after one of its operations.
    pub(super) fn is_overwritten(&self, txn: u32, op: u32, key: u32) -> bool {
        self.last_writes.get(&(txn, key)).is_some_and(|&last| last > op)
    }
}
