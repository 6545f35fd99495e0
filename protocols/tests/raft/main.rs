//! Raft one turn at a time.

mod bench;
mod changes;
mod elections;
mod reads;
mod replication;
