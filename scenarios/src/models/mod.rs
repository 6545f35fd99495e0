//! Plain models, small enough to visit every state that they have, and models of servers that do
//! their own I/O and so never run in the world.

pub mod paxos;
pub mod redis;
pub mod relational;
pub mod two_phase;

pub use paxos::Paxos;
pub use two_phase::TwoPhaseCommit;

#[cfg(test)]
mod tests;
