//! Tasks of a node: joined, cancelled, or left to run.

use crate::Env;
use crate::sync::{Gone, OneshotReceiver, oneshot};
use crate::sync::{Stop, Stopper, stop};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A started task. Awaiting it gives its result; dropping it leaves it running.
pub struct Task<T> {
    result: OneshotReceiver<T>,
    stopper: Stopper,
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn<F>(env: &Env, name: &'static str, body: F) -> Task<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, result) = oneshot(env, name);
        let (stopper, mut stopped) = stop(env, name);
        env.platform().spawn(
            name,
            Box::pin(async move {
                if let Some(output) = until_stopped(&mut stopped, body).await {
                    sender.send(output);
                }
            }),
        );
        Task { result, stopper }
    }

    /// Drops the task's future at the task's next turn. Awaiting the task then gives [`Gone`],
    /// unless it had finished before.
    pub fn cancel(&self) {
        self.stopper.stop();
    }
}

async fn until_stopped<F: Future>(stopped: &mut Stop, body: F) -> Option<F::Output> {
    match crate::race(stopped.wait(), body).await {
        crate::Either::Left(()) => None,
        crate::Either::Right(output) => Some(output),
    }
}

impl<T> Future for Task<T> {
    /// [`Gone`] if the task was cancelled or panicked.
    type Output = Result<T, Gone>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(cx)
    }
}
