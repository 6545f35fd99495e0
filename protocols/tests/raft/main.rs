//! Raft one turn at a time.

mod bench;
mod changes;
mod doubts;
mod elections;
mod reads;
mod replication;
