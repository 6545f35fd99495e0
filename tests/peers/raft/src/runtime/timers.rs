//! Sleeps and deadlines that own what they need.

use super::scope::current;
use squall_env::platform::Wait;
use squall_env::{Env, Instant};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Waits until the node's clock shows a moment.
pub struct NodeSleep {
    env: Env,
    until: Instant,
    wait: Wait,
}

impl NodeSleep {
    pub fn until(until: Instant) -> NodeSleep {
        NodeSleep { env: current(), until, wait: Wait::default() }
    }
}

impl Future for NodeSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.env.platform().poll_sleep(this.until, &mut this.wait, cx)
    }
}

impl Drop for NodeSleep {
    fn drop(&mut self) {
        if self.wait.token != 0 || self.wait.own.is_some() {
            self.env.platform().cancel(&mut self.wait);
        }
    }
}

/// The deadline came first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the deadline passed")]
pub struct Overdue;

/// A future and its deadline. A future that is ready wins.
pub struct NodeTimeout<F> {
    sleep: NodeSleep,
    body: Pin<Box<F>>,
}

impl<F: Future> NodeTimeout<F> {
    pub fn new(sleep: NodeSleep, body: F) -> NodeTimeout<F> {
        NodeTimeout { sleep, body: Box::pin(body) }
    }
}

impl<F: Future> Future for NodeTimeout<F> {
    type Output = Result<F::Output, Overdue>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.body.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut self.sleep).poll(cx).map(|()| Err(Overdue))
    }
}
