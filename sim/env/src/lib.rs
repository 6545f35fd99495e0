//! What a distributed protocol may touch, and nothing else.
//!
//! A protocol is ordinary async Rust, or a [`Machine`], against one handle, [`Env`]: network,
//! clocks, disk, randomness and tasks. Beneath it stands a [`platform`]: the simulated world in
//! tests, sockets and files in production. This crate holds the handle, the traits under it, and
//! what every protocol needs on top of them; it knows neither of its worlds.
//!
//! | module | what is there |
//! |---|---|
//! | [`platform`] | the traits that a world implements |
//! | [`stream`] | connections that carry bytes both ways |
//! | `hyper` | what hyper takes from outside, with the feature `hyper` |
//! | [`sync`] | channels, semaphores, cancellation between tasks of a node |
//! | [`codec`], [`request`] | checked frames; requests and responses with deadlines |
//! | [`disk`], [`journal`] | files with explicit durability; a log that survives crashes |
//! | [`machine`] | state machines that persist before they speak |
//! | [`shown`] | state that properties may look at |
//!
//! Deliberately absent: a global clock, a global generator, threads, and any runtime.

pub mod address;
mod buggify;
mod checksum;
pub mod codec;
mod combination;
pub mod disk;
mod env;
mod files;
#[cfg(feature = "hyper")]
pub mod hyper;
pub mod journal;
pub mod machine;
mod named;
pub mod net;
pub mod outcome;
pub mod platform;
pub mod request;
mod rng;
pub mod shown;
pub mod stream;
pub mod sync;
mod task;
pub mod time;

pub use address::{Address, NodeId, Port, Roster};
pub use combination::{Combination, Facet};
pub use env::{Either, Elapsed, Env, Sleep, race};
pub use files::File;
pub use machine::{Handle, Machine, Never, Position, RequestId, Turn, open};
pub use net::{MessageSender, Messages, Socket};
pub use outcome::{HasOutcome, Outcome, observe};
pub use rng::Rng;
pub use shown::{Shown, View};
pub use stream::{Listener, Stream};
pub use task::Task;
pub use time::{Instant, WallTime};
