//! The traits under [`Env`](crate::Env): what a world, simulated or real, has to offer a node.
//!
//! Protocol authors never see them. Whoever writes an adapter implements [`Platform`] with its
//! parts; every method is object-safe and those on hot paths are poll-based, so that a sleep or a
//! receive allocates nothing.

use crate::address::{Address, NodeId, Port, Roster};
use crate::disk::{Completion, DiskError, Done, Operation};
use crate::shown::Exhibit;
use crate::stream::ConnectError;
use crate::time::{Instant, WallTime};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// A future on the heap that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The most bytes one datagram may carry, in both worlds.
pub const DATAGRAM_MAX: usize = 1 << 20;

/// One pending sleep. The simulator keeps a token in it, a real adapter its own timer.
#[derive(Default)]
pub struct Wait {
    /// The simulator's name for the timer; zero if there is none.
    pub token: u64,
    /// A real adapter's timer, made at the first poll that has to wait.
    pub own: Option<BoxFuture<'static, ()>>,
}

/// A node's clocks.
pub trait Clock: Send + Sync {
    /// The monotonic clock.
    fn now(&self) -> Instant;
    /// The wall clock.
    fn wall(&self) -> WallTime;
    /// Ready once the monotonic clock has reached `until`: perhaps late, never early.
    fn poll_sleep(&self, until: Instant, wait: &mut Wait, cx: &mut Context<'_>) -> Poll<()>;
    /// How many sleeps of this node have been found to be over.
    fn slept(&self) -> u64;
    /// Forgets the timer of a sleep that is given up.
    fn cancel(&self, wait: &mut Wait);
}

/// Why a port could not be bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody on this node has the port, or a port whose name hashes to the same number.
    #[error("port {0:?} is in use on this node")]
    InUse(Port),
    /// The node has been stopped.
    #[error("the node has stopped")]
    Stopped,
    /// The platform of this node has no streams.
    #[error("the platform has no streams")]
    Unsupported,
}

/// The socket is closed: the node has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the socket is closed")]
pub struct Closed;

/// Datagrams: lost, duplicated, reordered and damaged on their way, at most [`DATAGRAM_MAX`] bytes.
/// Streams: bytes that arrive in order and whole, or a connection that breaks.
pub trait Network: Send + Sync {
    /// Binds a port of this node.
    ///
    /// # Errors
    /// If the port is in use.
    fn bind(&self, port: Port) -> Result<Box<dyn Datagrams>, BindError>;
    /// Sends and never waits: a full queue drops and counts. `kind` tells apart what a lane
    /// carries (the variant of a typed message); it is not transmitted. A payload above
    /// [`DATAGRAM_MAX`] is dropped and counted.
    fn send(&self, from: Port, to: Address, kind: u8, payload: &[u8]);
    /// Takes connections on a port of this node. Its ports are apart from those of datagrams. A
    /// platform that carries datagrams alone leaves this as it is.
    ///
    /// # Errors
    /// If somebody listens on the port already.
    fn listen(&self, port: Port) -> Result<Box<dyn Listening>, BindError> {
        let _ = port;
        Err(BindError::Unsupported)
    }
    /// Connects to a port of a node. Who drops the future gives the attempt up.
    ///
    /// # Errors
    /// The future gives [`ConnectError`] if no connection comes to stand.
    fn connect(
        &self,
        to: Address,
    ) -> BoxFuture<'static, Result<Box<dyn ByteStream>, ConnectError>> {
        let _ = to;
        Box::pin(std::future::ready(Err(ConnectError::Unsupported)))
    }
}

/// A bound port. Dropping it gives the port back.
pub trait Datagrams: Send + Sync {
    /// The port, which for [`Port::ANY`] is known only now.
    fn port(&self) -> Port;
    /// The next datagram, which replaces what `into` held, and where it came from.
    fn poll_receive(
        &mut self,
        into: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Address, Closed>>;
}

/// A port on which connections are taken. Dropping it gives the port back.
pub trait Listening: Send + Sync {
    /// The port, which for [`Port::ANY`] is known only now.
    fn port(&self) -> Port;
    /// The next connection.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn ByteStream>, Closed>>;
}

/// One end of a connection. Dropping it closes it.
///
/// Reads and writes wait apart from each other. Once one of them has given an error other than for
/// a shutdown of its own, all later ones give it again.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// Who is at the other end, as far as the connection's greeting says.
    fn peer(&self) -> NodeId;
    /// The port that was connected to.
    fn port(&self) -> Port;
}

