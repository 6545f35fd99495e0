//! What keeps a version of a projection up to date.

use super::board::Board;
use super::command::CONCLUDED;
use super::projection::{ApplyError, Checkpoint, Live, Parked, Phase, Projection, ViewWriter, id};
use crate::event_store::{EventStore, EventStoreError, Filter, RecordedEvent, Refused};
use crate::specification::field;
use crate::unit_of_work::{CommitError, Entity, StoreError, TableStore, UnitError, UnitOfWork};
use squall_env::{Env, Position, mutant};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How a projector works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProjectorConfig {
    /// So many events are read, and applied in one step, at most.
    pub batch: usize,
    /// So often an event is tried that cannot be applied, before it is parked.
    pub attempts: u32,
    /// How long it waits between two tries, and after a store did not answer.
    pub backoff: Duration,
    /// How long it waits for events before it asks again whether it is still wanted.
    pub wait: Duration,
}

impl Default for ProjectorConfig {
    /// Batches of 64 events, five tries 200 ms apart, and waits of a second.
    fn default() -> ProjectorConfig {
        ProjectorConfig {
            batch: 64,
            attempts: 5,
            backoff: Duration::from_millis(200),
            wait: Duration::from_secs(1),
        }
    }
}

/// Why a projector does not go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProjectorError {
    /// A later version is live.
    #[error("a later version of the projection has taken its place")]
    Retired,
    /// The checkpoint is beyond the end of the events: they were lost, or are of another store.
    #[error("the checkpoint is at {}, and the events end at {}", .checkpoint.0, .head.0)]
    Ahead {
        /// Where the projection stands.
        checkpoint: Position,
        /// The last position of the event store.
        head: Position,
    },
    /// The event store did not answer.
    #[error(transparent)]
    Events(#[from] EventStoreError),
    /// The tables of the view did not answer, or hold what they should not.
    #[error(transparent)]
    View(#[from] UnitError),
}

impl ProjectorError {
    /// Whether it can be tried again: a store was not there, or somebody else was faster.
    fn is_passing(&self) -> bool {
        match self {
            ProjectorError::Retired | ProjectorError::Ahead { .. } => false,
            ProjectorError::Events(error) => {
                !matches!(error, EventStoreError::Stopped | EventStoreError::Damaged(_))
            }
            ProjectorError::View(error) => !matches!(
                error,
                UnitError::Store(StoreError::UnknownTable(_) | StoreError::Specification(_))
                    | UnitError::Commit(CommitError::Malformed { .. })
                    | UnitError::Unreadable { .. }
            ),
        }
    }
}

/// What a step of a projector did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It applied events, or changed what the version is there for.
    Moved,
    /// An event could not be applied; it is to be tried again after a while.
    Failed,
    /// There was nothing to do behind this position.
    Idle(Position),
}

/// Keeps one version of a projection up to date.
///
/// Several projectors of the same version do no harm: each step rests on the checkpoint that it
/// has read, so of two that were made on the same one only one takes effect.
pub struct Projector {
    env: Env,
    events: Arc<dyn EventStore>,
    unit: UnitOfWork,
    projection: Arc<dyn Projection>,
    config: ProjectorConfig,
    board: Board,
    id: String,
    /// The streams of parked events, as of a revision and position of the checkpoint.
    parked: Option<((Position, i64), BTreeSet<String>)>,
    /// An event that could not be applied, and how often it was tried.
    failing: Option<(Position, u32)>,
}

impl Projector {
    /// A projector that reads events there, and writes to tables here.
    pub fn new(
        env: &Env,
        (events, tables): (Arc<dyn EventStore>, Arc<dyn TableStore>),
        projection: Arc<dyn Projection>,
        config: ProjectorConfig,
        board: &Board,
    ) -> Projector {
        Projector {
            env: env.clone(),
            events,
            unit: UnitOfWork::new(env, tables),
            id: id(projection.name(), projection.version()),
            projection,
            config,
            board: board.clone(),
            parked: None,
            failing: None,
        }
    }

