//! What connections run over: plain TCP, or TLS in which both sides prove their names.

use crate::config::Config;
use crate::error::RunError;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[cfg(feature = "tls")]
use crate::tls;

/// A connection, whatever it runs over.
pub(crate) enum Way {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
}

/// Does the same with either.
macro_rules! either {
    ($way:expr, $stream:ident => $do:expr) => {
        match $way {
            Way::Plain($stream) => $do,
            #[cfg(feature = "tls")]
            Way::Tls($stream) => $do,
        }
    };
}

impl Way {
    /// The socket beneath.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Way::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Way::Tls(stream) => stream.get_ref().0,
        }
    }
}

#[cfg(feature = "tls")]
impl Drop for Way {
    /// Does what the system does for a plain connection: says goodbye, unless something was not
    /// read. Without a goodbye the peer takes the end for a reset.
    fn drop(&mut self) {
        let Way::Tls(stream) = self else { return };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut byte = [0];
        let mut unread = ReadBuf::new(&mut byte);
        let read = Pin::new(&mut *stream).poll_read(&mut cx, &mut unread);
        let broken = matches!(read, Poll::Ready(Err(_)));
        if unread.filled().is_empty() && !broken {
            // There is nobody left to wait if the socket is full.
            let _ = Pin::new(stream).poll_shutdown(&mut cx);
        }
    }
}

impl AsyncRead for Way {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, into))
    }
}

impl AsyncWrite for Way {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// How connections of a node are made.
pub(crate) enum Transport {
    Plain,
    #[cfg(feature = "tls")]
    Tls(Box<tls::Tls>),
}

/// Who the other side has proved to be.
pub(crate) enum Proof {
    /// Nothing is proved, and anybody is believed.
    None,
    #[cfg(feature = "tls")]
    Certificate(tls::Leaf),
}

impl Transport {
    /// What a configuration asks for.
    pub(crate) fn new(config: &Config) -> Result<Transport, RunError> {
        match &config.tls {
            None => Ok(Transport::Plain),
            #[cfg(feature = "tls")]
            Some(files) => {
                let named = !config.me.is_guest();
                let me = named.then(|| crate::config::certified_name(&config.roster, config.me));
                Ok(Transport::Tls(Box::new(tls::Tls::new(files, me)?)))
            }
            #[cfg(not(feature = "tls"))]
            Some(_) => Err(crate::config::ConfigError::TlsMissing.into()),
        }
    }

    /// Makes a connection to somebody safe, who has to be certified under this name.
    pub(crate) async fn connect(&self, stream: TcpStream, name: String) -> io::Result<Way> {
        match self {
            Transport::Plain => {
                // Whoever answers is believed to be who is wanted.
                let _ = name;
                Ok(Way::Plain(stream))
            }
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => {
                let stream = tls.connect(stream, name).await?;
                Ok(Way::Tls(Box::new(stream.into())))
            }
        }
    }

    /// Makes a connection from somebody safe, and says who that is.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<(Way, Proof)> {
        match self {
            Transport::Plain => Ok((Way::Plain(stream), Proof::None)),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => {
                let (stream, leaf) = tls.accept(stream).await?;
                Ok((Way::Tls(Box::new(stream.into())), Proof::Certificate(leaf)))
            }
        }
    }
}

impl Proof {
    /// Whether the other side may call itself by this name.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        match self {
            Proof::None => {
                // Without certificates a name is a claim.
                let _ = name;
                true
            }
            #[cfg(feature = "tls")]
            Proof::Certificate(leaf) => leaf.is_of(name),
        }
    }
}
