//! What the store is asked, and what it answers.

use super::leases::{LEASE_TTL_MAX_MS, LEASES_MAX, Lease, LeaseCommand};
use super::{ANSWER_BYTES_MAX, OPERATIONS_MAX, TXN_BYTES_MAX};
use serde::{Deserialize, Serialize};

/// A key with its value.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// Its value.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
    /// The revision at which the key was created; after a deletion it is created anew.
    pub create_revision: u64,
    /// The revision at which the value was put last.
    pub mod_revision: u64,
    /// How often it was put since it was created, from 1.
    pub version: u64,
    /// The lease that holds it: it goes when the lease ends.
    pub lease: Option<u64>,
}

/// Which keys.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Keys {
    /// This one.
    One(String),
    /// All that begin like this.
    Prefix(String),
}

impl Keys {
    /// Whether this key is one of them.
    pub fn has(&self, key: &str) -> bool {
        match self {
            Keys::One(one) => one == key,
            Keys::Prefix(prefix) => key.starts_with(prefix.as_str()),
        }
    }

    /// Where they begin in the order of keys.
    pub(super) fn start(&self) -> &str {
        match self {
            Keys::One(text) | Keys::Prefix(text) => text,
        }
    }
}

/// How two things are to compare.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Order {
    /// They are equal.
    Equal,
    /// They are not.
    NotEqual,
    /// What is there is less.
    Less,
    /// What is there is greater.
    Greater,
}

impl Order {
    pub(super) fn holds<T: Ord + ?Sized>(self, there: &T, given: &T) -> bool {
        match self {
            Order::Equal => there == given,
            Order::NotEqual => there != given,
            Order::Less => there < given,
            Order::Greater => there > given,
        }
    }
}

/// What of a key is compared. A key that is not there has the revisions and the version 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Test {
    /// The revision at which it was created.
    CreateRevision(u64),
    /// The revision at which it was put last.
    ModRevision(u64),
    /// How often it was put.
    Version(u64),
    /// Its value; of a key that is not there no comparison of values holds.
    Value(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// A condition of a transaction.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Compare {
    /// Whose.
    pub key: String,
    /// How what is there has to compare with what is given.
    pub order: Order,
    /// What is given.
    pub test: Test,
}

/// A part of what a transaction does.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Op {
    /// Gives a key a value.
    Put {
        /// Which key.
        key: String,
        /// Which value.
        #[serde(with = "serde_bytes")]
        value: Vec<u8>,
        /// Which lease shall hold it, in the place of the one that does; without one it stays until
        /// it is removed.
        lease: Option<u64>,
    },
    /// Removes keys.
    Delete(Keys),
    /// Looks at keys, after what the operations before it have done.
    Get(Keys),
}

/// Comparisons, and what is done if all of them hold or if one does not.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Txn {
    /// The conditions.
    pub compare: Vec<Compare>,
    /// What is done if all hold.
    pub success: Vec<Op>,
    /// What is done if not.
    pub failure: Vec<Op>,
}

impl Txn {
    /// Puts a value, whatever was there.
    pub fn put(key: &str, value: impl Into<Vec<u8>>) -> Txn {
        let success = vec![Op::Put { key: key.to_owned(), value: value.into(), lease: None }];
        Txn { success, ..Txn::default() }
    }

    /// Attaches every key that it puts to a lease.
    pub fn with_lease(mut self, id: u64) -> Txn {
        for op in self.success.iter_mut().chain(&mut self.failure) {
            if let Op::Put { lease, .. } = op {
                *lease = Some(id);
            }
        }
        self
    }

    /// Removes keys.
    pub fn delete(keys: Keys) -> Txn {
        Txn { success: vec![Op::Delete(keys)], ..Txn::default() }
    }

    /// Puts a value if the key was last put at this revision, or is not there for revision 0; else
    /// looks at what is there.
    pub fn compare_and_set(key: &str, mod_revision: u64, value: impl Into<Vec<u8>>) -> Txn {
        let key = key.to_owned();
        let test = Test::ModRevision(mod_revision);
        Txn {
            compare: vec![Compare { key: key.clone(), order: Order::Equal, test }],
            success: vec![Op::Put { key: key.clone(), value: value.into(), lease: None }],
            failure: vec![Op::Get(Keys::One(key))],
        }
    }

    /// Whether it may be done at all, which does not hang on the state.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), Refused> {
        let operations = self.compare.len() + self.success.len() + self.failure.len();
        if operations > OPERATIONS_MAX {
            return Err(Refused::TooManyOperations { operations });
        }
        let bytes: usize = self.compare.iter().map(Compare::size).sum();
        let parts = self.success.iter().chain(&self.failure);
        let bytes = bytes + parts.map(Op::size).sum::<usize>();
        if bytes > TXN_BYTES_MAX {
            return Err(Refused::TooLarge { bytes });
        }
        for ops in [&self.success, &self.failure] {
            changes_each_key_once(ops)?;
        }
        Ok(())
    }
}

/// One revision holds at most one change of a key.
fn changes_each_key_once(ops: &[Op]) -> Result<(), Refused> {
    for (at, op) in ops.iter().enumerate() {
        let Op::Put { key, .. } = op else { continue };
        let touches = |(other, op): (usize, &Op)| match op {
            Op::Put { key: same, .. } => other > at && same == key,
            Op::Delete(keys) => keys.has(key),
            Op::Get(_) => false,
        };
        if ops.iter().enumerate().any(touches) {
            return Err(Refused::ChangedTwice { key: key.clone() });
        }
    }
    Ok(())
}

impl KeyValue {
    /// About how many bytes it has in an answer.
    pub(super) fn size(&self) -> usize {
        32 + self.key.len() + self.value.len()
    }
}

