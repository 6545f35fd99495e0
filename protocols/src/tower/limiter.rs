//! A rate limiter around a service.

use super::{Error, Response, call};
use crate::limiter::{Limited, SharedLimiter};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a limiter around services: all of them share it. `key` says whose a request is.
#[derive(Clone)]
pub struct LimiterLayer<K, F> {
    limiter: SharedLimiter<K>,
    key: F,
}

impl<K, F> LimiterLayer<K, F> {
    /// This limiter around services.
    pub fn new(limiter: SharedLimiter<K>, key: F) -> LimiterLayer<K, F> {
        LimiterLayer { limiter, key }
    }
}

impl<S, K: Clone, F: Clone> Layer<S> for LimiterLayer<K, F> {
    type Service = Limit<S, K, F>;

    fn layer(&self, service: S) -> Limit<S, K, F> {
        Limit { service, limiter: self.limiter.clone(), key: self.key.clone() }
    }
}

/// A service behind a limiter. A request that comes too fast is refused and does not wait.
#[derive(Clone)]
pub struct Limit<S, K, F> {
    service: S,
    limiter: SharedLimiter<K>,
    key: F,
}

impl<S, K, F, R> Service<R> for Limit<S, K, F>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    K: Ord + Clone + Send + 'static,
    F: Fn(&R) -> K + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = Error<Limited, S::Error>;
    type Future = Response<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Limit { service, limiter, key } = self.clone();
        Box::pin(async move {
            limiter.check(&key(&request)).map_err(Error::Refused)?;
            call(service, request).await.map_err(Error::Failed)
        })
    }
}
