//! Raft (Ongaro, Consensus: Bridging Theory and Practice, Stanford 2014), as a
//! [`Machine`](squall_env::Machine).
//!
//! A cluster of members keeps the same log and applies it to the same state machine, as long as a
//! majority runs and its members hear each other. Leaders are elected with randomised timeouts and
//! `PreVote`, and step down when no quorum answers them. A leader sends entries while its own disk
//! still writes them, several messages at a time, and commits an entry of its own term when it is
//! durable on a quorum, its own disk counted like any other. Reads cost no entry: the leader asks
//! a quorum whether it still leads.
//!
//! Clients have sessions, so that a
//! command that is sent twice, or duplicated by the network, is applied once.
//!
//! The whole log is kept, in memory too: there are no snapshots of the state machine yet, and no
//! changes of the members.

mod configuration;
mod elections;
pub mod invariants;
mod log;
mod machine;
mod message;
mod progress;
mod replication;
mod service;
mod sessions;
mod state_machine;
#[cfg(test)]
mod tests;

pub use configuration::{Configuration, Election};
pub use log::{Entry, Index, Log, Payload, Term};
pub use machine::{Config, HardState, NAME, Raft, Record, Reply, Request, Snapshot, Timer};
pub use message::Message;
pub use service::{ClientError, RaftClient, ServeError, Served, serve};
pub use state_machine::StateMachine;
