//! Commands and queries apart (Young, "CQRS Documents", 2010): a bus takes commands to handlers
//! that append events, projections fold the events into views, and queries are answered from these.
//!
//! *Promises* that a command is done once however often it is dispatched, on whichever node; that a
//! view is the fold of all events up to its checkpoint, but for parked ones, at every moment, since
//! both change together; that an answer says of which position it is, and that it is stale if it is
//! older than was asked for; that an event which cannot be applied stops nothing but the rest of
//! its stream; that a view is rebuilt beside the one that is live, which is replaced in one step,
//! and that outside effects of an event happen through one of the two alone. *Needs* an [event
//! store](crate::event_store) without gaps, and a [store of tables](crate::unit_of_work) on the
//! node of the projectors. *Breaks* if the event store forgets events: a projector that has seen
//! more than there is stops and says so. A new version takes the place of the old one only once
//! both stand at the same event, which may take long while events come without a pause; and what is
//! still parked by the old one then never has its outside effects, so it should be replayed first.
//! The scenario `cqrs/orders` shows it; the specimens `dual-write` and `inserts-twice` are what
//! tutorials do.
//!
//! ```
//! use squall_env::Env;
//! use squall_env::platform::BoxFuture;
//! use squall_protocols::cqrs::{
//!     Command, CommandBus, CommandError, CommandHandler, CommandId, Deduplicate, HandlerError,
//!     Session, Validate,
//! };
//! use squall_protocols::event_store::{Append, EventId, EventStore, Expected, NewEvent};
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! struct Greet(&'static str);
//!
//! impl Command for Greet {
//!     const NAME: &'static str = "greet";
//!
//!     fn validate(&self) -> Result<(), String> {
//!         if self.0.is_empty() { Err("whom?".to_owned()) } else { Ok(()) }
//!     }
//! }
//!
//! struct Greeter;
//!
//! impl CommandHandler<Greet> for Greeter {
//!     fn handle<'a>(
//!         &'a self,
//!         Greet(whom): &'a Greet,
//!         _: &'a dyn EventStore,
//!     ) -> BoxFuture<'a, Result<Vec<Append>, HandlerError>> {
//!         // The bus gives events their ids.
//!         let greeted = NewEvent::new(EventId(0), "greeted", whom.as_bytes());
//!         let append = Append::new("greetings", Expected::Any, vec![greeted]);
//!         Box::pin(async move { Ok(vec![append]) })
//!     }
//! }
//!
//! async fn greet(env: &Env, events: Arc<dyn EventStore>) -> Result<Session, CommandError> {
//!     let bus = CommandBus::new(env, events).with(Validate).with(Deduplicate);
//!     let bus = bus.register::<Greet>(Greeter);
//!     let deadline = env.now() + Duration::from_secs(1);
//!     let id = CommandId::random(env);
//!     let done = bus.dispatch(id, &Greet("Ada"), deadline).await?;
//!     assert_eq!(bus.dispatch(id, &Greet("Ada"), deadline).await?.position, done.position);
//!     // Whoever reads in this session reads the greeting.
//!     let mut session = Session::default();
//!     session.did(&done);
//!     Ok(session)
//! }
//! ```

mod board;
mod command;
mod middleware;
mod projection;
mod projector;
mod views;

pub use board::Board;
pub use command::{
    AnyCommand, COMMANDS, CONCLUDED, Call, Command, CommandBus, CommandError, CommandHandler,
    CommandId, Dispatched, HandlerError, Middleware, Next,
};
pub use middleware::{Deadline, Deduplicate, Validate};
pub use projection::{ApplyError, Checkpoint, Live, Parked, Phase, Projection, TABLES, ViewWriter};
pub use projector::{Projector, ProjectorConfig, ProjectorError, Step};
pub use views::{Consistency, Query, QueryError, ReadResult, Session, Views};
