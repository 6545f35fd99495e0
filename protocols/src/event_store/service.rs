//! A store that others use over the network.

use super::error::{EventStoreError, OpenError, Refused};
use super::event::{Append, Appended, Filter, Slice, StreamSlice};
use super::{EventStore, SegmentConfig, SegmentStore};
use serde::{Deserialize, Serialize};
use squall_env::platform::Closed;
use squall_env::request::{ReplyTo, Responder};
use squall_env::{Either, Env, Port, Position, race};
use std::sync::Arc;
use std::time::Duration;

/// The port on which a store is served, unless another is asked for.
pub const PORT: &str = "event store";

/// How many requests may be under way at once. One that comes on top gets no answer.
const REQUESTS_MAX: usize = 1024;

/// The most events of one read.
const EVENTS_MAX: usize = 4096;

/// The longest that a request may wait for an event.
const WAIT_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Append(Vec<Append>),
    Read { stream: String, from: u64, max: u64 },
    ReadAll { after: Position, max: u64, filter: Filter },
    Wait { after: Position, limit_ms: u64 },
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Response {
    Appended(Vec<Appended>),
    Read(StreamSlice),
    ReadAll(Slice),
    Waited(Position),
    Refused(Refused),
    Damaged(Position),
    Failed(String),
}

/// Why a store is not served any more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ServeError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot go on: it has to be opened anew.
    #[error(transparent)]
    Store(#[from] EventStoreError),
    /// The node has stopped.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Opens the node's own store on segments and serves it until its disk fails.
///
/// # Errors
/// [`ServeError`]; the node should then be started anew.
pub async fn serve(env: Env, name: &str, config: SegmentConfig) -> Result<(), ServeError> {
    let store = SegmentStore::open(&env, name, config).await?;
    env.ready();
    let served = serve_store(&env, Arc::new(store.clone()), Port::named(PORT));
    match race(served, store.failed()).await {
        Either::Left(ended) => ended,
        Either::Right(error) => Err(error.into()),
    }
}

/// Serves a store on a port.
///
/// # Errors
/// [`ServeError`] if the port is in use, or once the node has stopped.
pub async fn serve_store(
    env: &Env,
    store: Arc<dyn EventStore>,
    port: Port,
) -> Result<(), ServeError> {
    let responder = Responder::<Request, Response>::open(env, port).map_err(OpenError::Bind)?;
    let mut responder = responder;
    let under_way = Arc::new(());
    loop {
        let (request, reply) = responder.receive().await?;
        if Arc::strong_count(&under_way) > REQUESTS_MAX {
            env.trace(|| "has too many requests under way to take another".to_owned());
            continue;
        }
        let (store, count) = (Arc::clone(&store), Arc::clone(&under_way));
        env.spawn("event store request", async move {
            answer(&*store, request, reply).await;
            drop(count);
        });
    }
}

async fn answer(store: &dyn EventStore, request: Request, reply: ReplyTo<Response>) {
    let most = |max: u64| usize::try_from(max).unwrap_or(EVENTS_MAX).min(EVENTS_MAX);
    let answered = match request {
        Request::Append(appends) => store.append_all(appends).await.map(Response::Appended),
        Request::Read { stream, from, max } => {
            store.read(&stream, from, most(max)).await.map(Response::Read)
        }
        Request::ReadAll { after, max, filter } => {
            store.read_all(after, most(max), &filter).await.map(Response::ReadAll)
        }
        Request::Wait { after, limit_ms } => {
            let limit = Duration::from_millis(limit_ms).min(WAIT_MAX);
            store.wait_beyond(after, limit).await.map(Response::Waited)
        }
    };
    match answered {
        Ok(response) => reply.reply(response),
        Err(EventStoreError::Refused(refused)) => reply.reply(Response::Refused(refused)),
        Err(EventStoreError::Damaged(position)) => reply.reply(Response::Damaged(position)),
        Err(EventStoreError::Failed(why)) => reply.reply(Response::Failed(why)),
        // Whoever asks is left to the deadline: nothing is known.
        Err(EventStoreError::Stopped | EventStoreError::NoAnswer(_)) => {}
    }
}
