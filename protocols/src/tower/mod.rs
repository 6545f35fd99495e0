//! The patterns against bad luck as layers of tower: around any service that can be cloned.
//!
//! *Promises* what [`breaker`](crate::breaker), [`limiter`](crate::limiter),
//! [`bulkhead`](crate::bulkhead) and [`retry`](crate::retry) promise, and that a call which its
//! caller drops gives back whatever it had. *Needs* an `Env`, whose clock and randomness the
//! layers use, and no runtime. *Breaks* as those patterns do, which have the scenarios.
//!
//! A service is always ready: what a layer has to give is asked for in the call, and the service
//! within is asked whether it is ready only once that is there. So nothing is held by somebody who
//! was told to be ready and then makes no call, and an open breaker refuses at once while what is
//! behind it is not ready. Each call is one allocation.
//!
//! Requests may have [deadlines](HasDeadline), as [`WithDeadline`] has. A layer that is `timed()`
//! sends none whose deadline is over, and the wait for a place or for a turn ends with it. A time
//! limit makes it sooner for whatever is within, and so do retries, which have one for all their
//! tries: layer by layer it is only ever shortened, and the innermost service sends what is left of
//! it to the next node. Without `timed()` a layer passes on what it does not know.
//!
//! ```
//! use squall_env::{Elapsed, Env};
//! use squall_protocols::breaker::{Config, ConfigError, SharedBreaker, Verdict};
//! use squall_protocols::tower::{BreakerLayer, Error, TimeoutLayer};
//! use std::{io, time::Duration};
//! use tower_layer::Layer;
//! use tower_service::Service;
//!
//! /// What fails again and again, or takes longer than a second, is left alone for a while.
//! fn guarded<S>(
//!     env: &Env,
//!     service: S,
//! ) -> Result<impl Service<u64, Response = String>, ConfigError>
//! where
//!     S: Service<u64, Response = String, Error = io::Error> + Clone + Send + 'static,
//!     S::Future: Send,
//! {
//!     let judge = |ended: &Result<String, Error<Elapsed, io::Error>>| match ended {
//!         Ok(_) => Verdict::Success,
//!         Err(_) => Verdict::Failure,
//!     };
//!     let breaker = SharedBreaker::new(env, Config::default())?;
//!     let timeout = TimeoutLayer::new(env, Duration::from_secs(1));
//!     Ok(BreakerLayer::new(breaker, judge).layer(timeout.layer(service)))
//! }
//! ```

mod breaker;
mod bulkhead;
mod deadlines;
mod limiter;
mod retry;
mod timeout;

pub use breaker::{Breaker, BreakerLayer};
pub use bulkhead::{BulkheadLayer, Partitioned};
pub use deadlines::{Deadlines, HasDeadline, Timed, Untimed, WithDeadline};
pub use limiter::{Limit, LimiterLayer};
pub use retry::{RetryLayer, Retrying};
pub use timeout::{Timeout, TimeoutLayer};

use squall_env::{HasOutcome, Outcome};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use tower_service::Service;

/// Why a service behind a layer has no response.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error<R, E> {
    /// The layer refused the request, or gave it up.
    #[error("{0}")]
    Refused(R),
    /// The request's deadline was over before it was sent.
    #[error("the deadline was over before the request was sent")]
    Late,
    /// The service failed.
    #[error("{0}")]
    Failed(E),
}

impl<R: HasOutcome, E: HasOutcome> HasOutcome for Error<R, E> {
    fn outcome(&self) -> Outcome {
        match self {
            Error::Refused(refused) => refused.outcome(),
            Error::Late => Outcome::NotDone,
            Error::Failed(error) => error.outcome(),
        }
    }
}

/// What a call of these layers gives.
pub type Response<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Waits until the service is ready, and makes the call.
async fn call<S: Service<R>, R>(mut service: S, request: R) -> Result<S::Response, S::Error> {
    ready(&mut service).await?;
    service.call(request).await
}

/// Waits until the service is ready.
async fn ready<S: Service<R>, R>(service: &mut S) -> Result<(), S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await
}
