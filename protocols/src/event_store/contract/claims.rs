//! What a store does besides judging what is expected.

use super::expected::Told;
use super::{Bench, ensure, nothing, text};
use crate::event_store::{
    APPEND_BYTES_MAX, Append, EVENT_BYTES_MAX, EventId, EventStoreError, Expected, Filter,
    NewEvent, Position, READ_BYTES_MAX, RecordedEvent, Refused, Slice, TOMBSTONE,
};
use squall_env::platform::BoxFuture;
use squall_env::{HasOutcome, Outcome};
use std::time::Duration;

type Checked<'a> = BoxFuture<'a, Result<(), String>>;

/// The checks and what they claim.
pub(super) const CLAIMS: &[(&str, for<'a> fn(&'a mut Bench) -> Checked<'a>)] = &[
    ("what is appended is read back as it was", |bench| Box::pin(bench.reads_back())),
    ("a stream is read in parts", |bench| Box::pin(bench.reads_in_parts())),
    ("positions have no gaps and go on", |bench| Box::pin(bench.positions_go_on())),
    ("a filter passes over events and says how far", |bench| Box::pin(bench.filters())),
    ("a batch is done as a whole or not at all", |bench| Box::pin(bench.is_atomic())),
    ("a batch that is repeated in part is refused", |bench| Box::pin(bench.repeats_whole())),
    ("a condition is broken by what came behind it", |bench| Box::pin(bench.conditions())),
    ("of many with one exact version one wins", |bench| Box::pin(bench.one_wins())),
    ("a soft deletion hides what was before", |bench| Box::pin(bench.deletes_softly())),
    ("a tombstone leaves no gap", |bench| Box::pin(bench.deletes_for_ever())),
    ("who waits hears of the next event", |bench| Box::pin(bench.waits())),
    ("a position beyond the end is refused", |bench| Box::pin(bench.is_not_ahead())),
    ("what is too large is refused", |bench| Box::pin(bench.has_limits())),
    ("large events come in several reads", |bench| Box::pin(bench.gives_little_at_once())),
    ("all is there when it is opened again", |bench| Box::pin(bench.comes_back())),
];

impl Bench {
    async fn head(&self) -> Result<Position, String> {
        Ok(self.store().read_all(Position(0), 1, &nothing()).await.map_err(text)?.head)
    }

    async fn all(&self, after: Position, filter: &Filter) -> Result<Vec<RecordedEvent>, String> {
        let (mut events, mut after) = (Vec::new(), after);
        loop {
            let slice = self.store().read_all(after, 3, filter).await.map_err(text)?;
            ensure(slice.upto > after || slice.head == after, || "it does not go on".to_owned())?;
            events.extend(slice.events);
            if slice.upto == slice.head {
                return Ok(events);
            }
            after = slice.upto;
        }
    }

    async fn put(&self, stream: &str, numbers: &[u8]) -> Result<Position, String> {
        let done = self.store().append(stream, Expected::Any, self.events(numbers)).await;
        Ok(done.map_err(text)?.position)
    }

    async fn reads_back(&mut self) -> Result<(), String> {
        let stream = self.stream("s");
        let mut first = self.event(1).schema(7);
        first.correlation = Some(self.id(9));
        self.store()
            .append(&stream, Expected::NoStream, vec![first.clone()])
            .await
            .map_err(text)?;
        let slice = self.store().read(&stream, 0, 10).await.map_err(text)?;
        let [read] = &slice.events[..] else { return Err("there is not one event".to_owned()) };
        let second = self.event(2).caused_by(read);
        self.store().append(&stream, Expected::Exact(0), vec![second]).await.map_err(text)?;
        let slice = self.store().read(&stream, 0, 10).await.map_err(text)?;
        let [first_read, second_read] = &slice.events[..] else {
            return Err("there are not two events".to_owned());
        };
        let same = first_read.id == first.id
            && (first_read.version, second_read.version) == (0, 1)
            && first_read.stream == stream
            && (first_read.kind.as_str(), first_read.schema) == ("counted", 7)
            && first_read.data == [1]
            && second_read.metadata.causation == Some(first.id)
            && second_read.metadata.correlation == Some(self.id(9))
            && first_read.metadata.causation.is_none();
        ensure(same, || format!("they are {first_read:?} and {second_read:?}"))?;
        ensure((slice.last, slice.next, slice.is_end) == (Some(1), 2, true), || {
            format!("the slice is {slice:?}")
        })
    }

