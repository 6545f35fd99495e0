//! Deterministic simulation testing: a seeded, single-threaded world in which a distributed system
//! meets everything that can go wrong, again and again from the same seed.
//!
//! A system under test is written against [`Env`](squall_env::Env). A [`Scenario`] says how many
//! nodes run it, what load they get, which faults it must survive, and what must hold:
//!
//! ```
//! use squall::{Scenario, Tolerance, Watch};
//! use squall_env::{Env, Port};
//! use std::time::Duration;
//!
//! /// Says hello to the other nodes for ever, and counts what it hears.
//! async fn serve(env: Env) -> Result<(), squall_env::platform::BindError> {
//!     let mut hellos = env.messages::<u64>(Port::named("hello"))?;
//!     let heard = env.show("heard", 0u64);
//!     loop {
//!         hellos.send_all(env.addresses("node", Port::named("hello")), &1);
//!         let pause = env.sleep(Duration::from_millis(10));
//!         let listening = async {
//!             while let Ok((_, one)) = hellos.receive().await {
//!                 heard.update(&env, |heard| *heard += one);
//!             }
//!         };
//!         squall_env::race(pause, listening).await;
//!     }
//! }
//!
//! let scenario = Scenario::new("example/hello")
//!     .nodes("node", 2..=3, serve)
//!     .tolerates(Tolerance::nothing().any_network())
//!     .always("nobody hears too much", || {
//!         |view: &squall_env::View<'_>| match view.up::<u64>().all(|heard| *heard < 10_000) {
//!             true => Ok(()),
//!             false => Err("somebody does".to_owned()),
//!         }
//!     });
//! let watch = Watch { until_ns: 1_000_000_000, ..Watch::default() };
//! let first = squall::run_plan(&scenario, 7, &scenario.plan(7), watch);
//! let second = squall::run_plan(&scenario, 7, &scenario.plan(7), watch);
//! assert_eq!(first.failure, None);
//! assert_eq!(first.digest, second.digest);
//! ```
//!
//! # What a run depends on
//!
//! On build, scenario, seed and plan, and on nothing else. Every decision is a keyed choice
//! ([`choice`]): it hangs on what is decided and for whom, not on how many decisions came before.
//! Everything that happens goes into a digest per node ([`digest`]). Code that reaches around the
//! environment (threads, the system clock, hash maps with random state, statics) breaks this;
//! [`lint`] finds it. *The limit*: whoever hears of a change may behave differently from then on.
//!
//! # What a run says
//!
//! The macros of `tracing` work in user code as they do elsewhere. What they emit within a run goes
//! into its trace, with virtual time, node and boot ([`Seeds`] says how to read it), and a run is
//! the same whether somebody reads it or not.
//!
//! # More
//!
//! The [`guide`] has short pages: on the weather and how to ask for it, on what a system promises
//! to survive, on properties, on what disks keep and connections promise, and the words. A
//! [`script`] tells a run step by step instead.
//!
//! Deliberately absent: ticks (time jumps from event to event), threads, and links that nobody
//! uses.

pub mod check;
pub mod choice;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod conditions;
pub mod digest;
mod drawn;
mod events;
pub mod explore;
mod failure;
pub mod guide;
pub mod lint;
mod names;
pub mod plan;
#[cfg(feature = "proptest")]
pub mod proptest;
pub mod regression;
mod report;
pub mod repro;
mod run;
mod scenario;
pub mod script;
mod search;
mod shrink;
mod story;
pub mod table;
mod tally;
mod test;
mod tolerance;
pub mod trace;
mod twice;
mod why;
mod words;
mod world;

pub use check::linearizable;
pub use client::{Client, Operation};
pub use conditions::{Conditions, NodeConditions, Struck, conditions};
pub use failure::{Class, Failure};
pub use plan::Plan;
pub use repro::{Expected, Repro, ReproError};
pub use run::{Combined, Outcome as RunOutcome, Watch, run, run_plan};
pub use scenario::{EVENTS_MAX, FINISHES, PENDING_MAX, RECOVERY, Scenario};
pub use script::Script;
pub use search::Strategy;
pub use squall_check as check_history;
pub use squall_env as env;
pub use squall_env::shown::{AuditMoment, AuditView};
pub use story::Sentence;
pub use table::{Fault, FaultSet};
pub use test::Seeds;
pub use tolerance::{Most, Tolerance};
pub use twice::{Difference, twice};
pub use world::{Recorded, RecordedMessage, Steps};