/// Files and directories whose data, length and names become durable apart from each other.
pub trait Disk: Send + Sync {
    /// Starts an operation, which goes on even if nobody waits for it. Operations on one file take
    /// effect in the order in which they are submitted, so a sync covers every earlier write.
    fn submit(&self, operation: Operation, done: Completion);
    /// A slot of the disk's own, which a [`Slot`](crate::disk::Slot) then goes by. A disk whose
    /// answers come from other threads has none: they come by [`Completion`].
    fn disk_slot(&self) -> Option<Box<dyn DiskSlot>> {
        None
    }
    /// Ready once there is room for another operation, which whoever is ready then submits. An
    /// operation that is submitted without asking is taken all the same. A disk without a bound
    /// always has room.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }
}

/// A place for one operation at a time, whose answer the disk keeps until it is asked for. Dropping
/// it leaves an operation that is under way to itself.
pub trait DiskSlot: Send + Sync {
    /// Starts an operation, as [`Disk::submit`] does. One that is still under way goes on
    /// unobserved.
    fn submit(&mut self, operation: Operation);
    /// The answer to the operation that was started last. It is given once, and nobody asks before
    /// an operation was started or after its answer was given.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Done, DiskError>>;
}

/// Tasks of the node: they run on its thread and die with it.
pub trait Spawner: Send + Sync {
    /// Starts a task.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);
    /// Runs work that blocks or computes for long: on a pool in production, after a drawn delay
    /// in the world.
    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>);
    /// Ready once the node has been asked to stop, and from then on. A platform that asks nobody
    /// is never ready.
    fn poll_stop(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Pending
    }
    /// The running task is about to wait for a channel, semaphore or the like of this name.
    /// Whoever asks who waits for whom is told so.
    fn waits_for(&self, kind: &'static str, name: &'static str) {
        let _ = (kind, name);
    }
}

/// All entropy of the node.
pub trait Random: Send + Sync {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;
    /// One of the numbers below `count`, or zero if that is zero.
    fn choose(&self, count: u64) -> u64 {
        // The share of the range, whose bias is at most `count` in 2^64.
        ((u128::from(self.next_u64()) * u128::from(count)) >> 64) as u64
    }
}

/// What a test wants to know of a node. In production nobody asks, and every method does nothing.
pub trait Observer: Send + Sync {
    /// The node is whole again: it has recovered and may bear its share.
    fn ready(&self) {}
    /// State that properties may look at.
    fn show(&self, exhibit: Exhibit) {
        let _ = exhibit;
    }
    /// The exhibit with this number has changed.
    fn touched(&self, exhibit: u64) {
        let _ = exhibit;
    }
    /// A situation was reached that a good test reaches now and then.
    fn sometimes(&self, name: &'static str) {
        let _ = name;
    }
    /// A situation was reached in this combination of its values.
    fn sometimes_each(&self, name: &'static str, values: &[&'static str]) {
        let _ = (name, values);
    }
    /// Something has come to this height.
    fn watermark(&self, name: &'static str, height: u64) {
        let _ = (name, height);
    }
    /// Whether to do the rare thing at this place. See [`buggify!`](crate::buggify).
    fn buggify(&self, name: &'static str) -> bool {
        let _ = name;
        false
    }
    /// The value of a tuning constant: `default`, or in a test perhaps another one of the range.
    fn knob(&self, name: &'static str, default: u64, low: u64, high: u64) -> u64 {
        let _ = (name, low, high);
        default
    }
    /// Whether the deliberate bug of this name is switched on. See [`mutant!`](crate::mutant).
    fn mutant(&self, name: &'static str) -> bool {
        let _ = name;
        false
    }
    /// Whether somebody may read what is traced and named. Whoever makes an
    /// [`Env`](crate::Env) asks this once.
    fn is_told(&self) -> bool {
        true
    }
    /// A line for whoever reads the trace of a run. It never changes what happens.
    fn trace(&self, text: &dyn Fn() -> String) {
        let _ = text;
    }
    /// What is sent next in these bytes is called so, by whoever tells what happened. It never
    /// changes what happens.
    fn names(&self, payload: &[u8], name: &dyn Fn() -> String) {
        let _ = (payload, name);
    }
    /// Something came in that no correct peer sends. It is counted and dropped.
    fn rejected(&self, from: Address, why: &'static str) {
        let _ = (from, why);
    }
}

/// A node's whole world: the parts above behind one pointer.
pub trait Platform: Clock + Network + Disk + Spawner + Random + Observer {
    /// This node.
    fn me(&self) -> NodeId;
    /// All nodes.
    fn roster(&self) -> &Roster;
}
