//! The three ways in which an operation can end.

use crate::env::{Elapsed, Env};
use crate::machine::RequestError;
use crate::request::CallError;
use crate::stream::StreamError;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::future::Future;

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

/// Does an operation and tells what may be concluded about its effect.
///
/// Only an answer can tell that an operation was not done, never a silence. So an error may call
/// itself [not done](Outcome::NotDone) all it likes: it is [indeterminate](Outcome::Indeterminate)
/// if a deadline, a missing response or a broken connection is among its causes, and also if any
/// sleep of the node has ended meanwhile, as it does when a limit passes by hand or when an earlier
/// try that nobody answered is followed by one that is refused.
pub async fn observe<T, E: HasOutcome + Error + 'static>(
    env: &Env,
    work: impl Future<Output = Result<T, E>>,
) -> (Result<T, E>, Outcome) {
    let before = env.platform().slept();
    let result = work.await;
    let outcome = match &result {
        Ok(_) => Outcome::Done,
        Err(error) => outcome_of(error, env.platform().slept() != before),
    };
    (result, outcome)
}

fn outcome_of<E: HasOutcome + Error + 'static>(error: &E, slept: bool) -> Outcome {
    let outcome = error.outcome();
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause.filter(|_| outcome == Outcome::NotDone) {
        if slept || is_silence(error) {
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
