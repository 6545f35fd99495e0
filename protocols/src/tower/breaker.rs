//! A circuit breaker around a service.

use super::{Deadlines, Error, Response, Timed, Untimed, call};
use crate::breaker::{Refused, SharedBreaker, Verdict};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a breaker around services: all of them share it. `judge` says what a result, whether good
/// or bad, says about whoever is called.
#[derive(Clone)]
pub struct BreakerLayer<J, D = Untimed> {
    breaker: SharedBreaker,
    judge: J,
    deadlines: D,
}

impl<J> BreakerLayer<J> {
    /// This breaker around services.
    pub fn new(breaker: SharedBreaker, judge: J) -> BreakerLayer<J> {
        BreakerLayer { breaker, judge, deadlines: Untimed }
    }

    /// The same for requests that have deadlines.
    pub fn timed(self) -> BreakerLayer<J, Timed> {
        self.with_deadlines(Timed)
    }

    /// The same for requests whose deadlines are found like this.
    pub fn with_deadlines<D>(self, deadlines: D) -> BreakerLayer<J, D> {
        let BreakerLayer { breaker, judge, deadlines: Untimed } = self;
        BreakerLayer { breaker, judge, deadlines }
    }
}

impl<S, J: Clone, D: Clone> Layer<S> for BreakerLayer<J, D> {
    type Service = Breaker<S, J, D>;

    fn layer(&self, service: S) -> Breaker<S, J, D> {
        Breaker { service, layer: self.clone() }
    }
}

/// A service behind a breaker. A request whose deadline is over is not sent, and says nothing about
/// whoever would have been called.
#[derive(Clone)]
pub struct Breaker<S, J, D = Untimed> {
    service: S,
    layer: BreakerLayer<J, D>,
}

impl<S, J, D, R> Service<R> for Breaker<S, J, D>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    J: Fn(&Result<S::Response, S::Error>) -> Verdict + Clone + Send + Sync + 'static,
    D: Deadlines<R> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = Error<Refused, S::Error>;
    type Future = Response<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Breaker { service, layer: BreakerLayer { breaker, judge, deadlines } } = self.clone();
        let deadline = deadlines.of(&request);
        Box::pin(async move {
            if deadline.is_some_and(|deadline| deadline.is_over(breaker.now())) {
                return Err(Error::Late);
            }
            let leave = breaker.acquire().map_err(Error::Refused)?;
            let result = call(service, request).await;
            leave.record(judge(&result));
            result.map_err(Error::Failed)
        })
    }
}
