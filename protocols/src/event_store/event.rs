//! Events, streams, and what is asked of them.

use serde::{Deserialize, Serialize};
use squall_env::{Env, Position, WallTime};
use std::fmt;
use std::ops::Range;

/// The most bytes that the data of one event may have.
pub const EVENT_BYTES_MAX: usize = 256 << 10;

/// The most bytes that the events of one append may have together, names and all.
pub const APPEND_BYTES_MAX: usize = 512 << 10;

/// The most events of one append.
pub const APPEND_EVENTS_MAX: usize = 4096;

/// The most bytes of the name of a stream or of an event's type.
pub const NAME_BYTES_MAX: usize = 512;

/// The type of the event that ends a stream for ever.
pub const TOMBSTONE: &str = "$tombstone";

/// The type of the event that hides what a stream held before.
pub const SOFT_DELETED: &str = "$soft-deleted";

/// What makes an event one and the same, however often it is sent. It is drawn at random, by
/// whoever makes the event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(pub u128);

impl EventId {
    /// A new one, out of the node's randomness.
    pub fn random(env: &Env) -> EventId {
        EventId(u128::from(env.random()) << 64 | u128::from(env.random()))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// An event that is to be appended.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct NewEvent {
    /// Which event it is: a retry sends the same.
    pub id: EventId,
    /// Its type, as in `account_opened`. Types that begin with `$` are the store's own.
    pub kind: String,
    /// The version of the schema that its data is written in, from 1.
    pub schema: u32,
    /// What happened, encoded.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// The event or command that this one was caused by.
    pub causation: Option<EventId>,
    /// What all that belongs to one request has in common.
    pub correlation: Option<EventId>,
}

impl NewEvent {
    /// An event in the first version of its schema that nothing is known to have caused.
    pub fn new(id: EventId, kind: impl Into<String>, data: impl Into<Vec<u8>>) -> NewEvent {
        NewEvent {
            id,
            kind: kind.into(),
            schema: 1,
            data: data.into(),
            causation: None,
            correlation: None,
        }
    }

    /// The same in this version of its schema.
    #[must_use]
    pub fn schema(mut self, schema: u32) -> NewEvent {
        self.schema = schema;
        self
    }

    /// The same as a consequence of another event, in whose correlation it stands.
    #[must_use]
    pub fn caused_by(mut self, event: &RecordedEvent) -> NewEvent {
        self.causation = Some(event.id);
        self.correlation = event.metadata.correlation.or(Some(event.id));
        self
    }

    /// The marker that ends a stream for ever: nothing is read from it or appended to it any more.
    pub fn tombstone(id: EventId) -> NewEvent {
        NewEvent::new(id, TOMBSTONE, [])
    }

    /// The marker that hides what the stream held before. A later append begins the stream anew,
    /// with the numbers behind the marker's.
    pub fn soft_deletion(id: EventId) -> NewEvent {
        NewEvent::new(id, SOFT_DELETED, [])
    }

    pub(crate) fn is_marker(&self) -> bool {
        self.kind == TOMBSTONE || self.kind == SOFT_DELETED
    }
}

/// An event as the store keeps it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RecordedEvent {
    /// Which event it is.
    pub id: EventId,
    /// The stream that it stands in.
    pub stream: String,
    /// Its number in its stream, from 0.
    pub version: u64,
    /// Its place among all events of the store, from 1, without gaps.
    pub position: Position,
    /// Its type.
    pub kind: String,
    /// The version of the schema that its data is written in.
    pub schema: u32,
    /// What happened, encoded.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// What is known besides.
    pub metadata: Metadata,
}

impl RecordedEvent {
    /// Whether it is of the store's own, as a tombstone is.
    pub fn is_system(&self) -> bool {
        self.kind.starts_with('$')
    }
}

/// What is known of an event besides what happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Metadata {
    /// The event or command that this one was caused by.
    pub causation: Option<EventId>,
    /// What all that belongs to one request has in common.
    pub correlation: Option<EventId>,
    /// What the store's wall clock showed when it took the event. It may go back from one event
    /// to the next: only the position says which came first.
    pub wall: WallTime,
}

