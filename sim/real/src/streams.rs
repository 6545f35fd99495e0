//! Streams: TCP connections of their own, greeted as those of datagrams are, and then the
//! program's alone.

use crate::config::Limits;
use crate::hello::{Greeting, Refusal};
use crate::link::{DialError, dial};
use crate::network::{Guest, Network};
use crate::transport::Way;
use squall_env::platform::{BindError, ByteStream, Closed, Listening};
use squall_env::stream::{ConnectError, StreamError};
use squall_env::{Address, NodeId, Port};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

/// How many bytes of a stream to the node itself wait each way.
const LOCAL_BYTES: usize = 64 << 10;

/// Who listens on this node.
#[derive(Default)]
pub(crate) struct Streams {
    ports: Mutex<Ports>,
}

#[derive(Default)]
struct Ports {
    listening: BTreeMap<Port, Arc<Backlog>>,
    next: u32,
    closed: bool,
}

/// Connections that wait to be taken on one port.
pub(crate) struct Backlog {
    state: Mutex<Waiting>,
    most: usize,
}

#[derive(Default)]
struct Waiting {
    streams: VecDeque<TcpEnd>,
    /// Places that are kept for connections whose greeting is not answered yet.
    kept: usize,
    taker: Option<Waker>,
    closed: bool,
}

