//! What client and server say to each other, in either world: JSON in length-delimited frames.

use serde::{Deserialize, Serialize};

/// What a client asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// What stands under a key?
    Get(String),
    /// Put a value under a key.
    Put(String, String),
}

/// What the server answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// What stands there, if anything does.
    Value(Option<String>),
    /// It is stored.
    Stored,
}
