//! Aggregates in an event store: load, decide, append, and again if something came between.

use super::Aggregate;
use super::snapshots::{Snapshot, Snapshots, schema_hash};
use crate::event_store::{
    Append, Appended, EventId, EventStore, EventStoreError, Expected, NewEvent, Schema, SchemaError,
};
use squall_env::{Env, HasOutcome, Outcome, mutant};
use std::sync::Arc;

/// The most events that are read at once.
const READ_MAX: usize = 256;

/// How a repository goes about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// After how many events behind the last snapshot a load leaves another one.
    pub snapshot_every: u64,
    /// How often a decision is made anew when something else has happened meanwhile.
    pub attempts_max: u32,
}

impl Default for Settings {
    /// A snapshot every 100 events, and 10 attempts.
    fn default() -> Settings {
        Settings { snapshot_every: 100, attempts_max: 10 }
    }
}

/// Aggregates of one kind, each in a stream of its own.
pub struct Repository<A: Aggregate> {
    env: Env,
    store: Arc<dyn EventStore>,
    prefix: String,
    schema: Schema<A::Event>,
    snapshots: Option<Arc<dyn Snapshots>>,
    settings: Settings,
}

/// An aggregate as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded<A> {
    /// Its state.
    pub state: A,
    /// The number of its last event; `None` if nothing has happened to it.
    pub last: Option<u64>,
}

/// What a command has brought about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handled<A: Aggregate> {
    /// What has happened to each aggregate that was asked, in order.
    pub events: Vec<Vec<A::Event>>,
    /// Where it stands, likewise. Aggregates to which nothing has happened have no part in it.
    pub appended: Vec<Appended>,
}

/// A decision that may have been recorded or not. Sent again as it is, it is recorded once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt(Vec<Append>);

/// Why a command was not done, or is not known to be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RepositoryError<E: std::error::Error + 'static> {
    /// The aggregate refuses it.
    #[error(transparent)]
    Rejected(E),
    /// Something else has happened to the aggregate each time.
    #[error("something else happened first, {0} times")]
    Conflict(u32),
    /// An event cannot be read.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// It could not be read: nothing was done.
    #[error("could not be read: {0}")]
    Unread(EventStoreError),
    /// The store refuses it for good.
    #[error("could not be recorded: {0}")]
    Refused(EventStoreError),
    /// It may have been recorded. [`Repository::finish`] makes sure.
    #[error("may have been recorded: {error}")]
    Unknown {
        /// What may have been.
        attempt: Attempt,
        /// What the store said.
        error: EventStoreError,
    },
}

impl<E: std::error::Error + 'static> HasOutcome for RepositoryError<E> {
    fn outcome(&self) -> Outcome {
        match self {
            RepositoryError::Rejected(_)
            | RepositoryError::Conflict(_)
            | RepositoryError::Schema(_)
            | RepositoryError::Unread(_) => Outcome::NotDone,
            RepositoryError::Refused(error) => error.outcome(),
            RepositoryError::Unknown { .. } => Outcome::Indeterminate,
        }
    }
}

impl<A: Aggregate> Repository<A> {
    /// The aggregates whose streams are called `PREFIX-ID`.
    pub fn new(env: &Env, store: Arc<dyn EventStore>, prefix: impl Into<String>) -> Repository<A> {
        Repository {
            env: env.clone(),
            store,
            prefix: prefix.into(),
            schema: Schema::new(),
            snapshots: None,
            settings: Settings::default(),
        }
    }

    /// Reads and writes events by this schema.
    #[must_use]
    pub fn schema(mut self, schema: Schema<A::Event>) -> Repository<A> {
        self.schema = schema;
        self
    }

    /// Keeps snapshots here, if the aggregate has any.
    #[must_use]
    pub fn snapshots(mut self, snapshots: Arc<dyn Snapshots>) -> Repository<A> {
        self.snapshots = Some(snapshots);
        self
    }

