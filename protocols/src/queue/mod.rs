//! A reliable queue: messages that were confirmed are worked on until somebody says that they are
//! done, or are kept as dead letters with the reason.
//!
//! *Promises* that a confirmed message is in the queue until it is acknowledged, dead or discarded,
//! that it is delivered no more often than the limit says, that only the last receipt of a message
//! settles it, that messages of one key come in order, and that messages which fail hold up no
//! others. It delivers at least once: a consumer with an [`Inbox`] beside its effects makes that
//! once. *Needs* one broker with a disk that keeps what it has synced, and message ids that no two
//! messages share. *Breaks* beyond its windows: a publisher that tries again after
//! [`QueueConfig::remembers`] other messages, or a delivery that comes again after the inbox's
//! horizon, is not recognised. The scenario `queue/work` shows it.
//!
//! The visibility timeout and the receipts are those of Amazon SQS; that an acknowledgement, a
//! retry with its wait and a death are one atomic operation of the broker, which also counts
//! attempts, is what republishing consumers lack. Leases and rests run on the broker's monotonic
//! clock and are not durable: after a restart what was in flight is ready again, with its attempt
//! counted, and what was to rest begins anew.
//!
//! ```
//! use squall_protocols::queue::{Ask, Broker, InMemory, Message, MessageId, QueueConfig, Request};
//! use squall_protocols::queue::{Tell, Verdict};
//!
//! let (mut broker, mut log) = (Broker::new(), InMemory::default());
//! let mut ask = |ask| broker.handle(Request { queue: "orders".to_owned(), ask }, &mut log);
//! ask(Ask::Declare(QueueConfig::default().retries(3)));
//! ask(Ask::Publish(Message::new(MessageId(7), "two apples")));
//! let Tell::Delivered(got) = ask(Ask::Receive { consumer: 1, call: 1, prefetch: 1 }) else {
//!     panic!("it is there");
//! };
//! assert_eq!(got[0].body, b"two apples");
//! assert_eq!(ask(Ask::Settle(got[0].receipt, Verdict::Ack)), Tell::Done);
//! // Every change was a record, which a node writes to its journal before it answers.
//! assert_eq!(log.records.len(), 4);
//! ```

mod backend;
mod broker;
mod client;
mod consumer;
mod contract;
mod inbox;
pub mod invariants;
mod kept;
mod log;
mod look;
mod service;
mod sessions;
#[cfg(feature = "sqlite")]
mod sqlite;
mod state;
mod types;
mod watched;

pub use crate::retry::{Backoff, Jitter};
pub use backend::{Backend, Session};
pub use broker::{Broker, NAME, Record, Request};
pub use client::QueueClient;
pub use consumer::{ConsumerConfig, Failure, Review, consume, review};
pub use contract::{contract, promises};
pub use inbox::Inbox;
pub use kept::Image;
pub use log::{InMemory, Log};
pub use service::{PORT, ServeError, serve};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteQueue;
pub use state::{Change, Durable, Queue};
pub use types::{
    ANSWER_BYTES_MAX, Ask, BODY_MAX, CONSUMERS_MAX, DELAY_MAX, DeadLetter, DeadReason, Delivery,
    Depth, MESSAGES_MAX, Message, MessageId, PREFETCH_MAX, QUEUES_MAX, QueueConfig, QueueError,
    Receipt, Refused, TEXT_MAX, Tell, Verdict,
};
pub use watched::{Event, Told, Watched};
