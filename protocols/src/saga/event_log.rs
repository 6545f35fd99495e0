//! The log of sagas in an event store: a stream for each saga.

use super::event::{Entry, Event, SagaId};
use super::log::{LogError, SagaLog};
use crate::event_store::{
    EventId, EventStore, EventStoreError, Expected, Filter, NewEvent, RecordedEvent, Refused,
};
use squall_env::platform::BoxFuture;
use squall_env::{Env, Position, mutant};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many events are read at a time.
const READ_MAX: usize = 256;

/// What the name of every stream of a saga begins with.
const PREFIX: &str = "saga-";

/// The type of the event that begins a saga.
const STARTED: &str = "saga_started";

/// The type of the event that ends it.
const ENDED: &str = "saga_ended";

/// The type of every other event.
const WENT_ON: &str = "saga_went_on";

/// The logs of sagas in an event store, here or elsewhere.
///
/// Which sagas have not ended it learns by reading what is new in the store since it last looked:
/// everything the first time.
pub struct EventStoreLog {
    env: Env,
    store: Arc<dyn EventStore>,
    seen: Mutex<Seen>,
}

/// What is known up to a position of the store.
#[derive(Default)]
struct Seen {
    upto: Position,
    unfinished: BTreeMap<SagaId, u64>,
}

impl EventStoreLog {
    /// The logs in this store.
    pub fn new(env: &Env, store: Arc<dyn EventStore>) -> EventStoreLog {
        EventStoreLog { env: env.clone(), store, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, entry: &Entry) -> NewEvent {
        let kind = match entry.event {
            Event::Started { .. } => STARTED,
            Event::Ended(_) => ENDED,
            _ => WENT_ON,
        };
        NewEvent::new(EventId::random(&self.env), kind, entry.encode())
    }
}

/// The stream of a saga.
pub fn stream_of(saga: SagaId) -> String {
    format!("{PREFIX}{:016x}", saga.0)
}

fn saga_of(stream: &str) -> Option<SagaId> {
    u64::from_str_radix(stream.strip_prefix(PREFIX)?, 16).ok().map(SagaId)
}

fn unavailable(error: EventStoreError) -> LogError {
    LogError::Unavailable(error.to_string())
}

impl Seen {
    fn see(&mut self, event: &RecordedEvent) {
        let Some(saga) = saga_of(&event.stream) else { return };
        if event.kind == ENDED {
            self.unfinished.remove(&saga);
        } else {
            self.unfinished.insert(saga, event.version + 1);
        }
    }
}

impl SagaLog for EventStoreLog {
    fn append(
        &self,
        saga: SagaId,
        expected: u64,
        entries: Vec<Entry>,
    ) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            let expected = match expected.checked_sub(1) {
                _ if mutant!(self.env, "saga/appends-whatever-was-before") => Expected::Any,
                None => Expected::NoStream,
                Some(last) => Expected::Exact(last),
            };
            let events = entries.iter().map(|entry| self.event(entry)).collect();
            match self.store.append(&stream_of(saga), expected, events).await {
                Ok(_) => Ok(()),
                Err(EventStoreError::Refused(
                    Refused::WrongExpectedVersion { .. } | Refused::CorruptedIdempotency { .. },
                )) => Err(LogError::Conflict),
                Err(error) => Err(unavailable(error)),
            }
        })
    }

    fn read(&self, saga: SagaId) -> BoxFuture<'_, Result<Vec<Vec<u8>>, LogError>> {
        Box::pin(async move {
            let (stream, mut entries, mut from) = (stream_of(saga), Vec::new(), 0);
            loop {
                let slice = self.store.read(&stream, from, READ_MAX).await.map_err(unavailable)?;
                entries.extend(slice.events.into_iter().map(|event| event.data));
                if slice.is_end {
                    return Ok(entries);
                }
                from = slice.next;
            }
        })
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<(SagaId, u64)>, LogError>> {
        Box::pin(async move {
            let filter = Filter::prefix(PREFIX);
            loop {
                let after = self.seen().upto;
                let slice = self.store.read_all(after, READ_MAX, &filter).await;
                if let Err(EventStoreError::Refused(Refused::Ahead { .. })) = slice {
                    // It is another store, or an old copy of it: nothing that was seen counts.
                    *self.seen() = Seen::default();
                }
                let slice = slice.map_err(unavailable)?;
                let mut seen = self.seen();
                if seen.upto == after {
                    slice.events.iter().for_each(|event| seen.see(event));
                    seen.upto = slice.upto;
                }
                if seen.upto >= slice.head {
                    return Ok(seen
                        .unfinished
                        .iter()
                        .map(|(id, version)| (*id, *version))
                        .collect());
                }
            }
        })
    }
}
