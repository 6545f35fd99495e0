//! The three ways in which an operation can end.

use serde::{Deserialize, Serialize};

/// What is known of an operation's effect once its caller stops waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// It took effect.
    Done,
    /// It did not and never will.
    NotDone,
    /// It may have taken effect, or may yet, or never will: the reply is missing.
    Indeterminate,
}

/// An error that knows what it says about the operation's effect.
pub trait HasOutcome {
    /// What is known of the effect.
    fn outcome(&self) -> Outcome;
}

impl HasOutcome for Outcome {
    fn outcome(&self) -> Outcome {
        *self
    }
}

impl HasOutcome for std::io::Error {
    /// As [`StreamError::of`](crate::stream::StreamError::of) reads it.
    fn outcome(&self) -> Outcome {
        crate::stream::StreamError::of(self).outcome()
    }
}

impl HasOutcome for crate::request::CallError {
    fn outcome(&self) -> Outcome {
        crate::request::CallError::outcome(*self)
    }
}

impl HasOutcome for crate::machine::RequestError {
    fn outcome(&self) -> Outcome {
        crate::machine::RequestError::outcome(*self)
    }
}
