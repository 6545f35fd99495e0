//! An append-only log: entries get ascending offsets and never change.

use serde::{Deserialize, Serialize};

use super::{Data, Model};

/// The model of a log that starts empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendLog<V> {
    of: std::marker::PhantomData<fn() -> V>,
}

/// What a client asks of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogCall<V> {
    /// Add an entry at the end.
    Append(V),
    /// Return all entries.
    Read,
    /// Return the entry at an offset, counted from 0.
    ReadAt(usize),
}

/// What a log answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogReturn<V> {
    /// The entry is added.
    Done,
    /// The entry is added at this offset, counted from 0.
    Offset(usize),
    /// All entries.
    Entries(Vec<V>),
    /// The entry, or that there is none yet.
    Entry(Option<V>),
}

impl<V> AppendLog<V> {
    /// A log that starts empty.
    pub fn new() -> Self {
        Self { of: std::marker::PhantomData }
    }
}

impl<V: Data> Model for AppendLog<V> {
    type State = Vec<V>;
    type Input = LogCall<V>;
    type Output = LogReturn<V>;

    fn initial(&self) -> Vec<V> {
        Vec::new()
    }

    fn step(
        &self,
        state: &Vec<V>,
        input: &LogCall<V>,
        output: Option<&LogReturn<V>>,
    ) -> Option<Vec<V>> {
        match (input, output) {
            (LogCall::Append(entry), None | Some(LogReturn::Done)) => Some(longer(state, entry)),
            (LogCall::Append(entry), Some(LogReturn::Offset(offset))) => {
                (*offset == state.len()).then(|| longer(state, entry))
            }
            (LogCall::Read | LogCall::ReadAt(_), None) => Some(state.clone()),
            (LogCall::Read, Some(LogReturn::Entries(entries))) => {
                (entries == state).then(|| state.clone())
            }
            (LogCall::ReadAt(offset), Some(LogReturn::Entry(entry))) => {
                (state.get(*offset) == entry.as_ref()).then(|| state.clone())
            }
            _ => None,
        }
    }

    fn describe(&self, input: &LogCall<V>, output: Option<&LogReturn<V>>) -> String {
        match (input, output) {
            (LogCall::Append(entry), None) => format!("appends {entry:?}, outcome unknown"),
            (LogCall::Append(entry), Some(LogReturn::Done)) => format!("appends {entry:?}"),
            (LogCall::Append(entry), Some(LogReturn::Offset(offset))) => {
                format!("appends {entry:?} at offset {offset}")
            }
            (LogCall::Read, None) => "reads the log, outcome unknown".to_owned(),
            (LogCall::Read, Some(LogReturn::Entries(entries))) => {
                format!("reads the log as {entries:?}")
            }
            (LogCall::ReadAt(offset), None) => format!("reads offset {offset}, outcome unknown"),
            (LogCall::ReadAt(offset), Some(LogReturn::Entry(Some(entry)))) => {
                format!("reads {entry:?} at offset {offset}")
            }
            (LogCall::ReadAt(offset), Some(LogReturn::Entry(None))) => {
                format!("finds nothing at offset {offset}")
            }
            (input, Some(output)) => super::mismatch(input, output),
        }
    }

    fn describe_state(&self, state: &Vec<V>) -> String {
        match state.is_empty() {
            true => "is empty".to_owned(),
            false => format!("holds {state:?}"),
        }
    }

    fn is_read_only(&self, input: &LogCall<V>) -> bool {
        matches!(input, LogCall::Read | LogCall::ReadAt(_))
    }

    fn state_bytes(&self, state: &Vec<V>) -> usize {
        size_of_val(state) + state.len() * size_of::<V>()
    }
}

fn longer<V: Clone>(state: &[V], entry: &V) -> Vec<V> {
    let mut state = state.to_vec();
    state.push(entry.clone());
    state
}
