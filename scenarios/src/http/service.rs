//! The server: `GET /register` and `PUT /register`, whose body is a number.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use squall_env::disk::DiskError;
use squall_env::hyper::{Executor, Io, Timer};
use squall_env::platform::{BindError, Closed};
use squall_env::sync::{Semaphore, Stopper, semaphore, stop};
use squall_env::{Either, Env, Listener, Port, Stream, race};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where HTTP/1.1 is spoken.
pub const PORT_1: Port = Port::named("http");
/// Where HTTP/2 is spoken.
pub const PORT_2: Port = Port::named("http2");

/// The most bytes of a number.
const BODY_MAX: usize = 20;

/// How long a request's head may take, and how long a connection may be without a request.
const HEAD_MAX: Duration = Duration::from_secs(5);

const FILE: &str = "register";

/// Why the server has ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port is taken.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// The file cannot be read or written; what it holds is unknown until the next start.
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// The file holds no number.
    #[error("the register's file holds no number")]
    Damaged,
    /// The node has been stopped.
    #[error("{0}")]
    Closed(#[from] Closed),
}

/// The register: in memory what is durable on the disk.
struct Store {
    env: Env,
    /// One operation at a time.
    turn: Semaphore,
    value: Mutex<Option<u64>>,
    broken: Stopper,
}

/// Serves the register over HTTP/1.1 and HTTP/2 until the node ends.
///
/// # Errors
/// If a port is taken, or the disk fails: then nothing is known of the last write.
pub async fn serve(env: Env) -> Result<(), ServeError> {
    let value = match env.read_file(FILE).await? {
        None => None,
        Some(bytes) => Some(number(&bytes).ok_or(ServeError::Damaged)?),
    };
    let (broken, mut breaks) = stop(&env, "the disk fails");
    let turn = semaphore(&env, "the register", 1);
    let store = Arc::new(Store { env: env.clone(), turn, value: Mutex::new(value), broken });
    let (first, second) = (env.listen(PORT_1)?, env.listen(PORT_2)?);
    env.ready();
    let listening = race(
        listen(first, &store, |store, stream| async move {
            let shared = Arc::clone(&store);
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let served = http1::Builder::new()
                .timer(Timer::new(&store.env))
                .auto_date_header(false)
                .header_read_timeout(HEAD_MAX)
                .serve_connection(Io::new(stream), service)
                .await;
            over(&store, served);
        }),
        listen(second, &store, |store, stream| async move {
            let shared = Arc::clone(&store);
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let served = http2::Builder::new(Executor::new(&store.env))
                .timer(Timer::new(&store.env))
                .auto_date_header(false)
                .keep_alive_interval(HEAD_MAX)
                .serve_connection(Io::new(stream), service)
                .await;
            over(&store, served);
        }),
    );
    match race(listening, breaks.wait()).await {
        Either::Left(Either::Left(ended) | Either::Right(ended)) => Ok(ended?),
        Either::Right(()) => Err(DiskError::Stopped.into()),
    }
}

/// Serves each connection in a task of its own.
async fn listen<F>(
    mut listener: Listener,
    store: &Arc<Store>,
    serve: fn(Arc<Store>, Stream) -> F,
) -> Result<(), Closed>
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let stream = listener.accept().await?;
        store.env.spawn("connection", serve(Arc::clone(store), stream));
    }
}

fn over(store: &Store, served: hyper::Result<()>) {
    if let Err(error) = served {
        store.env.trace(|| format!("a connection ends: {error}"));
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Answers one request.
async fn answer(
    store: Arc<Store>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if head.uri.path() != "/register" {
        return Ok(status(StatusCode::NOT_FOUND));
    }
    Ok(match head.method {
        Method::GET => store.read().await,
        Method::PUT => match Limited::new(body, BODY_MAX).collect().await {
            Ok(body) => match number(&body.to_bytes()) {
                Some(value) => store.write(value).await,
                None => status(StatusCode::BAD_REQUEST),
            },
            Err(_) => status(StatusCode::BAD_REQUEST),
        },
        _ => status(StatusCode::METHOD_NOT_ALLOWED),
    })
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = code;
    response
}

impl Store {
    async fn read(&self) -> Response<Full<Bytes>> {
        let _turn = self.turn.acquire().await;
        match *self.value.lock().unwrap_or_else(PoisonError::into_inner) {
            None => status(StatusCode::NO_CONTENT),
            Some(value) => Response::new(value.to_string().into()),
        }
    }

    /// Answers once the value is durable. It goes on if nobody waits for the answer any more: a
    /// write that was cut in half would leave memory and disk apart.
    async fn write(self: &Arc<Self>, value: u64) -> Response<Full<Bytes>> {
        let store = Arc::clone(self);
        let written = self.env.spawn("write", async move {
            let _turn = store.turn.acquire().await;
            let written = store.env.replace_file(FILE, value.to_string().into()).await;
            match written {
                Ok(()) => *store.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value),
                Err(_) => store.broken.stop(),
            }
            written.is_ok()
        });
        let done = written.await == Ok(true);
        status(if done { StatusCode::NO_CONTENT } else { StatusCode::INTERNAL_SERVER_ERROR })
    }
}
