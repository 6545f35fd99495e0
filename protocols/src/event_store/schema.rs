//! From events of any age to the events that today's code knows.

use super::event::RecordedEvent;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The events that a piece of code knows.
pub trait Event: Sized + Send + Sync + 'static {
    /// Every type with the newest version of its schema, from 1.
    const KINDS: &'static [(&'static str, u32)];

    /// Its type: one of [`Event::KINDS`].
    fn kind(&self) -> &'static str;

    /// Its data, in the newest version of its schema.
    fn encode(&self) -> Vec<u8>;

    /// The event of this type from data in the newest version of its schema; `None` if they are
    /// none.
    fn decode(kind: &str, data: &[u8]) -> Option<Self>;

    /// What takes the place of an event of this type whose data are gone for good. `None` if it
    /// cannot be done without.
    fn forgotten(kind: &str) -> Option<Self> {
        let _ = kind;
        None
    }
}

/// What has become of the data of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload<'a> {
    /// They are these.
    Clear(Cow<'a, [u8]>),
    /// Nobody can read them any more, as when the key of the person they speak of was destroyed.
    Gone,
}

/// Where data go through on their way in and out, as to be encrypted with keys that can be
/// destroyed. The events themselves, and their places, are kept for ever.
pub trait Payloads: Send + Sync {
    /// What is stored of the data of an event for this stream.
    fn seal(&self, stream: &str, kind: &str, data: Vec<u8>) -> Vec<u8>;

    /// The data of an event, or that they are gone.
    fn open<'a>(&self, event: &'a RecordedEvent) -> Payload<'a>;
}

/// What is done with an event of a type that nobody has said anything about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unknown {
    /// It is an error: whoever decides on a state that lacks an event decides wrongly.
    #[default]
    Refuse,
    /// It is passed over, for readers that only want some of the types.
    Pass,
}

/// Why an event cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SchemaError {
    /// Its type is not known.
    #[error("the event at {position} has the unknown type {kind:?}")]
    UnknownKind {
        /// Which event.
        position: u64,
        /// Its type.
        kind: String,
    },
    /// It was written by a later version of the program.
    #[error("the event at {position} is {kind:?} in version {found}; this build knows {known}")]
    Newer {
        /// Which event.
        position: u64,
        /// Its type.
        kind: String,
        /// The version of its schema.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// Nothing leads from its version of the schema to the next.
    #[error("the event at {position} is {kind:?} in version {found}, which nothing lifts")]
    NotLifted {
        /// Which event.
        position: u64,
        /// Its type.
        kind: String,
        /// The version from which there is no way.
        found: u32,
    },
    /// Its data are not of its type.
    #[error("the data of the event at {position} are not those of {kind:?}")]
    Malformed {
        /// Which event.
        position: u64,
        /// Its type.
        kind: String,
    },
    /// Its data are gone for good, and it cannot be done without.
    #[error("the data of the event at {position} are gone")]
    Forgotten {
        /// Which event.
        position: u64,
    },
}

/// Makes data of one version of a schema into data of the next; `None` if they are no such data.
pub type Upcaster = fn(&[u8]) -> Option<Vec<u8>>;

/// How events of a kind are written and read: their versions, and what is done with others.
pub struct Schema<E> {
    upcasters: BTreeMap<(&'static str, u32), Upcaster>,
    unknown: Unknown,
    payloads: Option<Arc<dyn Payloads>>,
    of: std::marker::PhantomData<fn() -> E>,
}

impl<E> Clone for Schema<E> {
    fn clone(&self) -> Schema<E> {
        Schema {
            upcasters: self.upcasters.clone(),
            unknown: self.unknown,
            payloads: self.payloads.clone(),
            of: self.of,
        }
    }
}

impl<E: Event> Default for Schema<E> {
    fn default() -> Schema<E> {
        Schema::new()
    }
}

impl<E: Event> Schema<E> {
    /// A schema that lifts nothing and refuses what it does not know.
    pub fn new() -> Schema<E> {
        Schema {
            upcasters: BTreeMap::new(),
            unknown: Unknown::Refuse,
            payloads: None,
            of: std::marker::PhantomData,
        }
    }

    /// Lifts events of this type from the version `from` to the next one.
    #[must_use]
    pub fn lift(mut self, kind: &'static str, from: u32, upcaster: Upcaster) -> Schema<E> {
        self.upcasters.insert((kind, from), upcaster);
        self
    }

    /// Does this with events of unknown types.
    #[must_use]
    pub fn unknown(mut self, unknown: Unknown) -> Schema<E> {
        self.unknown = unknown;
        self
    }

    /// Sends all data through here.
    #[must_use]
    pub fn payloads(mut self, payloads: Arc<dyn Payloads>) -> Schema<E> {
        self.payloads = Some(payloads);
        self
    }

    /// The type of an event, the version of its schema, and its data as they are stored.
    pub fn write(&self, stream: &str, event: &E) -> (&'static str, u32, Vec<u8>) {
        let (kind, data) = (event.kind(), event.encode());
        let newest = newest::<E>(kind).unwrap_or(1);
        match &self.payloads {
            None => (kind, newest, data),
            Some(payloads) => (kind, newest, payloads.seal(stream, kind, data)),
        }
    }

    /// The event as today's code knows it. `None` for the store's own events and for those that
    /// are to be passed over.
    ///
    /// # Errors
    /// [`SchemaError`].
    pub fn read(&self, event: &RecordedEvent) -> Result<Option<E>, SchemaError> {
        if event.is_system() {
            return Ok(None);
        }
        let (position, kind) = (event.position.0, event.kind.clone());
        let Some(newest) = newest::<E>(&kind) else {
            return match self.unknown {
                Unknown::Pass => Ok(None),
                Unknown::Refuse => Err(SchemaError::UnknownKind { position, kind }),
            };
        };
        if event.schema > newest {
            let (found, known) = (event.schema, newest);
            return Err(SchemaError::Newer { position, kind, found, known });
        }
        let opened = match &self.payloads {
            None => Payload::Clear(Cow::Borrowed(&event.data[..])),
            Some(payloads) => payloads.open(event),
        };
        let Payload::Clear(mut data) = opened else {
            let instead = E::forgotten(&kind);
            return instead.map(Some).ok_or(SchemaError::Forgotten { position });
        };
        for version in event.schema..newest {
            let lift =
                self.upcasters.iter().find(|((of, from), _)| (*of, *from) == (&kind, version));
            let Some((_, lift)) = lift else {
                return Err(SchemaError::NotLifted { position, kind, found: version });
            };
            let Some(lifted) = lift(&data) else {
                return Err(SchemaError::Malformed { position, kind });
            };
            data = Cow::Owned(lifted);
        }
        match E::decode(&kind, &data) {
            Some(event) => Ok(Some(event)),
            None => Err(SchemaError::Malformed { position, kind }),
        }
    }
}

fn newest<E: Event>(kind: &str) -> Option<u32> {
    E::KINDS.iter().find(|(known, _)| *known == kind).map(|(_, newest)| *newest)
}
