//! What a user brings.

use super::log::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A deterministic state machine: every member applies the same commands in the same order, and
/// must come to the same state and the same outputs.
pub trait StateMachine: Default + Send + 'static {
    /// What changes the state.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What a command answers. The sessions keep it, and snapshots with them.
    type Output: Clone + Serialize + DeserializeOwned + Send + 'static;
    /// What asks about the state without changing it.
    type Query: Send + 'static;
    /// What a query answers.
    type Answer: Send + 'static;
    /// The state as a whole. Equal states must encode equally: ordered maps, no hash maps.
    type Snapshot: Clone + Serialize + DeserializeOwned + Send + 'static;

    /// Changes the state.
    fn apply(&mut self, index: Index, command: Self::Command) -> Self::Output;

    /// Looks at the state.
    fn query(&self, query: &Self::Query) -> Self::Answer;

    /// The state, to be stored or sent.
    fn snapshot(&self) -> Self::Snapshot;

    /// The state that a snapshot holds.
    fn restore(snapshot: Self::Snapshot) -> Self;
}
