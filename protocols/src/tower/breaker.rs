//! A circuit breaker around a service.

use super::{Error, Response, call};
use crate::breaker::{Refused, SharedBreaker, Verdict};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a breaker around services: all of them share it. `judge` says what a result, whether good
/// or bad, says about whoever is called.
#[derive(Clone)]
pub struct BreakerLayer<J> {
    breaker: SharedBreaker,
    judge: J,
}

impl<J> BreakerLayer<J> {
    /// This breaker around services.
    pub fn new(breaker: SharedBreaker, judge: J) -> BreakerLayer<J> {
        BreakerLayer { breaker, judge }
    }
}

impl<S, J: Clone> Layer<S> for BreakerLayer<J> {
    type Service = Breaker<S, J>;

    fn layer(&self, service: S) -> Breaker<S, J> {
        Breaker { service, breaker: self.breaker.clone(), judge: self.judge.clone() }
    }
}

/// A service behind a breaker.
#[derive(Clone)]
pub struct Breaker<S, J> {
    service: S,
    breaker: SharedBreaker,
    judge: J,
}

impl<S, J, R> Service<R> for Breaker<S, J>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    J: Fn(&Result<S::Response, S::Error>) -> Verdict + Clone + Send + Sync + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = Error<Refused, S::Error>;
    type Future = Response<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Breaker { service, breaker, judge } = self.clone();
        Box::pin(async move {
            let leave = breaker.acquire().map_err(Error::Refused)?;
            let result = call(service, request).await;
            leave.record(judge(&result));
            result.map_err(Error::Failed)
        })
    }
}
