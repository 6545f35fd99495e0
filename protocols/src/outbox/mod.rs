//! A transactional outbox: a change and the messages that tell of it are one record, and a relay
//! publishes what was recorded.
//!
//! *Promises* that others hear of every change that is durable, and of no other: in order for each
//! key, and perhaps more than once, but always under the same message id. *Needs* a queue that
//! confirms what is durable, an id for each outbox that no other has, and consumers with an
//! [`Inbox`](crate::queue::Inbox): a letter comes again when its publication is not answered, when
//! its relay stops between the confirmation and the mark, and when two relays have it around the
//! end of a claim. *Breaks* if a letter is marked before it is confirmed, or if a relay goes on
//! with the next letter when one fails. The scenario `outbox/orders` shows it.
//!
//! Whoever saves first and publishes afterwards loses messages in between, and whoever publishes
//! first tells of what never happened: there is no order of two writes that is right (the "dual
//! write"; Richardson, "Microservices Patterns", 2018, section 3.3.7).
//!
//! ```
//! use squall_protocols::outbox::{Letter, Outbox};
//!
//! // The state and its outbox: one value, one record.
//! let (mut paid, mut outbox) = (Vec::new(), Outbox::new(100));
//! paid.push(7);
//! outbox.put([Letter { key: Some("order-7".to_owned()), body: b"paid".to_vec() }]);
//! // The same letter is the same message, however often it is published.
//! let letters = outbox.first(1);
//! assert_eq!(letters[0].message(1).id, letters[0].message(1).id);
//! ```

mod claim;
mod contract;
mod letters;
mod machine;
mod relay;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tables;

pub use contract::contract;
pub use letters::{Letter, Numbered, Outbox};
pub use machine::{Ask, Decision, OutboxConfig, Outboxed, Record, State, Tell};
pub use relay::{NAME, OnBus, OutboxClient, PORT, ServeError, Source, Target, relay, serve};
#[cfg(feature = "sqlite")]
pub use sqlite::{OutboxError, SqliteOutbox};
pub use tables::TableOutbox;
