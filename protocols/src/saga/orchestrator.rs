//! Who starts sagas, says where they stand, and, under a lease, does what they need.

use super::definition::{Definitions, NotDefined};
use super::driver::{Driver, End};
use super::effects::{Answer, Call};
use super::event::{Command, Entry, Event, SagaId};
use super::flaws::Flaws;
use super::log::{LogError, SagaLog};
use super::report::{Report, Status};
use super::state::{Halt, NotAllowed, State, Unreadable};
use crate::lock::{AcquireError, LockClient};
use squall_env::platform::BoxFuture;
use squall_env::sync::{Receiver, Sender, channel};
use squall_env::{Either, Elapsed, Env, HasOutcome, Instant, Outcome, Shown, Task, mutant, race};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How many sagas an owner works on at the same time.
pub const SAGAS_MAX: usize = 1024;

/// How often a command is tried that others come before.
const COMMAND_TRIES_MAX: u32 = 8;

/// Whoever takes part in sagas, as their owner reaches them.
pub trait Participants: Send + Sync {
    /// Carries a call to whom it concerns. Only an answer says that something was refused: whatever
    /// else goes wrong is [`Answer::Unknown`].
    fn call(&self, call: Call) -> BoxFuture<'_, Answer>;
}

/// What an operator should look at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Attention {
    /// The sagas that stand still.
    pub stuck: BTreeMap<SagaId, Halt>,
    /// The sagas that nobody can go on with here. They hold up no others.
    pub unreadable: BTreeMap<SagaId, Unreadable>,
}

/// Why an owner does not go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// The lease was lost.
    Lost,
    /// Somebody owns sagas under a greater token.
    Overtaken,
}

/// Why a saga was not started.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such definition.
    #[error(transparent)]
    NotDefined(#[from] NotDefined),
    /// There is another saga of this id.
    #[error("there is another saga of this id")]
    Taken,
    /// The log gave no answer. The saga may have been started; to ask again starts no second one.
    #[error("the saga may have been started: {0}")]
    Unknown(String),
}

impl HasOutcome for StartError {
    fn outcome(&self) -> Outcome {
        match self {
            StartError::NotDefined(_) | StartError::Taken => Outcome::NotDone,
            StartError::Unknown(_) => Outcome::Indeterminate,
        }
    }
}

/// Why a command was not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandError {
    /// It has no place now.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The saga's log gives no state.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Again and again something else came before it.
    #[error("the saga goes on too fast")]
    Busy,
    /// The log could not be read, and nothing was done.
    #[error("the saga's log cannot be read: {0}")]
    Unavailable(String),
    /// The log gave no answer. The command may have been taken.
    #[error("the command may have been taken: {0}")]
    Unknown(String),
}

impl HasOutcome for CommandError {
    fn outcome(&self) -> Outcome {
        match self {
            CommandError::Unknown(_) => Outcome::Indeterminate,
            _ => Outcome::NotDone,
        }
    }
}

pub(super) struct Inner {
    pub(super) env: Env,
    pub(super) log: Arc<dyn SagaLog>,
    pub(super) participants: Arc<dyn Participants>,
    pub(super) definitions: Definitions,
    pub(super) flaws: Flaws,
    poll: Duration,
    attention: Shown<Attention>,
}

/// Sagas on this node: cheap to clone. Every node may start them, ask for them and command them;
/// one at a time, under a lease, [runs](Orchestrator::run) them.
#[derive(Clone)]
pub struct Orchestrator(Arc<Inner>);

impl Orchestrator {
    /// Sagas of these definitions in this log. The owner looks every `poll` what is new in it.
    pub fn new(
        env: &Env,
        log: Arc<dyn SagaLog>,
        participants: Arc<dyn Participants>,
        definitions: Definitions,
        poll: Duration,
    ) -> Orchestrator {
        Orchestrator(Arc::new(Inner {
            env: env.clone(),
            log,
            participants,
            definitions,
            flaws: Flaws::of(env),
            poll,
            attention: env.show("attention", Attention::default()),
        }))
    }

