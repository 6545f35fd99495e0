//! What can go wrong, and what is then known of the effect.

use super::event::Expected;
use serde::{Deserialize, Serialize};
use squall_env::disk::DiskError;
use squall_env::journal::LogError;
use squall_env::platform::BindError;
use squall_env::request::CallError;
use squall_env::{HasOutcome, Outcome, Position};

/// Why a store has refused something. Nothing was written.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// The stream is not as it was expected to be.
    #[error("stream {stream:?}: expected {expected:?}, and its last event is {last:?}")]
    WrongExpectedVersion {
        /// Which stream.
        stream: String,
        /// What was expected of it.
        expected: Expected,
        /// The number of its last event, if it has one.
        last: Option<u64>,
    },
    /// The stream is deleted.
    #[error("stream {stream:?} is deleted")]
    StreamDeleted {
        /// Which stream.
        stream: String,
        /// Whether that is for ever.
        for_ever: bool,
    },
    /// The first of the events are in the stream already, and others are not: the same ids were
    /// used for two different appends.
    #[error("stream {stream:?} has some of these events and not others")]
    CorruptedIdempotency {
        /// Which stream.
        stream: String,
    },
    /// An event that the decision did not know of is let through by the condition's filter.
    #[error("the condition does not hold: see the event at {}", .found.0)]
    ConditionFailed {
        /// The first such event.
        found: Position,
    },
    /// A position lies behind everything that the store has. The store has lost events, or the
    /// position is of another one.
    #[error("position {} is beyond the end of the store at {}", .asked.0, .head.0)]
    Ahead {
        /// What was asked for.
        asked: Position,
        /// The last position there is.
        head: Position,
    },
    /// What is asked makes no sense.
    #[error("invalid: {0}")]
    Invalid(String),
    /// It is more than the store takes.
    #[error("{what} has {found}; at most {most} are taken")]
    TooLarge {
        /// What is too large.
        what: String,
        /// How much it is.
        found: u64,
        /// How much is taken.
        most: u64,
    },
}

/// Why an operation of a store failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EventStoreError {
    /// It was refused, and nothing was written.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store's disk failed, or its database did.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The store has stopped.
    #[error("the store has stopped")]
    Stopped,
    /// The event at this position is not what was written.
    #[error("the event at {} is damaged", .0.0)]
    Damaged(Position),
    /// The server gave no answer.
    #[error(transparent)]
    NoAnswer(#[from] CallError),
}

impl From<DiskError> for EventStoreError {
    fn from(error: DiskError) -> EventStoreError {
        EventStoreError::Failed(error.to_string())
    }
}

impl HasOutcome for Refused {
    /// Not done, if no other copy of the same request can have been done or be done yet: one that
    /// was sent before and got no answer, or one that the network has made and still carries. (Of
    /// [`Expected::NoStream`] this holds unless the stream is softly deleted meanwhile.)
    fn outcome(&self) -> Outcome {
        match self {
            Refused::WrongExpectedVersion { expected: Expected::Exact(expected), last, .. } => {
                match last.is_some_and(|last| last > *expected) {
                    true => Outcome::NotDone,
                    false => Outcome::Indeterminate,
                }
            }
            Refused::WrongExpectedVersion { expected: Expected::NoStream, .. }
            | Refused::Invalid(_)
            | Refused::TooLarge { .. } => Outcome::NotDone,
            Refused::WrongExpectedVersion { .. }
            | Refused::StreamDeleted { .. }
            | Refused::CorruptedIdempotency { .. }
            | Refused::ConditionFailed { .. }
            | Refused::Ahead { .. } => Outcome::Indeterminate,
        }
    }
}

impl HasOutcome for EventStoreError {
    fn outcome(&self) -> Outcome {
        match self {
            EventStoreError::Refused(refused) => refused.outcome(),
            _ => Outcome::Indeterminate,
        }
    }
}

impl EventStoreError {
    /// Whether the stream, or what a condition looks at, has changed since it was read: whoever
    /// reads it anew and decides anew may succeed.
    pub fn is_conflict(&self) -> bool {
        matches!(
            self,
            EventStoreError::Refused(
                Refused::WrongExpectedVersion { .. } | Refused::ConditionFailed { .. }
            )
        )
    }
}

/// Why a store could not be opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The log is another's, of a later version or damaged, or the disk failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The record at this position is whole, and yet no event of this build.
    #[error("the record at {} is no event that this build knows", .0.0)]
    Unknown(Position),
    /// The port of the service is in use.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(String),
}
