//! A register on several replicas that behaves as if there were one: every read sees the newest
//! write that had finished before it, and no read goes back behind another.
//!
//! *Promises* linearizability (Herlihy and Wing, 1990) to any number of readers and writers, and
//! progress while a majority of replicas is up and reachable. *Needs* a disk on each replica that
//! keeps what it has synced. *Breaks* if a replica forgets a tag that it has acknowledged; it
//! survives lost, late, doubled and damaged messages, partitions, and crashes of a minority at a
//! time. The scenario `register/atomic` shows it.
//!
//! The algorithm is that of Attiya, Bar-Noy and Dolev ("Sharing Memory Robustly in Message-Passing
//! Systems", JACM 1995), with several writers as in Lynch and Shvartsman ("Robust Emulation of
//! Shared Memory Using Dynamic Quorum-Acknowledged Broadcasts", FTCS 1997): a write asks a
//! majority for its newest tag and stores under a greater one; a read stores what it is going to
//! return unless a majority has it already.

mod client;
pub mod invariants;
mod machine;
mod value;

pub use client::{Acknowledged, RegisterClient, RegisterError};
pub use machine::{Message, NAME, Replica, ServeError, Tag, serve};
pub use value::Value;
