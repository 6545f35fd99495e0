//! Commands: a bus with typed handlers behind middleware.

use crate::event_store::{Append, EventId, EventStore, EventStoreError, Expected, NewEvent};
use serde::{Deserialize, Serialize};
use squall_env::platform::BoxFuture;
use squall_env::{Env, HasOutcome, Instant, Outcome, Position, mutant};
use std::any::Any;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// The streams in which the bus keeps what came of each command begin so.
pub const COMMANDS: &str = "command-";

/// The type of the event that says so.
pub const CONCLUDED: &str = "command_concluded";

/// What makes a command one and the same, however often it is dispatched. It is drawn at random, by
/// whoever gives the command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct CommandId(pub u128);

impl CommandId {
    /// A new one, out of the node's randomness.
    pub fn random(env: &Env) -> CommandId {
        CommandId(u128::from(env.random()) << 64 | u128::from(env.random()))
    }

    fn stream(self) -> String {
        format!("{COMMANDS}{:032x}", self.0)
    }
}

/// Something that is to be done.
pub trait Command: Any + Send + Sync {
    /// Its name, unlike that of every other command of the bus.
    const NAME: &'static str;

    /// Whether it makes sense by itself, whatever else is the case.
    ///
    /// # Errors
    /// Why not.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A command of any type.
pub trait AnyCommand: Send + Sync {
    /// See [`Command::validate`].
    ///
    /// # Errors
    /// Why the command makes no sense.
    fn validate(&self) -> Result<(), String>;

    /// The command, to be asked for its type.
    fn as_any(&self) -> &dyn Any;
}

impl<C: Command> AnyCommand for C {
    fn validate(&self) -> Result<(), String> {
        Command::validate(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Decides what a command leads to.
pub trait CommandHandler<C: Command>: Send + Sync {
    /// The events that the command leads to, under the expectations on which that was decided.
    /// The bus gives them their ids and appends all of them as one; if an expectation does not
    /// hold, the handler is asked anew. It does nothing else: it may be asked many times.
    ///
    /// # Errors
    /// [`HandlerError::Refused`] if nothing is to be done.
    fn handle<'a>(
        &'a self,
        command: &'a C,
        events: &'a dyn EventStore,
    ) -> BoxFuture<'a, Result<Vec<Append>, HandlerError>>;
}

/// Why a handler has not decided on anything.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HandlerError {
    /// The command must not be done, and this is why. It stays so, whoever dispatches it again.
    #[error("{0}")]
    Refused(String),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] EventStoreError),
}

/// What came of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dispatched {
    /// The position of its last event: who reads at least as of there sees what it did.
    pub position: Position,
    /// Whether it had been done before.
    pub repeated: bool,
}

/// Why a command was not done, or may not have been.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandError {
    /// Nobody handles commands of this name.
    #[error("nobody handles {0}")]
    Unregistered(&'static str),
    /// It makes no sense.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The handler has refused it for ever.
    #[error("refused: {0}")]
    Refused(String),
    /// Its deadline had passed before it was begun.
    #[error("the deadline had passed before the command was begun")]
    Late,
    /// Its deadline passed meanwhile. Whoever wants to know dispatches it again, with the same id.
    #[error("the deadline passed; the command may have been done")]
    Unanswered,
    /// The store did not answer, or holds what it cannot.
    #[error(transparent)]
    Store(#[from] EventStoreError),
}

impl HasOutcome for CommandError {
    fn outcome(&self) -> Outcome {
        match self {
            CommandError::Unregistered(_)
            | CommandError::Invalid(_)
            | CommandError::Refused(_)
            | CommandError::Late => Outcome::NotDone,
            CommandError::Unanswered | CommandError::Store(_) => Outcome::Indeterminate,
        }
    }
}

/// A command on its way to its handler.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Which command it is.
    pub id: CommandId,
    /// Its name.
    pub name: &'static str,
    /// Until when it is of use to anybody.
    pub deadline: Instant,
    /// The command.
    pub command: &'a dyn AnyCommand,
}