    /// Keeps the version up to date until that makes no sense any more, and says why.
    pub async fn run(&mut self) -> ProjectorError {
        loop {
            let waited = match self.step().await {
                Ok(Step::Moved) => continue,
                Ok(Step::Idle(after)) => {
                    self.events.wait_beyond(after, self.config.wait).await.map(drop)
                }
                Ok(Step::Failed) => {
                    self.env.sleep(self.config.backoff).await;
                    continue;
                }
                Err(error) if error.is_passing() => {
                    self.env.trace(|| format!("projection {}: {error}", self.id));
                    self.env.sleep(self.config.backoff).await;
                    continue;
                }
                Err(error) => return error,
            };
            if waited.is_err() {
                self.env.sleep(self.config.backoff).await;
            }
        }
    }

    /// Applies the next events, if there are any.
    ///
    /// # Errors
    /// [`ProjectorError`]. Nothing of the step took effect, or all of it did: the next step begins
    /// with what is there.
    pub async fn step(&mut self) -> Result<Step, ProjectorError> {
        self.unit.rollback();
        let checkpoint = self.checkpoint().await?;
        let upto = match checkpoint.phase {
            Phase::Retired => return Err(ProjectorError::Retired),
            Phase::Live => None,
            Phase::Building => {
                let live = self.live_checkpoint().await?;
                if live.position <= checkpoint.position
                    || mutant!(self.env, "cqrs/rebuilds-in-place")
                {
                    return self.switch(checkpoint, live).await;
                }
                // Ahead of the live one there would be effects that nobody had.
                Some(live.position)
            }
        };
        self.know_parked(&checkpoint).await?;
        let after = if mutant!(self.env, "cqrs/inclusive-checkpoint") {
            Position(checkpoint.position.0.saturating_sub(1))
        } else {
            checkpoint.position
        };
        let most = if self.failing.is_some() { 1 } else { self.config.batch };
        let slice = self.events.read_all(after, most, &Filter::all()).await;
        let mut slice = slice.map_err(|error| match error {
            EventStoreError::Refused(Refused::Ahead { asked, head }) => {
                ProjectorError::Ahead { checkpoint: asked, head }
            }
            error => error.into(),
        })?;
        self.board.stands(&self.id, checkpoint.position, slice.head);
        if let Some(upto) = upto {
            slice.events.retain(|event| event.position <= upto);
            slice.upto = slice.upto.min(upto);
        }
        if mutant!(self.env, "cqrs/stays-behind-what-it-does-not-handle") {
            // No projection handles what the bus keeps for itself.
            let handled = slice.events.iter().rfind(|event| event.kind != CONCLUDED);
            slice.upto = handled.map_or(checkpoint.position, |event| event.position);
        }
        if slice.upto <= checkpoint.position {
            return Ok(Step::Idle(checkpoint.position));
        }
        let reached = if mutant!(self.env, "cqrs/skips-to-the-end") {
            upto.unwrap_or(slice.head)
        } else if mutant!(self.env, "cqrs/checkpoint-ahead-of-events") {
            Position(slice.upto.0 + 1)
        } else {
            slice.upto
        };
        self.apply(checkpoint, &slice.events, reached).await
    }

    /// Applies events and moves the checkpoint, as one.
    async fn apply(
        &mut self,
        checkpoint: Checkpoint,
        events: &[RecordedEvent],
        reached: Position,
    ) -> Result<Step, ProjectorError> {
        let moved = Checkpoint { position: reached, ..checkpoint.clone() };
        if mutant!(self.env, "cqrs/checkpoint-before-apply") {
            self.unit.update(&moved)?;
            self.unit.commit().await?;
        }
        for event in events {
            if let Err(error) = self.apply_one(&checkpoint, event).await {
                // Nothing of the batch is left, and its events are applied one by one.
                self.unit.rollback();
                let why = error.poison()?;
                return self.fails(event, why).await;
            }
        }
        if mutant!(self.env, "cqrs/apply-without-checkpoint") {
            self.unit.commit().await?;
            self.unit.get::<Checkpoint>(&self.id).await?;
        }
        if !mutant!(self.env, "cqrs/checkpoint-before-apply") {
            self.unit.update(&moved)?;
        }
        self.commit(moved).await
    }

