//! The store over HTTP/1.1 and JSON, for programs in any language.
//!
#![doc = include_str!("api.md")]

mod answer;
mod ask;
mod client;
mod connection;
mod handlers;
mod json;
mod members;
mod query;
mod watch;

pub use answer::ErrorBody;
pub use client::{Compared, Connect, Connection, Dialed, HttpError, HttpStore, Watch, World};
pub use connection::{Api, CONNECTIONS_MAX, serve, serve_beside};
pub use json::{EventJson, KeyValueJson, LeaseJson, Line, MemberChange, Members, Page, Status};

use squall_env::Port;
use std::time::Duration;

/// Where members listen for HTTP.
pub const PORT: Port = Port::named("store http");

/// The most bytes of a body of JSON: a transaction's values may be in base64, or escaped.
const JSON_MAX: usize = 2 << 20;

/// How long a request's head may take, and how long a connection may be without a request.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// How long a request's body may take.
const BODY_MAX: Duration = Duration::from_secs(10);

/// How long a request waits for the cluster, if it does not say.
const OPERATION_MAX: Duration = Duration::from_secs(5);

/// How long it waits at most if it says, in milliseconds.
const TIMEOUT_MAX_MS: u64 = 60_000;

/// The header with the number of a session.
const SESSION: &str = "squall-session";

/// The header with the number of a command in its session.
const SEQUENCE: &str = "squall-sequence";
