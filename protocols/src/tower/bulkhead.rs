//! A bulkhead around a service.

use super::{Deadlines, Error, Response, Timed, Untimed, call};
use crate::bulkhead::{Rejected, SharedBulkhead};
use squall_env::Instant;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a bulkhead around services: all of them share it. `key` says to which partition a request
/// belongs.
#[derive(Clone)]
pub struct BulkheadLayer<K: Ord + Clone, F, D = Untimed> {
    bulkhead: SharedBulkhead<K>,
    key: F,
    deadlines: D,
}

impl<K: Ord + Clone, F> BulkheadLayer<K, F> {
    /// This bulkhead around services.
    pub fn new(bulkhead: SharedBulkhead<K>, key: F) -> BulkheadLayer<K, F> {
        BulkheadLayer { bulkhead, key, deadlines: Untimed }
    }

    /// The same for requests that have deadlines.
    pub fn timed(self) -> BulkheadLayer<K, F, Timed> {
        self.with_deadlines(Timed)
    }

    /// The same for requests whose deadlines are found like this.
    pub fn with_deadlines<D>(self, deadlines: D) -> BulkheadLayer<K, F, D> {
        let BulkheadLayer { bulkhead, key, deadlines: Untimed } = self;
        BulkheadLayer { bulkhead, key, deadlines }
    }
}

impl<S, K: Ord + Clone, F: Clone, D: Clone> Layer<S> for BulkheadLayer<K, F, D> {
    type Service = Partitioned<S, K, F, D>;

    fn layer(&self, service: S) -> Partitioned<S, K, F, D> {
        Partitioned { service, layer: self.clone() }
    }
}

/// A service behind a bulkhead. A request waits for its place no longer than the bulkhead allows,
/// and not beyond its deadline.
#[derive(Clone)]
pub struct Partitioned<S, K: Ord + Clone, F, D = Untimed> {
    service: S,
    layer: BulkheadLayer<K, F, D>,
}

impl<S, K, F, D, R> Service<R> for Partitioned<S, K, F, D>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    K: Ord + Clone + Send + Sync + 'static,
    F: Fn(&R) -> K + Clone + Send + 'static,
    D: Deadlines<R> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = Error<Rejected, S::Error>;
    type Future = Response<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Partitioned { service, layer: BulkheadLayer { bulkhead, key, deadlines } } =
            self.clone();
        let key = key(&request);
        let until = deadlines.of(&request).map_or(Instant::NEVER, |deadline| deadline.at());
        Box::pin(async move {
            let held = bulkhead.acquire_until(&key, until).await.map_err(Error::Refused)?;
            let result = call(service, request).await;
            drop(held);
            result.map_err(Error::Failed)
        })
    }
}
