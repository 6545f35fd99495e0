//! Transactions: which isolation levels a history satisfies, and the anomaly that rules out the
//! others.
//!
//! A history of transactions is a [`Transactions`], read from a file or made of a recorded
//! [`History`](crate::History). [`check`] relates its transactions by Adya's dependencies (item
//! level): who overwrote whom, who read from whom, and who read what another then overwrote. With
//! lists, every read shows the order of all versions before it (Kingsbury and Alvaro, "Elle",
//! 2020). With registers, the order of writes is not seen; where the level depends on it, a search
//! decides whether any order will do.
//!
//! ```
//! use squall_check::transactions::{
//!     Fate, Kind, Level, Micro, Options, Status, Transaction, Transactions, check,
//! };
//!
//! // Two transactions read what the other is about to write: write skew.
//! let mut history = Transactions::new(Kind::RwRegister);
//! for (process, reads, writes) in [(0, "x", "y"), (1, "y", "x")] {
//!     history.push(Transaction {
//!         process: Some(process),
//!         number: None,
//!         invoked: Some(process),
//!         returned: Some(process + 2),
//!         fate: Fate::Committed,
//!         micros: vec![
//!             Micro::Read(reads.into(), 0.into()),
//!             Micro::Write(writes.into(), 1.into()),
//!         ],
//!     })?;
//! }
//! let verdict = check(&history, Level::Serializable, &Options::new(0.into()));
//! assert_eq!(verdict.status(), &Status::Violated);
//! assert_eq!(verdict.strongest_held(), [Level::StrongSnapshotIsolation]);
//! assert_eq!(verdict.anomalies()[0].kind.to_string(), "G2-item");
//! # Ok::<(), squall_check::transactions::Unfit>(())
//! ```

mod anomaly;
mod append;
mod clocks;
mod cycles;
mod dependencies;
mod files;
mod forced;
mod graph;
mod history;
mod judge;
mod level;
mod names;
mod options;
mod polygraph;
mod register;
mod register_order;
mod shrink;
mod solver;
mod verdict;
mod weak;
mod words;

pub use anomaly::{Anomaly, AnomalyKind, Extent};
pub use files::{read, usual_options};
pub use history::{Fate, Kind, Micro, Transaction, Transactions, Unfit};
pub use judge::check;
pub use level::{Level, UnknownLevel};
pub use options::{Initial, Options, TransactionLimits};
pub use verdict::{Status, TransactionVerdict};