/// What must hold of a stream for an append to be done.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Expected {
    /// Nothing.
    Any,
    /// The stream was never written, or is softly deleted.
    NoStream,
    /// The stream, or its metadata stream `$$NAME`, was written and is not deleted.
    StreamExists,
    /// The last event of the stream has this number.
    Exact(u64),
    /// No event behind this position, in whichever stream, is one that the filter lets through: the
    /// decision rests on all of those up to there. (A dynamic consistency boundary, after
    /// Pellegrini, "Killing the Aggregate", 2023.)
    Condition(Filter, Position),
}

/// Events for one stream.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Append {
    /// The stream.
    pub stream: String,
    /// What must hold of it.
    pub expected: Expected,
    /// The events, in order.
    pub events: Vec<NewEvent>,
}

impl Append {
    /// These events for this stream.
    pub fn new(stream: impl Into<String>, expected: Expected, events: Vec<NewEvent>) -> Append {
        Append { stream: stream.into(), expected, events }
    }
}

/// Where the events of an append stand.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Appended {
    /// Their numbers in the stream. Without events it is empty, and begins behind the last event.
    pub versions: Range<u64>,
    /// The position of the last of them: a reader that has come this far has seen all of them.
    /// Without events it is that of the last event of the store.
    pub position: Position,
    /// Whether they stood there already, because the same append was done before.
    pub repeated: bool,
}

/// Some streams: one, or all that begin alike.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Streams {
    /// This one.
    One(String),
    /// All whose names begin like this.
    Prefix(String),
}

impl Streams {
    /// Whether this stream is one of them.
    pub fn has(&self, stream: &str) -> bool {
        match self {
            Streams::One(one) => one == stream,
            Streams::Prefix(prefix) => stream.starts_with(prefix.as_str()),
        }
    }
}

/// Which events. One that leaves both lists empty lets everything through.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Filter {
    /// Those of any of these streams; of all if there are none.
    pub streams: Vec<Streams>,
    /// Those of any of these types; of all if there are none.
    pub kinds: Vec<String>,
}

impl Filter {
    /// Every event, those of the store's own too.
    pub fn all() -> Filter {
        Filter::default()
    }

    /// The events of streams that begin like this.
    pub fn prefix(prefix: impl Into<String>) -> Filter {
        Filter { streams: vec![Streams::Prefix(prefix.into())], kinds: Vec::new() }
    }

    /// The events of one stream.
    pub fn stream(name: impl Into<String>) -> Filter {
        Filter { streams: vec![Streams::One(name.into())], kinds: Vec::new() }
    }

    /// The same, but only events of these types.
    #[must_use]
    pub fn kinds<T: Into<String>>(mut self, kinds: impl IntoIterator<Item = T>) -> Filter {
        self.kinds.extend(kinds.into_iter().map(Into::into));
        self
    }

    /// Whether it lets an event of this stream and type through.
    pub fn lets(&self, stream: &str, kind: &str) -> bool {
        let stream = self.streams.is_empty() || self.streams.iter().any(|s| s.has(stream));
        stream && (self.kinds.is_empty() || self.kinds.iter().any(|one| one == kind))
    }
}

/// A part of a stream.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct StreamSlice {
    /// The events, by their number.
    pub events: Vec<RecordedEvent>,
    /// The number from which to read on.
    pub next: u64,
    /// The number of the stream's last event: what [`Expected::Exact`] takes. `None` if the stream
    /// was never written or is softly deleted: [`Expected::NoStream`] then holds.
    pub last: Option<u64>,
    /// Whether nothing more stood in the stream.
    pub is_end: bool,
}

/// A part of all that happened.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Slice {
    /// The events, by their position.
    pub events: Vec<RecordedEvent>,
    /// Everything up to this position was looked at. Whoever reads on does so behind it, though
    /// the filter may have let nothing through for long.
    pub upto: Position,
    /// The last position there was.
    pub head: Position,
}
