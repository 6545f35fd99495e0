//! The store on segments of its own: one log, one writer, and many appends to one sync.

use super::error::{EventStoreError, OpenError, Refused};
use super::event::{
    Append, Appended, EventId, Expected, Filter, RecordedEvent, Slice, StreamSlice,
};
use super::expected::{At, Known, Stream, Verdict, judge};
use super::index::Index;
use super::record::{Event, check};
use super::{EventStore, READ_BYTES_MAX};
use squall_env::journal::{Log, LogError, RunReader};
use squall_env::platform::BoxFuture;
use squall_env::sync::{WatchReceiver, WatchSender, watch};
use squall_env::{Env, Position, Shown, mutant};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// How a store on segments is set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentConfig {
    /// A segment that has grown beyond so many bytes is followed by a new one.
    pub segment_bytes_max: u64,
    /// Of how many of the last events the ids are kept in memory: so long is an append without an
    /// exact version known again.
    pub recent_ids_max: usize,
}

impl Default for SegmentConfig {
    /// Segments of 8 MiB, and 65 536 ids.
    fn default() -> SegmentConfig {
        SegmentConfig { segment_bytes_max: 8 << 20, recent_ids_max: 1 << 16 }
    }
}

/// At how many events one read of all streams looks, whether its filter lets them through or not.
const SCAN_MAX: u64 = 1 << 16;

/// How far a store has come, as it shows it to properties.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// The last position that readers see.
    pub visible: Position,
    /// The last position that was given to an event.
    pub appended: Position,
}

/// The store on segments of the node's own disk. Clones are the same store, which is closed when
/// the last of them is gone.
#[derive(Clone)]
pub struct SegmentStore {
    handle: Arc<Handle>,
}

struct Handle {
    inner: Arc<Inner>,
    durable: WatchReceiver<Position>,
}

struct Inner {
    env: Env,
    state: Mutex<State>,
    progress: Shown<Progress>,
}

struct State {
    log: Log,
    index: Index,
    /// Of the task that writes.
    writer: Option<Waker>,
    is_closed: bool,
    /// Why nothing is written any more.
    failed: Option<EventStoreError>,
}

impl SegmentStore {
    /// Opens the store called `name` of this node, or makes it. Every event is read once, to know
    /// where it stands. A name must not be in use by another store or machine of the node.
    ///
    /// # Errors
    /// [`OpenError`]: the disk fails, is another node's, or has lost committed events.
    pub async fn open(
        env: &Env,
        name: &str,
        config: SegmentConfig,
    ) -> Result<SegmentStore, OpenError> {
        let mut index = Index::new(config.recent_ids_max);
        let mut unknown = None;
        let log = Log::open(env, name, config.segment_bytes_max, |position, record| {
            let is_next = Event::read(record).is_some_and(|event| index.add(&event));
            if !is_next && unknown.is_none() {
                unknown = Some(position);
            }
        });
        let log = log.await?;
        if let Some(position) = unknown {
            return Err(OpenError::Unknown(position));
        }
        let durable = log.durable();
        let state = State { log, index, writer: None, is_closed: false, failed: None };
        let progress = env.show("event store", Progress { visible: durable, appended: durable });
        let inner = Arc::new(Inner { env: env.clone(), state: Mutex::new(state), progress });
        let (told, durable) = watch(env, "durable events", durable);
        env.spawn("event store", write(Arc::clone(&inner), told));
        Ok(SegmentStore { handle: Arc::new(Handle { inner, durable }) })
    }

    /// Waits until the store cannot go on, and says why: the node must stop and recover.
    pub async fn failed(&self) -> EventStoreError {
        let mut durable = self.handle.durable.clone();
        while durable.changed().await.is_ok() {}
        self.handle.inner.why()
    }

    fn durable(&self) -> Position {
        self.handle.durable.read(|position| *position)
    }