    /// Starts a saga with the [current](Definitions::current) version of its definition. To ask
    /// twice starts it once.
    ///
    /// # Errors
    /// [`StartError`], which knows whether it may have been started.
    pub async fn start(
        &self,
        saga: SagaId,
        definition: &str,
        input: Vec<u8>,
    ) -> Result<(), StartError> {
        let current = self.0.definitions.current(definition)?;
        let event = Event::Started {
            definition: definition.to_owned(),
            version: current.version(),
            fingerprint: current.fingerprint(),
            input: input.clone(),
        };
        let unknown = |error: LogError| StartError::Unknown(error.to_string());
        match self.0.log.append(saga, 0, vec![Entry { token: 0, event }]).await {
            Ok(()) => return Ok(()),
            Err(LogError::Conflict) => {}
            Err(error) => return Err(unknown(error)),
        }
        let log = self.0.log.read(saga).await.map_err(unknown)?;
        let first = log.first().and_then(|bytes| Entry::decode(bytes).ok());
        match first.map(|entry| entry.event) {
            Some(Event::Started { definition: name, input: with, .. })
                if name == definition && with == input =>
            {
                Ok(())
            }
            _ => Err(StartError::Taken),
        }
    }

    /// Where a saga stands; nothing if there is none of this id.
    ///
    /// # Errors
    /// If the log gives no answer.
    pub async fn report(&self, saga: SagaId) -> Result<Option<Report>, LogError> {
        let log = self.0.log.read(saga).await?;
        if log.is_empty() {
            return Ok(None);
        }
        Ok(Some(match self.0.look(&log) {
            Ok((state, definition)) => Report::of(&state, &definition),
            Err(why) => {
                let status = Status::Unreadable(why.to_string());
                Report { status, steps: Vec::new() }
            }
        }))
    }

    /// Has a command taken, which must have its place: see [`State::allows`].
    ///
    /// # Errors
    /// [`CommandError`], which knows whether it may have been taken.
    pub async fn command(&self, saga: SagaId, command: Command) -> Result<(), CommandError> {
        for _ in 0..COMMAND_TRIES_MAX {
            let read = self.0.log.read(saga).await;
            let log = read.map_err(|error| CommandError::Unavailable(error.to_string()))?;
            let (state, definition) = self.0.look(&log)?;
            state.allows(&command, &definition)?;
            let entry = Entry { token: 0, event: Event::Commanded(command.clone()) };
            match self.0.log.append(saga, state.version(), vec![entry]).await {
                Ok(()) => return Ok(()),
                Err(LogError::Conflict) => {}
                Err(error) => return Err(CommandError::Unknown(error.to_string())),
            }
        }
        Err(CommandError::Busy)
    }

    /// What an operator should look at, as far as this node has seen it while it owned sagas.
    pub fn attention(&self) -> Attention {
        self.0.attention.read(Attention::clone)
    }

    /// Does what sagas need until `lost` is ready: then every call is given up, and nothing more is
    /// written. The token is that of the lease; it goes with every call, and into the log.
    pub async fn run(&self, token: u64, lost: impl Future<Output = ()>) -> Stopped {
        self.0.attention.update(&self.0.env, |attention| *attention = Attention::default());
        match race(lost, self.work(token)).await {
            Either::Left(()) => Stopped::Lost,
            Either::Right(()) => Stopped::Overtaken,
        }
    }

    /// Waits for this lock until `deadline`, and [runs](Orchestrator::run) sagas while it is held:
    /// for `ttl` since it was last renewed. Whoever wants to own sagas does this again and again.
    ///
    /// # Errors
    /// If the lock could not be had.
    pub async fn run_under(
        &self,
        locks: &LockClient,
        name: &str,
        ttl: Duration,
        deadline: Instant,
    ) -> Result<Stopped, AcquireError> {
        let lease = locks.acquire(name, ttl, deadline).await?;
        let token = lease.token().0;
        self.0.env.trace(|| format!("owns sagas under token {token}"));
        let stopped = self.run(token, async { _ = lease.lost().await }).await;
        self.0.env.trace(|| format!("owns sagas no more: {stopped:?}"));
        Ok(stopped)
    }

