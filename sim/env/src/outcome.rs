//! The three ways in which an operation can end.

use crate::env::Elapsed;
use crate::machine::RequestError;
use crate::request::CallError;
use crate::stream::StreamError;
use serde::{Deserialize, Serialize};
use std::error::Error;

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
    /// What is known of the effect: nothing, unless the error says more.
    fn outcome(&self) -> Outcome {
        Outcome::Indeterminate
    }
}

/// What an error says about the operation's effect, if that can be.
///
/// An error that has a deadline, a missing response or a broken connection among its causes may
/// call itself not done all it likes: whoever stops waiting does not know. One that knows better,
/// since nothing that could take effect was sent before, names no such cause.
pub fn outcome_of<E: HasOutcome + Error + 'static>(error: &E) -> Outcome {
    let outcome = error.outcome();
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause.filter(|_| outcome == Outcome::NotDone) {
        if is_silence(error) {
            return Outcome::Indeterminate;
        }
        cause = error.source();
    }
    outcome
}

/// Whether the error is that an answer is missing.
fn is_silence(error: &(dyn Error + 'static)) -> bool {
    error.is::<Elapsed>()
        || error.is::<CallError>()
        || error.downcast_ref() == Some(&RequestError::Indeterminate)
        || error.downcast_ref().is_some_and(|error: &StreamError| *error != StreamError::ShutDown)
}

impl HasOutcome for Elapsed {}

impl HasOutcome for Outcome {
    fn outcome(&self) -> Outcome {
        *self
    }
}

impl HasOutcome for std::io::Error {
    /// As [`StreamError::of`](crate::stream::StreamError::of) reads it.
    fn outcome(&self) -> Outcome {
        StreamError::of(self).outcome()
    }
}

impl HasOutcome for CallError {
    fn outcome(&self) -> Outcome {
        CallError::outcome(*self)
    }
}

impl HasOutcome for RequestError {
    fn outcome(&self) -> Outcome {
        RequestError::outcome(*self)
    }
}
