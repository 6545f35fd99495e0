//! Retries around a service.

use super::{Deadlines, Response, Timed, Untimed, call};
use crate::retry::{Advice, Deadline, Effect, Retry, RetryError};
use squall_env::{Env, HasOutcome};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// Puts retries around services: all of them share the budget. `effect` says whether it does any
/// harm to do a request twice, and `judge` whether there is any sense in it.
#[derive(Clone)]
pub struct RetryLayer<F, J, D = Untimed> {
    env: Env,
    retry: Retry,
    limit: Duration,
    effect: F,
    judge: J,
    deadlines: D,
}

impl<F, J> RetryLayer<F, J> {
    /// These retries around services; all tries of a request together take `limit` at most.
    pub fn new(
        env: &Env,
        retry: Retry,
        limit: Duration,
        (effect, judge): (F, J),
    ) -> RetryLayer<F, J> {
        RetryLayer { env: env.clone(), retry, limit, effect, judge, deadlines: Untimed }
    }

    /// The same for requests that have deadlines.
    pub fn timed(self) -> RetryLayer<F, J, Timed> {
        self.with_deadlines(Timed)
    }

    /// The same for requests whose deadlines are found like this.
    pub fn with_deadlines<D>(self, deadlines: D) -> RetryLayer<F, J, D> {
        let RetryLayer { env, retry, limit, effect, judge, deadlines: Untimed } = self;
        RetryLayer { env, retry, limit, effect, judge, deadlines }
    }
}

impl<S, F: Clone, J: Clone, D: Clone> Layer<S> for RetryLayer<F, J, D> {
    type Service = Retrying<S, F, J, D>;

    fn layer(&self, service: S) -> Retrying<S, F, J, D> {
        Retrying { service, layer: self.clone() }
    }
}

/// A service that is asked again if it fails. All tries together have the time until the deadline
/// of the request, or less if the limit is sooner, and each is told until when.
#[derive(Clone)]
pub struct Retrying<S, F, J, D = Untimed> {
    service: S,
    layer: RetryLayer<F, J, D>,
}

impl<S, F, J, D, R> Service<R> for Retrying<S, F, J, D>
where
    S: Service<R> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: HasOutcome + Send,
    F: Fn(&R) -> Effect + Clone + Send + 'static,
    J: Fn(&S::Error) -> Advice + Clone + Send + Sync + 'static,
    D: Deadlines<R> + Clone + Send + Sync + 'static,
    R: Clone + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = RetryError<S::Error>;
    type Future = Response<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Retrying { service, layer } = self.clone();
        let effect = (layer.effect)(&request);
        let RetryLayer { env, retry, limit, judge, deadlines, .. } = layer;
        Box::pin(async move {
            let own = deadlines.of(&request).unwrap_or(Deadline::NEVER);
            let deadline = own.within(limit, env.now());
            let attempt =
                |deadline| call(service.clone(), deadlines.until(request.clone(), deadline));
            retry.call(effect, deadline, judge, attempt).await
        })
    }
}