    /// Waits until everything up to this position is durable.
    async fn reach(&self, position: Position) -> Result<(), EventStoreError> {
        let mut durable = self.handle.durable.clone();
        while durable.read(|durable| *durable < position) {
            durable.changed().await.map_err(|_| self.handle.inner.why())?;
        }
        Ok(())
    }

    async fn append_now(&self, appends: Vec<Append>) -> Result<Vec<Appended>, EventStoreError> {
        check(&appends)?;
        let mut read = BTreeMap::new();
        loop {
            let decided = self.handle.inner.decide(&appends, &read);
            match decided {
                Decided::Read { stream, versions } => {
                    for (version, id) in self.ids(&stream, versions).await? {
                        read.insert((stream.clone(), version), id);
                    }
                }
                Decided::Done { result, shows } => {
                    if !mutant!(self.handle.inner.env, "event_store/acknowledges-before-durable") {
                        // What is refused rests on events, too, that may not be durable yet.
                        self.reach(shows).await?;
                    }
                    return result.map_err(EventStoreError::Refused);
                }
                Decided::Stopped(error) => return Err(error),
            }
        }
    }

    /// The ids of events of a stream, from the disk.
    async fn ids(
        &self,
        stream: &str,
        versions: Range<u64>,
    ) -> Result<Vec<(u64, Option<EventId>)>, EventStoreError> {
        let positions = self.handle.inner.lock().index.positions(stream, versions.clone());
        if let Some(last) = positions.last() {
            self.reach(*last).await?;
        }
        let events = self.events(&positions).await?;
        let mut found = events.iter().map(|event| event.id);
        Ok(versions.map(|version| (version, found.next())).collect())
    }

    /// Reads durable events at these positions, which increase: all of them, or as many as one
    /// read may give.
    async fn events(&self, positions: &[Position]) -> Result<Vec<RecordedEvent>, EventStoreError> {
        let runs = self.handle.inner.lock().log.find(positions.iter().copied());
        let (mut events, mut bytes, mut broken) = (Vec::new(), 0, None);
        let mut next = positions.iter();
        let mut reader = RunReader::new(&self.handle.inner.env);
        for run in &runs {
            if bytes >= READ_BYTES_MAX {
                break;
            }
            let shown = reader.read(run, |record| {
                let Some(position) = next.next() else { return };
                match Event::read(record) {
                    Some(event) if broken.is_none() => {
                        bytes += record.len();
                        events.push(event.recorded(*position));
                    }
                    Some(_) => {}
                    None => broken = broken.or(Some(*position)),
                }
            });
            shown.await?;
        }
        match broken {
            None => Ok(events),
            Some(position) => Err(EventStoreError::Damaged(position)),
        }
    }

    async fn read_stream(
        &self,
        stream: String,
        from: u64,
        max: usize,
    ) -> Result<StreamSlice, EventStoreError> {
        let durable = self.durable();
        let seen = self.handle.inner.lock().index.seen(&stream, from, max, durable);
        if seen.is_tombstoned {
            return Err(Refused::StreamDeleted { stream, for_ever: true }.into());
        }
        let events = self.events(&seen.positions).await?;
        let is_short = events.len() < seen.positions.len();
        let next = match events.last() {
            Some(event) if is_short => event.version + 1,
            _ => seen.next,
        };
        Ok(StreamSlice { events, next, last: seen.last, is_end: seen.is_end && !is_short })
    }

    async fn read_everything(
        &self,
        after: Position,
        max: usize,
        filter: Filter,
    ) -> Result<Slice, EventStoreError> {
        let head = self.durable();
        if after > head {
            return Err(Refused::Ahead { asked: after, head }.into());
        }
        let (positions, mut upto) = {
            let state = self.handle.inner.lock();
            // Nobody else may look meanwhile, so it does not look at too many.
            let end = head.min(Position(after.0.saturating_add(SCAN_MAX)));
            let (positions, upto) = state.index.select(&filter, after, end, max);
            let is_over = upto == head;
            if is_over && mutant!(self.handle.inner.env, "event_store/passes-over-undurable") {
                (positions, state.log.last())
            } else {
                (positions, upto)
            }
        };
        let events = self.events(&positions).await?;
        if let Some(event) = events.last().filter(|_| events.len() < positions.len()) {
            upto = event.position;
        }
        Ok(Slice { events, upto, head })
    }