/// A place in a backlog. Dropping it gives it back.
pub(crate) struct Place {
    backlog: Arc<Backlog>,
    filled: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Streams {
    /// Keeps a place for a connection to a port.
    pub(crate) fn place(&self, port: Port) -> Result<Place, Refusal> {
        let backlog = lock(&self.ports).listening.get(&port).cloned();
        let backlog = backlog.ok_or(Refusal::NoListener)?;
        let mut waiting = lock(&backlog.state);
        if waiting.streams.len() + waiting.kept >= backlog.most {
            return Err(Refusal::Backlog);
        }
        waiting.kept += 1;
        drop(waiting);
        Ok(Place { backlog, filled: false })
    }

    /// Closes every port: who waits for a connection learns that the node has stopped.
    pub(crate) fn close(&self) {
        let listening = {
            let mut ports = lock(&self.ports);
            ports.closed = true;
            mem::take(&mut ports.listening)
        };
        for backlog in listening.values() {
            backlog.close();
        }
    }
}

impl Backlog {
    /// Sends away who waits, and answers every accept with [`Closed`] from now on.
    fn close(&self) {
        let closed = Waiting { closed: true, ..Waiting::default() };
        let before = mem::replace(&mut *lock(&self.state), closed);
        if let Some(taker) = before.taker {
            taker.wake();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<TcpEnd, Closed>> {
        let mut waiting = lock(&self.state);
        if waiting.closed {
            return Poll::Ready(Err(Closed));
        }
        if let Some(stream) = waiting.streams.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let known = waiting.taker.as_ref().is_some_and(|old| old.will_wake(cx.waker()));
        let old = if known { None } else { waiting.taker.replace(cx.waker().clone()) };
        // Wakers are the task's own code: they run and are dropped outside of the lock.
        drop(waiting);
        drop(old);
        Poll::Pending
    }
}

impl Place {
    /// Puts a connection there. If the port has been closed since, the connection is too.
    pub(crate) fn fill(mut self, stream: TcpEnd) {
        self.filled = true;
        let mut waiting = lock(&self.backlog.state);
        if waiting.closed {
            return;
        }
        waiting.kept -= 1;
        waiting.streams.push_back(stream);
        let taker = waiting.taker.take();
        drop(waiting);
        if let Some(taker) = taker {
            taker.wake();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = lock(&self.backlog.state);
        if !self.filled && !waiting.closed {
            waiting.kept -= 1;
        }
    }
}

/// A port on which connections are taken.
struct Taking {
    network: Arc<Network>,
    port: Port,
    backlog: Arc<Backlog>,
}

impl Listening for Taking {
    fn port(&self) -> Port {
        self.port
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn ByteStream>, Closed>> {
        self.backlog.poll(cx).map(|taken| taken.map(|stream| Box::new(stream) as _))
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let backlog = lock(&self.network.streams.ports).listening.remove(&self.port);
        if let Some(backlog) = backlog {
            backlog.close();
        }
    }
}

pub(crate) fn listen(network: &Arc<Network>, port: Port) -> Result<Box<dyn Listening>, BindError> {
    let mut ports = lock(&network.streams.ports);
    if ports.closed {
        return Err(BindError::Stopped);
    }
    let port = if port == Port::ANY { ports.any() } else { port };
    if ports.listening.contains_key(&port) {
        return Err(BindError::InUse(port));
    }
    let most = network.limits.backlog_max;
    let backlog = Arc::new(Backlog { state: Mutex::default(), most });
    ports.listening.insert(port, Arc::clone(&backlog));
    Ok(Box::new(Taking { network: Arc::clone(network), port, backlog }))
}

impl Ports {
    /// A port that nobody has. There are more of them than memory holds listeners.
    fn any(&mut self) -> Port {
        loop {
            let port = Port::from_number(Port::FIRST_EPHEMERAL + self.next);
            self.next = (self.next + 1) % Port::FIRST_EPHEMERAL;
            if !self.listening.contains_key(&port) {
                return port;
            }
        }
    }
}

/// Connects to a port of a node.
pub(crate) async fn connect(
    network: Arc<Network>,
    to: Address,
) -> Result<Box<dyn ByteStream>, ConnectError> {
    if network.tasks.ending.is_over() {
        return Err(ConnectError::Stopped);
    }
    if to.node == network.me {
        return connect_to_myself(&network, to).map(|end| Box::new(end) as _);
    }
    let address = network.address(to.node).ok_or(ConnectError::NoRoute)?;
    let cluster = network.roster.cluster().to_owned();
    let greeting = Greeting::Stream { cluster, node: network.my_name(), port: to.port.number() };
    match dial(&network, to.node, address, &greeting).await {
        Ok(stream) => {
            network.counters.stream_connects.one();
            Ok(Box::new(TcpEnd::new(stream, to.node, to.port, &network.limits)))
        }
        Err(error) => {
            network.counters.stream_connects_failed.one();
            let (node, peer) = (network.roster.name(network.me), network.roster.name(to.node));
            tracing::debug!(node, peer, %address, why = %error, "no stream");
            Err(reason(&error))
        }
    }
}

fn reason(error: &DialError) -> ConnectError {
    let io = |error: &io::Error| match error.kind() {
        // One of the two did not like the other's certificate.
        ErrorKind::InvalidData | ErrorKind::ConnectionRefused => ConnectError::Refused,
        ErrorKind::TimedOut => ConnectError::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => ConnectError::NoRoute,
        _ => ConnectError::Reset,
    };
    match error {
        DialError::Timeout => ConnectError::TimedOut,
        DialError::Io(error) | DialError::Hello(crate::hello::HelloError::Io(error)) => io(error),
        DialError::Hello(_) | DialError::Refused(_) | DialError::SomebodyElse => {
            ConnectError::Refused
        }
    }
}

fn connect_to_myself(network: &Network, to: Address) -> Result<TcpEnd, ConnectError> {
    let place = network.streams.place(to.port).map_err(|_| ConnectError::Refused)?;
    let (here, there) = tokio::io::duplex(LOCAL_BYTES);
    let end = |pipe| TcpEnd {
        carrier: Carrier::Local(pipe),
        peer: network.me,
        port: to.port,
        failed: None,
        shut: false,
        unflushed: false,
        writer: None,
        _kept: None,
    };
    place.fill(end(there));
    Ok(end(here))
}

/// One end of a connection.
pub(crate) struct TcpEnd {
    carrier: Carrier,
    peer: NodeId,
    port: Port,
    /// What ended it. From then on there is no other answer.
    failed: Option<StreamError>,
    shut: bool,
    /// Whether something was written and not flushed, and who waits to write. An encrypted
    /// connection may hold back what was written until it is flushed.
    unflushed: bool,
    writer: Option<Waker>,
    /// Its place among the connections that were taken, and its number if it is a guest's: both
    /// are given back with it.
    _kept: Option<(OwnedSemaphorePermit, Option<Guest>)>,
}

enum Carrier {
    Remote(Way),
    Local(DuplexStream),
}

/// Does the same with either carrier.
macro_rules! carried {
    ($end:expr, $carrier:ident => $do:expr) => {
        match &mut $end.carrier {
            Carrier::Remote($carrier) => $do,
            Carrier::Local($carrier) => $do,
        }
    };
}

impl TcpEnd {
    fn new(stream: Way, peer: NodeId, port: Port, limits: &Limits) -> TcpEnd {
        if let Err(error) = watch_over(stream.socket(), limits) {
            tracing::debug!(%error, "the system will be late to see that a peer is gone");
        }
        let carrier = Carrier::Remote(stream);
        TcpEnd {
            carrier,
            peer,
            port,
            failed: None,
            shut: false,
            unflushed: false,
            writer: None,
            _kept: None,
        }
    }

    /// The end of a connection that was taken.
    pub(crate) fn taken(
        stream: Way,
        (peer, port): (NodeId, Port),
        limits: &Limits,
        slot: OwnedSemaphorePermit,
        guest: Option<Guest>,
    ) -> TcpEnd {
        let end = TcpEnd::new(stream, peer, port, limits);
        TcpEnd { _kept: Some((slot, guest)), ..end }
    }

    /// The answer once the connection has failed.
    fn failure<T>(&self) -> Option<Poll<io::Result<T>>> {
        self.failed.map(|error| Poll::Ready(Err(error.into())))
    }

    /// Keeps an error, so that it is given again.
    fn keep<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let error = StreamError::of(&error);
            self.failed = Some(error);
            error.into()
        })
    }
}

/// Has the system give a connection up when its peer is silent for too long.
fn watch_over(stream: &TcpStream, limits: &Limits) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    // The system counts whole seconds.
    let interval = limits.ping_interval.max(Duration::from_secs(1));
    let idle = interval.min(limits.silence_max);
    let keep_alive = socket2::TcpKeepalive::new().with_time(idle).with_interval(interval);
    #[cfg(unix)]
    let keep_alive = {
        let tries = limits.silence_max.as_secs() / interval.as_secs().max(1);
        keep_alive.with_retries(tries.clamp(1, 100) as u32)
    };
    socket.set_tcp_keepalive(&keep_alive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits.silence_max))?;
    Ok(())
}

