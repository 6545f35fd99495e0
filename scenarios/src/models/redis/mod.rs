//! A server that behaves as Redis does, as far as locks need it: a node for scenarios.
//!
//! Its contract, which a real server has to keep as well (the commands SET, GET, DEL, INCR, PEXPIRE
//! and EVAL, and the pages "Persistence" and "Replication" of its documentation):
//!
//! * A command is one step, and so is a script. Commands are done in the order of arrival.
//! * `SET key value NX PX ms` sets a key that is not there, and says nothing if it is.
//! * A key with an expiry is there until the *wall clock* of the server shows its time: set the
//!   clock forward, and it goes early; set it back, and it stays longer. The time is kept as a
//!   point in time, over restarts and on replicas, too.
//! * What is done is written to a log before it is answered, and the log is synced never, about
//!   every second, or before the answer. A server that starts anew has what its log still has: all
//!   of it after a crash of the process alone, and what was synced after a power loss. Without a
//!   log it starts empty. A log that is torn at its end is cut there.
//! * A replica follows its primary some time later, and always has what the primary had at some
//!   earlier time. It takes no writes. When its primary has been silent for long, it takes over
//!   with what it has, and the earlier primary, once it is heard of again, becomes its replica and
//!   forgets what the new one does not have. Whatever was acknowledged in between is lost. (The
//!   replica decides that here; with a real server sentinels do.)
//! * A primary that starts anew with nothing makes its replica forget everything.
//!
//! A test has a real server do the same commands as the model, and asks it again after it was
//! killed.
//!
//! Deliberately absent: transactions, other types than strings, eviction, clusters.

mod client;
mod keyspace;
mod server;

pub use client::{Redis, Unanswered};
pub use keyspace::{Command, Effect, Keyspace, Reply};
pub use server::{Config, Persistence, serve};

#[cfg(test)]
mod tests;