    async fn wait(&self, after: Position, limit: Duration) -> Result<Position, EventStoreError> {
        let head = self.durable();
        if after > head {
            return Err(Refused::Ahead { asked: after, head }.into());
        }
        let beyond = self.reach(Position(after.0 + 1));
        match self.handle.inner.env.timeout(limit, beyond).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => Ok(self.durable()),
        }
    }
}

impl EventStore for SegmentStore {
    fn append_all(
        &self,
        appends: Vec<Append>,
    ) -> BoxFuture<'_, Result<Vec<Appended>, EventStoreError>> {
        Box::pin(self.append_now(appends))
    }

    fn read(
        &self,
        stream: &str,
        from: u64,
        max: usize,
    ) -> BoxFuture<'_, Result<StreamSlice, EventStoreError>> {
        Box::pin(self.read_stream(stream.to_owned(), from, max))
    }

    fn read_all(
        &self,
        after: Position,
        max: usize,
        filter: &Filter,
    ) -> BoxFuture<'_, Result<Slice, EventStoreError>> {
        Box::pin(self.read_everything(after, max, filter.clone()))
    }

    fn wait_beyond(
        &self,
        after: Position,
        limit: Duration,
    ) -> BoxFuture<'_, Result<Position, EventStoreError>> {
        Box::pin(self.wait(after, limit))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        state.is_closed = true;
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

/// What came of looking at an append.
enum Decided {
    /// The ids of these events are to be read first.
    Read {
        stream: String,
        versions: Range<u64>,
    },
    /// It is decided, and rests on everything up to a position.
    Done {
        result: Result<Vec<Appended>, Refused>,
        shows: Position,
    },
    Stopped(EventStoreError),
}

/// What the rules ask for, of one stream.
struct Found<'a> {
    index: &'a Index,
    append: &'a Append,
    read: &'a BTreeMap<(String, u64), Option<EventId>>,
    /// Nothing is read: a mutant.
    is_forgetful: bool,
}

