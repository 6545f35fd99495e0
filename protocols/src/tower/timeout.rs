//! A time limit around a service.

use super::{Error, Response, call};
use squall_env::{Elapsed, Env};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// Gives services only so much time for a request.
#[derive(Clone)]
pub struct TimeoutLayer {
    env: Env,
    limit: Duration,
}

impl TimeoutLayer {
    /// So much time, by the node's clock.
    pub fn new(env: &Env, limit: Duration) -> TimeoutLayer {
        TimeoutLayer { env: env.clone(), limit }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, service: S) -> Timeout<S> {
        Timeout { service, layer: self.clone() }
    }
}

/// A service that has only so much time, until it is ready and has answered. What becomes of a
/// request that takes longer is not known.
#[derive(Clone)]
pub struct Timeout<S> {
    service: S,
    layer: TimeoutLayer,
}

impl<S, R> Service<R> for Timeout<S>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = Error<Elapsed, S::Error>;
    type Future = Response<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Timeout { service, layer: TimeoutLayer { env, limit } } = self.clone();
        Box::pin(async move {
            match env.timeout(limit, call(service, request)).await {
                Ok(result) => result.map_err(Error::Failed),
                Err(elapsed) => Err(Error::Refused(elapsed)),
            }
        })
    }
}
