//! What is replicated here: bytes, of which only the number is kept.

use crate::BYTES;
use serde::{Deserialize, Serialize};
use squall_protocols::raft::{Index, StateMachine};
use std::fmt;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Count(u64);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bytes(#[serde(with = "serde_bytes")] pub Vec<u8>);

impl Bytes {
    /// The proposal of this number.
    pub fn of(number: u64) -> Bytes {
        Bytes(vec![number as u8; BYTES])
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl StateMachine for Count {
    type Command = Bytes;
    type Output = ();
    type Query = ();
    type Answer = u64;
    type Snapshot = u64;

    fn apply(&mut self, _: Index, bytes: Bytes) {
        self.0 += bytes.0.len() as u64;
    }

    fn query(&self, (): &()) -> u64 {
        self.0
    }

    fn snapshot(&self) -> u64 {
        self.0
    }

    fn restore(count: u64) -> Count {
        Count(count)
    }
}
