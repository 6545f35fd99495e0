//! Sockets for datagrams and for typed messages.

use crate::Env;
use crate::address::{Address, Port};
use crate::codec::{self, FrameError};
use crate::named::name_of;
use crate::platform::{BindError, Closed, Datagrams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

/// A bound port for raw datagrams.
pub struct Socket {
    env: Env,
    port: Port,
    inner: Box<dyn Datagrams>,
}

impl Socket {
    pub(crate) fn bind(env: &Env, port: Port) -> Result<Socket, BindError> {
        let inner = env.platform().bind(port)?;
        Ok(Socket { env: env.clone(), port: inner.port(), inner })
    }

    /// The port.
    pub fn port(&self) -> Port {
        self.port
    }

    /// Sends a datagram and never waits. More than
    /// [`DATAGRAM_MAX`](crate::platform::DATAGRAM_MAX) bytes are dropped and counted.
    pub fn send(&self, to: Address, payload: &[u8]) {
        self.env.platform().send(self.port, to, 0, payload);
    }

    /// Waits for the next datagram, which replaces what `into` held. Says where it came from.
    ///
    /// # Errors
    /// [`Closed`] if the node has stopped.
    pub async fn receive(&mut self, into: &mut Vec<u8>) -> Result<Address, Closed> {
        poll_fn(|cx| self.inner.poll_receive(into, cx)).await
    }

    /// The next datagram, as [`Socket::receive`] gives it.
    pub fn poll_receive(
        &mut self,
        into: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Address, Closed>> {
        self.inner.poll_receive(into, cx)
    }
}

/// A bound port for messages of one type, each in a checked frame: what arrives is what was sent,
/// or it does not arrive.
///
/// `M` is best an enum: its variant tells the kinds of message on a lane apart.
pub struct Messages<M> {
    socket: Socket,
    received: Vec<u8>,
    frame: Vec<u8>,
    of: PhantomData<fn(M) -> M>,
}

/// Sends messages from a port that another task receives on.
pub struct MessageSender<M> {
    env: Env,
    port: Port,
    of: PhantomData<fn(M)>,
}

impl<M: Serialize + DeserializeOwned> Messages<M> {
    pub(crate) fn new(socket: Socket) -> Messages<M> {
        let received = Vec::with_capacity(codec::ROOM);
        Messages { socket, received, frame: Vec::new(), of: PhantomData }
    }

    /// The port.
    pub fn port(&self) -> Port {
        self.socket.port
    }

    /// Sends a message and never waits. One that is too large or cannot be encoded is dropped,
    /// counted and traced.
    pub fn send(&mut self, to: Address, message: &M) {
        send(&self.socket.env, self.socket.port, to, message, &mut self.frame);
    }

    /// Sends one message to many; it is encoded once.
    pub fn send_all(&mut self, to: impl IntoIterator<Item = Address>, message: &M) {
        let env = &self.socket.env;
        match codec::encode(message, &mut self.frame) {
            Ok(kind) => {
                env.names(&self.frame, || name_of(message));
                for to in to {
                    env.platform().send(self.socket.port, to, kind, &self.frame);
                }
            }
            Err(error) => {
                let own = Address::new(env.me(), self.socket.port);
                env.platform().rejected(own, error.reason());
            }
        }
    }

    /// Another handle that sends from this port.
    pub fn sender(&self) -> MessageSender<M> {
        MessageSender { env: self.socket.env.clone(), port: self.socket.port, of: PhantomData }
    }

    /// Waits for the next message that arrives undamaged.
    ///
    /// # Errors
    /// [`Closed`] if the node has stopped.
    pub async fn receive(&mut self) -> Result<(Address, M), Closed> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// The next message, as [`Messages::receive`] gives it.
    #[inline]
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Address, M), Closed>> {
        loop {
            let from = ready!(self.poll_frame(cx))?;
            match self.decode() {
                Ok(message) => return Poll::Ready(Ok((from, message))),
                Err(error) => self.reject(from, error),
            }
        }
    }

    /// As [`Messages::poll_receive`], for a message that is only looked at: it gives what `look`
    /// makes of it.
    #[inline]
    pub fn poll_look<R>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(Address, &M) -> R,
    ) -> Poll<Result<R, Closed>> {
        loop {
            let from = ready!(self.poll_frame(cx))?;
            match self.decode() {
                Ok(ref message) => return Poll::Ready(Ok(look(from, message))),
                Err(error) => self.reject(from, error),
            }
        }
    }

    /// The next frame, whatever is in it: [`Messages::decode`] says what.
    #[inline]
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Address, Closed>> {
        self.socket.inner.poll_receive(&mut self.received, cx)
    }

    /// The message in the last frame.
    #[inline]
    pub(crate) fn decode(&self) -> Result<M, FrameError> {
        codec::decode(&self.received)
    }

    /// Counts and drops what is no message.
    #[cold]
    pub(crate) fn reject(&self, from: Address, error: FrameError) {
        self.socket.env.platform().rejected(from, error.reason());
    }
}

impl<M> Clone for MessageSender<M> {
    fn clone(&self) -> MessageSender<M> {
        MessageSender { env: self.env.clone(), port: self.port, of: PhantomData }
    }
}

impl<M: Serialize> MessageSender<M> {
    pub(crate) fn from_port(env: &Env, port: Port) -> MessageSender<M> {
        MessageSender { env: env.clone(), port, of: PhantomData }
    }

    /// Sends a message and never waits.
    pub fn send(&self, to: Address, message: &M) {
        send(&self.env, self.port, to, message, &mut Vec::new());
    }
}

fn send<M: Serialize>(env: &Env, from: Port, to: Address, message: &M, frame: &mut Vec<u8>) {
    match codec::encode(message, frame) {
        Ok(kind) => {
            env.names(frame, || name_of(message));
            env.platform().send(from, to, kind, frame);
        }
        Err(error) => env.platform().rejected(Address::new(env.me(), from), error.reason()),
    }
}
