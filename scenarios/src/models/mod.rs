//! Plain models, small enough to visit every state that they have.

pub mod paxos;
pub mod two_phase;

pub use paxos::Paxos;
pub use two_phase::TwoPhaseCommit;

#[cfg(test)]
mod tests;