    async fn reads_in_parts(&mut self) -> Result<(), String> {
        let stream = self.stream("s");
        self.put(&stream, &[0, 1, 2, 3, 4]).await?;
        for (from, max, wanted, is_end) in
            [(0, 2, 0..2, false), (2, 2, 2..4, false), (4, 2, 4..5, true), (9, 2, 9..9, true)]
        {
            let slice = self.store().read(&stream, from, max).await.map_err(text)?;
            let versions: Vec<u64> = slice.events.iter().map(|event| event.version).collect();
            let right = versions.iter().copied().eq(wanted.clone())
                && slice.next == wanted.end
                && slice.is_end == is_end
                && slice.last == Some(4);
            ensure(right, || format!("from {from}: {slice:?}"))?;
        }
        let absent = self.store().read(&self.stream("absent"), 0, 2).await.map_err(text)?;
        ensure(absent.events.is_empty() && absent.last.is_none() && absent.is_end, || {
            "a stream is there that nobody wrote".to_owned()
        })
    }

    async fn positions_go_on(&mut self) -> Result<(), String> {
        let (a, b) = (self.stream("a"), self.stream("b"));
        let before = self.head().await?;
        for number in 0..6 {
            self.put(if number % 2 == 0 { &a } else { &b }, &[number, 10 + number]).await?;
        }
        let events = self.all(before, &Filter::all()).await?;
        let positions = events.iter().map(|event| event.position.0);
        ensure(positions.eq(before.0 + 1..=before.0 + 12), || "there are gaps".to_owned())?;
        let data: Vec<u8> = events.iter().flat_map(|event| event.data.clone()).collect();
        ensure(data == [0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15], || "another order".to_owned())
    }

    async fn filters(&mut self) -> Result<(), String> {
        let before = self.head().await?;
        let (a, b) = (self.stream("filter-a"), self.stream("filter-b"));
        self.put(&a, &[1]).await?;
        self.put(&b, &[2, 3, 4, 5]).await?;
        let other = NewEvent::new(self.id(6), "other", [6]);
        let last = self.store().append(&a, Expected::Any, vec![other]).await.map_err(text)?;
        let of = |events: Vec<RecordedEvent>| -> Vec<u8> {
            events.into_iter().flat_map(|event| event.data).collect()
        };
        let some = of(self.all(before, &Filter::stream(&a)).await?);
        ensure(some == [1, 6], || format!("of one stream {some:?}"))?;
        let some = of(self.all(before, &Filter::prefix("filter-").kinds(["counted"])).await?);
        ensure(some == [1, 2, 3, 4, 5], || format!("of one type {some:?}"))?;
        let slice = self.store().read_all(before, 10, &nothing()).await.map_err(text)?;
        let wanted = Slice { events: Vec::new(), upto: last.position, head: last.position };
        ensure(slice == wanted, || format!("nothing is {slice:?}"))
    }

    async fn is_atomic(&mut self) -> Result<(), String> {
        let (a, b) = (self.stream("a"), self.stream("b"));
        let before = self.put(&b, &[0]).await?;
        let batch = |expected| {
            vec![
                Append::new(&a, Expected::NoStream, self.events(&[1, 2])),
                Append::new(&b, expected, self.events(&[3])),
            ]
        };
        let refused = self.store().append_all(batch(Expected::NoStream)).await;
        let refused = matches!(
            refused,
            Err(EventStoreError::Refused(Refused::WrongExpectedVersion { stream, .. }))
            if stream == b
        );
        ensure(refused, || "a batch was done though one part was refused".to_owned())?;
        ensure(self.head().await? == before, || "a part of it was done".to_owned())?;
        let done = self.store().append_all(batch(Expected::Exact(0))).await.map_err(text)?;
        let places: Vec<_> =
            done.iter().map(|one| (one.versions.clone(), one.position.0)).collect();
        ensure(places == [(0..2, before.0 + 2), (1..2, before.0 + 3)], || format!("{places:?}"))?;
        let twice = vec![
            Append::new(&a, Expected::Any, self.events(&[4])),
            Append::new(&a, Expected::Any, self.events(&[5])),
        ];
        let twice = self.store().append_all(twice).await;
        ensure(matches!(twice, Err(EventStoreError::Refused(Refused::Invalid(_)))), || {
            "a stream was taken twice".to_owned()
        })
    }

    async fn repeats_whole(&mut self) -> Result<(), String> {
        let (a, b) = (self.stream("a"), self.stream("b"));
        let batch = || {
            vec![
                Append::new(&a, Expected::NoStream, self.events(&[1, 2])),
                Append::new(&b, Expected::NoStream, self.events(&[3])),
            ]
        };
        let first = self.store().append_all(batch()).await.map_err(text)?;
        let again = self.store().append_all(batch()).await.map_err(text)?;
        let same = first.iter().zip(&again).all(|(first, again)| {
            again.repeated && (first.position, &first.versions) == (again.position, &again.versions)
        });
        ensure(same, || format!("{again:?} is not {first:?}"))?;
        let mut mixed = batch();
        mixed[1] = Append::new(self.stream("c"), Expected::NoStream, self.events(&[3]));
        let mixed = self.store().append_all(mixed).await;
        let corrupted =
            matches!(mixed, Err(EventStoreError::Refused(Refused::CorruptedIdempotency { .. })));
        ensure(corrupted, || format!("a part was appended: {mixed:?}"))
    }

