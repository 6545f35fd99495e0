//! A versioned key-value store with transactions and a history that can be watched: the state
//! behind a configuration service, to be replicated by [`raft`](crate::raft). Its terms are those
//! of etcd's API (the documents "KV API guarantees" and "etcd API" of its version 3).
//!
//! Every transaction that changes something makes one new *revision* of the whole store, and a key
//! knows the revisions at which it was created and last modified. A transaction compares, and by
//! that does one list of operations or the other, as one step. What changed is kept as events, so
//! that whoever knows a revision can be told everything that came after it, until it is compacted:
//! then it is told so, and starts from a fresh read.
//!
//! A key that is put with a *lease* goes when the lease ends: all keys of a lease at one revision.
//! A lease ends when it is revoked, or some time after nobody has kept it alive for as long as it
//! lasts, its time to live. It never ends before that time has passed since the last keep-alive
//! that was acknowledged, as measured by the leader's monotonic clock: whose clock runs fast by a
//! hundredth ends leases a hundredth early. A new leader gives every lease its whole time anew.

mod client;
#[cfg(feature = "http")]
pub mod http;
mod leases;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod types;

pub use client::{StoreClient, StoreError, Watcher};
pub use leases::{LEASE_TTL_MAX_MS, LEASE_TTL_MIN_MS, LEASES_MAX, Lease, LeaseCommand};
pub use service::{serve, serve_beside};
pub use state::Store;
pub use types::{
    Answer, Change, Command, Compare, Done, Event, KeyValue, Keys, Op, Order, Output, Query,
    Refused, Test, Txn, TxnDone,
};

/// So many operations and comparisons a transaction may have together, as in etcd by default.
pub const OPERATIONS_MAX: usize = 128;

/// So many bytes the keys and values of a transaction may have together: a transaction is a command
/// of Raft, and an entry has to fit into a message.
pub const TXN_BYTES_MAX: usize = 256 << 10;

/// About so many bytes an answer has at most, since it has to fit into a message, too.
pub const ANSWER_BYTES_MAX: usize = 256 << 10;

/// So many events are kept. Older ones are compacted by themselves, since they lie in memory and in
/// every snapshot.
pub const EVENTS_MAX: usize = 65_536;

/// So many leases an answer has at most.
pub const LEASES_PAGE: usize = 1_024;
