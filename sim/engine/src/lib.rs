//! Deterministic simulation testing: a seeded, single-threaded world in which distributed systems
//! meet everything that can go wrong, again and again from the same seed.

pub mod check;
pub mod choice;
mod client;
pub mod digest;
mod failure;
pub mod plan;
mod run;
mod scenario;
pub mod table;
mod tolerance;
mod world;

pub use check::linearizable;
pub use client::{Client, Operation};
pub use failure::{Class, Failure};
pub use plan::Plan;
pub use run::{Outcome as RunOutcome, Watch, run, run_plan};
pub use scenario::Scenario;
pub use squall_check as check_history;
pub use squall_env as env;
pub use squall_env::shown::AuditView;
pub use table::{Fault, FaultSet};
pub use tolerance::{Most, Tolerance};
