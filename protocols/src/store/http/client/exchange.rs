//! Requests and their answers: one connection, opened anew to another endpoint after every failure.

use super::super::answer::ErrorBody;
use super::super::{PORT, SEQUENCE, SESSION};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use squall_env::hyper::Io;
use squall_env::platform::BoxFuture;
use squall_env::{Address, Elapsed, Env, HasOutcome, Instant, NodeId, Outcome};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// The most bytes of an answer: a page of values may be escaped, or in base64.
const ANSWER_MAX: usize = 16 << 20;

/// How long an endpoint has for an answer before another one is asked, at first; twice as long
/// after each that did not answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long it has at most.
const PATIENCE_MAX: Duration = Duration::from_secs(10);

/// How long a client waits before it asks the next endpoint.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection, whatever carries it.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// A connection that is being opened.
pub type Dialed<'a> = BoxFuture<'a, io::Result<Box<dyn Connection>>>;

/// The endpoints of a cluster, and how connections to them are opened.
pub trait Connect: Send + Sync {
    /// How many endpoints there are: at least one.
    fn count(&self) -> usize;

    /// The host and port of one of them, as requests name it.
    fn authority(&self, nth: usize) -> String;

    /// Opens a connection to one of them. Nothing is sent unless it stands.
    fn connect(&self, nth: usize) -> Dialed<'_>;
}

/// Members as endpoints, over the streams of the environment.
pub struct World {
    env: Env,
    members: Vec<NodeId>,
}

impl World {
    /// These members, of which there is at least one.
    pub fn new(env: &Env, members: Vec<NodeId>) -> World {
        World { env: env.clone(), members }
    }
}

impl Connect for World {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn authority(&self, nth: usize) -> String {
        self.env.roster().name(self.members[nth])
    }

    fn connect(&self, nth: usize) -> Dialed<'_> {
        Box::pin(async move {
            let connected = self.env.connect(Address::new(self.members[nth], PORT)).await;
            let stream = connected.map_err(io::Error::other)?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }
}

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No endpoint could be connected to. Nothing was done.
    #[error("no connection: {0}")]
    Connect(io::Error),
    /// The connection broke. It may have been done.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// No answer came in time. It may have been done.
    #[error("no answer in time")]
    Late(#[from] Elapsed),
    /// The answer is an error.
    #[error("{}", .error.message)]
    Answer {
        /// The status.
        status: StatusCode,
        /// What it says.
        error: Box<ErrorBody>,
    },
    /// The answer is none of this service's.
    #[error("the answer is none of the store's")]
    Malformed,
    /// Nothing was done, since what comes before it has failed.
    #[error("nothing was done: {0}")]
    NotDone(#[source] Box<HttpError>),
}

impl HttpError {
    pub(super) fn not_done(self) -> HttpError {
        HttpError::NotDone(Box::new(self))
    }
}

impl HasOutcome for HttpError {
    fn outcome(&self) -> Outcome {
        match self {
            HttpError::Connect(_) | HttpError::NotDone(_) => Outcome::NotDone,
            HttpError::Answer { error, .. } if error.outcome == "not_done" => Outcome::NotDone,
            _ => Outcome::Indeterminate,
        }
    }
}

/// A request, and whether it may be sent again when nobody knows what became of it.
pub(super) struct Question {
    method: Method,
    path: String,
    body: Bytes,
    session: Option<(u64, u64)>,
}

impl Question {
    /// A request that may be sent any number of times.
    pub(super) fn new(method: Method, path: String, body: Bytes) -> Question {
        Question { method, path, body, session: None }
    }

    /// A command that is done once, however often it is sent.
    pub(super) fn of_session(self, session: u64, sequence: u64) -> Question {
        Question { session: Some((session, sequence)), ..self }
    }

    fn request(&self, authority: &str) -> Option<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(&self.method).uri(&self.path);
        request = request.header(HOST, authority);
        if let Some((session, sequence)) = self.session {
            request = request.header(SESSION, session).header(SEQUENCE, sequence);
        }
        request.body(Full::new(self.body.clone())).ok()
    }
}

/// Asks one endpoint after the other.
pub(super) struct Exchanger {
    env: Env,
    endpoints: Arc<dyn Connect>,
    /// Which endpoint is asked.
    next: usize,
    sender: Option<http1::SendRequest<Full<Bytes>>>,
    patience: Duration,
}

impl Exchanger {
    pub(super) fn new(env: &Env, endpoints: Arc<dyn Connect>) -> Exchanger {
        let next = env.random_below(endpoints.count() as u64) as usize;
        Exchanger { env: env.clone(), endpoints, next, sender: None, patience: PATIENCE }
    }

