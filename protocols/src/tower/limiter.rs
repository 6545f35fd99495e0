//! A rate limiter around a service.

use super::{Deadlines, Error, Response, Timed, Untimed, call};
use crate::limiter::{Gcra, Limited, Limiter, SharedLimiter};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a limiter around services: all of them share it. `key` says whose a request is.
#[derive(Clone)]
pub struct LimiterLayer<K, F, D = Untimed, L = Gcra> {
    limiter: SharedLimiter<K, L>,
    key: F,
    deadlines: D,
}

impl<K, F, L> LimiterLayer<K, F, Untimed, L> {
    /// This limiter around services.
    pub fn new(limiter: SharedLimiter<K, L>, key: F) -> LimiterLayer<K, F, Untimed, L> {
        LimiterLayer { limiter, key, deadlines: Untimed }
    }

    /// The same for requests that have deadlines.
    pub fn timed(self) -> LimiterLayer<K, F, Timed, L> {
        self.with_deadlines(Timed)
    }

    /// The same for requests whose deadlines are found like this.
    pub fn with_deadlines<D>(self, deadlines: D) -> LimiterLayer<K, F, D, L> {
        let LimiterLayer { limiter, key, deadlines: Untimed } = self;
        LimiterLayer { limiter, key, deadlines }
    }
}

impl<S, K: Clone, F: Clone, D: Clone, L: Clone> Layer<S> for LimiterLayer<K, F, D, L> {
    type Service = Limit<S, K, F, D, L>;

    fn layer(&self, service: S) -> Limit<S, K, F, D, L> {
        Limit { service, layer: self.clone() }
    }
}

/// A service behind a limiter. A request that comes too fast is refused and does not wait, unless
/// it has a deadline and its turn comes before that.
#[derive(Clone)]
pub struct Limit<S, K, F, D = Untimed, L = Gcra> {
    service: S,
    layer: LimiterLayer<K, F, D, L>,
}

impl<S, K, F, D, L, R> Service<R> for Limit<S, K, F, D, L>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    K: Ord + Clone + Send + Sync + 'static,
    F: Fn(&R) -> K + Clone + Send + 'static,
    D: Deadlines<R> + Clone + Send + 'static,
    L: Limiter + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = Error<Limited, S::Error>;
    type Future = Response<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Limit { service, layer: LimiterLayer { limiter, key, deadlines } } = self.clone();
        let (key, deadline) = (key(&request), deadlines.of(&request));
        Box::pin(async move {
            let is_over = || deadline.is_some_and(|deadline| deadline.is_over(limiter.now()));
            if is_over() {
                return Err(Error::Late);
            }
            match deadline {
                None => limiter.check(&key).map_err(Error::Refused)?,
                Some(deadline) => {
                    limiter.ready(&key, deadline.at()).await.map_err(Error::Refused)?;
                }
            }
            // A timer may be late.
            if is_over() {
                return Err(Error::Late);
            }
            call(service, request).await.map_err(Error::Failed)
        })
    }
}
