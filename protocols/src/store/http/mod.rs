//! The store over HTTP/1.1 and JSON, for programs in any language.
//!
//! Every member serves all of it: what only the leader can do, it has done by the leader.
//!
//! | request | what it does |
//! |---|---|
//! | `GET /v1/kv/KEY` | the key with its value; `?raw=true` gives the bytes alone |
//! | `PUT /v1/kv/KEY` | puts the body as value; `?mod_revision=N` only if the key was last put then (0: is not there), `?lease=ID` attaches it |
//! | `DELETE /v1/kv/KEY` | removes the key; `?mod_revision=N` as above |
//! | `GET /v1/kv?prefix=P` | the keys that begin so, a page at a time: `limit=N`, and `after=KEY` while the answer says `"more": true` |
//! | `DELETE /v1/kv?prefix=P` | removes them at one revision |
//! | `POST /v1/txn` | `{"compare": [..], "success": [..], "failure": [..]}` as one step |
//! | `GET /v1/watch?prefix=P` or `?key=K` | a line of JSON for each revision, `from=REVISION` on or from now on, until somebody closes the connection |
//! | `POST /v1/leases` | `{"ttl_ms": N}`, perhaps with an `"id"`: grants a lease |
//! | `GET /v1/leases`, `GET /v1/leases/ID` | the leases, `?after=ID` for more; one of them with its keys |
//! | `POST /v1/leases/ID/keep-alive` | the lease lasts anew |
//! | `DELETE /v1/leases/ID` | the lease ends and its keys go |
//! | `POST /v1/compact` | `{"revision": N}`: forgets the history up to there |
//! | `POST /v1/sessions` | opens a session, in which a command is done once however often it is sent |
//! | `POST /v1/transfer` | `{"to": "member-2"}`: has another member lead |
//! | `GET /v1/status` | what this member knows of itself and its cluster |
//! | `GET /health` | 200 if this member knows a leader, else 503: for load balancers |
//!
//! **Values** are bytes. In JSON a value that is UTF-8 is the string `value`, any other is
//! `value_base64` (RFC 4648, section 4, with padding), and requests may use either. Keys are UTF-8,
//! percent-encoded in paths and queries (RFC 3986).
//!
//! **Reads are linearizable**: they see every change that was acknowledged before. Watches are
//! served by the member that is asked, from what it has applied: each change once and in order, and
//! on a member that lags behind later. A line is `{"revision": N, "events": [..]}`: everything up
//! to that revision has been told; lines without events come at the start and while nothing
//! happens. If what was asked for is compacted the answer is 410, or the last line an error.
//!
//! **Errors** are `{"error": {"code": .., "message": .., "outcome": ..}}`. The outcome is
//! `not_done` or `unknown`: after the latter the change may have happened, or may yet. 400:
//! malformed; 404: no such key, lease or path; 405; 408: the body came too slowly; 409: a
//! comparison did not hold; 410: compacted, or a session that is not open; 413: too large; 503,
//! with `Retry-After`: nobody leads or too much is under way, and nothing was done; 504: sent, and
//! not answered in time.
//!
//! **Once.** Whoever repeats a change that nobody answered may have it done twice, unless it is a
//! command of a session: the headers `Squall-Session` (the number that `POST /v1/sessions` gave)
//! and `Squall-Sequence` (1 for the session's first command, and one more for each that follows,
//! when the one before it is no longer under way). Repeated with the same two numbers, to whichever
//! member, it is done once and answered alike. A session that others have crowded out is answered
//! 410, and the command may have been done.

mod answer;
mod ask;
mod client;
mod connection;
mod handlers;
mod json;
mod query;
mod watch;

pub use answer::ErrorBody;
pub use client::{Compared, Connect, Connection, Dialed, HttpError, HttpStore, Watch, World};
pub use connection::{Api, CONNECTIONS_MAX, serve, serve_beside};
pub use json::{EventJson, KeyValueJson, LeaseJson, Line, Page, Status};

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
