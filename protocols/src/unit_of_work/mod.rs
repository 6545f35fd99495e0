//! Units of work on a store of tables (Fowler, "Patterns of Enterprise Application Architecture",
//! 2002): repositories that hand out copies, and one commit for all that was read and changed.
//!
//! *Promises* that a commit takes effect whole or not at all, with the messages that it sends, and
//! only if everything that was read by key or found is still as it was read; that adding what is
//! there and changing what is not are errors; that a commit whose answer is lost can be asked for
//! again and is done once; and that after a rollback nothing is left. *Needs* a disk that keeps
//! what it has synced. *Breaks* if somebody counts on what [`find`](UnitOfWork::find) did *not*
//! find: that nobody adds it meanwhile is not checked. The scenario `unit_of_work/transfers` shows
//! it, and the specimen `dirty-list` what tutorials do.
//!
//! Conditions are checked at the commit, against what was read (Kung and Robinson, "On Optimistic
//! Methods for Concurrency Control", 1981). The store itself is a value:
//!
//! ```
//! use squall_protocols::specification::{Field, Table};
//! use squall_protocols::unit_of_work::{Batch, Change, CommitError, Tables, Write};
//!
//! const SCHEMA: &[Table] = &[Table { name: "stock", fields: &[Field::integer("left")] }];
//! let mut tables = Tables::new(SCHEMA);
//! let mut commit = |id, key: &str, change| {
//!     let write = Write { table: "stock".into(), key: key.into(), change };
//!     let batch = Batch { id, since: 0, writes: vec![write], messages: vec![] };
//!     tables.decide(&batch).map(|record| record.iter().for_each(|record| tables.apply(record)))
//! };
//! commit(1, "apples", Change::Insert { row: vec![Some(5.into())] })?;
//! // Two have read the five apples, and each sells one.
//! let sold = Change::Update { version: 1, row: vec![Some(4.into())] };
//! commit(2, "apples", sold.clone())?;
//! let conflict = commit(3, "apples", sold).unwrap_err();
//! assert!(matches!(conflict, CommitError::Conflict { expected: 1, found: 2, .. }));
//! # Ok::<(), CommitError>(())
//! ```

pub mod contract;
mod machine;
mod service;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod tables;
mod unit;

pub use machine::{Answer, Ask, Asks, TablesMachine};
pub use service::{NAME, RemoteTables, ServeError, serve};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteError, SqliteTables};
pub use store::{
    Batch, Change, CommitError, Found, Lookup, Message, REMEMBERED_MAX, Rows, StoreError, Stored,
    TableStore, Waiting, Write,
};
pub use tables::{Record, State, Tables};
pub use unit::{Entity, UnitError, UnitOfWork};
