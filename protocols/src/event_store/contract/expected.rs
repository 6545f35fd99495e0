//! What becomes of an append, by what is expected of its stream and what the stream is like: the
//! table that EventStoreDB's commit check stands for.

use super::{Bench, ensure, text};
use crate::event_store::{EventStoreError, Expected, Refused};
use std::ops::Range;

/// How a stream came to be as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    /// These events were appended.
    Events(&'static [u8]),
    /// These events were appended to another stream.
    Elsewhere(&'static [u8]),
    /// The metadata stream was written.
    Metadata,
    /// It was softly deleted.
    Soft,
    /// It was deleted for ever.
    Hard,
}

/// What the store says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// The events were appended with these numbers.
    Appended(Range<u64>),
    /// They were there already, with these numbers.
    Repeated(Range<u64>),
    /// The stream is not as it was expected.
    Wrong,
    /// The stream is deleted.
    Deleted,
    /// Some of them are there and others are not.
    Corrupted,
}

/// A row of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// What it claims.
    pub name: &'static str,
    /// What was done to the stream before.
    pub given: &'static [Given],
    /// What is expected of it.
    pub expected: Expected,
    /// The events that are to be appended.
    pub events: &'static [u8],
    /// What the store says.
    pub told: Told,
}

const fn row(
    name: &'static str,
    given: &'static [Given],
    expected: Expected,
    events: &'static [u8],
    told: Told,
) -> Row {
    Row { name, given, expected, events, told }
}

use Expected::{Any, Exact, NoStream, StreamExists};
use Given::{Elsewhere, Events, Hard, Metadata, Soft};
use Told::{Appended, Corrupted, Deleted, Repeated, Wrong};

/// The table. A deletion takes a number of its own: the stream goes on behind it.
pub const ROWS: &[Row] = &[
    row("any, never written", &[], Any, &[1, 2], Appended(0..2)),
    row("any, written", &[Events(&[1, 2])], Any, &[3], Appended(2..3)),
    row("any, softly deleted", &[Events(&[1]), Soft], Any, &[3], Appended(2..3)),
    row("any, all known", &[Events(&[1, 2, 3])], Any, &[2, 3], Repeated(1..3)),
    row("any, first known, a later one not", &[Events(&[1, 2])], Any, &[2, 3], Corrupted),
    row("any, first unknown, a later one known", &[Events(&[1, 2])], Any, &[3, 1], Appended(2..4)),
    row("any, known elsewhere", &[Elsewhere(&[1])], Any, &[1], Appended(0..1)),
    row("any, nothing to append", &[Events(&[1])], Any, &[], Appended(1..1)),
    row("exists, written", &[Events(&[1])], StreamExists, &[2], Appended(1..2)),
    row("exists, only metadata", &[Metadata], StreamExists, &[2], Appended(0..1)),
    row("exists, all known", &[Events(&[1, 2])], StreamExists, &[1, 2], Repeated(0..2)),
    row("exists, first known", &[Events(&[1, 2])], StreamExists, &[1, 3], Corrupted),
    row("exists, a later one known", &[Events(&[1, 2])], StreamExists, &[3, 1], Appended(2..4)),
    row(
        "exists, known elsewhere",
        &[Elsewhere(&[1]), Events(&[2])],
        StreamExists,
        &[1],
        Appended(1..2),
    ),
    row("exists, never written", &[], StreamExists, &[1], Wrong),
    row("exists, softly deleted", &[Events(&[1]), Soft], StreamExists, &[2], Deleted),
    row("exists, deleted", &[Events(&[1]), Hard], StreamExists, &[2], Deleted),
    row("none, never written", &[], NoStream, &[1, 2], Appended(0..2)),
    row("none, only metadata", &[Metadata], NoStream, &[1], Appended(0..1)),
    row("none, same events", &[Events(&[1, 2, 3])], NoStream, &[1, 2], Repeated(0..2)),
    row("none, other events", &[Events(&[1])], NoStream, &[2], Wrong),
    row("none, first the same", &[Events(&[1, 2])], NoStream, &[1, 3], Corrupted),
    row("none, softly deleted", &[Events(&[1, 2]), Soft], NoStream, &[3], Appended(3..4)),
    row("none, softly deleted, same", &[Events(&[1]), Soft], NoStream, &[1], Repeated(0..1)),
    row("the last", &[Events(&[1, 2])], Exact(1), &[3, 4], Appended(2..4)),
    row("the last, an id used before", &[Events(&[1, 2])], Exact(1), &[1], Appended(2..3)),
    row("the last, nothing to append", &[Events(&[1, 2])], Exact(1), &[], Appended(2..2)),
    row("the last, softly deleted", &[Events(&[1]), Soft], Exact(1), &[2], Appended(2..3)),
    row("earlier, all the same", &[Events(&[1, 2, 3])], Exact(0), &[2, 3], Repeated(1..3)),
    row("earlier, the first differs", &[Events(&[1, 2, 3])], Exact(0), &[4, 3], Wrong),
    row("earlier, a later one differs", &[Events(&[1, 2, 3])], Exact(0), &[2, 4], Corrupted),
    row("earlier, beyond the end", &[Events(&[1, 2, 3])], Exact(0), &[2, 3, 4], Corrupted),
    row("earlier, nothing to append", &[Events(&[1, 2])], Exact(0), &[], Wrong),
    row("later", &[Events(&[1, 2])], Exact(2), &[3], Wrong),
    row("later, never written", &[], Exact(0), &[1], Wrong),
    row("deleted, any", &[Events(&[1]), Hard], Any, &[2], Deleted),
    row("deleted, the same", &[Events(&[1]), Hard], Any, &[1], Deleted),
    row("deleted, none", &[Events(&[1]), Hard], NoStream, &[2], Deleted),
    row("deleted, the last", &[Events(&[1]), Hard], Exact(1), &[2], Deleted),
    row("deleted, earlier, the same", &[Events(&[1, 2]), Hard], Exact(0), &[2], Deleted),
    row("deleted, never written", &[Hard], NoStream, &[1], Deleted),
];

