//! A time limit around a service.

use super::{Deadlines, Error, Response, Timed, Untimed, ready};
use crate::retry::Deadline;
use squall_env::{Elapsed, Env};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// Gives services only so much time for a request.
#[derive(Clone)]
pub struct TimeoutLayer<D = Untimed> {
    env: Env,
    limit: Duration,
    deadlines: D,
}

impl TimeoutLayer {
    /// So much time, by the node's clock.
    pub fn new(env: &Env, limit: Duration) -> TimeoutLayer {
        TimeoutLayer { env: env.clone(), limit, deadlines: Untimed }
    }

    /// The same for requests that have deadlines.
    pub fn timed(self) -> TimeoutLayer<Timed> {
        self.with_deadlines(Timed)
    }

    /// The same for requests whose deadlines are found like this.
    pub fn with_deadlines<D>(self, deadlines: D) -> TimeoutLayer<D> {
        let TimeoutLayer { env, limit, deadlines: Untimed } = self;
        TimeoutLayer { env, limit, deadlines }
    }
}

impl<S, D: Clone> Layer<S> for TimeoutLayer<D> {
    type Service = Timeout<S, D>;

    fn layer(&self, service: S) -> Timeout<S, D> {
        Timeout { service, layer: self.clone() }
    }
}

/// A service that has only so much time, until it is ready and has answered, and less if the
/// deadline of the request is sooner. It is told which of them holds. What becomes of a request
/// that takes longer is not known.
#[derive(Clone)]
pub struct Timeout<S, D = Untimed> {
    service: S,
    layer: TimeoutLayer<D>,
}

impl<S, D, R> Service<R> for Timeout<S, D>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    D: Deadlines<R> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = Error<Elapsed, S::Error>;
    type Future = Response<S::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Timeout { mut service, layer: TimeoutLayer { env, limit, deadlines } } = self.clone();
        Box::pin(async move {
            let now = env.now();
            let own = deadlines.of(&request);
            if own.is_some_and(|own| own.is_over(now)) {
                return Err(Error::Late);
            }
            let deadline = own.unwrap_or(Deadline::NEVER).within(limit, now);
            let request = deadlines.until(request, deadline);
            let told = deadlines.of(&request);
            let calling = async {
                ready(&mut service).await.map_err(Error::Failed)?;
                // It may have become ready too late.
                if told.is_some_and(|told| told.is_over(env.now())) {
                    return Err(Error::Late);
                }
                service.call(request).await.map_err(Error::Failed)
            };
            let ended = env.deadline(deadline.at(), calling).await;
            ended.unwrap_or_else(|elapsed| Err(Error::Refused(elapsed)))
        })
    }
}