impl Known for Found<'_> {
    fn at(&self, version: u64) -> At {
        if let Some(read) = self.read.get(&(self.append.stream.clone(), version)) {
            return read.map_or(At::Nothing, At::Event);
        }
        let (Expected::Exact(_) | Expected::NoStream) = self.append.expected else {
            return At::Unread;
        };
        let first = match self.append.expected {
            Expected::Exact(last) => last + 1,
            _ => 0,
        };
        let event = &self.append.events[(version - first) as usize];
        match self.index.at(&self.append.stream, version, event.id) {
            At::Unread if self.is_forgetful => At::Nothing,
            at => at,
        }
    }

    fn recent(&self, id: EventId) -> Option<u64> {
        self.index.recent(&self.append.stream, id)
    }

    fn condition(&self, expected: &Expected) -> Option<Position> {
        let Expected::Condition(filter, after) = expected else { return None };
        self.index.first(filter, *after)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn why(&self) -> EventStoreError {
        self.lock().failed.clone().unwrap_or(EventStoreError::Stopped)
    }

    /// Decides on an append, and if all its expectations hold, gives its events to the log.
    fn decide(
        &self,
        appends: &[Append],
        read: &BTreeMap<(String, u64), Option<EventId>>,
    ) -> Decided {
        let mut state = self.lock();
        if let Some(error) = &state.failed {
            return Decided::Stopped(error.clone());
        }
        let shows = state.log.last();
        let mut verdicts = Vec::new();
        for append in appends {
            let is_forgetful = mutant!(self.env, "event_store/knows-ids-from-memory-alone");
            let found = Found { index: &state.index, append, read, is_forgetful };
            let stream = state.index.stream(&append.stream);
            let mut verdict = judge(append, &stream, &found);
            if mutant!(self.env, "event_store/appends-without-expected-version") {
                verdict = by_luck(verdict);
            }
            match verdict {
                Verdict::Read(versions) => {
                    return Decided::Read { stream: append.stream.clone(), versions };
                }
                Verdict::Refuse(refused) => return Decided::Done { result: Err(refused), shows },
                Verdict::Append => verdicts.push(None),
                Verdict::Repeated(versions) => verdicts.push(Some((versions, stream))),
            }
        }
        let result = self.settle(&mut state, appends, verdicts);
        let shows = state.log.last();
        let writer = state.writer.take();
        drop(state);
        let is_shown = mutant!(self.env, "event_store/shows-what-is-not-durable");
        self.progress.update(&self.env, |progress| {
            progress.appended = progress.appended.max(shows);
            progress.visible = if is_shown { progress.appended } else { progress.visible };
        });
        if let Some(writer) = writer {
            writer.wake();
        }
        Decided::Done { result, shows }
    }

    /// Appends all of them, or finds that all of them were appended before.
    fn settle(
        &self,
        state: &mut State,
        appends: &[Append],
        verdicts: Vec<Option<(Range<u64>, Stream)>>,
    ) -> Result<Vec<Appended>, Refused> {
        let with_events =
            || appends.iter().zip(&verdicts).filter(|(append, _)| !append.events.is_empty());
        let is_new = with_events().any(|(_, verdict)| verdict.is_none());
        let torn = with_events().find(|(_, verdict)| verdict.is_some()).filter(|_| is_new);
        if let Some((append, _)) = torn {
            return Err(Refused::CorruptedIdempotency { stream: append.stream.clone() });
        }
        let wall = self.env.wall();
        let mut done = Vec::new();
        for (append, verdict) in appends.iter().zip(verdicts) {
            if let Some((versions, _)) = verdict {
                let last = versions.end - 1;
                let positions = state.index.positions(&append.stream, last..versions.end);
                let position = positions.last().copied().unwrap_or_default();
                done.push(Appended { versions, position, repeated: true });
                continue;
            }
            let first = state.index.stream(&append.stream).last.map_or(0, |last| last + 1);
            for (version, event) in (first..).zip(&append.events) {
                let record = || Event::of(&append.stream, version, event, wall);
                let is_next = state.index.add(&record());
                assert!(is_next, "an event gets the number behind the last one's");
                state.log.append_with(|into| record().write(into));
                if mutant!(self.env, "event_store/batch-in-parts") {
                    state.log.start();
                }
            }
            let versions = first..first + append.events.len() as u64;
            done.push(Appended { versions, position: state.log.last(), repeated: false });
        }
        Ok(done)
    }
}

/// What a store without expected versions does.
fn by_luck(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Refuse(Refused::WrongExpectedVersion { .. }) | Verdict::Read(_) => Verdict::Append,
        other => other,
    }
}

/// Writes what is appended until the store is closed or its disk fails.
async fn write(inner: Arc<Inner>, told: WatchSender<Position>) {
    loop {
        let polled = poll_fn(|cx| {
            let mut state = inner.lock();
            state.log.start();
            match state.log.poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if state.is_closed && state.log.durable() == state.log.last() => {
                    Poll::Ready(None)
                }
                Poll::Pending => {
                    state.writer = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        });
        match polled.await {
            None => return,
            Some(Ok(durable)) => {
                inner.progress.update(&inner.env, |progress| progress.visible = durable);
                told.set(durable);
            }
            Some(Err(error)) => {
                inner.lock().failed = Some(EventStoreError::Failed(error.to_string()));
                return;
            }
        }
    }
}

impl From<LogError> for EventStoreError {
    fn from(error: LogError) -> EventStoreError {
        EventStoreError::Failed(error.to_string())
    }
}
