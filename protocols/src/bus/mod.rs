//! A message bus with durable subscriptions: whoever subscribes hears of everything that is posted
//! from then on, in order, however often it or the bus crashes.
//!
//! *Promises* that a post which was confirmed comes to every subscription at least once, in the
//! order of the bus; that a post which fails too often, or cannot be read, is parked with its
//! reason, and holds up nobody; and that posters are held up before anything is dropped. *Needs*
//! one node with a disk that keeps what it has synced, and readers that can bear to be given a post
//! twice: an [`Inbox`](crate::queue::Inbox) beside the effects knows the post's id. *Breaks* the
//! order of what was parked alone, which comes again when somebody has it replayed; and a
//! subscription that nobody reads, or that can park no more, holds up all posters until somebody
//! sees to it. The scenario `bus/subscriptions` shows it. A bus is a node that others ask, or with
//! the feature `sqlite` a file; whoever brings another [`Backend`] has it pass the [`contract`].
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use squall_protocols::bus::{Event, Given, Post};
//! use squall_protocols::queue::MessageId;
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct PaymentFailed {
//!     order: u64,
//! }
//!
//! impl Event for PaymentFailed {
//!     const KIND: &'static str = "payment-failed";
//! }
//!
//! let post = Post::of(MessageId(1), &PaymentFailed { order: 7 })?;
//! let given = Given { position: 0, is_replay: false, posted: None, post };
//! assert_eq!(given.read::<PaymentFailed>()?, Some(PaymentFailed { order: 7 }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
mod client;
mod contract;
pub mod invariants;
mod machine;
#[cfg(feature = "sqlite")]
mod sqlite;
mod state;
mod types;

pub use backend::Backend;
pub use client::{BusClient, NAME, PORT, ServeError, Witness, serve};
pub use contract::{contract, promises};
pub use machine::Bus;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteBus;
pub use state::{Image, Record, State, Subscription};
pub use types::{
    Ask, BATCH, BODY_MAX, Begin, BusConfig, BusError, Event, Given, Parked, Post, Refused,
    SUBSCRIPTIONS_MAX, TEXT_MAX, Tell,
};
