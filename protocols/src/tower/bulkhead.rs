//! A bulkhead around a service.

use super::{Error, Response, call};
use crate::bulkhead::{Rejected, SharedBulkhead};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a bulkhead around services: all of them share it. `key` says to which partition a request
/// belongs.
#[derive(Clone)]
pub struct BulkheadLayer<K: Ord + Clone, F> {
    bulkhead: SharedBulkhead<K>,
    key: F,
}

impl<K: Ord + Clone, F> BulkheadLayer<K, F> {
    /// This bulkhead around services.
    pub fn new(bulkhead: SharedBulkhead<K>, key: F) -> BulkheadLayer<K, F> {
        BulkheadLayer { bulkhead, key }
    }
}

impl<S, K: Ord + Clone, F: Clone> Layer<S> for BulkheadLayer<K, F> {
    type Service = Partitioned<S, K, F>;

    fn layer(&self, service: S) -> Partitioned<S, K, F> {
        Partitioned { service, bulkhead: self.bulkhead.clone(), key: self.key.clone() }
    }
}

/// A service behind a bulkhead. A request waits for its place no longer than the bulkhead allows.
#[derive(Clone)]
pub struct Partitioned<S, K: Ord + Clone, F> {
    service: S,
    bulkhead: SharedBulkhead<K>,
    key: F,
}

impl<S, K, F, R> Service<R> for Partitioned<S, K, F>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    K: Ord + Clone + Send + Sync + 'static,
    F: Fn(&R) -> K + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = Error<Rejected, S::Error>;
    type Future = Response<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Partitioned { service, bulkhead, key } = self.clone();
        let key = key(&request);
        Box::pin(async move {
            let held = bulkhead.acquire(&key).await.map_err(Error::Refused)?;
            let result = call(service, request).await;
            drop(held);
            result.map_err(Error::Failed)
        })
    }
}
