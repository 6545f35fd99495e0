//! The parts of a node behind the one pointer that its tasks hold.

use crate::clock::SystemClock;
use crate::counters::Counters;
use crate::disk::DiskThread;
use crate::entropy::Entropy;
use crate::network::Network;
use crate::streams;
use crate::tasks::Tasks;
use squall_env::disk::{Completion, Operation};
use squall_env::platform::{
    BindError, BoxFuture, ByteStream, Clock, Datagrams, Disk, Listening, Network as NetworkTrait,
    Observer, Platform, Random, Spawner, Wait,
};
use squall_env::stream::ConnectError;
use squall_env::{Address, Instant, NodeId, Port, Roster, WallTime};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

/// A node in production.
pub(crate) struct Real {
    pub(crate) clock: SystemClock,
    pub(crate) network: Arc<Network>,
    pub(crate) disk: DiskThread,
    pub(crate) tasks: Tasks,
    pub(crate) entropy: Arc<Entropy>,
    pub(crate) counters: Arc<Counters>,
}

impl Clock for Real {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn wall(&self) -> WallTime {
        self.clock.wall()
    }

    fn poll_sleep(&self, until: Instant, wait: &mut Wait, cx: &mut Context<'_>) -> Poll<()> {
        // The timers of a runtime that has been shut down panic. A node that has stopped has no
        // tasks that could go on, so whoever still sleeps sleeps for ever.
        if self.tasks.ending.is_over() {
            return Poll::Pending;
        }
        self.clock.poll_sleep(&self.tasks.runtime, until, wait, cx)
    }

    fn slept(&self) -> u64 {
        self.clock.slept()
    }

    fn cancel(&self, wait: &mut Wait) {
        wait.own = None;
    }
}

impl NetworkTrait for Real {
    fn bind(&self, port: Port) -> Result<Box<dyn Datagrams>, BindError> {
        self.network.bind(port)
    }

    fn send(&self, from: Port, to: Address, _kind: u8, payload: &[u8]) {
        self.network.send(from, to, payload);
    }

    fn listen(&self, port: Port) -> Result<Box<dyn Listening>, BindError> {
        streams::listen(&self.network, port)
    }

    fn connect(
        &self,
        to: Address,
    ) -> BoxFuture<'static, Result<Box<dyn ByteStream>, ConnectError>> {
        let runtime = self.tasks.runtime.clone();
        let mut connecting = Box::pin(streams::connect(Arc::clone(&self.network), to));
        Box::pin(poll_fn(move |cx| {
            // Sockets and timers belong to the node's runtime, whoever waits for them.
            let _within = runtime.enter();
            connecting.as_mut().poll(cx)
        }))
    }
}

impl Disk for Real {
    fn submit(&self, operation: Operation, done: Completion) {
        self.disk.submit(operation, done);
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.disk.poll_room(cx, &self.counters)
    }
}

impl Spawner for Real {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.tasks.spawn(name, task);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.tasks.run_blocking(work);
    }
}

impl Random for Real {
    fn next_u64(&self) -> u64 {
        self.entropy.next_u64()
    }
}

impl Observer for Real {
    fn trace(&self, text: &dyn Fn() -> String) {
        if tracing::enabled!(tracing::Level::TRACE) {
            tracing::trace!(node = self.roster().name(self.me()), "{}", text());
        }
    }

    fn rejected(&self, from: Address, why: &'static str) {
        self.counters.rejected.one();
        if tracing::enabled!(tracing::Level::DEBUG) {
            let (node, peer) = (self.roster().name(self.me()), self.roster().name(from.node));
            tracing::debug!(node, peer, why, "a message is rejected");
        }
    }
}

impl Platform for Real {
    fn me(&self) -> NodeId {
        self.network.me
    }

    fn roster(&self) -> &Roster {
        &self.network.roster
    }
}
