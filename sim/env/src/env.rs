//! The one handle through which a protocol touches its world.

use crate::address::{Address, NodeId, Port, Roster};
use crate::combination::Combination;
use crate::machine::Tail;
use crate::net::{Messages, Socket};
use crate::platform::{BindError, Platform, Wait};
use crate::rng::Rng;
use crate::shown::{Exhibit, Shown};
use crate::stream::{ConnectError, Listener, Stream};
use crate::task::Task;
use crate::time::{Instant, WallTime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A node's network, clock, disk, randomness and tasks.
///
/// It is cheap to clone, `Send` and `Sync`, and has no type parameters: `async fn serve(env: Env)`
/// runs in the simulated world and in production alike.
#[derive(Clone)]
pub struct Env {
    platform: Arc<dyn Platform>,
    /// Whether somebody may read what is traced and named.
    told: bool,
}

/// The deadline came first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

/// Which of two raced futures was first, and its result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Either<A, B> {
    /// The first one.
    Left(A),
    /// The second one.
    Right(B),
}

impl Env {
    /// The handle of a node on this platform.
    pub fn new(platform: Arc<dyn Platform>) -> Env {
        Env { told: platform.is_told(), platform }
    }

    /// The platform beneath, for those who write adapters and primitives.
    pub fn platform(&self) -> &dyn Platform {
        &*self.platform
    }

    /// Says what is sent next in these bytes is called, to whoever tells what happened.
    pub(crate) fn names(&self, payload: &[u8], name: impl Fn() -> String) {
        if self.told {
            self.platform.names(payload, &name);
        }
    }

    /// This node.
    pub fn me(&self) -> NodeId {
        self.platform.me()
    }

    /// All nodes.
    pub fn roster(&self) -> &Roster {
        self.platform.roster()
    }

    /// The nodes of a role in order, this one too if it is of the role.
    pub fn peers(&self, role: &str) -> Vec<NodeId> {
        self.roster().nodes(role).collect()
    }

    /// This port of every node of a role, in order.
    pub fn addresses(&self, role: &str, port: Port) -> Vec<Address> {
        self.roster().nodes(role).map(|node| Address::new(node, port)).collect()
    }

    /// The monotonic clock of this node.
    pub fn now(&self) -> Instant {
        self.platform.now()
    }

    /// The wall clock of this node: it drifts, steps and goes back.
    pub fn wall(&self) -> WallTime {
        self.platform.wall()
    }

