//! Squall-check decides whether what clients saw is something a correct system could have shown.
//!
//! A [`History`] holds what clients asked, what they were told and when; a [`Recorder`] builds one
//! while a system runs. A [`Model`] says what a correct system does one operation at a time, and
//! [`linearizable()`] searches for an order of the operations that the model allows. When there is
//! none, the answer is a [`Violation`]: the smallest part of the history that was found to be wrong
//! by itself.
//!
//! The crate knows nothing of how the history came to be, so it judges a simulated cluster, a real
//! one and a file in the same way. It draws no randomness and reads no clock: the same history
//! gives the same verdict on every machine.
//!
//! ```
//! use squall_check::{Limits, Recorder, Register, RegisterCall, RegisterReturn, linearizable};
//!
//! let recorder = Recorder::new();
//! let write = recorder.invoke(0, RegisterCall::Write(7), 1_000_000);
//! recorder.ok(write, RegisterReturn::Written, 2_000_000);
//! let read = recorder.invoke(1, RegisterCall::Read, 3_000_000);
//! recorder.ok(read, RegisterReturn::Value(0), 4_000_000);
//!
//! let verdict = linearizable(&Register::new(0), &recorder.finish(), &Limits::default());
//! let violation = verdict.violation().expect("the read missed a write that was over");
//! assert_eq!(
//!     violation.lines(),
//!     [
//!         "process 0 writes 7, between event 0 and 1 (0.001 s to 0.002 s)",
//!         "process 1 reads 0, between event 2 and 3 (0.003 s to 0.004 s)",
//!     ]
//! );
//! ```
//!
//! # Models
//!
//! | model | what is asked | by name, in files |
//! |---|---|---|
//! | [`Register`] | read, write | `register` |
//! | [`CasRegister`] | read, write, compare and set | `cas-register` |
//! | [`MultiRegister`] | transactions over the registers of a map | `multi-register` |
//! | [`AppendKv`] | get, put and append over a map of strings | `append-kv` |
//! | [`Set`] | add, remove, contains, read all | `set` |
//! | [`Counter`] | add, read | `counter` |
//! | [`FifoQueue`], [`PriorityQueue`] | enqueue, dequeue | `queue`, `priority-queue` |
//! | [`Stack`] | push, pop | `stack` |
//! | [`Mutex`] | acquire, release | `mutex` |
//! | [`FencedLock`] | acquire a token that only grows, release, expire | `fenced-lock` |
//! | [`Semaphore`] | acquire and release permits | `semaphore` |
//! | [`AppendLog`] | append, read all, read at an offset | `log` |
//! | [`Lease`] | acquire, renew and release, by the server's clock | `lease` |
//!
//! [`transactions`] holds histories of transactions against isolation levels, and [`properties`]
//! has what is weaker than linearizability or beside it. [`file`](mod@file) lists the formats of
//! files and checks one of them.
//!
//! # A model of your own
//!
//! Four methods of [`Model`] are enough. The others, which have defaults, let a check know more and
//! search less; each says what it promises.
//!
//! ```
//! use squall_check::{Limits, Model, Recorder, linearizable};
//!
//! /// A ticket machine: each call answers with the next number.
//! struct Tickets;
//!
//! impl Model for Tickets {
//!     type State = u64;
//!     type Input = ();
//!     type Output = u64;
//!
//!     fn initial(&self) -> u64 {
//!         1
//!     }
//!
//!     fn step(&self, next: &u64, _: &(), ticket: Option<&u64>) -> Option<u64> {
//!         ticket.is_none_or(|ticket| ticket == next).then_some(next + 1)
//!     }
//!
//!     fn describe(&self, _: &(), ticket: Option<&u64>) -> String {
//!         match ticket {
//!             Some(ticket) => format!("draws {ticket}"),
//!             None => "draws a ticket, outcome unknown".to_owned(),
//!         }
//!     }
//!
//!     fn describe_state(&self, next: &u64) -> String {
//!         format!("has {next} on top")
//!     }
//! }
//!
//! let recorder = Recorder::new();
//! for (process, ticket) in [(0, 1), (1, 2), (2, 2)] {
//!     let draw = recorder.invoke(process, (), 0);
//!     recorder.ok(draw, ticket, 0);
//! }
//! let verdict = linearizable(&Tickets, &recorder.finish(), &Limits::default());
//! let violation = verdict.violation().expect("two clients have one ticket");
//! assert_eq!(
//!     violation.reasons(),
//!     [
//!         "why: the furthest order is process 0 draws 1, process 1 draws 2; \
//!          then the system has 3 on top",
//!         "process 2 draws 2 does not fit",
//!     ]
//! );
//! ```
//!
//! # Limits
//!
//! Linearizability, sequential consistency, and serializability of registers are NP-complete, so
//! every search is bounded ([`Limits`], [`properties::SequentialLimits`],
//! [`transactions::TransactionLimits`]): in steps and memory by default, which gives the same
//! verdict on every machine, and in time if asked to. A bound that is reached makes the verdict
//! undecided, never a guess, and says how far the search came. Where values are written once, as
//! in most tests, registers, locks, queues and sets are decided in polynomial time.
//!
//! A file is read line by line, or form by form, each of at most 16 MiB and of bounded depth; what
//! is kept is the operations. Histories of our own are written and read as a stream of lines, so
//! a history never lies in memory twice.
//!
//! # What checkers get wrong
//!
//! Each of these mistakes has been made by a checker, and each is shown by the test of that name in
//! `tests/traps.rs`.
//!
//! - An open operation is made to take effect:
//!   `an_open_operation_takes_effect_at_any_later_time_or_never`
//! - A failed comparison is taken for an observation:
//!   `a_failed_operation_had_no_effect_and_says_nothing_of_the_state`
//! - Nil is read the same in every format:
//!   `a_read_of_nil_is_any_value_in_a_vector_and_the_initial_one_in_a_log`
//! - Every format starts with the same value:
//!   `the_initial_value_is_that_of_the_format`
//! - Processes are few and have numbers:
//!   `processes_have_any_numbers_and_those_with_names_do_not_count`
//! - A return at the time of an invocation precedes it:
//!   `at_equal_times_invocations_come_before_returns`
//! - An empty history is an error, or a set that nobody read is fine:
//!   `nothing_is_valid_and_a_set_that_was_never_read_is_undecided`
//! - Configurations are told apart by their hash:
//!   `configurations_are_compared_in_full_and_not_by_hash`
//! - Returns are put into parts by themselves, in any order:
//!   `parts_are_found_although_returns_name_no_key_and_reported_in_one_order`
//! - A read of what nobody wrote is let pass:
//!   `a_read_of_what_nobody_wrote_is_wrong_unless_the_initial_state_is_unknown`
//! - Two missed writes in a row are taken for a violation of snapshots:
//!   `two_missed_writes_in_a_row_are_allowed_by_snapshots_and_others_are_not`
//! - An append that nobody read has no place:
//!   `an_append_that_no_read_shows_comes_after_the_longest_read`
//! - A lost update is looked for among cycles alone:
//!   `a_lost_update_is_found_without_a_cycle`
//! - A limit is a verdict, or hides a violation:
//!   `a_limit_is_no_verdict_and_a_violation_elsewhere_outweighs_it`
#![forbid(unsafe_code)]

