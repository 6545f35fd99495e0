//! What a unit of work asks of a store of tables.

use crate::specification::{Row, Specification, SpecificationError};
use serde::{Deserialize, Serialize};
use squall_env::platform::BoxFuture;
use squall_env::{HasOutcome, Outcome};

/// So many batches a store remembers, to know one that is sent again.
pub const REMEMBERED_MAX: u64 = 256;

/// A row as it stands in a store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stored {
    /// The batch that wrote it last. No other state of this row, not even of another one under the
    /// same key, ever has the same version.
    pub version: u64,
    /// Its fields.
    pub row: Row,
}

/// What was read, and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Found<T> {
    /// The number of the last batch that the store has taken.
    pub sequence: u64,
    /// What stood there.
    pub found: T,
}

/// Rows with their keys, in the order of these.
pub type Rows = Vec<(String, Stored)>;

/// What is to be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Lookup {
    /// The row under a key: one or none.
    Get {
        /// The table's name.
        table: String,
        /// The row's key.
        key: String,
    },
    /// The rows of which a specification holds.
    Find {
        /// The table's name.
        table: String,
        /// The specification.
        specification: Specification,
    },
}

impl Lookup {
    /// The row under a key.
    pub fn get(table: &str, key: &str) -> Lookup {
        Lookup::Get { table: table.to_owned(), key: key.to_owned() }
    }

    /// The rows of which a specification holds.
    pub fn find(table: &str, specification: Specification) -> Lookup {
        Lookup::Find { table: table.to_owned(), specification }
    }
}

/// Changes that take effect together or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// Unlike that of every other batch: one that is sent again is done once.
    pub id: u128,
    /// What [`Found::sequence`] was when the batch was begun, or before. A store that has forgotten
    /// which batches came behind it refuses this one, because it may be one of them.
    pub since: u64,
    /// What is written and checked, each key once.
    pub writes: Vec<Write>,
    /// What others are to hear of it.
    pub messages: Vec<Message>,
}

/// A change of one row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Write {
    /// The table's name.
    pub table: String,
    /// The row's key.
    pub key: String,
    /// What becomes of it.
    pub change: Change,
}

/// What becomes of a row, and what must hold of it before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// Nothing, but it must be as it was read: of this version, or not there.
    Check {
        /// The version that was read.
        version: Option<u64>,
    },
    /// It is added, and must not be there.
    Insert {
        /// Its fields.
        row: Row,
    },
    /// It is replaced, and must have this version.
    Update {
        /// The version that was read.
        version: u64,
        /// Its fields.
        row: Row,
    },
    /// It is removed, and must have this version.
    Delete {
        /// The version that was read.
        version: u64,
    },
}

/// A message that leaves the store only if the batch takes effect, and then surely: whoever relays
/// it may do so more than once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// What it is about.
    pub topic: String,
    /// What it says.
    pub body: Vec<u8>,
}

/// A message that waits in the outbox.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// Its place, greater than that of every earlier one.
    pub position: u64,
    /// The message.
    pub message: Message,
}

/// Why a batch did not take effect, or may not have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum CommitError {
    /// What is added is there already.
    #[error("{key:?} is in {table:?} already")]
    Exists {
        /// The table's name.
        table: String,
        /// The row's key.
        key: String,
    },
    /// What is updated, deleted or was read is not there any more.
    #[error("{key:?} is not in {table:?}")]
    Missing {
        /// The table's name.
        table: String,
        /// The row's key.
        key: String,
    },
    /// Somebody else has written what was read.
    #[error("{key:?} in {table:?} has the version {found}, and {expected} was read")]
    Conflict {
        /// The table's name.
        table: String,
        /// The row's key.
        key: String,
        /// The version that was read; zero if nothing was there.
        expected: u64,
        /// The version that is there.
        found: u64,
    },
    /// The store has no such table, the row is none of its table's, or a key is written twice.
    #[error("{key:?} cannot be written to {table:?}")]
    Malformed {
        /// The table's name.
        table: String,
        /// The row's key.
        key: String,
    },
    /// The store does not know any more whether it has taken this batch before.
    #[error("the batch is too old for the store to know whether it was done")]
    Forgotten,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HasOutcome for CommitError {
    fn outcome(&self) -> Outcome {
        match self {
            CommitError::Exists { .. }
            | CommitError::Missing { .. }
            | CommitError::Conflict { .. }
            | CommitError::Malformed { .. } => Outcome::NotDone,
            CommitError::Forgotten => Outcome::Indeterminate,
            CommitError::Store(error) => error.outcome(),
        }
    }
}

/// Why a store did not answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum StoreError {
    /// The specification does not fit the table.
    #[error(transparent)]
    Specification(#[from] SpecificationError),
    /// There is no table of this name.
    #[error("there is no table {0:?}")]
    UnknownTable(String),
    /// The store could not begin with it.
    #[error("the store is not available; nothing was done: {0}")]
    Unavailable(String),
    /// Nobody knows what came of it.
    #[error("the store has not answered; it may have been done: {0}")]
    Unanswered(String),
}

impl HasOutcome for StoreError {
    fn outcome(&self) -> Outcome {
        match self {
            StoreError::Unanswered(_) => Outcome::Indeterminate,
            _ => Outcome::NotDone,
        }
    }
}

/// A store of tables in which one batch at a time takes effect.
///
/// [`contract`](super::contract) says what every implementation has to do.
pub trait TableStore: Send + Sync {
    /// What all these find, as of one moment.
    fn read<'a>(
        &'a self,
        lookups: &'a [Lookup],
    ) -> BoxFuture<'a, Result<Found<Vec<Rows>>, StoreError>>;

    /// Has a batch take effect, once however often it is asked for. Gives the batch's number, which
    /// is the version of what it wrote and greater than those of all batches before.
    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<u64, CommitError>>;

    /// The first messages behind a position, at most so many, in the order in which they came.
    fn outbox(&self, after: u64, most: usize) -> BoxFuture<'_, Result<Vec<Waiting>, StoreError>>;

    /// Messages up to this position were relayed and need not be kept.
    fn relayed(&self, upto: u64) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The number of the last batch that the store has taken.
    fn sequence(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { Ok(self.read(&[]).await?.sequence) })
    }

    /// The row under a key.
    fn get<'a>(
        &'a self,
        table: &str,
        key: &str,
    ) -> BoxFuture<'a, Result<Found<Option<Stored>>, StoreError>> {
        let lookup = [Lookup::get(table, key)];
        Box::pin(async move {
            let Found { sequence, mut found } = self.read(&lookup).await?;
            let row = found.pop().and_then(|mut rows| rows.pop());
            Ok(Found { sequence, found: row.map(|(_, stored)| stored) })
        })
    }

    /// The rows of which a specification holds, by their keys in order.
    fn find<'a>(
        &'a self,
        table: &str,
        specification: &Specification,
    ) -> BoxFuture<'a, Result<Found<Rows>, StoreError>> {
        let lookup = [Lookup::find(table, specification.clone())];
        Box::pin(async move {
            let Found { sequence, mut found } = self.read(&lookup).await?;
            Ok(Found { sequence, found: found.pop().unwrap_or_default() })
        })
    }
}
