//! Byte streams: connections that carry bytes both ways, in order and whole, or break.
//!
//! A [`Stream`] is tokio's [`AsyncRead`] and [`AsyncWrite`], so code that takes its connections
//! from outside (framing, HTTP, RPC) runs on it unchanged. What a program may rely on is what TCP
//! promises (RFC 9293): bytes arrive in order, once and undamaged, or not at all. Where one write
//! ends and the next begins is not kept; a read may give one byte and a write may take one. That a
//! write has succeeded says nothing about its arrival: whoever must know waits for an answer. What
//! was written leaves at the latest when it is flushed or something is read.
//!
//! Dropping a stream closes it. What was written before still goes out; if something that the
//! peer sent was not read, the peer learns of a reset and may lose what was on its way to it.

use crate::Env;
use crate::address::{Address, NodeId, Port};
use crate::outcome::{HasOutcome, Outcome};
use crate::platform::{BindError, ByteStream, Closed, Listening};
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Why there is no connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No way leads to the node: it is not on the roster, or has no address to connect to.
    #[error("no way leads to the node")]
    NoRoute,
    /// Nobody listens on the port, or the node refuses.
    #[error("the connection is refused")]
    Refused,
    /// No answer came in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke before it stood.
    #[error("the connection broke before it stood")]
    Reset,
    /// This node has been stopped.
    #[error("the node has stopped")]
    Stopped,
    /// The platform of this node has no streams.
    #[error("the platform has no streams")]
    Unsupported,
}

impl ConnectError {
    /// What is known of the effect of what was to be sent: it had none.
    pub fn outcome(self) -> Outcome {
        Outcome::NotDone
    }
}

impl HasOutcome for ConnectError {
    fn outcome(&self) -> Outcome {
        ConnectError::outcome(*self)
    }
}

/// Why a connection is of no more use. Reads and writes give it inside of an [`io::Error`];
/// [`StreamError::of`] takes it out again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The peer, or something on the way to it, has broken the connection.
    #[error("the connection is reset")]
    Reset,
    /// Nothing was heard of the peer for too long.
    #[error("the peer is silent")]
    Silent,
    /// This end has shut down its writing side itself.
    #[error("the writing side is shut down")]
    ShutDown,
}

impl StreamError {
    /// What an error of a read or write says about the connection. An error that is none of a
    /// stream's own, such as an unexpected end, counts as a reset: what was sent has an unknown
    /// fate.
    pub fn of(error: &io::Error) -> StreamError {
        let own = error.get_ref().and_then(|inner| inner.downcast_ref::<StreamError>());
        match (own, error.kind()) {
            (Some(own), _) => *own,
            (None, ErrorKind::TimedOut) => StreamError::Silent,
            (None, _) => StreamError::Reset,
        }
    }

    /// What is known of the effect of what was written: after a shutdown nothing was taken, else
    /// anything may have arrived.
    pub fn outcome(self) -> Outcome {
        match self {
            StreamError::ShutDown => Outcome::NotDone,
            StreamError::Reset | StreamError::Silent => Outcome::Indeterminate,
        }
    }
}

impl HasOutcome for StreamError {
    fn outcome(&self) -> Outcome {
        StreamError::outcome(*self)
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> io::Error {
        let kind = match error {
            StreamError::Reset => ErrorKind::ConnectionReset,
            StreamError::Silent => ErrorKind::TimedOut,
            StreamError::ShutDown => ErrorKind::BrokenPipe,
        };
        io::Error::new(kind, error)
    }
}

/// A port on which connections are taken. Dropping it gives the port back and refuses those that
/// were not taken yet. Ports of listeners and of datagrams do not get in each other's way.
pub struct Listener {
    inner: Box<dyn Listening>,
    port: Port,
}

impl Listener {
    pub(crate) fn open(env: &Env, port: Port) -> Result<Listener, BindError> {
        let inner = env.platform().listen(port)?;
        let port = inner.port();
        Ok(Listener { inner, port })
    }

    /// The port, which for [`Port::ANY`] is known only now.
    pub fn port(&self) -> Port {
        self.port
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// [`Closed`] if the node has stopped.
    pub async fn accept(&mut self) -> Result<Stream, Closed> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The next connection, as [`Listener::accept`] gives it.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream, Closed>> {
        self.inner.poll_accept(cx).map(|accepted| accepted.map(Stream::new))
    }
}

/// One end of a connection. Reading and writing wait apart from each other, so the two may be done
/// by two tasks; each by one at a time.
pub struct Stream {
    inner: Box<dyn ByteStream>,
}

impl Stream {
    fn new(inner: Box<dyn ByteStream>) -> Stream {
        Stream { inner }
    }

    pub(crate) async fn connect(env: &Env, to: Address) -> Result<Stream, ConnectError> {
        env.platform().connect(to).await.map(Stream::new)
    }

    /// Who is at the other end, as the greeting of the connection says. A node that is not on the
    /// roster is a guest.
    pub fn peer(&self) -> NodeId {
        self.inner.peer()
    }

    /// The port that was connected to, at both ends.
    pub fn port(&self) -> Port {
        self.inner.port()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_stream_can_be_told_from_the_systems_and_says_what_is_known() {
        for error in [StreamError::Reset, StreamError::Silent, StreamError::ShutDown] {
            assert_eq!(StreamError::of(&error.into()), error);
        }
        let late = io::Error::from(ErrorKind::TimedOut);
        let cut_short = io::Error::from(ErrorKind::UnexpectedEof);
        assert_eq!(StreamError::of(&late), StreamError::Silent);
        assert_eq!(StreamError::of(&cut_short), StreamError::Reset);
        assert_eq!(late.outcome(), Outcome::Indeterminate);
        assert_eq!(io::Error::from(StreamError::ShutDown).outcome(), Outcome::NotDone);
        assert_eq!(ConnectError::TimedOut.outcome(), Outcome::NotDone);
    }
}
