//! Retries around a service.

use super::{Response, call};
use crate::retry::{Advice, Deadline, Effect, Retry, RetryError};
use squall_env::{Env, HasOutcome};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// Puts retries around services: all of them share the budget. `effect` says whether it does any
/// harm to do a request twice, and `judge` whether there is any sense in it.
#[derive(Clone)]
pub struct RetryLayer<F, J> {
    env: Env,
    retry: Retry,
    limit: Duration,
    effect: F,
    judge: J,
}

impl<F, J> RetryLayer<F, J> {
    /// These retries around services; all tries of a request together take `limit` at most.
    pub fn new(
        env: &Env,
        retry: Retry,
        limit: Duration,
        (effect, judge): (F, J),
    ) -> RetryLayer<F, J> {
        RetryLayer { env: env.clone(), retry, limit, effect, judge }
    }
}

impl<S, F: Clone, J: Clone> Layer<S> for RetryLayer<F, J> {
    type Service = Retrying<S, F, J>;

    fn layer(&self, service: S) -> Retrying<S, F, J> {
        Retrying { service, layer: self.clone() }
    }
}

/// A service that is asked again if it fails.
#[derive(Clone)]
pub struct Retrying<S, F, J> {
    service: S,
    layer: RetryLayer<F, J>,
}

impl<S, F, J, R> Service<R> for Retrying<S, F, J>
where
    S: Service<R> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: HasOutcome + Send,
    F: Fn(&R) -> Effect + Clone + Send + 'static,
    J: Fn(&S::Error) -> Advice + Clone + Send + Sync + 'static,
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
        let RetryLayer { env, retry, limit, judge, .. } = layer;
        Box::pin(async move {
            let deadline = Deadline::after(limit, env.now());
            let attempt = |_| call(service.clone(), request.clone());
            retry.call(effect, deadline, judge, attempt).await
        })
    }
}