    /// Whether what an event does outside is this version's to do: all of it has been done that
    /// came before it took another one's place.
    fn has_effects(&self, checkpoint: &Checkpoint, event: &RecordedEvent) -> bool {
        if mutant!(self.env, "cqrs/rebuild-speaks-again") {
            return true;
        }
        checkpoint.phase == Phase::Live && event.position > checkpoint.gate
    }

    async fn apply_one(
        &mut self,
        checkpoint: &Checkpoint,
        event: &RecordedEvent,
    ) -> Result<(), ApplyError> {
        let parked = self.parked.as_ref().is_some_and(|(_, parked)| parked.contains(&event.stream));
        if parked {
            return Ok(self.park(event, "it comes after a parked event".to_owned(), 0)?);
        }
        let has_effects = self.has_effects(checkpoint, event);
        let mut writer = ViewWriter::new(&mut self.unit, has_effects);
        self.projection.apply(event, &mut writer).await
    }

    fn park(
        &mut self,
        event: &RecordedEvent,
        reason: String,
        attempts: i64,
    ) -> Result<(), UnitError> {
        let (stream, position) = (event.stream.clone(), event.position);
        let projection = self.id.clone();
        self.unit.add(&Parked { projection, stream, position, reason, attempts })
    }

    /// An event could not be applied.
    async fn fails(&mut self, event: &RecordedEvent, why: String) -> Result<Step, ProjectorError> {
        let before = self.failing.filter(|(position, _)| *position == event.position);
        let attempts = before.map_or(0, |(_, attempts)| attempts) + 1;
        self.failing = Some((event.position, attempts));
        // It is tried by itself from now on, so the checkpoint stands right before it, unless
        // another projector has applied it meanwhile: then nothing is wrong with the event.
        let checkpoint = self.checkpoint().await?;
        let is_next = checkpoint.position.0 + 1 == event.position.0;
        if attempts < self.config.attempts || !is_next || mutant!(self.env, "cqrs/poison-stops-all")
        {
            return Ok(Step::Failed);
        }
        self.env.sometimes("a poison event was parked");
        self.park(event, why, i64::from(attempts))?;
        if let Some((_, parked)) = &mut self.parked {
            parked.insert(event.stream.clone());
        }
        let moved = Checkpoint { position: event.position, ..checkpoint };
        self.unit.update(&moved)?;
        self.commit(moved).await
    }

    /// Commits what was applied, with the checkpoint where it is now.
    async fn commit(&mut self, moved: Checkpoint) -> Result<Step, ProjectorError> {
        let committed = self.unit.commit().await;
        if committed.is_err() {
            // Perhaps another projector was here; perhaps nobody knows. The next step looks.
            self.unit.rollback();
            self.parked = None;
        }
        committed?;
        if let Some((known, streams)) = &mut self.parked {
            *known = (moved.position, moved.revision);
            self.board.blocks(&self.id, streams.len());
        }
        if self.failing.is_some_and(|(position, _)| position <= moved.position) {
            self.failing = None;
        }
        let head = self.board.head(&self.id).max(moved.position);
        self.board.stands(&self.id, moved.position, head);
        Ok(Step::Moved)
    }

    /// The checkpoint; a version that has none begins with one.
    async fn checkpoint(&mut self) -> Result<Checkpoint, ProjectorError> {
        if let Some(checkpoint) = self.unit.get::<Checkpoint>(&self.id).await? {
            return Ok(checkpoint);
        }
        let (name, version) = (self.projection.name(), self.projection.version());
        let live = self.unit.get::<Live>(name).await?;
        let phase = match &live {
            None => Phase::Live,
            Some(live) if live.version < version => Phase::Building,
            Some(_) => return Err(ProjectorError::Retired),
        };
        if live.is_none() {
            self.unit.add(&Live { name: name.to_owned(), version })?;
        }
        let (id, zero) = (self.id.clone(), Position(0));
        let first = Checkpoint { id, position: zero, gate: zero, phase, revision: 0 };
        self.unit.add(&first)?;
        self.unit.commit().await?;
        Ok(self.unit.get::<Checkpoint>(&self.id).await?.unwrap_or(first))
    }

