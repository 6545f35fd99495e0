//! The client: one connection, opened anew after every failure.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, Response, StatusCode, Uri};
use squall_env::hyper::{Executor, Io, Timer};
use squall_env::stream::ConnectError;
use squall_env::{Address, Elapsed, Env, HasOutcome, Outcome};
use std::time::Duration;

/// The most bytes of an answer's body.
const BODY_MAX: usize = 64;

/// Why a request was not answered as it should be.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// There is no connection.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// The connection broke.
    #[error("{0}")]
    Hyper(#[from] hyper::Error),
    /// The answer is too late.
    #[error("{0}")]
    Late(#[from] Elapsed),
    /// The answer is another than the request deserves.
    #[error("the server answers {0}")]
    Answer(StatusCode),
    /// The answer's body is no number.
    #[error("the answer is no number")]
    Body,
}

impl HasOutcome for HttpError {
    fn outcome(&self) -> Outcome {
        match self {
            HttpError::Connect(error) => error.outcome(),
            _ => Outcome::Indeterminate,
        }
    }
}

/// The sending half of a connection.
enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Many(http2::SendRequest<Full<Bytes>>),
}

/// A client of the register.
pub struct HttpClient {
    env: Env,
    to: Address,
    limit: Duration,
    multiplexed: bool,
    sender: Option<Sender>,
}

impl Clone for HttpClient {
    /// Requests of both go over one connection, if it is multiplexed.
    fn clone(&self) -> HttpClient {
        let sender = match &self.sender {
            Some(Sender::Many(sender)) => Some(Sender::Many(sender.clone())),
            _ => None,
        };
        let (env, to) = (self.env.clone(), self.to);
        HttpClient { env, to, limit: self.limit, multiplexed: self.multiplexed, sender }
    }
}

impl HttpClient {
    /// A client that speaks HTTP/1.1 and waits so long for an operation.
    pub fn new(env: &Env, to: Address, limit: Duration) -> HttpClient {
        HttpClient { env: env.clone(), to, limit, multiplexed: false, sender: None }
    }

    /// A client that speaks HTTP/2.
    pub fn multiplexed(env: &Env, to: Address, limit: Duration) -> HttpClient {
        HttpClient { multiplexed: true, ..HttpClient::new(env, to, limit) }
    }

    /// Reads the register.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn read(&mut self) -> Result<Option<u64>, HttpError> {
        let (status, body) = self.call(Method::GET, Bytes::new()).await?;
        match status {
            StatusCode::NO_CONTENT => Ok(None),
            StatusCode::OK => {
                let text = std::str::from_utf8(&body).ok();
                text.and_then(|text| text.parse().ok()).map(Some).ok_or(HttpError::Body)
            }
            status => Err(HttpError::Answer(status)),
        }
    }

    /// Writes the register.
    ///
    /// # Errors
    /// [`HttpError`]; unless there was no connection, the write may have had its effect.
    pub async fn write(&mut self, value: u64) -> Result<(), HttpError> {
        match self.call(Method::PUT, value.to_string().into()).await? {
            (StatusCode::NO_CONTENT, _) => Ok(()),
            (status, _) => Err(HttpError::Answer(status)),
        }
    }

    async fn call(
        &mut self,
        method: Method,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), HttpError> {
        let (env, limit) = (self.env.clone(), self.limit);
        let answered = match env.timeout(limit, self.request(method, body)).await {
            Ok(answered) => answered,
            Err(late) => Err(late.into()),
        };
        if answered.is_err() {
            // What else comes over this connection is nobody's answer.
            self.sender = None;
            env.sometimes("an answer is missing");
        }
        answered
    }

    async fn request(
        &mut self,
        method: Method,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), HttpError> {
        let open = match &self.sender {
            Some(Sender::One(sender)) => !sender.is_closed(),
            Some(Sender::Many(sender)) => !sender.is_closed(),
            None => false,
        };
        if open {
            self.env.sometimes("a connection serves a second request");
        } else {
            self.sender = Some(self.connect().await?);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        let authority = self.env.roster().name(self.to.node);
        let path = if self.multiplexed {
            format!("http://{authority}/register")
        } else {
            "/register".into()
        };
        *request.uri_mut() = path.parse::<Uri>().expect("names of nodes fit into addresses");
        let response = match self.sender.as_mut() {
            Some(Sender::One(sender)) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Some(Sender::Many(sender)) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            None => return Err(ConnectError::Reset.into()),
        };
        let status = response.status();
        Ok((status, whole(response).await?))
    }

    async fn connect(&self) -> Result<Sender, HttpError> {
        let io = Io::new(self.env.connect(self.to).await?);
        if self.multiplexed {
            let mut builder = http2::Builder::new(Executor::new(&self.env));
            builder.timer(Timer::new(&self.env));
            let (sender, connection) = builder.handshake(io).await?;
            self.env.spawn("connection", async move { connection.await.is_ok() });
            Ok(Sender::Many(sender))
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            self.env.spawn("connection", async move { connection.await.is_ok() });
            Ok(Sender::One(sender))
        }
    }
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, HttpError> {
    let body = Limited::new(response.into_body(), BODY_MAX).collect().await;
    let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => HttpError::Hyper(*error),
        Err(_) => HttpError::Body,
    })?;
    Ok(body.to_bytes())
}