    /// Goes about it so.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Repository<A> {
        self.settings = settings;
        self
    }

    /// The stream of an aggregate.
    pub fn stream(&self, id: &str) -> String {
        [&self.prefix, "-", id].concat()
    }

    /// The state of an aggregate: that of its snapshot, and what has happened since.
    ///
    /// # Errors
    /// If the store does not answer, or an event cannot be read.
    pub async fn load(&self, id: &str) -> Result<Loaded<A>, RepositoryError<A::Error>> {
        let stream = self.stream(id);
        let hash = A::SNAPSHOT.map(schema_hash);
        let begin = match (&self.snapshots, hash) {
            (Some(snapshots), Some(hash)) => self.begin(&**snapshots, &stream, hash).await,
            _ => None,
        };
        let from = begin.as_ref().and_then(|loaded| loaded.last).map_or(0, |last| last + 1);
        let start = begin.unwrap_or(Loaded { state: A::default(), last: None });
        let Some(loaded) = self.go_on(start, &stream, from).await? else {
            // It was deleted since the snapshot: what is left begins anew.
            let start = Loaded { state: A::default(), last: None };
            let anew = self.go_on(start, &stream, 0).await?;
            return Ok(anew.unwrap_or(Loaded { state: A::default(), last: None }));
        };
        let behind = loaded.last.map_or(0, |last| last + 1) - from;
        if let (Some(snapshots), Some(schema), Some(version)) = (&self.snapshots, hash, loaded.last)
            && behind >= self.settings.snapshot_every
        {
            let snapshot = Snapshot { version, schema, state: loaded.state.save() };
            // Without it the next load takes longer, and that is all.
            if snapshots.save(&stream, snapshot).await.is_ok() {
                self.env.sometimes("a snapshot was taken");
            }
        }
        Ok(loaded)
    }

    /// The state of an aggregate, from all its events.
    ///
    /// # Errors
    /// As [`Repository::load`].
    pub async fn replay(&self, id: &str) -> Result<Loaded<A>, RepositoryError<A::Error>> {
        let start = || Loaded { state: A::default(), last: None };
        Ok(self.go_on(start(), &self.stream(id), 0).await?.unwrap_or_else(start))
    }

    async fn begin(&self, snapshots: &dyn Snapshots, stream: &str, hash: u64) -> Option<Loaded<A>> {
        let snapshot = snapshots.load(stream).await.ok().flatten()?;
        let is_other = snapshot.schema != hash;
        if is_other {
            self.env.sometimes("a snapshot was of another schema");
        }
        if is_other && !mutant!(self.env, "aggregate/uses-snapshot-of-old-schema") {
            return None;
        }
        let state = A::restore(&snapshot.state)?;
        self.env.sometimes("a snapshot was used");
        Some(Loaded { state, last: Some(snapshot.version) })
    }

    /// What has happened from the event `from` on; `None` if the events before it are not those of
    /// the state any more.
    async fn go_on(
        &self,
        mut loaded: Loaded<A>,
        stream: &str,
        from: u64,
    ) -> Result<Option<Loaded<A>>, RepositoryError<A::Error>> {
        let mut next = from;
        loop {
            let read = self.store.read(stream, next, READ_MAX).await;
            let slice = read.map_err(RepositoryError::Unread)?;
            let first = slice.events.first().map_or(next, |event| event.version);
            // Events that are passed over were hidden by a deletion.
            let is_gone = first != next || slice.last.is_none_or(|last| last + 1 < next);
            if from > 0 && is_gone {
                return Ok(None);
            }
            for event in &slice.events {
                if let Some(event) = self.schema.read(event)? {
                    loaded.state.evolve(&event);
                }
                if !mutant!(self.env, "aggregate/stays-at-its-version") {
                    loaded.last = Some(event.version);
                }
            }
            next = slice.next;
            if slice.is_end {
                return Ok(Some(loaded));
            }
        }
    }

    /// Asks one aggregate to do something, and records what happens then.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn handle(
        &self,
        id: &str,
        command: A::Command,
    ) -> Result<Handled<A>, RepositoryError<A::Error>> {
        self.handle_all(&[(id, command)]).await
    }

    /// Asks several aggregates, each once, and records what happens to all of them as a whole: if
    /// one refuses, nothing happens to any.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn handle_all(
        &self,
        commands: &[(&str, A::Command)],
    ) -> Result<Handled<A>, RepositoryError<A::Error>> {
        let mut events = vec![Vec::new(); commands.len()];
        for _ in 0..self.settings.attempts_max.max(1) {
            let mut appends = Vec::new();
            for ((id, command), events) in commands.iter().zip(&mut events) {
                let Loaded { state, last } = self.load(id).await?;
                if !mutant!(self.env, "aggregate/keeps-what-was-not-recorded") {
                    events.clear();
                }
                events.extend(state.decide(command).map_err(RepositoryError::Rejected)?);
                if !events.is_empty() {
                    appends.push(self.append(id, last, events));
                }
            }
            if appends.is_empty() {
                return Ok(Handled { events, appended: Vec::new() });
            }
            match self.store.append_all(appends.clone()).await {
                Ok(appended) => return Ok(Handled { events, appended }),
                Err(error) if error.is_conflict() => {
                    self.env.sometimes("a decision was made anew");
                }
                Err(error @ EventStoreError::Refused(_)) => {
                    return Err(RepositoryError::Refused(error));
                }
                Err(error) => {
                    let attempt = Attempt(appends);
                    return Err(RepositoryError::Unknown { attempt, error });
                }
            }
        }
        Err(RepositoryError::Conflict(self.settings.attempts_max))
    }

    fn append(&self, id: &str, last: Option<u64>, events: &[A::Event]) -> Append {
        let stream = self.stream(id);
        let new = |event: &A::Event| {
            let (kind, schema, data) = self.schema.write(&stream, event);
            NewEvent::new(EventId::random(&self.env), kind, data).schema(schema)
        };
        let events = events.iter().map(new).collect();
        let expected = last.map_or(Expected::NoStream, Expected::Exact);
        Append { stream, expected, events }
    }

    /// Sends a decision again of which nobody knows whether it was recorded.
    ///
    /// # Errors
    /// [`RepositoryError::Conflict`] if it was not, and something else has happened;
    /// [`RepositoryError::Unknown`] if the store does not answer again.
    pub async fn finish(
        &self,
        attempt: &Attempt,
    ) -> Result<Vec<Appended>, RepositoryError<A::Error>> {
        match self.store.append_all(attempt.0.clone()).await {
            Ok(appended) => Ok(appended),
            Err(error) if error.is_conflict() => Err(RepositoryError::Conflict(1)),
            Err(error @ EventStoreError::Refused(_)) => Err(RepositoryError::Refused(error)),
            Err(error) => Err(RepositoryError::Unknown { attempt: attempt.clone(), error }),
        }
    }
}
