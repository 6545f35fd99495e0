//! What hyper takes from outside, from an [`Env`]: streams, timers and tasks.
//!
//! HTTP/1 and HTTP/2, clients and servers, run on these in both worlds:
//!
//! ```
//! use hyper::server::conn::http1;
//! use squall_env::hyper::{Io, Timer};
//! use squall_env::{Env, Stream};
//!
//! fn server(env: &Env, stream: Stream) -> (http1::Builder, Io<Stream>) {
//!     let mut builder = http1::Builder::new();
//!     // The date is that of the system's clock: two runs one second apart would differ.
//!     builder.timer(Timer::new(env)).auto_date_header(false);
//!     (builder, Io::new(stream))
//! }
//! # fn main() {}
//! ```
//!
//! Without a timer hyper's time limits are silently off. HTTP/2 starts tasks, for which it takes an
//! [`Executor`]. Its library asks the system's clock when a stream is reset, to forget it after
//! half a minute; no run takes that long.

use crate::{Env, Instant};
use ::hyper::rt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are read at a time.
const READ_BYTES: usize = 16 << 10;

/// A stream as hyper reads and writes it.
pub struct Io<S> {
    stream: S,
    buffer: Box<[u8]>,
}

impl<S> Io<S> {
    /// Takes anything that is read and written as tokio does.
    pub fn new(stream: S) -> Io<S> {
        Io { stream, buffer: vec![0; READ_BYTES].into_boxed_slice() }
    }

    /// The stream itself.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> rt::Read for Io<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let most = into.remaining().min(READ_BYTES);
        let mut read = ReadBuf::new(&mut this.buffer[..most]);
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
        into.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> rt::Write for Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The moments of the standard library's clock, which hyper speaks in.
#[allow(clippy::disallowed_types, reason = "hyper takes no others")]
// squall-lint: allow hyper takes no others, and no run hangs on what is read
type Moment = std::time::Instant;

/// Timers on the node's own clock.
///
/// hyper speaks in moments of the system's clock, which is read once, when the timer is made. All
/// else is added to that, and only differences count: no run hangs on what was read.
#[derive(Clone)]
pub struct Timer {
    env: Env,
    origin: Moment,
    start: Instant,
}

impl Timer {
    /// Timers of this node.
    pub fn new(env: &Env) -> Timer {
        #[allow(clippy::disallowed_methods, reason = "an origin, of which nothing depends")]
        let origin = Moment::now();
        Timer { env: env.clone(), origin, start: env.now() }
    }
}

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        let until = self.env.now() + duration;
        Box::pin(Sleep { env: self.env.clone(), until, wait: Mutex::default() })
    }

    fn sleep_until(&self, deadline: Moment) -> Pin<Box<dyn rt::Sleep>> {
        let until = self.start + deadline.saturating_duration_since(self.origin);
        Box::pin(Sleep { env: self.env.clone(), until, wait: Mutex::default() })
    }

    fn now(&self) -> Moment {
        self.origin + (self.env.now() - self.start)
    }
}

/// A sleep that owns its environment.
struct Sleep {
    env: Env,
    until: Instant,
    /// A sleep has to be shareable, though nobody shares it: the lock is never waited for.
    wait: Mutex<crate::platform::Wait>,
}

impl rt::Sleep for Sleep {}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let wait = this.wait.get_mut().unwrap_or_else(PoisonError::into_inner);
        this.env.platform().poll_sleep(this.until, wait, cx)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let wait = self.wait.get_mut().unwrap_or_else(PoisonError::into_inner);
        if wait.token != 0 || wait.own.is_some() {
            self.env.platform().cancel(wait);
        }
    }
}

/// Starts hyper's tasks as tasks of the node.
#[derive(Clone)]
pub struct Executor {
    env: Env,
}

impl Executor {
    /// Tasks of this node.
    pub fn new(env: &Env) -> Executor {
        Executor { env: env.clone() }
    }
}

impl<F> rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.env.spawn("hyper", task);
    }
}
