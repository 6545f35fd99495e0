//! How an event stands in its segment: `checksum u32 | record`, the record in the format of
//! postcard. The batch around it has a checksum too, but a single event is read without its batch.

use super::error::{EventStoreError, Refused};
use super::event::{
    APPEND_BYTES_MAX, APPEND_EVENTS_MAX, Append, EVENT_BYTES_MAX, EventId, Metadata,
    NAME_BYTES_MAX, NewEvent, RecordedEvent,
};
use serde::{Deserialize, Serialize};
use squall_env::{Position, WallTime};

/// Later versions get variants of their own.
#[derive(Serialize, Deserialize)]
enum Record<'a> {
    #[serde(borrow)]
    Event(Event<'a>),
}

#[derive(Serialize, Deserialize)]
pub(super) struct Event<'a> {
    pub(super) id: EventId,
    pub(super) stream: &'a str,
    pub(super) version: u64,
    pub(super) kind: &'a str,
    schema: u32,
    causation: Option<EventId>,
    correlation: Option<EventId>,
    wall: WallTime,
    #[serde(with = "serde_bytes")]
    pub(super) data: &'a [u8],
}

impl<'a> Event<'a> {
    pub(super) fn of(
        stream: &'a str,
        version: u64,
        event: &'a NewEvent,
        wall: WallTime,
    ) -> Event<'a> {
        Event {
            id: event.id,
            stream,
            version,
            kind: &event.kind,
            schema: event.schema,
            causation: event.causation,
            correlation: event.correlation,
            wall,
            data: &event.data,
        }
    }

    /// Appends the record to a buffer.
    pub(super) fn write(self, into: &mut Vec<u8>) {
        let start = into.len();
        into.extend_from_slice(&[0; 4]);
        let buffer = std::mem::take(into);
        *into = postcard::to_extend(&Record::Event(self), buffer)
            .expect("strings, bytes and numbers can be encoded");
        let checksum = crc32c::crc32c(&into[start + 4..]);
        into[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads a record; `None` if it is not what was written.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Event<'a>> {
        let (checksum, record) = bytes.split_first_chunk::<4>()?;
        if crc32c::crc32c(record) != u32::from_le_bytes(*checksum) {
            return None;
        }
        postcard::from_bytes(record).ok().map(|Record::Event(event)| event)
    }

    pub(super) fn recorded(&self, position: Position) -> RecordedEvent {
        RecordedEvent {
            id: self.id,
            stream: self.stream.to_owned(),
            version: self.version,
            position,
            kind: self.kind.to_owned(),
            schema: self.schema,
            data: self.data.to_vec(),
            metadata: Metadata {
                causation: self.causation,
                correlation: self.correlation,
                wall: self.wall,
            },
        }
    }
}

/// Refuses what no store takes.
pub(super) fn check(appends: &[Append]) -> Result<(), EventStoreError> {
    let at_most = |what: &str, found: usize, most: usize| match found <= most {
        true => Ok(()),
        false => {
            Err(Refused::TooLarge { what: what.to_owned(), found: found as u64, most: most as u64 })
        }
    };
    let invalid = |why: &str| Err(Refused::Invalid(why.to_owned()));
    let (mut bytes, mut events) = (0, 0);
    for (at, append) in appends.iter().enumerate() {
        at_most("the name of a stream", append.stream.len(), NAME_BYTES_MAX)?;
        if append.stream.is_empty() {
            invalid("a stream needs a name")?;
        }
        if appends[..at].iter().any(|other| other.stream == append.stream) {
            invalid("a stream is named twice")?;
        }
        for event in &append.events {
            at_most("an event", event.data.len(), EVENT_BYTES_MAX)?;
            at_most("the type of an event", event.kind.len(), NAME_BYTES_MAX)?;
            if event.kind.is_empty() {
                invalid("an event needs a type")?;
            }
            if event.kind.starts_with('$') && !event.is_marker() {
                invalid("types that begin with $ are the store's own")?;
            }
            if event.is_marker() && append.events.len() > 1 {
                invalid("a deletion stands alone")?;
            }
            bytes += event.data.len() + event.kind.len() + append.stream.len();
        }
        events += append.events.len();
    }
    at_most("an append", bytes, APPEND_BYTES_MAX)?;
    at_most("the list of events of an append", events, APPEND_EVENTS_MAX)?;
    Ok(())
}