    /// The same endpoints, with a connection of its own.
    pub(super) fn another(&self) -> Exchanger {
        Exchanger::new(&self.env, Arc::clone(&self.endpoints))
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    /// Goes on until an endpoint gives an answer that is final, whatever it is.
    pub(super) async fn ask(
        &mut self,
        question: &Question,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), HttpError> {
        let until = self.env.now() + limit;
        let mut worst: Option<HttpError> = None;
        loop {
            let error = match self.try_once(question, until).await {
                Ok((status, body)) if !may_be_another(status) => return Ok((status, body)),
                Ok((status, body)) => failure(status, &body),
                Err(error) => error,
            };
            self.patience = PATIENCE_MAX.min(self.patience * 2);
            // What one of the tries may have done stays done, whatever the next one says.
            if !worst.as_ref().is_some_and(|worst| worst.outcome() == Outcome::Indeterminate) {
                worst = Some(error);
            }
            self.look_elsewhere();
            if self.env.now() + PAUSE >= until {
                return Err(worst.unwrap_or(HttpError::Late(Elapsed)));
            }
            self.env.sleep(PAUSE).await;
        }
    }

    async fn try_once(
        &mut self,
        question: &Question,
        until: Instant,
    ) -> Result<(StatusCode, Bytes), HttpError> {
        let (env, end) = (self.env.clone(), until.min(self.env.now() + self.patience));
        env.deadline(end, self.connect())
            .await
            .map_err(|late| HttpError::Late(late).not_done())??;
        let answered = env.deadline(end, async {
            let response = self.send(question).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
            let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => HttpError::Broken(*error),
                Err(_) => HttpError::Malformed,
            })?;
            Ok((status, body.to_bytes()))
        });
        let answered = answered.await?;
        if answered.is_ok() {
            self.patience = PATIENCE.max(self.patience - self.patience / 8);
        }
        answered
    }

    /// Leaves this endpoint: what else comes over its connection is nobody's answer.
    pub(super) fn look_elsewhere(&mut self) {
        self.sender = None;
        self.next = (self.next + 1) % self.endpoints.count();
    }

    pub(super) async fn connect(&mut self) -> Result<(), HttpError> {
        if self.sender.as_ref().is_some_and(|sender| !sender.is_closed()) {
            return Ok(());
        }
        let stream = self.endpoints.connect(self.next).await.map_err(HttpError::Connect)?;
        let shaken = http1::handshake(Io::new(stream)).await;
        // Nothing was sent yet.
        let (sender, connection) = shaken.map_err(|error| HttpError::from(error).not_done())?;
        self.env.spawn("connection", async move { connection.await.is_ok() });
        self.sender = Some(sender);
        Ok(())
    }

    pub(super) async fn send(
        &mut self,
        question: &Question,
    ) -> Result<Response<Incoming>, HttpError> {
        let request = question.request(&self.endpoints.authority(self.next));
        let request = request.ok_or(HttpError::Malformed)?;
        let sender = self.sender.as_mut();
        let Some(sender) = sender else {
            return Err(HttpError::Connect(io::ErrorKind::NotConnected.into()));
        };
        // Nothing leaves before the connection is ready.
        sender.ready().await.map_err(|error| HttpError::from(error).not_done())?;
        Ok(sender.send_request(request).await?)
    }
}

/// Whether another try may be answered otherwise.
fn may_be_another(status: StatusCode) -> bool {
    [StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT, StatusCode::BAD_GATEWAY]
        .contains(&status)
}

#[derive(Deserialize)]
struct Wrapped {
    error: Box<ErrorBody>,
}

pub(super) fn error(body: &[u8]) -> Option<Box<ErrorBody>> {
    serde_json::from_slice::<Wrapped>(body).ok().map(|wrapped| wrapped.error)
}

pub(super) fn failure(status: StatusCode, body: &[u8]) -> HttpError {
    match error(body) {
        Some(error) => HttpError::Answer { status, error },
        None => HttpError::Malformed,
    }
}