impl ByteStream for TcpEnd {
    fn peer(&self) -> NodeId {
        self.peer
    }

    fn port(&self) -> Port {
        self.port
    }
}

impl AsyncRead for TcpEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(failure) = self.failure() {
            return failure;
        }
        // Whoever waits for an answer wants the question to leave. Another task that waits to write
        // has asked to be woken for that itself, and must not lose its place to the reader.
        let free = self.writer.as_ref().is_none_or(|writer| writer.will_wake(cx.waker()));
        if self.unflushed && free {
            let flushed = carried!(self, carrier => Pin::new(carrier).poll_flush(cx));
            self.unflushed = flushed.is_pending();
        }
        let polled = carried!(self, carrier => Pin::new(carrier).poll_read(cx, into));
        polled.map(|result| self.keep(result))
    }
}

impl AsyncWrite for TcpEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(failure) = self.failure() {
            return failure;
        }
        if self.shut {
            return Poll::Ready(Err(StreamError::ShutDown.into()));
        }
        let polled = carried!(self, carrier => Pin::new(carrier).poll_write_vectored(cx, bytes));
        self.writer = polled.is_pending().then(|| cx.waker().clone());
        self.unflushed |= polled.is_ready();
        polled.map(|result| self.keep(result))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = carried!(self, carrier => Pin::new(carrier).poll_flush(cx));
        self.writer = polled.is_pending().then(|| cx.waker().clone());
        self.unflushed &= polled.is_pending();
        polled.map(|result| self.keep(result))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(failure) = self.failure() {
            return failure;
        }
        self.shut = true;
        let polled = carried!(self, carrier => Pin::new(carrier).poll_shutdown(cx));
        self.writer = polled.is_pending().then(|| cx.waker().clone());
        polled.map(|result| self.keep(result))
    }
}
