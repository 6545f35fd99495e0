//! The server's side of connections, and what their requests share.

use super::super::client::StoreClient;
use super::super::service;
use super::super::state::Store;
use super::answer::{Failure, busy};
use super::{HEAD_MAX, PORT, handlers};
use crate::raft::{Config, Index, Raft, Reply, Request, ServeError};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use squall_env::hyper::{Io, Timer};
use squall_env::platform::Closed;
use squall_env::sync::{
    Permit, Semaphore, Stop, Stopper, WatchReceiver, WatchSender, semaphore, stop, watch,
};
use squall_env::{Either, Env, Handle, Instant, Listener, NodeId, Outcome, race};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// So many connections a member serves at a time; more are closed at once.
pub const CONNECTIONS_MAX: usize = 1_024;

/// So many requests ask the cluster at a time; more wait.
const CLIENTS_MAX: usize = 512;

/// So many watches there are at a time.
const WATCHES_MAX: usize = 512;

/// After how long a client that was not used opens a new session: see
/// [`RaftClient::renew_session`](crate::raft::RaftClient::renew_session).
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How long a member that is busy is left in peace.
const PAUSE: Duration = Duration::from_millis(20);

/// How long requests may take that are under way when the server closes.
const CLOSING_MAX: Duration = Duration::from_secs(5);

/// A member's HTTP interface; clones are the same one.
#[derive(Clone)]
pub struct Api(pub(super) Arc<Shared>);

/// What all requests to a member share.
pub(super) struct Shared {
    pub(super) env: Env,
    pub(super) member: Handle<Raft<Store>>,
    idle: Mutex<Vec<Idle>>,
    clients: Semaphore,
    connections: Semaphore,
    pub(super) watches: Semaphore,
    /// How far the member has applied the log.
    pub(super) applied: WatchReceiver<Index>,
    pub(super) closing: Stop,
    close: Stopper,
}

/// A client of the cluster that nobody uses, and since when.
struct Idle {
    since: Instant,
    members: Vec<NodeId>,
    client: StoreClient,
}

/// A client of the cluster, until it is dropped.
pub(super) struct Lent<'a> {
    shared: &'a Shared,
    members: Vec<NodeId>,
    client: Option<StoreClient>,
    _permit: Permit,
}

impl Lent<'_> {
    pub(super) fn client(&mut self) -> &mut StoreClient {
        self.client.as_mut().expect("it is there until it is given back")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let (since, members) = (self.shared.env.now(), std::mem::take(&mut self.members));
            self.shared.idle().push(Idle { since, members, client });
        }
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The members of the cluster, as far as this one knows.
    pub(super) fn members(&self) -> Vec<NodeId> {
        let members = self.member.live().read(|raft| raft.configuration().members());
        members.into_iter().collect()
    }

    /// A client of the cluster, once one is free.
    pub(super) async fn lend(&self, limit: Duration) -> Result<Lent<'_>, Failure> {
        let permit = self.env.timeout(limit, self.clients.acquire()).await;
        let permit = permit.map_err(|_| busy("too many requests are under way"))?;
        let members = self.members();
        if members.is_empty() {
            return Err(busy("this node belongs to no cluster yet"));
        }
        // Whoever knows other members might ask none that is left.
        let used = self.idle().pop().filter(|idle| idle.members == members);
        let client = match used {
            Some(Idle { since, mut client, .. }) => {
                if self.env.now() - since > IDLE_MAX {
                    client.renew_session();
                }
                client
            }
            None => StoreClient::open(&self.env, members.clone())
                .map_err(|_| busy("the member is stopping"))?
                .beside(self.member.clone()),
        };
        Ok(Lent { shared: self, members, client: Some(client), _permit: permit })
    }
}

impl Api {
    /// The interface of a member.
    pub fn new(env: &Env, member: Handle<Raft<Store>>) -> Api {
        let (applies, applied) = watch(env, "applied", 0);
        env.spawn("applied", follow(env.clone(), member.clone(), applies));
        let (close, closing) = stop(env, "closing");
        Api(Arc::new(Shared {
            env: env.clone(),
            member,
            idle: Mutex::default(),
            clients: semaphore(env, "clients", CLIENTS_MAX),
            connections: semaphore(env, "connections", CONNECTIONS_MAX),
            watches: semaphore(env, "watches", WATCHES_MAX),
            applied,
            closing,
            close,
        }))
    }

    /// The member beneath.
    pub fn member(&self) -> &Handle<Raft<Store>> {
        &self.0.member
    }

    /// Serves connections as they come, each in a task of its own.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn listen(&self, mut listener: Listener) -> Result<(), Closed> {
        loop {
            let stream = listener.accept().await?;
            let api = self.clone();
            self.0.env.spawn("connection", async move { api.serve_connection(stream).await });
        }
    }

    /// Serves one connection until it ends.
    pub async fn serve_connection<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        let Some(_permit) = shared.connections.try_acquire() else {
            shared.env.trace(|| "closes a connection: there are too many".to_owned());
            return;
        };
        let asked = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&asked);
            async move { Ok::<_, Infallible>(handlers::answer(shared, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(Timer::new(&shared.env))
            // The date is that of the system's clock: two runs one second apart would differ.
            .auto_date_header(false)
            .header_read_timeout(HEAD_MAX)
            .max_buf_size(64 << 10)
            .serve_connection(Io::new(stream), service);
        let mut connection = pin!(connection);
        let mut closing = shared.closing.clone();
        let ended = match race(connection.as_mut(), closing.wait()).await {
            Either::Left(ended) => ended,
            Either::Right(()) => {
                connection.as_mut().graceful_shutdown();
                match shared.env.timeout(CLOSING_MAX, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return,
                }
            }
        };
        if let Err(error) = ended {
            shared.env.trace(|| format!("a connection ends: {error}"));
        }
    }

    /// Takes no more requests: those under way are finished, watches end, and the health is bad.
    pub fn close(&self) {
        self.0.close.stop();
    }

    /// Waits until no connection is left.
    pub async fn closed(&self) {
        let mut places = Vec::new();
        while places.len() < CONNECTIONS_MAX {
            places.push(self.0.connections.acquire().await);
        }
    }
}

/// Tells watches how far the member has come.
async fn follow(env: Env, member: Handle<Raft<Store>>, applies: WatchSender<Index>) {
    let mut at = 0;
    loop {
        match member.request(Request::AwaitApplied(at)).await {
            Ok(Reply::AppliedUpTo(index)) => {
                at = index;
                applies.set(index);
            }
            Err(error) if error.outcome() != Outcome::NotDone => return,
            // It has too much to do.
            _ => env.sleep(PAUSE).await,
        }
    }
}

/// A member that serves HTTP on [`PORT`].
///
/// # Errors
/// If the member cannot be opened or has to stop; the node should then be started anew.
pub async fn serve(env: Env, config: Config) -> Result<(), ServeError> {
    serve_beside(env, config, |_| std::future::pending()).await
}

/// The same, and beside it what `beside` makes of the interface: the node ends when that does.
///
/// # Errors
/// Those of [`serve`], and what `beside` ends with.
pub async fn serve_beside<F>(
    env: Env,
    config: Config,
    beside: impl FnOnce(Api) -> F,
) -> Result<(), ServeError>
where
    F: Future<Output = Result<(), ServeError>>,
{
    let http = env.clone();
    service::serve_beside(env, config, |member| async move {
        let api = Api::new(&http, member);
        let listener = http.listen(PORT)?;
        match race(api.listen(listener), beside(api.clone())).await {
            Either::Left(closed) => Ok(closed?),
            Either::Right(ended) => ended,
        }
    })
    .await
}
