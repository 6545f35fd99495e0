//! Raft (Ongaro, Consensus: Bridging Theory and Practice, Stanford 2014), as a
//! [`Machine`](squall_env::Machine).
//!
//! A cluster of members keeps the same log and applies it to the same state machine, as long as a
//! majority runs and its members hear each other. Leaders are elected with randomised timeouts and
//! `PreVote`, and step down when no quorum answers them. A leader sends entries while its own disk
//! still writes them, several messages at a time, and commits an entry of its own term when it is
//! durable on a quorum, its own disk counted like any other. Reads cost no entry: the leader asks
//! a quorum whether it still leads, or has a lease if the clocks allow it.
//!
//! Clients have sessions, so that a command that is sent twice, or duplicated by the network, is
//! applied once.
//!
//! Each member compacts its log by itself (chapter 5): it has a second copy of the state machine,
//! the snapshot, which moves on over entries that are applied, and these go from the log. So the
//! log, which is in memory, has a bound; the price is that the state is there twice, and every
//! command is applied twice. A follower that lacks entries which its leader has no more is sent the
//! leader's snapshot, in parts. A leader can be asked to hand over to another member.
//!
//! [`tested`] says which situations are covered by which test, and [`published`] which faults of
//! other implementations are found.
//!
//! Members change one at a time, or several at once by a joint configuration (chapter 4), which the
//! leader leaves by itself. A node that is to vote is a learner first, until it has the log.
//! Nothing may come back as the node it was without the disk that it had: it would have forgotten
//! its votes. It has to be removed, and a node of another name added. A disk of which a part is
//! unreadable is another matter: the member knows what it may have forgotten, and has its log
//! repaired by a leader before it counts for as much as it did.

mod applied;
mod config;
mod configuration;
mod doubt;
mod elections;
mod gone_wrong;
mod handover;
pub mod invariants;
mod lessor;
mod local;
mod log;
mod machine;
mod members;
mod message;
mod progress;
#[doc = include_str!("published.md")]
pub mod published {}
mod reads;
mod reconfigure;
mod record;
mod replication;
mod service;
mod sessions;
mod snapshots;
mod state_machine;
#[cfg(test)]
mod tests;
#[doc = include_str!("tested.md")]
pub mod tested {}
mod transfer;

pub use applied::Image;
pub use config::Config;
pub use configuration::{Change, ChangeError, Configuration, Election};
pub use doubt::witness;
pub use lessor::{Expires, Lessor};
pub use log::{Entry, Index, Log, Payload, Term};
pub use machine::{NAME, Raft, Reply, Request, Timer};
pub use message::{Campaign, Message, Part};
pub use record::{HardState, Record, Snapshot};
pub use service::{ClientError, RaftClient, ServeError, Served, serve, serve_beside};
pub use state_machine::StateMachine;