/// Something that commands pass on their way to their handlers.
pub trait Middleware: Send + Sync {
    /// Passes the command on to what comes [next](Next::run), or does not.
    fn handle<'a>(
        &'a self,
        call: Call<'a>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<Dispatched, CommandError>>;
}

/// What a command has to pass yet.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    bus: &'a CommandBus,
    rest: &'a [Box<dyn Middleware>],
}

impl<'a> Next<'a> {
    /// Passes a command on.
    pub fn run(self, call: Call<'a>) -> BoxFuture<'a, Result<Dispatched, CommandError>> {
        match self.rest.split_first() {
            Some((first, rest)) => first.handle(call, Next { rest, ..self }),
            None => Box::pin(self.bus.execute(call)),
        }
    }

    /// The node's environment.
    pub fn env(self) -> &'a Env {
        &self.bus.env
    }

    /// What came of a command, if it is concluded.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn concluded(
        self,
        id: CommandId,
    ) -> Result<Option<Result<Dispatched, CommandError>>, CommandError> {
        self.bus.concluded(id).await
    }
}

trait Handles: Send + Sync {
    fn handle<'a>(
        &'a self,
        command: &'a dyn AnyCommand,
        events: &'a dyn EventStore,
    ) -> Option<BoxFuture<'a, Result<Vec<Append>, HandlerError>>>;
}

struct Typed<C, H>(H, PhantomData<fn(C)>);

impl<C: Command, H: CommandHandler<C>> Handles for Typed<C, H> {
    fn handle<'a>(
        &'a self,
        command: &'a dyn AnyCommand,
        events: &'a dyn EventStore,
    ) -> Option<BoxFuture<'a, Result<Vec<Append>, HandlerError>>> {
        Some(self.0.handle(command.as_any().downcast_ref()?, events))
    }
}

/// What the bus remembers of a command.
#[derive(Serialize, Deserialize)]
enum Concluded {
    /// It was done, and so many events stand behind this one.
    Done(u32),
    Refused(String),
}

/// Brings commands to their handlers, and what these decide to the store.
///
/// What came of a command is an event of its own, which is appended together with those that the
/// command leads to. So a command that is dispatched again, here or on another node, is told what
/// came of it before, and is not done twice.
pub struct CommandBus {
    env: Env,
    events: Arc<dyn EventStore>,
    handlers: BTreeMap<&'static str, Box<dyn Handles>>,
    middleware: Vec<Box<dyn Middleware>>,
}

impl CommandBus {
    /// A bus without handlers and middleware.
    pub fn new(env: &Env, events: Arc<dyn EventStore>) -> CommandBus {
        let (handlers, middleware) = (BTreeMap::new(), Vec::new());
        CommandBus { env: env.clone(), events, handlers, middleware }
    }

    /// Adds middleware behind what was added before.
    #[must_use]
    pub fn with(mut self, middleware: impl Middleware + 'static) -> CommandBus {
        self.middleware.push(Box::new(middleware));
        self
    }

    /// Has commands of a type handled.
    ///
    /// # Panics
    /// If commands of this name have a handler already.
    #[must_use]
    pub fn register<C: Command>(mut self, handler: impl CommandHandler<C> + 'static) -> CommandBus {
        let typed = Typed(handler, PhantomData::<fn(C)>);
        let before = self.handlers.insert(C::NAME, Box::new(typed));
        assert!(before.is_none(), "{} has two handlers", C::NAME);
        self
    }

    /// Has a command done, once however often it is dispatched under this id.
    ///
    /// # Errors
    /// [`CommandError`], which knows the outcome.
    pub async fn dispatch<C: Command>(
        &self,
        id: CommandId,
        command: &C,
        deadline: Instant,
    ) -> Result<Dispatched, CommandError> {
        let next = Next { bus: self, rest: &self.middleware };
        next.run(Call { id, name: C::NAME, deadline, command }).await
    }

