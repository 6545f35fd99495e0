//! An event store: what happened is appended to streams, and read again in one order by everybody.
//!
//! *Promises* that an append is done as a whole or not at all, over one stream or several; that of
//! all who expect the same exact version one wins; that what was acknowledged, and what anybody has
//! read, stays where it is for ever; that versions in a stream and positions over all streams have
//! no gaps, and that no reader sees a position before all that are smaller; that an append which is
//! sent again with the same event ids is done once: always with an exact version, and otherwise as
//! long as the store remembers the ids. *Needs* a disk that keeps what it has synced, and one
//! process per store. *Breaks* if the disk forgets: a reader whose position lies beyond the end is
//! told so, but what is then appended in place of what is lost cannot be told from it. The
//! scenario `event_store/streams` shows it.
//!
//! [`SegmentStore`] keeps the events in segments of its own on the node's disk; with the feature
//! `sqlite` there is `SqliteStore`. [`serve`] lets others use a store, and [`RemoteStore`] is that
//! use; all of them are an [`EventStore`] and pass the [`contract`].
//!
//! ```
//! use squall_env::{Env, HasOutcome, Outcome};
//! use squall_protocols::event_store::{
//!     EventId, EventStore, EventStoreError, Expected, NewEvent, SegmentStore, SegmentConfig,
//! };
//!
//! async fn open_account(env: &Env) -> Result<(), EventStoreError> {
//!     let config = SegmentConfig::default();
//!     let Ok(store) = SegmentStore::open(env, "events", config).await else {
//!         return Err(EventStoreError::Stopped);
//!     };
//!     let opened = NewEvent::new(EventId::random(env), "account_opened", *b"10000");
//!     let done = store.append("account-7", Expected::NoStream, vec![opened]).await?;
//!     assert_eq!(done.versions, 0..1);
//!     // Somebody who decided on the same state comes too late.
//!     let again = NewEvent::new(EventId::random(env), "account_opened", *b"20000");
//!     let refused = store.append("account-7", Expected::NoStream, vec![again]).await;
//!     assert_eq!(refused.map_err(|error| error.outcome()), Err(Outcome::NotDone));
//!     assert_eq!(store.read("account-7", 0, 10).await?.events.len(), 1);
//!     Ok(())
//! }
//! ```

mod checkpoint;
mod client;
pub mod contract;
mod error;
mod event;
mod expected;
mod index;
pub mod invariants;
mod record;
mod schema;
mod segments;
mod service;
#[cfg(feature = "sqlite")]
mod sqlite;
mod subscription;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use client::RemoteStore;
pub use error::{EventStoreError, OpenError, Refused};
pub use event::{
    APPEND_BYTES_MAX, APPEND_EVENTS_MAX, Append, Appended, EVENT_BYTES_MAX, EventId, Expected,
    Filter, Metadata, NAME_BYTES_MAX, NewEvent, RecordedEvent, SOFT_DELETED, Slice, StreamSlice,
    Streams, TOMBSTONE,
};
pub use schema::{Event, Payload, Payloads, Schema, SchemaError, Unknown, Upcaster};
pub use segments::{Progress, SegmentConfig, SegmentStore};
pub use service::{PORT, ServeError, serve, serve_store};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use squall_env::Position;
pub use subscription::{Batch, FollowError, Subscription};

use squall_env::platform::BoxFuture;
use std::time::Duration;

/// The most bytes of data that one read gives, unless its first event alone has more.
pub const READ_BYTES_MAX: usize = 256 << 10;

/// A store of events, here or elsewhere.
pub trait EventStore: Send + Sync {
    /// Appends events to one or several streams, all of them or none. They get consecutive
    /// positions, in the order in which they are given. Says for each stream where they stand, in
    /// the same order, once they are durable.
    ///
    /// # Errors
    /// [`EventStoreError::Refused`] with the first expectation that does not hold, or if the same
    /// stream is named twice. Of some streams the events are there already and of others not: then
    /// the batch is refused as corrupted. Whatever else goes wrong, the events may have been
    /// appended; whoever wants to know sends the same again.
    fn append_all(
        &self,
        appends: Vec<Append>,
    ) -> BoxFuture<'_, Result<Vec<Appended>, EventStoreError>>;

    /// Reads at most `max` events of a stream from the number `from` on: fewer if they are large,
    /// but never none unless there are none. Events that a soft deletion hides are passed over.
    ///
    /// # Errors
    /// [`Refused::StreamDeleted`] if the stream has a tombstone.
    fn read(
        &self,
        stream: &str,
        from: u64,
        max: usize,
    ) -> BoxFuture<'_, Result<StreamSlice, EventStoreError>>;

    /// Reads at most `max` events of all streams that stand *behind* the position `after` and that
    /// the filter lets through. [`Slice::upto`] is where to read on, even if nothing was let
    /// through; a checkpoint is thus the last position that was processed, and 0 before the first.
    ///
    /// # Errors
    /// [`Refused::Ahead`] if `after` is beyond the end of the store.
    fn read_all(
        &self,
        after: Position,
        max: usize,
        filter: &Filter,
    ) -> BoxFuture<'_, Result<Slice, EventStoreError>>;

    /// Waits until there is an event behind the position `after`, but no longer than `limit`. Gives
    /// the last position there is, which may still be `after`.
    ///
    /// # Errors
    /// [`Refused::Ahead`] if `after` is beyond the end of the store.
    fn wait_beyond(
        &self,
        after: Position,
        limit: Duration,
    ) -> BoxFuture<'_, Result<Position, EventStoreError>>;

    /// Appends events to one stream.
    ///
    /// # Errors
    /// As [`EventStore::append_all`].
    fn append(
        &self,
        stream: &str,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> BoxFuture<'_, Result<Appended, EventStoreError>> {
        let done = self.append_all(vec![Append::new(stream, expected, events)]);
        Box::pin(async move { done.await?.pop().ok_or(EventStoreError::Stopped) })
    }

    /// Ends a stream for ever. The marker takes a number and a position, so that no gap is left.
    ///
    /// # Errors
    /// As [`EventStore::append_all`]; to ask again with the same id is no error.
    fn delete_for_ever(
        &self,
        stream: &str,
        expected: Expected,
        id: EventId,
    ) -> BoxFuture<'_, Result<Appended, EventStoreError>> {
        self.append(stream, expected, vec![NewEvent::tombstone(id)])
    }

    /// Hides what a stream holds. The marker takes a number and a position, so that no gap is left;
    /// readers of all streams still see the events.
    ///
    /// # Errors
    /// As [`EventStore::append_all`].
    fn delete_softly(
        &self,
        stream: &str,
        expected: Expected,
        id: EventId,
    ) -> BoxFuture<'_, Result<Appended, EventStoreError>> {
        self.append(stream, expected, vec![NewEvent::soft_deletion(id)])
    }
}