    /// Waits for a while: perhaps longer, never shorter.
    pub fn sleep(&self, duration: Duration) -> Sleep<'_> {
        self.sleep_until(self.now() + duration)
    }

    /// Waits until the monotonic clock shows `until`.
    pub fn sleep_until(&self, until: Instant) -> Sleep<'_> {
        Sleep { env: self, until, wait: Wait::default() }
    }

    /// Waits for `body`, but no longer than `limit`; then `body` is dropped.
    ///
    /// # Errors
    /// [`Elapsed`] if the limit came first.
    pub async fn timeout<F: Future>(&self, limit: Duration, body: F) -> Result<F::Output, Elapsed> {
        self.deadline(self.now() + limit, body).await
    }

    /// Waits for `body`, but not beyond `until`; then `body` is dropped.
    ///
    /// # Errors
    /// [`Elapsed`] if the deadline came first. A body that is ready at once wins in any case.
    pub async fn deadline<F: Future>(&self, until: Instant, body: F) -> Result<F::Output, Elapsed> {
        let mut body = pin!(body);
        let mut sleep = self.sleep_until(until);
        poll_fn(|cx| {
            if let Poll::Ready(output) = body.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            Pin::new(&mut sleep).poll(cx).map(|()| Err(Elapsed))
        })
        .await
    }

    /// Binds a port for raw datagrams.
    ///
    /// # Errors
    /// If the port is in use.
    pub fn bind(&self, port: Port) -> Result<Socket, BindError> {
        Socket::bind(self, port)
    }

    /// Binds a port for typed messages.
    ///
    /// # Errors
    /// If the port is in use.
    pub fn messages<M: Serialize + DeserializeOwned>(
        &self,
        port: Port,
    ) -> Result<Messages<M>, BindError> {
        Ok(Messages::new(self.bind(port)?))
    }

    /// Takes connections on a port.
    ///
    /// # Errors
    /// If somebody on this node listens on the port already.
    pub fn listen(&self, port: Port) -> Result<Listener, BindError> {
        Listener::open(self, port)
    }

    /// Connects to a port of a node: a stream of bytes both ways. It may take long; who does not
    /// want to wait puts a [timeout](Env::timeout) around it.
    ///
    /// # Errors
    /// [`ConnectError`] if no connection comes to stand.
    pub async fn connect(&self, to: Address) -> Result<Stream, ConnectError> {
        Stream::connect(self, to).await
    }

    /// Starts a task of this node. It goes on when the returned handle is dropped.
    pub fn spawn<F>(&self, name: &'static str, body: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Task::spawn(self, name, body)
    }

    /// Runs work that blocks or computes for long without holding up the node.
    ///
    /// # Errors
    /// If the node stops before the work is done, or the work panics.
    pub async fn blocking<T, F>(&self, work: F) -> Result<T, crate::sync::Gone>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = crate::sync::oneshot(self, "blocking");
        self.platform.run_blocking(Box::new(move || sender.send(work())));
        receiver.await
    }

    /// Waits until the node is asked to stop, as by an operator's signal. Whoever does not return
    /// soon after that is stopped.
    pub async fn stopping(&self) {
        poll_fn(|cx| self.platform.poll_stop(cx)).await;
    }

    /// The next 64 random bits.
    pub fn random(&self) -> u64 {
        self.platform.next_u64()
    }

    /// A random number below `bound` (zero if `bound` is zero), by multiplication, so that every
    /// platform draws the same.
    pub fn random_below(&self, bound: u64) -> u64 {
        ((u128::from(self.random()) * u128::from(bound)) >> 64) as u64
    }

    /// The node's randomness as a generator of the rand crates.
    pub fn rng(&self) -> Rng<'_> {
        Rng(self)
    }

    /// Puts a value on show for properties. It takes the place of what this node showed under the
    /// same name.
    pub fn show<T: Send + 'static>(&self, name: &'static str, value: T) -> Shown<T> {
        let shown = Shown::new(value, Tail::default());
        self.platform.show(Exhibit::new(name, &shown, None));
        shown
    }

    /// The node is whole: it has recovered and may bear its share of faults elsewhere.
    pub fn ready(&self) {
        self.platform.ready();
    }

    /// A situation was reached that a good test reaches now and then.
    pub fn sometimes(&self, name: &'static str) {
        self.platform.sometimes(name);
    }

    /// A situation with several sides was reached, each combination of which a good test reaches
    /// now and then.
    pub fn sometimes_each<C: Combination>(&self, name: &'static str, combination: &C) {
        combination.show(|values| self.platform.sometimes_each(name, values));
    }

    /// Something has come to this height, as a queue or the gap between two logs. A test reports
    /// the greatest of many runs. It is no part of what happens: to call it changes no run.
    pub fn watermark(&self, name: &'static str, height: u64) {
        self.platform.watermark(name, height);
    }

    /// Whether to do the rare thing at this place; see [`buggify!`](crate::buggify).
    pub fn buggify(&self, name: &'static str) -> bool {
        self.platform.buggify(name)
    }

    /// The value of a tuning constant: `default`, or in a test perhaps another one from `low` to
    /// `high`.
    pub fn knob(&self, name: &'static str, default: u64, low: u64, high: u64) -> u64 {
        self.platform.knob(name, default, low, high)
    }

    /// Whether a deliberate bug is switched on; see [`mutant!`](crate::mutant).
    pub fn mutant(&self, name: &'static str) -> bool {
        self.platform.mutant(name)
    }

    /// A line for whoever reads the trace of a run. The text is made only if somebody reads it.
    pub fn trace(&self, text: impl Fn() -> String) {
        if self.told {
            self.platform.trace(&text);
        }
    }
}

/// Polls `first`, then `second`, until one of them is ready; the other is dropped. The order is
/// fixed, because a race that is drawn by the library cannot be replayed.
pub async fn race<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if let Poll::Ready(output) = first.as_mut().poll(cx) {
            return Poll::Ready(Either::Left(output));
        }
        second.as_mut().poll(cx).map(Either::Right)
    })
    .await
}

/// Waits until the clock shows a moment. Dropping it takes the timer off.
pub struct Sleep<'a> {
    env: &'a Env,
    until: Instant,
    wait: Wait,
}

impl Sleep<'_> {
    /// When it ends, at the earliest.
    pub fn until(&self) -> Instant {
        self.until
    }
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.env.platform.poll_sleep(this.until, &mut this.wait, cx)
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if self.wait.token != 0 || self.wait.own.is_some() {
            self.env.platform.cancel(&mut self.wait);
        }
    }
}
