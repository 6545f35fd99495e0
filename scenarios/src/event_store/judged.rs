//! What clients of an event store did and were told, and how it is judged.

use crate::whole::Whole;
use serde::{Deserialize, Serialize};
use squall_check::History;
use squall_env::{Outcome, Position};
use squall_protocols::event_store::invariants::{Deed, Told, judge};
use squall_protocols::event_store::{
    Append, Appended, Batch, Filter, RecordedEvent, Slice, StreamSlice,
};

/// The property of what clients see.
pub const KEPT: &str = "the store keeps to what it has told";

/// What a client asks.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Asked {
    /// To append this.
    Append(Vec<Append>),
    /// What stands behind a position.
    Read(Position, Filter),
    /// What stands in a stream from a number on.
    ReadStream(String, u64),
    /// What comes next in a subscription.
    Process {
        /// Who.
        subscriber: u64,
        /// In which life.
        life: u64,
        /// What the subscription lets through.
        filter: Filter,
    },
    /// To make a checkpoint durable.
    Save(u64, Position),
    /// Everything there is.
    Everything,
}

/// What it is told.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Heard {
    /// It stands there.
    Appended(Vec<Appended>),
    /// It was not done and never will be, and why.
    Refused(String),
    /// These stand there.
    Slice(Slice),
    /// These stand in the stream.
    Stream(StreamSlice),
    /// These come next: behind which position, and how far.
    Next(Position, Vec<RecordedEvent>, Position),
    /// It is durable.
    Saved,
    /// This is everything.
    Log(Vec<RecordedEvent>),
}

/// The history of an event store, judged as a whole.
pub type Events = Whole<Asked, Heard>;

/// Whether the store keeps to what it has told.
pub(super) fn verdict(history: &History<Asked, Heard>) -> Result<(), String> {
    let (told, logs) = told(history);
    // Who was never told everything knows too little to judge.
    let Some(log) = logs.iter().max_by_key(|log| log.len()) else { return Ok(()) };
    match logs.iter().all(|other| log[..other.len()] == other[..]) {
        true => judge(&told, log),
        false => Err("two readers were told different things".to_owned()),
    }
}

/// The history as the invariants take it, and all logs that were read in the end.
fn told(history: &History<Asked, Heard>) -> (Vec<Told>, Vec<Vec<RecordedEvent>>) {
    let (mut all, mut logs) = (Vec::new(), Vec::new());
    for operation in history.operations() {
        let heard = match &operation.outcome {
            squall_check::Outcome::Ok(heard) => Some(heard),
            _ => None,
        };
        let deed = match (&operation.input, heard) {
            (Asked::Append(appends), heard) => {
                let (outcome, done) = match heard {
                    Some(Heard::Appended(done)) => (Outcome::Done, done.clone()),
                    Some(Heard::Refused(_)) => (Outcome::NotDone, Vec::new()),
                    _ => (Outcome::Indeterminate, Vec::new()),
                };
                Deed::Append { appends: appends.clone(), outcome, done }
            }
            (Asked::Read(after, filter), Some(Heard::Slice(slice))) => {
                Deed::Read { after: *after, filter: filter.clone(), slice: slice.clone() }
            }
            (Asked::ReadStream(stream, from), Some(Heard::Stream(slice))) => {
                Deed::ReadStream { stream: stream.clone(), from: *from, slice: slice.clone() }
            }
            (
                Asked::Process { subscriber, life, filter },
                Some(Heard::Next(after, events, upto)),
            ) => {
                let (after, upto, events) = (*after, *upto, events.clone());
                let batch = Batch { after, events, upto, is_live: false };
                let filter = filter.clone();
                Deed::Processed { subscriber: *subscriber, life: *life, filter, batch }
            }
            (Asked::Save(subscriber, position), Some(Heard::Saved)) => {
                Deed::Saved { subscriber: *subscriber, position: *position }
            }
            (Asked::Everything, Some(Heard::Log(log))) => {
                logs.push(log.clone());
                continue;
            }
            _ => continue,
        };
        let ended = operation.returned.map(|moment| moment.index);
        all.push(Told { began: operation.invoked.index, ended, deed });
    }
    (all, logs)
}
