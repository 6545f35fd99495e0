//! openraft's runtime on [`Env`].
//!
//! Everything in openraft's trait is a function without a receiver, so a task has to find the node
//! it belongs to: each future that goes through here carries its node's [`Env`], and whatever it
//! does while it is polled or dropped finds it [there](scope).
//!
//! tokio's bounded channel, oneshot and mutex serve waiters in order and draw nothing. Its watch
//! puts each waiter on one of eight lists at random, so there is [another](watch) one here.

mod channels;
mod instant;
pub mod scope;
mod timers;
mod watch;

use crate::runtime::scope::{Scoped, current, scoped};
use channels::{Bounded, Exclusive, Single};
pub use instant::NodeInstant;
use openraft_rt::AsyncRuntime;
use scoped_tls_hkt::scoped_thread_local;
use squall::plan::{Plan, RoleNodes};
use squall::{Client, Scenario, Watch, run_plan};
use squall_env::Task;
use squall_env::sync::Gone;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use timers::{NodeSleep, NodeTimeout, Overdue};

/// The runtime of whichever node's task is running.
#[derive(Debug)]
pub struct NodeRuntime;

/// A task of the node, as openraft waits for it.
pub struct Joined<T>(Task<T>);

impl<T> Future for Joined<T> {
    type Output = Result<T, Gone>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// The node's randomness.
pub struct NodeRng(squall_env::Env);

impl rand_core::TryRng for NodeRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.rng().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.rng().try_next_u64()
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        self.0.rng().try_fill_bytes(into)
    }
}

impl AsyncRuntime for NodeRuntime {
    type JoinError = Gone;
    type JoinHandle<T: Send + 'static> = Joined<T>;
    type Sleep = NodeSleep;
    type Instant = NodeInstant;
    type TimeoutError = Overdue;
    type Timeout<R, T: Future<Output = R> + Send> = NodeTimeout<T>;
    type ThreadLocalRng = NodeRng;
    type Mpsc = Bounded;
    type Watch = watch::Latest;
    type Oneshot = Single;
    type Mutex<T: Send + 'static> = Exclusive<T>;

    fn spawn<T>(future: T) -> Joined<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        let env = current();
        Joined(env.spawn("openraft", scoped(&env, future)))
    }

    fn sleep(duration: Duration) -> NodeSleep {
        NodeSleep::until(current().now() + duration)
    }

    fn sleep_until(deadline: NodeInstant) -> NodeSleep {
        NodeSleep::until(deadline.0)
    }

    fn timeout<R, F: Future<Output = R> + Send>(limit: Duration, future: F) -> NodeTimeout<F> {
        NodeTimeout::new(Self::sleep(limit), future)
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(
        deadline: NodeInstant,
        future: F,
    ) -> NodeTimeout<F> {
        NodeTimeout::new(Self::sleep_until(deadline), future)
    }

    /// A task of a node that panics fails the run before anybody asks.
    fn is_panic(_: &Gone) -> bool {
        false
    }

    fn thread_rng() -> NodeRng {
        NodeRng(current())
    }

    fn new(_: usize) -> NodeRuntime {
        NodeRuntime
    }

    /// Runs the future on the only node of a world of its own, under fair weather.
    ///
    /// # Panics
    /// If the run fails, or this is called within a run.
    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        let (mut future, mut output) = (pin!(future), None);
        let mut poll =
            |cx: &mut Context<'_>| future.as_mut().poll(cx).map(|value| output = Some(value));
        let scenario = Scenario::new("runtime/block-on").clients("client", 1..=1, drive);
        let role = RoleNodes { role: "client".to_owned(), nodes: 1 };
        let plan = Plan::calm(vec![role], u64::MAX / 2);
        let outcome = DRIVEN.set(&mut poll, || run_plan(&scenario, 1, &plan, Watch::default()));
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
        output.expect("the only client finished")
    }

    async fn spawn_blocking<F, T>(work: F) -> Result<T, io::Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let env = current();
        env.blocking(work).await.map_err(io::Error::other)
    }
}

scoped_thread_local! {
    /// What the world of [`NodeRuntime::block_on`] drives: a role can own nothing that is borrowed.
    static mut DRIVEN: for<'a> &'a mut (dyn FnMut(&mut Context<'_>) -> Poll<()> + 'a)
}

async fn drive(client: Client) -> Result<(), Infallible> {
    let env = client.env().clone();
    let body = poll_fn(|cx| DRIVEN.with(|poll| poll(cx)));
    Scoped::new(&env, Box::pin(body)).await;
    Ok(())
}
