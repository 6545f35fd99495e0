//! What the lines of foreign histories say: who does what, and how it ends.

use super::{ParseError, Position};
use crate::value::Value;

/// An invocation or a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: Position,
    /// The number of the event in its file, from 0, counting those that are left out too.
    pub(crate) index: u64,
    /// The time of the event, or 0 if the file shows none.
    pub(crate) time_ns: u64,
    pub(crate) process: u64,
    pub(crate) kind: Kind,
    /// The name of the operation.
    pub(crate) f: Box<str>,
    pub(crate) key: Option<Value>,
    /// `None` if the event has none, which is not the same as nil.
    pub(crate) value: Option<Value>,
}

/// Which end of an operation an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Invoke,
    Ok,
    Fail,
    /// The outcome is unknown.
    Info,
}

impl Kind {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "invoke" => Some(Self::Invoke),
            "ok" => Some(Self::Ok),
            "fail" => Some(Self::Fail),
            "info" => Some(Self::Info),
            _ => None,
        }
    }
}

/// A file that yields events one after the other.
pub(crate) trait Events {
    /// The next event of a client; `None` at the end.
    fn next_event(&mut self) -> Result<Option<Event>, ParseError>;
}