    /// Goes on until it is overtaken.
    async fn work(&self, token: u64) {
        let (sender, mut ended) = channel(&self.0.env, "sagas", SAGAS_MAX);
        let mut crew = Crew { at_work: BTreeMap::new(), at_rest: BTreeMap::new() };
        loop {
            // Without an answer it looks again in a while.
            if let Ok(unfinished) = self.0.log.unfinished().await {
                self.take_up(unfinished, token, &mut crew, &sender);
            }
            let until = self.0.env.now() + self.0.poll;
            while let Ok(Some((saga, end))) = next(&self.0.env, until, &mut ended).await {
                crew.at_work.remove(&saga);
                match end {
                    End::Overtaken => return,
                    End::Over => {}
                    End::Idle(version) => drop(crew.at_rest.insert(saga, version)),
                    End::Stuck(version, halt) => {
                        self.0.env.sometimes("a saga got stuck");
                        crew.at_rest.insert(saga, version);
                        self.attend(|attention| drop(attention.stuck.insert(saga, halt)));
                    }
                    End::Unreadable(version, why) => {
                        self.0.env.sometimes("a saga could not be read");
                        crew.at_rest.insert(saga, version);
                        self.attend(|attention| drop(attention.unreadable.insert(saga, why)));
                    }
                }
            }
        }
    }

    fn attend(&self, change: impl FnOnce(&mut Attention)) {
        self.0.attention.update(&self.0.env, change);
    }

    /// Begins to work on what has not ended and nobody works on, unless it waits for an operator
    /// who has said nothing yet.
    fn take_up(
        &self,
        unfinished: Vec<(SagaId, u64)>,
        token: u64,
        crew: &mut Crew,
        sender: &Sender<(SagaId, End)>,
    ) {
        let is_there = |saga: &SagaId| unfinished.iter().any(|(one, _)| one == saga);
        crew.at_rest.retain(|saga, _| is_there(saga));
        for (saga, version) in &unfinished {
            let rests = crew.at_rest.get(saga) == Some(version);
            if rests && mutant!(self.0.env, "saga/stops-at-the-first-bad-saga") {
                return;
            }
            if rests || crew.at_work.contains_key(saga) || crew.at_work.len() >= SAGAS_MAX {
                continue;
            }
            if crew.at_rest.remove(saga).is_some() {
                self.attend(|attention| {
                    attention.stuck.remove(saga);
                    attention.unreadable.remove(saga);
                });
            }
            let (inner, saga, sender) = (Arc::clone(&self.0), *saga, sender.clone());
            let task = self.0.env.spawn("saga", async move {
                let end = Driver::run(inner, saga, token).await;
                // If nobody listens, the lease is lost.
                let _ = sender.send((saga, end)).await;
            });
            crew.at_work.insert(saga, task);
        }
    }
}

impl Inner {
    pub(super) fn look(&self, log: &[Vec<u8>]) -> Result<(State, super::Definition), Unreadable> {
        let state = State::read_with(log, self.flaws)?;
        let current = self.definitions.current(&state.beginning().definition)?;
        let mut definition = state.definition(&self.definitions)?.clone();
        if definition != *current {
            self.env.sometimes("a saga was run by another version than new ones begin with");
            if mutant!(self.env, "saga/runs-by-the-version-of-the-day") {
                definition = current.clone();
            }
        }
        Ok((state, definition))
    }
}

async fn next(
    env: &Env,
    until: Instant,
    ended: &mut Receiver<(SagaId, End)>,
) -> Result<Option<(SagaId, End)>, Elapsed> {
    env.deadline(until, ended.receive()).await
}

/// The sagas of an owner. When it goes, nobody works on them any more.
struct Crew {
    at_work: BTreeMap<SagaId, Task<()>>,
    /// Those that wait for an operator, with the number of entries of their logs.
    at_rest: BTreeMap<SagaId, u64>,
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.at_work.values().for_each(Task::cancel);
    }
}