    async fn conditions(&mut self) -> Result<(), String> {
        let (a, b) = (self.stream("seat-a"), self.stream("seat-b"));
        let known = self.put(&a, &[1]).await?;
        let query = Filter::stream(&a).kinds(["counted"]);
        let on = |position| Expected::Condition(query.clone(), position);
        let done = self.told(&b, on(known), &[2]).await?;
        ensure(done == Told::Appended(0..1), || format!("it holds, and {done:?}"))?;
        let again = self.told(&b, on(known), &[2]).await?;
        ensure(again == Told::Repeated(0..1), || format!("it was done, and {again:?}"))?;
        let other = NewEvent::new(self.id(3), "other", []);
        self.store().append(&a, Expected::Any, vec![other]).await.map_err(text)?;
        let done = self.told(&b, on(known), &[4]).await?;
        ensure(done == Told::Appended(1..2), || "another type broke it".to_owned())?;
        let broken = self.put(&a, &[5]).await?;
        let refused = self.store().append(&b, on(known), self.events(&[6])).await;
        let found = Err(EventStoreError::Refused(Refused::ConditionFailed { found: broken }));
        ensure(refused == found, || format!("it does not hold, and {refused:?}"))
    }

    async fn one_wins(&mut self) -> Result<(), String> {
        let stream = self.stream("s");
        self.put(&stream, &[0]).await?;
        let mut racers = Vec::new();
        for number in 1..=5 {
            let store = self.store.clone().ok_or("it is closed")?;
            let (stream, event) = (stream.clone(), self.event(number));
            racers.push(self.env.spawn("racer", async move {
                store.append(&stream, Expected::Exact(0), vec![event]).await
            }));
        }
        let (mut won, mut lost) = (0, 0);
        for racer in racers {
            match racer.await.map_err(|_| "a racer is gone")? {
                Ok(done) if done.versions == (1..2) => won += 1,
                Err(error) if error.is_conflict() && error.outcome() == Outcome::NotDone => {
                    lost += 1;
                }
                other => return Err(format!("one is told {other:?}")),
            }
        }
        ensure((won, lost) == (1, 4), || format!("{won} have won and {lost} have lost"))
    }

    async fn deletes_softly(&mut self) -> Result<(), String> {
        let stream = self.stream("s");
        let before = self.put(&stream, &[0, 1]).await?;
        let id = self.id(50);
        let done = self.store().delete_softly(&stream, Expected::Exact(1), id).await;
        ensure(done.map_err(text)?.versions == (2..3), || "another number".to_owned())?;
        let slice = self.store().read(&stream, 0, 10).await.map_err(text)?;
        ensure(slice.events.is_empty() && slice.last.is_none(), || format!("it shows {slice:?}"))?;
        self.put(&stream, &[3]).await?;
        let slice = self.store().read(&stream, 0, 10).await.map_err(text)?;
        let versions: Vec<u64> = slice.events.iter().map(|event| event.version).collect();
        ensure(versions == [3] && slice.last == Some(3), || format!("it shows {slice:?}"))?;
        let all = self.all(Position(before.0 - 2), &Filter::stream(&stream)).await?;
        ensure(all.len() == 4, || format!("{} of 4 events are in the order of all", all.len()))
    }

    async fn deletes_for_ever(&mut self) -> Result<(), String> {
        let stream = self.stream("s");
        let before = self.put(&stream, &[0]).await?;
        let id = self.id(50);
        let done = self.store().delete_for_ever(&stream, Expected::Exact(0), id).await;
        let done = done.map_err(text)?;
        ensure(done.position.0 == before.0 + 1, || "there is a gap".to_owned())?;
        let again = self.store().delete_for_ever(&stream, Expected::Exact(0), id).await;
        ensure(again.is_ok_and(|again| again.repeated), || "it cannot be repeated".to_owned())?;
        let read = self.store().read(&stream, 0, 10).await;
        let deleted = Refused::StreamDeleted { stream: stream.clone(), for_ever: true };
        ensure(read == Err(deleted.into()), || "it can be read".to_owned())?;
        let all = self.all(before, &Filter::all()).await?;
        ensure(
            matches!(&all[..], [marker] if marker.kind == TOMBSTONE && marker.is_system()),
            || format!("{all:?} is behind it"),
        )
    }