impl Bench {
    pub(super) async fn row(&self, row: &Row) -> Result<(), String> {
        let (stream, other) = (self.stream("row"), self.stream("other"));
        for (at, given) in row.given.iter().enumerate() {
            let id = self.id(100 + at as u8);
            let store = self.store();
            let done = match given {
                Events(numbers) => store.append(&stream, Any, self.events(numbers)).await,
                Elsewhere(numbers) => store.append(&other, Any, self.events(numbers)).await,
                Metadata => {
                    let metadata = ["$$", &stream].concat();
                    store.append(&metadata, Any, self.events(&[100 + at as u8])).await
                }
                Soft => store.delete_softly(&stream, Any, id).await,
                Hard => store.delete_for_ever(&stream, Any, id).await,
            };
            done.map_err(text)?;
        }
        let before = self.store().read_all(crate::event_store::Position(0), 1, &super::nothing());
        let before = before.await.map_err(text)?.head;
        let told = self.told(&stream, row.expected.clone(), row.events).await?;
        ensure(told == row.told, || format!("the store says {told:?}, not {:?}", row.told))?;
        let written = match &row.told {
            Appended(versions) => versions.end - versions.start,
            _ => 0,
        };
        let after = self.store().read_all(before, 1, &super::nothing()).await.map_err(text)?.head;
        ensure(after.0 == before.0 + written, || "another number of events was written".to_owned())
    }

    pub(super) async fn told(
        &self,
        stream: &str,
        expected: Expected,
        events: &[u8],
    ) -> Result<Told, String> {
        match self.store().append(stream, expected, self.events(events)).await {
            Ok(done) if done.repeated => Ok(Repeated(done.versions)),
            Ok(done) => Ok(Appended(done.versions)),
            Err(EventStoreError::Refused(Refused::WrongExpectedVersion { .. })) => Ok(Wrong),
            Err(EventStoreError::Refused(Refused::StreamDeleted { .. })) => Ok(Deleted),
            Err(EventStoreError::Refused(Refused::CorruptedIdempotency { .. })) => Ok(Corrupted),
            Err(error) => Err(error.to_string()),
        }
    }
}
