//! Reading everything that happens, and going on where one has stopped.

use super::checkpoint::{Checkpoint, CheckpointError};
use super::error::EventStoreError;
use super::event::{Filter, RecordedEvent};
use super::{EventStore, Position};
use squall_env::{Env, mutant};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How long a subscription waits for an event before it asks again.
const WAIT: Duration = Duration::from_secs(1);

/// How long it rests after an error.
const REST: Duration = Duration::from_millis(100);

/// The events behind a position: those that are there, and then those that come, each once and in
/// order.
pub struct Subscription {
    env: Env,
    store: Arc<dyn EventStore>,
    filter: Filter,
    position: Position,
}

/// Events that a subscription gives at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Behind which position it begins.
    pub after: Position,
    /// The events, by their position. There may be none.
    pub events: Vec<RecordedEvent>,
    /// When they are processed, this is the last position that was: what a checkpoint holds. It
    /// goes on past events that the filter does not let through.
    pub upto: Position,
    /// Whether this was the end of the store: the subscription is live.
    pub is_live: bool,
}

/// Why a subscriber has stopped.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FollowError<E> {
    /// The store refuses to go on, or is damaged.
    #[error(transparent)]
    Store(#[from] EventStoreError),
    /// The checkpoint could not be saved: what is durable is not known, so the node must stop.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The event at this position could not be processed.
    #[error("the event at {} could not be processed: {why}", .at.0)]
    Handler {
        /// Which event.
        at: Position,
        /// What its handler says.
        why: E,
    },
}

impl Subscription {
    /// The events behind `after` that the filter lets through.
    pub fn new(
        env: &Env,
        store: Arc<dyn EventStore>,
        after: Position,
        filter: Filter,
    ) -> Subscription {
        Subscription { env: env.clone(), store, filter, position: after }
    }

    /// The last position that was given out or passed over.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next events, at most `max`; none if none come within `limit`. Dropped before it is
    /// ready, it has given out nothing.
    ///
    /// # Errors
    /// What the store answers. [`Refused::Ahead`](super::Refused::Ahead) says that the store has
    /// less than was processed: it has lost events or is another.
    pub async fn next(&mut self, max: usize, limit: Duration) -> Result<Batch, EventStoreError> {
        let deadline = self.env.now() + limit;
        let after = self.position;
        let mut from = after;
        loop {
            let slice = self.store.read_all(from, max.max(1), &self.filter).await?;
            let (upto, is_live) = (slice.upto, slice.upto == slice.head);
            let left = deadline.since(self.env.now());
            if !slice.events.is_empty() || is_live && left.is_zero() {
                self.position = upto;
                return Ok(Batch { after, events: slice.events, upto, is_live });
            }
            from = upto;
            if is_live {
                self.store.wait_beyond(upto, left.min(WAIT)).await?;
            }
        }
    }

    /// Processes events for ever, one after the other, and saves the checkpoint behind each batch.
    /// An event is processed at least once: again if the node stops before the checkpoint behind it
    /// is durable. What must not happen twice has the event's position in the same transaction.
    ///
    /// # Errors
    /// [`FollowError`]. What the store does not answer is asked again.
    pub async fn follow<E, F>(
        &mut self,
        checkpoint: &mut Checkpoint,
        max: usize,
        mut handle: impl FnMut(RecordedEvent) -> F,
    ) -> Result<Infallible, FollowError<E>>
    where
        F: Future<Output = Result<(), E>>,
    {
        loop {
            let batch = match self.next(max, WAIT).await {
                Ok(batch) => batch,
                Err(EventStoreError::NoAnswer(_) | EventStoreError::Failed(_)) => {
                    self.env.sleep(REST).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if mutant!(self.env, "event_store/checkpoint-before-processing") {
                checkpoint.save(batch.upto).await?;
            }
            for event in batch.events {
                let at = event.position;
                handle(event).await.map_err(|why| FollowError::Handler { at, why })?;
            }
            let upto = if mutant!(self.env, "event_store/checkpoint-ahead") && batch.is_live {
                Position(batch.upto.0 + 1)
            } else {
                batch.upto
            };
            if upto > checkpoint.position() {
                checkpoint.save(upto).await?;
            }
        }
    }
}