mod edn;
pub mod file;
pub mod history;
pub mod linearizable;
pub mod model;
pub mod properties;
pub mod read;
pub mod transactions;
pub mod value;

pub use history::{
    Counts, History, IllFormed, MergeError, Moment, Operation, OperationId, Outcome, ReadError,
    Recorder,
};
pub use linearizable::{Limits, Reason, Verdict, Violation, is_linearizable, linearizable};
pub use model::append_kv::{AppendKv, AppendKvCall, AppendKvReturn};
pub use model::cas_register::{CasCall, CasRegister, CasReturn};
pub use model::counter::{Counter, CounterCall, CounterReturn};
pub use model::lease::{Lease, LeaseCall, LeaseReturn};
pub use model::lock::{
    FencedLock, FencedLockCall, FencedLockReturn, Mutex, MutexCall, MutexReturn,
};
pub use model::log::{AppendLog, LogCall, LogReturn};
pub use model::multi_register::{Access, MultiRegister};
pub use model::queue::{FifoQueue, PriorityQueue, QueueCall, QueueReturn};
pub use model::register::{Register, RegisterCall, RegisterReturn};
pub use model::semaphore::{Semaphore, SemaphoreCall, SemaphoreReturn};
pub use model::set::{Set, SetCall, SetReturn};
pub use model::stack::{Stack, StackCall, StackReturn};
pub use model::{Effect, Model};
pub use value::Value;
