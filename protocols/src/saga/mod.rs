//! A saga: steps on several services, each a transaction of its own, that come out as all done or
//! as all undone, or stop where everybody can see it.
//!
//! *Promises* that a saga that was started ends with every step done, or with every step undone
//! that may have had an effect, or stands still as [`Status::Stuck`] until an [operator](Command)
//! says how to go on; that a step whose outcome is unknown is asked again under the same key
//! before anything is built on it, and undone if nobody ever knows; that what completed is undone
//! in reverse; that participants who keep [`Effects`] do each step once and undo it once, however
//! often they are asked, and never do late what was undone before; and that one saga that cannot
//! be read holds up no other. *Needs* a log that appends only behind exactly what the writer has
//! seen, one owner at a time under a lease with growing tokens, participants that record effect
//! and key in one atomic step, and every version of a definition for as long as sagas of it run.
//! *Breaks* if a participant says "refused" without knowing that it had no effect. There is no
//! isolation: others see what is half done. The scenario `saga/orders` shows it.
//!
//! [`State`] is the pure core: what a saga's log folds to, and what it does [next](State::next). An
//! [`Orchestrator`] on every node starts sagas, reports on them and takes commands; the one that
//! holds the lock [runs](Orchestrator::run_under) them, over a [`SagaLog`], as the
//! [`EventStoreLog`] is one. What a service remembers of sagas, its [`Effects`], grows with every
//! saga, since nobody can say when the last copy of a call has arrived.
//!
//! Sagas are those of Garcia-Molina and Salem ("Sagas", SIGMOD 1987), with backward recovery up to
//! the pivot and forward recovery behind it.
//!
//! ```
//! use squall_protocols::saga::{Definition, Entry, Event, Next, State, Step};
//!
//! let order = Definition::of("order", 1)
//!     .compensatable("reserve", &[])
//!     .compensatable("credit", &[])
//!     .pivot("charge")
//!     .retriable("ship", &[])
//!     .build()?;
//! let started = Event::Started {
//!     definition: order.name().to_owned(),
//!     version: order.version(),
//!     fingerprint: order.fingerprint(),
//!     input: b"two apples".to_vec(),
//! };
//! let mut saga = State::begin(&Entry { token: 0, event: started })?;
//! saga.apply(&Entry { token: 1, event: Event::Claimed })?;
//! // Nothing orders the first two, so both are asked for.
//! let Next::Ask(asks) = saga.next(&order) else { panic!() };
//! for ask in &asks {
//!     saga.apply(&Entry { token: 1, event: ask.intent() })?;
//! }
//! // One is done and the other refused: what is done is undone.
//! let done = Event::Done { step: Step(0), output: vec![] };
//! let refused = Event::Refused { step: Step(1), reason: "no credit".to_owned() };
//! for event in [done, refused] {
//!     saga.apply(&Entry { token: 1, event })?;
//! }
//! let Next::Record(turned_back) = saga.next(&order) else { panic!() };
//! saga.apply(&Entry { token: 1, event: turned_back })?;
//! let Next::Ask(undos) = saga.next(&order) else { panic!() };
//! assert_eq!((undos.len(), undos[0].step, undos[0].is_undo), (1, Step(0), true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod definition;
mod driver;
mod effects;
mod event;
mod event_log;
mod flaws;
mod fold;
mod log;
mod orchestrator;
mod report;
mod state;

pub use definition::{
    Builder, Definition, DefinitionError, Definitions, Kind, NotDefined, Patience, STEPS_MAX, Step,
};
pub use effects::{Answer, Call, Effect, Effects, Mark, Served};
pub use event::{Command, DecodeError, Ending, Entry, Event, SagaId, Why};
pub use event_log::{EventStoreLog, stream_of};
pub use log::{LogError, SagaLog};
pub use orchestrator::{
    Attention, CommandError, Orchestrator, Participants, SAGAS_MAX, StartError, Stopped,
};
pub use report::{Cause, Report, Status, StepReport, StepStatus};
pub use state::{Ask, Beginning, Halt, Next, NotAllowed, Progress, State, Unreadable};

#[cfg(test)]
mod tests;
