//! What a saga's log says.

use super::definition::Step;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A saga. Who starts one draws the number, so that it can ask again without starting two.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct SagaId(pub u64);

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "saga-{:016x}", self.0)
    }
}

/// Why a saga turned back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Why {
    /// A step was refused: its participant knows that it had no effect.
    Refused {
        /// Which.
        step: Step,
        /// Why.
        reason: String,
    },
    /// Nobody could say in time whether a step was done.
    Unknown {
        /// Which.
        step: Step,
    },
    /// Whoever wanted it does not want it any more.
    Cancelled,
}

/// How a saga ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ending {
    /// Every step was done, but those that an operator left out.
    Done {
        /// What was left out.
        left: Vec<Step>,
    },
    /// Every step that may have had an effect was undone, but those that an operator left as they
    /// are.
    Undone {
        /// Why it turned back.
        why: Why,
        /// What was left as it is.
        left: Vec<Step>,
    },
}

/// What an operator may have done with a saga.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// The step that it is stuck at is tried again, as often as at first.
    Retry,
    /// The step that it is stuck at is left as it is.
    Skip,
    /// The step that it is stuck at was brought about by hand: it counts as done, with this output,
    /// or as undone.
    Force(Vec<u8>),
    /// It turns back, unless it has gone too far.
    Cancel,
}

/// Something that happened to a saga.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// It began.
    Started {
        /// The name of its definition.
        definition: String,
        /// The version, which stays.
        version: u32,
        /// What the definition's steps were, as
        /// [`Definition::fingerprint`](super::Definition::fingerprint) has it.
        fingerprint: u32,
        /// What it was started with.
        input: Vec<u8>,
    },
    /// Somebody owns it from here on, under the token of the entry. Whatever was open is unknown.
    Claimed,
    /// A step is about to be asked for, for the `attempt`th time.
    Intended {
        /// Which.
        step: Step,
        /// From 1.
        attempt: u32,
    },
    /// A step is done.
    Done {
        /// Which.
        step: Step,
        /// What came of it.
        output: Vec<u8>,
    },
    /// A step was refused, and had no effect.
    Refused {
        /// Which.
        step: Step,
        /// Why.
        reason: String,
    },
    /// Nobody knows whether a step that was asked for is done.
    Unknown {
        /// Which.
        step: Step,
    },
    /// The saga goes back. Steps that are open are unknown from here on.
    TurnedBack {
        /// Why.
        why: Why,
    },
    /// The undo of a step is about to be asked for, for the `attempt`th time.
    UndoIntended {
        /// Which.
        step: Step,
        /// From 1.
        attempt: u32,
    },
    /// A step is undone, or never was done and never will be.
    Undone {
        /// Which.
        step: Step,
    },
    /// The undo of a step was refused, or nobody knows.
    NotUndone {
        /// Which.
        step: Step,
        /// Why it was refused.
        reason: Option<String>,
    },
    /// The saga stands still at a step until an operator says how to go on.
    Stuck {
        /// Which.
        step: Step,
        /// Why.
        reason: String,
    },
    /// An operator says how to go on.
    Commanded(Command),
    /// It is over.
    Ended(Ending),
}

/// An event with the token of who wrote it; zero for those who own no sagas.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The token.
    pub token: u64,
    /// What happened.
    pub event: Event,
}

/// The format of entries that this build writes and reads.
const FORMAT: u8 = 1;

/// Why bytes are no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// They are of another build, which has another format.
    #[error("the entry is of format {0}, which this build does not know")]
    Format(u8),
    /// They are nothing that any build has written.
    #[error("the bytes are no entry of a saga's log")]
    Bytes,
}

impl Entry {
    /// The entry as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = postcard::to_extend(self, vec![FORMAT]);
        bytes.expect("entries have an encoding")
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// [`DecodeError`] if it is none.
    pub fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
        match bytes.split_first() {
            Some((&FORMAT, body)) => match postcard::take_from_bytes(body) {
                Ok((entry, [])) => Ok(entry),
                _ => Err(DecodeError::Bytes),
            },
            Some((other, _)) => Err(DecodeError::Format(*other)),
            None => Err(DecodeError::Bytes),
        }
    }
}
