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
