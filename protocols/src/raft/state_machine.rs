//! What a user brings.

use super::log::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A deterministic state machine: every member applies the same commands in the same order, and
/// must come to the same state and the same outputs.
pub trait StateMachine: Default + Send + 'static {
    /// What changes the state.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What a command answers.
    type Output: Clone + Send + 'static;
    /// What asks about the state without changing it.
    type Query: Send + 'static;
    /// What a query answers.
    type Answer: Send + 'static;

    /// Changes the state.
    fn apply(&mut self, index: Index, command: Self::Command) -> Self::Output;

    /// Looks at the state.
    fn query(&self, query: &Self::Query) -> Self::Answer;
}