impl Compare {
    fn size(&self) -> usize {
        let test = match &self.test {
            Test::Value(value) => value.len(),
            _ => 0,
        };
        self.key.len() + test
    }
}

impl Op {
    /// For a mutant.
    pub(super) fn forget_lease(&mut self) {
        if let Op::Put { lease, .. } = self {
            *lease = None;
        }
    }

    fn size(&self) -> usize {
        match self {
            Op::Put { key, value, .. } => key.len() + value.len(),
            Op::Delete(keys) | Op::Get(keys) => keys.start().len(),
        }
    }
}

/// What changes the store.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Command {
    /// A transaction.
    Txn(Txn),
    /// Forgets the events up to this revision and with it.
    Compact(u64),
    /// Something is done with a lease.
    Lease(LeaseCommand),
}

/// What a command has done.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Output {
    /// A transaction.
    Txn(TxnDone),
    /// The events are forgotten.
    Compacted,
    /// The lease is granted or renewed.
    Lease(Lease),
    /// Leases have ended.
    Ended {
        /// How many.
        leases: u64,
        /// The revision of the store behind it.
        revision: u64,
    },
}

/// What became of one operation.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Done {
    /// It was put; what was there before.
    Put(Option<KeyValue>),
    /// So many keys were removed.
    Deleted(u64),
    /// What was found, in the order of keys.
    Found(Vec<KeyValue>),
}

/// What became of a transaction.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct TxnDone {
    /// Whether all comparisons held.
    pub succeeded: bool,
    /// The revision of the store behind it.
    pub revision: u64,
    /// What became of each operation of the list that was done.
    pub results: Vec<Done>,
}

/// Why nothing was done.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// The transaction is too long.
    #[error("{operations} operations and comparisons are more than {OPERATIONS_MAX}")]
    TooManyOperations {
        /// How many it has.
        operations: usize,
    },
    /// The transaction is too large.
    #[error("{bytes} bytes are more than {TXN_BYTES_MAX}")]
    TooLarge {
        /// How many bytes its keys and values have.
        bytes: usize,
    },
    /// A list of operations changes a key more than once.
    #[error("the key {key:?} would be changed twice at one revision")]
    ChangedTwice {
        /// Which key.
        key: String,
    },
    /// The events from there on are gone in part.
    #[error("the history up to revision {compacted} is compacted")]
    Compacted {
        /// The last revision that is gone.
        compacted: u64,
    },
    /// There is no such revision yet.
    #[error("revision {asked} is yet to come: the store is at {revision}")]
    Future {
        /// What was asked for.
        asked: u64,
        /// Where the store is.
        revision: u64,
    },
    /// There is no such lease, or no more.
    #[error("there is no lease {id}")]
    NoLease {
        /// Which one.
        id: u64,
    },
    /// There is such a lease already.
    #[error("there is a lease {id} already")]
    LeaseExists {
        /// Which one.
        id: u64,
    },
    /// The lease would last too long.
    #[error("{ttl_ms} ms are longer than a lease may last, which is {LEASE_TTL_MAX_MS} ms")]
    LeaseTooLong {
        /// How long it was to last, in milliseconds.
        ttl_ms: u64,
    },
    /// There are too many leases.
    #[error("there are {LEASES_MAX} leases already")]
    TooManyLeases,
    /// The lease holds too many keys. All of them go at one revision, which is told whole and so
    /// has to fit into an answer.
    #[error("lease {id} would hold keys of more than about {ANSWER_BYTES_MAX} bytes")]
    LeaseFull {
        /// Which one.
        id: u64,
    },
}

/// What happened to a key at a revision.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Change {
    /// It was put.
    Put(KeyValue),
    /// It was removed.
    Delete(String),
}

impl Change {
    /// Which key.
    pub fn key(&self) -> &str {
        match self {
            Change::Put(put) => &put.key,
            Change::Delete(key) => key,
        }
    }

    /// About how many bytes it has in an answer.
    pub(super) fn size(&self) -> usize {
        match self {
            Change::Put(put) => put.size(),
            Change::Delete(key) => 32 + key.len(),
        }
    }
}

/// A change, and when it was.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The revision that it belongs to.
    pub revision: u64,
    /// What changed.
    pub change: Change,
}

/// What asks about the store.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Query {
    /// The values of keys.
    Get {
        /// Which keys.
        keys: Keys,
        /// Only those behind this one in the order of keys.
        after: Option<String>,
    },
    /// What happened to keys.
    Events {
        /// Which keys.
        keys: Keys,
        /// From this revision on.
        from: u64,
        /// At most about so many, and at most about [`ANSWER_BYTES_MAX`](super::ANSWER_BYTES_MAX)
        /// bytes of them: a revision is told whole.
        most: usize,
    },
    /// A lease, and its keys.
    Lease(u64),
    /// Leases in the order of their numbers, those behind this one.
    Leases(u64),
}

/// What a query is answered.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The values.
    Found {
        /// The revision of the store.
        revision: u64,
        /// In the order of keys, at most about [`ANSWER_BYTES_MAX`](super::ANSWER_BYTES_MAX) bytes
        /// of them.
        found: Vec<KeyValue>,
        /// Whether there are more behind the last of them.
        more: bool,
    },
    /// What happened.
    Events {
        /// In the order of revisions, and at one revision in the order of the transaction.
        events: Vec<Event>,
        /// From where to ask on: everything before this revision is told.
        next: u64,
    },
    /// It cannot be answered.
    Refused(Refused),
    /// The lease, and the keys that it holds, in their order.
    Lease(Lease, Vec<String>),
    /// At most [`LEASES_PAGE`](super::LEASES_PAGE) leases; if there are so many, there may be more
    /// behind the last of them.
    Leases(Vec<Lease>),
}
