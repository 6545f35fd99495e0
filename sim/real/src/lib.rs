//! Runs a node in production: the world of squall-env on tokio, with sockets, files and the
//! system's clock.
//!
//! A service is an `async fn serve(env: Env)`. What the simulated world explored is what runs here:
//! the same function, the same protocols, and by default the same single thread for its tasks.
//!
//! ```no_run
//! # async fn serve(env: squall_env::Env) -> Result<(), squall_env::disk::DiskError> { Ok(()) }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = std::fs::read_to_string("replica-1.json")?;
//! squall_real::run(serde_json::from_str(&file)?, serve)?;
//! # Ok(())
//! # }
//! ```
//!
//! | part | how it is done |
//! |---|---|
//! | tasks | a tokio runtime of the node's own; a task that panics stops the node |
//! | clock | one that counts the time during which the system is suspended, where there is one |
//! | network | frames with checksums over TCP, bounded queues, connections that mend themselves |
//! | streams | a TCP connection each |
//! | disk | a thread that carries out operations in the order in which they are submitted |
//! | randomness | ChaCha12, seeded by the operating system |
//! | observer | rejections are counted and traced; all that serves tests does nothing |
//!
//! # Network
//!
//! A datagram is a frame on a TCP connection. Each node opens a connection of its own to every peer
//! that it sends to, when it first does so, and sends on that one; so two nodes that talk to each
//! other have two connections, and neither has to agree with the other on which to keep. A node
//! without an address of its own, such as a client, is answered over the connection that it opened
//! last. Both sides of a connection ping, and give it up when it is silent for too long.
//!
//! The first bytes on a connection are a greeting that names the format's version, the cluster and
//! the node. Who belongs to another cluster, speaks another version, or claims a name that is not
//! on the roster is refused. The sender of a datagram is whom the greeting named, never a field of
//! a frame. Whoever names no node is a guest, and gets a number that lasts as long as its
//! connection.
//!
//! A stream is a TCP connection of its own to the same address, and its greeting names a port of
//! the node. It is refused if nobody listens there or too many wait to be taken. Behind the
//! welcome it is the program's alone: nothing is put around its bytes. The system's keep-alive, and
//! on Linux its limit for what is not acknowledged, end it when the peer is silent for too long. A
//! stream to the node itself does not leave the process. Over TLS, what was written is sent at the
//! latest when the stream is flushed.
//!
//! With [`Config::tls`] every connection is TLS 1.3, and both sides show a certificate that leads
//! to one of the configured roots. A node is believed to be the one whose name its certificate
//! bears, and no other, so who holds one node's key cannot take another's name. This is the feature
//! `tls`, which is on by default.
//!
//! Without it connections are plain TCP: nothing is encrypted, and a name is a claim that nobody
//! proves. Anyone who reaches the port can take the name of any node, so the network between the
//! nodes has to be private.
//!
//! # Disk
//!
//! A node's files are in a directory of its own, which it keeps locked. No path leads out of it,
//! unless through a symbolic link that somebody else has put there. A write that was not synced may
//! be lost with the power. After a sync that failed the file is used no more until the node is
//! started again, under any of its open handles or by its name: the system may have dropped what it
//! could not write, and call the next sync a success. Directories can be synced on Unix; elsewhere
//! that is an error, for nothing could be promised.
//!
//! # Ends
//!
//! A node ends when its service returns, when it is stopped, or when one of its tasks panics, and
//! what comes first counts. Its tasks are dropped, its connections and files closed, and disk
//! operations that have not begun are answered with
//! [`DiskError::Stopped`](squall_env::disk::DiskError::Stopped). What waits in a queue for a peer
//! is lost, as any datagram may be: who must be heard waits for an answer.
//!
//! # Limits
//!
//! Whatever a peer can make grow is bounded by [`Limits`]. A full queue of datagrams drops, a
//! counter in [`Metrics`] says so, and nobody waits. A full queue of the disk loses nothing: who
//! has another operation waits until there is room, and the node's other tasks go on. Connections
//! that say nothing have places of their own, and the one that has been silent longest makes room
//! for the next, so strangers keep no peer out.
//!
//! # Faults
//!
//! With the feature `faults`, which is off by default and meant for tests, a node can be started
//! whose power can be lost; see the module `faults`. A build without it has no such node.
//!
//! # Metrics and spans
//!
//! What a node counts is read with [`Node::metrics`], and how long syncs of its disk take with
//! [`Counters::sync_latencies`]. With the feature `metrics`, on by default, both also go to the
//! recorder of the `metrics` crate that is installed when the node starts, each with the label
//! `node`: counters as `squall_NAME_total`, as in `squall_refused_total`, for every field of
//! [`Metrics`], and the histogram `squall_disk_sync_seconds`.
//!
//! Everything that a node traces is in the span `node` with its `name`; within it each task has a
//! span `task` with the `name` it was spawned with, and each connection a span `connection` with
//! `peer` and `address`.
//!
//! # Hostile peers
//!
//! What bounds a peer that
//!
//! - **sends a large frame**: its length is judged before anything is read on its word, and for a
//!   connection at most the largest datagram and 64 KiB are held.
//! - **sends damaged bytes**: greetings and frames have checksums; the connection is closed, and
//!   `refused` or `malformed` counts it.
//! - **connects and says nothing, or a byte at a time**: all of the greeting, TLS included, has
//!   `greeting_timeout`, and of `greetings_max` places the one that has been silent longest is
//!   given to who comes next.
//! - **opens many connections**: there are `incoming_max` in all, and a node's new connection for
//!   datagrams closes the one before (`replaced`).
//! - **sends more than is read**: each port holds `inbox_bytes_max` and `inbox_frames_max`, and the
//!   rest is dropped (`dropped_inbox_full`).
//! - **takes nothing in**: it is owed `outgoing_bytes_max` and `outgoing_frames_max`, and given up
//!   after `silence_max`.
//! - **is half open**: it is pinged, and given up after `silence_max`.
//! - **belongs to another cluster or speaks another version**: the greeting says so, and it is
//!   refused.
//! - **claims another's name**: with TLS the certificate has to bear it; without, a name is a
//!   claim.
//! - **replays what it has recorded**: with TLS nobody can read it; without, it is a datagram that
//!   comes twice.
//!
//! A directory names the node that it belongs to: one of another node or cluster is refused
//! ([`RunError::DataForeign`]). A node that has lost its disk and keeps its name has forgotten what
//! it promised: with [`Config::data_must_exist`] it is not started ([`RunError::DataMissing`]).
//!
//! Deliberately absent: name resolution, lists of certificates that were taken back, a global
//! runtime, and any hook by which a test could reach into a node.

#![cfg_attr(
    not(feature = "faults"),
    doc = "```compile_fail\nuse squall_real::faults; // needs the feature\n```"
)]

mod accept;
mod clock;
mod config;
mod connection;
mod counters;
mod disk;
mod entropy;
mod error;
#[cfg(all(feature = "faults", unix))]
pub mod faults;
mod files;
mod frame;
mod hello;
mod inbox;
mod link;
mod lobby;
mod network;
mod node;
mod outbox;
mod platform;
mod streams;
mod tasks;
#[cfg(feature = "tls")]
mod tls;
mod transport;

pub use config::{CONNECTIONS_MAX, Config, ConfigError, Limits, NAME_BYTES_MAX, THREADS_MAX, Tls};
pub use counters::{Counters, LATENCIES, Metrics};
pub use error::RunError;
pub use files::LOCK_FILE;
pub use node::{BLOCKING_LINGER, Node, run};