    async fn execute(&self, call: Call<'_>) -> Result<Dispatched, CommandError> {
        let unregistered = CommandError::Unregistered(call.name);
        let handler = self.handlers.get(call.name).ok_or(unregistered.clone())?;
        loop {
            let handled = handler.handle(call.command, &*self.events);
            let decided = match handled.ok_or(unregistered.clone())?.await {
                Ok(appends) => Ok(appends),
                Err(HandlerError::Refused(why)) => Err(why),
                Err(HandlerError::Store(error)) => return Err(error.into()),
            };
            let error = match self.conclude(call.id, &decided).await {
                Ok((position, false)) => {
                    let dispatched = Dispatched { position, repeated: false };
                    return decided.map(|_| dispatched).map_err(CommandError::Refused);
                }
                // Another try was here, and may have decided otherwise: what it did is in the way
                // of its copy.
                Ok((_, true)) => None,
                Err(error @ EventStoreError::Refused(_)) => Some(error),
                Err(error) => return Err(error.into()),
            };
            // Either somebody else was here, or this very command was concluded meanwhile.
            if let Some(concluded) = self.concluded(call.id).await? {
                self.env.sometimes("a command was concluded by another try");
                return concluded;
            }
            if let Some(error) = error.filter(|error| !error.is_conflict()) {
                return Err(error.into());
            }
            if self.env.now() >= call.deadline {
                return Err(CommandError::Unanswered);
            }
            self.env.sometimes("a command was decided anew");
        }
    }

    /// Appends what was decided, and that it was. Gives the last position, and whether something
    /// with these ids was there already.
    async fn conclude(
        &self,
        id: CommandId,
        decided: &Result<Vec<Append>, String>,
    ) -> Result<(Position, bool), EventStoreError> {
        let mut next = id.0;
        let mut draw = || {
            next = next.wrapping_add(1);
            EventId(next)
        };
        let mut appends = decided.clone().unwrap_or_default();
        for event in appends.iter_mut().flat_map(|append| &mut append.events) {
            let cause = EventId(id.0);
            let correlation = event.correlation.or(Some(cause));
            (event.id, event.causation, event.correlation) = (draw(), Some(cause), correlation);
        }
        let concluded = match decided {
            Ok(_) => Concluded::Done(appends.iter().map(|append| append.events.len() as u32).sum()),
            Err(why) => Concluded::Refused(why.clone()),
        };
        let data = postcard::to_stdvec(&concluded).unwrap_or_default();
        let event = NewEvent::new(EventId(id.0), CONCLUDED, data);
        if !mutant!(self.env, "cqrs/forgets-commands") {
            appends.insert(0, Append::new(id.stream(), Expected::NoStream, vec![event]));
        }
        let appended = self.events.append_all(appends).await?;
        let last = if mutant!(self.env, "cqrs/answers-with-the-stream-version") {
            appended.iter().map(|part| Position(part.versions.end)).max()
        } else {
            appended.iter().map(|part| part.position).max()
        };
        let repeated = appended.iter().any(|part| part.repeated);
        let is_trusted = mutant!(self.env, "cqrs/takes-a-copy-for-its-own");
        Ok((last.unwrap_or_default(), repeated && !is_trusted))
    }

    async fn concluded(
        &self,
        id: CommandId,
    ) -> Result<Option<Result<Dispatched, CommandError>>, CommandError> {
        let slice = self.events.read(&id.stream(), 0, 1).await?;
        let Some(event) = slice.events.first() else { return Ok(None) };
        let unreadable = |_| CommandError::Store(EventStoreError::Damaged(event.position));
        Ok(Some(match postcard::from_bytes(&event.data).map_err(unreadable)? {
            Concluded::Done(events) => {
                let position = Position(event.position.0 + u64::from(events));
                Ok(Dispatched { position, repeated: true })
            }
            Concluded::Refused(why) => Err(CommandError::Refused(why)),
        }))
    }
}