    /// Where the version that is live stands.
    async fn live_checkpoint(&mut self) -> Result<Checkpoint, ProjectorError> {
        let name = self.projection.name();
        let unreadable = || UnitError::Unreadable { table: "live projections", key: name.into() };
        let live = self.unit.get::<Live>(name).await?.ok_or_else(unreadable)?;
        let checkpoint = self.unit.get(&id(name, live.version)).await?;
        Ok(checkpoint.ok_or_else(unreadable)?)
    }

    /// Takes the place of the version that is live. Both stand at the same position, which the
    /// commit checks: so no reader goes back, and every event has its effects once.
    async fn switch(&mut self, own: Checkpoint, live: Checkpoint) -> Result<Step, ProjectorError> {
        let (name, version) = (self.projection.name().to_owned(), self.projection.version());
        let own = Checkpoint { phase: Phase::Live, gate: live.position, ..own };
        self.unit.update(&Live { name, version })?;
        self.unit.update(&Checkpoint { phase: Phase::Retired, ..live })?;
        self.unit.update(&own)?;
        let moved = self.commit(own).await?;
        self.env.sometimes("a rebuilt view took the place of the old one");
        Ok(moved)
    }

    /// Reads which streams have parked events, unless it is known.
    async fn know_parked(&mut self, checkpoint: &Checkpoint) -> Result<(), ProjectorError> {
        let now = (checkpoint.position, checkpoint.revision);
        if self.parked.as_ref().is_some_and(|(known, _)| *known == now) {
            return Ok(());
        }
        let own = field("projection").is(self.id.as_str());
        let parked = self.unit.peek::<Parked>(&own).await?;
        let streams: BTreeSet<String> = parked.into_iter().map(|event| event.stream).collect();
        self.board.blocks(&self.id, streams.len());
        self.parked = Some((now, streams));
        Ok(())
    }

    /// The parked events of this version, by their positions.
    ///
    /// # Errors
    /// [`ProjectorError`] if the tables do not answer.
    pub async fn parked(&mut self) -> Result<Vec<Parked>, ProjectorError> {
        self.unit.rollback();
        let own = field("projection").is(self.id.as_str());
        Ok(self.unit.peek(&own).await?)
    }

    /// Applies the parked events of a stream in their order, as far as that goes: for whoever has
    /// repaired what was wrong. Says how many were applied, and why the next one was not.
    ///
    /// # Errors
    /// [`ProjectorError`] if a store does not answer; what was said of those before holds.
    pub async fn replay(
        &mut self,
        stream: &str,
    ) -> Result<(usize, Option<String>), ProjectorError> {
        let all = self.parked().await?;
        let mut applied = 0;
        for parked in all.into_iter().filter(|event| event.stream == stream) {
            let after = Position(parked.position.0 - 1);
            let slice = self.events.read_all(after, 1, &Filter::all()).await?;
            let Some(event) = slice.events.first() else { break };
            self.unit.rollback();
            let checkpoint = self.checkpoint().await?;
            let key = parked.key();
            if self.unit.get::<Parked>(&key).await?.is_none() {
                // Somebody else has replayed it.
                continue;
            }
            let has_effects = self.has_effects(&checkpoint, event);
            let mut writer = ViewWriter::new(&mut self.unit, has_effects);
            if let Err(error) = self.projection.apply(event, &mut writer).await {
                self.unit.rollback();
                return Ok((applied, Some(error.poison()?)));
            }
            self.unit.remove::<Parked>(&key)?;
            let revision = checkpoint.revision + 1;
            let moved = Checkpoint { revision, ..checkpoint };
            self.unit.update(&moved)?;
            self.parked = None;
            self.commit(moved).await?;
            applied += 1;
        }
        Ok((applied, None))
    }
}