    async fn waits(&mut self) -> Result<(), String> {
        let head = self.head().await?;
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(10));
        let nothing_came = self.store().wait_beyond(head, short).await;
        ensure(nothing_came == Ok(head), || format!("nothing came, and {nothing_came:?}"))?;
        let store = self.store.clone().ok_or("it is closed")?;
        let waiter = self.env.spawn("waiter", async move { store.wait_beyond(head, long).await });
        self.env.sleep(short).await;
        let position = self.put(&self.stream("s"), &[1]).await?;
        let heard = waiter.await.map_err(|_| "the waiter is gone")?;
        ensure(heard == Ok(position), || format!("it heard {heard:?}"))
    }

    async fn is_not_ahead(&mut self) -> Result<(), String> {
        let head = self.head().await?;
        let asked = Position(head.0 + 1);
        let ahead = EventStoreError::Refused(Refused::Ahead { asked, head });
        let read = self.store().read_all(asked, 1, &Filter::all()).await;
        ensure(read == Err(ahead.clone()), || format!("a read says {read:?}"))?;
        let waited = self.store().wait_beyond(asked, Duration::from_millis(5)).await;
        ensure(waited == Err(ahead), || format!("a wait says {waited:?}"))
    }

    async fn has_limits(&mut self) -> Result<(), String> {
        let stream = self.stream("s");
        let large = |number, bytes| NewEvent::new(self.id(number), "large", vec![number; bytes]);
        let half = APPEND_BYTES_MAX / 2 - 1024;
        let refused = [
            vec![large(1, EVENT_BYTES_MAX + 1)],
            vec![large(1, half), large(2, half), large(3, half)],
            vec![NewEvent::new(self.id(1), "$mine", [])],
            vec![NewEvent::new(self.id(1), "", [])],
            vec![NewEvent::tombstone(self.id(1)), self.event(2)],
        ];
        for events in refused {
            let error = self.store().append(&stream, Expected::Any, events).await.err();
            let refused = matches!(
                error,
                Some(EventStoreError::Refused(Refused::TooLarge { .. } | Refused::Invalid(_)))
            );
            ensure(refused, || format!("it says {error:?}"))?;
        }
        let nobody = self.store().append("", Expected::Any, self.events(&[1])).await;
        ensure(nobody.is_err(), || "a stream needs no name".to_owned())
    }

    async fn gives_little_at_once(&mut self) -> Result<(), String> {
        let (stream, before) = (self.stream("s"), self.head().await?);
        for number in 0..6 {
            let event = NewEvent::new(self.id(number), "large", vec![number; READ_BYTES_MAX / 2]);
            self.store().append(&stream, Expected::Any, vec![event]).await.map_err(text)?;
        }
        let (mut versions, mut next) = (Vec::new(), 0);
        loop {
            let slice = self.store().read(&stream, next, 100).await.map_err(text)?;
            let bytes: usize = slice.events.iter().map(|event| event.data.len()).sum();
            ensure(bytes <= READ_BYTES_MAX * 2, || format!("{bytes} bytes at once"))?;
            versions.extend(slice.events.iter().map(|event| event.version));
            next = slice.next;
            if slice.is_end {
                break;
            }
        }
        ensure(versions == [0, 1, 2, 3, 4, 5], || format!("it gives {versions:?}"))?;
        let all = self.all(before, &Filter::all()).await?;
        ensure(all.len() == 6, || format!("{} events in all", all.len()))
    }

    async fn comes_back(&mut self) -> Result<(), String> {
        let (stream, gone) = (self.stream("s"), self.stream("gone"));
        self.put(&stream, &[1, 2]).await?;
        self.put(&gone, &[3]).await?;
        let tombstone = EventId(u128::from(self.salt) + 1);
        self.store().delete_for_ever(&gone, Expected::Any, tombstone).await.map_err(text)?;
        let before = self.all(Position(0), &Filter::all()).await?;
        self.reopen().await?;
        let after = self.all(Position(0), &Filter::all()).await?;
        ensure(before == after, || "it holds other events".to_owned())?;
        let again = self.told(&stream, Expected::NoStream, &[1, 2]).await?;
        ensure(again == Told::Repeated(0..2), || format!("what was done is {again:?}"))?;
        let deleted = self.told(&gone, Expected::Any, &[4]).await?;
        ensure(deleted == Told::Deleted, || format!("what was deleted is {deleted:?}"))?;
        let next = self.told(&stream, Expected::Exact(1), &[5]).await?;
        ensure(next == Told::Appended(2..3), || format!("it goes on with {next:?}"))
    }
}
