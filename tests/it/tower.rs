//! The layers of tower around a service, by the world's clock and without any runtime.

use crate::resilience::in_world;
use squall_env::{Env, HasOutcome, Outcome, race};
use squall_protocols::breaker::{Config, SharedBreaker, State, Verdict};
use squall_protocols::bulkhead::{self, Rejected, SharedBulkhead};
use squall_protocols::limiter::{Quota, SharedLimiter};
use squall_protocols::retry::{Advice, Backoff, Budget, Effect, Jitter, Policy, Retry, Why};
use squall_protocols::tower::{
    BreakerLayer, BulkheadLayer, Error, LimiterLayer, RetryLayer, TimeoutLayer,
};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

const MS: Duration = Duration::from_millis(1);

/// A service that takes as many milliseconds as it is asked to, and fails as often as it should.
#[derive(Clone)]
struct Backend {
    env: Env,
    fails: Arc<AtomicU32>,
    calls: Arc<AtomicU32>,
    never_ready: bool,
}

/// A service says that it has done nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Failed;

impl HasOutcome for Failed {
    fn outcome(&self) -> Outcome {
        Outcome::NotDone
    }
}

impl Backend {
    fn new(env: &Env, fails: u32) -> Backend {
        let (fails, calls) = (Arc::new(AtomicU32::new(fails)), Arc::default());
        Backend { env: env.clone(), fails, calls, never_ready: false }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Service<u32> for Backend {
    type Response = u32;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        if self.never_ready { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn call(&mut self, millis: u32) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (env, fails) = (self.env.clone(), Arc::clone(&self.fails));
        Box::pin(async move {
            env.sleep(MS * millis).await;
            let left = fails.load(Ordering::Relaxed);
            fails.store(left.saturating_sub(1), Ordering::Relaxed);
            if left > 0 { Err(Failed) } else { Ok(millis) }
        })
    }
}

/// A call as users of tower make it.
async fn ask<S: Service<u32>>(service: &mut S, request: u32) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

fn breaker(env: &Env) -> SharedBreaker {
    SharedBreaker::new(env, Config::consecutive(2, MS * 100)).unwrap()
}

fn judge<T, E>(result: &Result<T, E>) -> Verdict {
    if result.is_ok() { Verdict::Success } else { Verdict::Failure }
}

#[test]
fn a_breaker_opens_for_all_its_services_and_closes_again() {
    in_world(|env| async move {
        let backend = Backend::new(&env, 2);
        let (shared, mut stuck) = (breaker(&env), backend.clone());
        stuck.never_ready = true;
        let layer = BreakerLayer::new(shared.clone(), judge);
        let (mut one, mut other) = (layer.layer(backend.clone()), layer.layer(stuck));
        for _ in 0..2 {
            assert_eq!(ask(&mut one, 1).await, Err(Error::Failed(Failed)));
        }
        let refused = ask(&mut one, 1).await.unwrap_err();
        let Error::Refused(why) = refused else { panic!("{refused:?}") };
        assert_eq!((why.state, refused.outcome()), (State::Open, Outcome::NotDone));
        assert!(matches!(ask(&mut other, 1).await, Err(Error::Refused(_))), "ready or not");
        assert_eq!(backend.calls(), 2);
        env.sleep(MS * 100).await;
        // A probe that is dropped, here because its service is never ready, is handed back.
        race(ask(&mut other, 1), env.sleep(MS)).await;
        assert_eq!(ask(&mut one, 1).await, Ok(1));
        assert_eq!(shared.lock().state(env.now()), State::Closed);
    });
}

#[test]
fn a_limiter_knows_requests_by_their_key() {
    in_world(|env| async move {
        let backend = Backend::new(&env, 0);
        let limiter = SharedLimiter::new(&env, Quota::per(MS * 100, 1).unwrap(), 10);
        let mut limited =
            LimiterLayer::new(limiter, |request: &u32| request % 2).layer(backend.clone());
        assert_eq!((ask(&mut limited, 1).await, ask(&mut limited, 2).await), (Ok(1), Ok(2)));
        let Err(Error::Refused(why)) = ask(&mut limited, 3).await else { panic!() };
        env.sleep(why.retry_after).await;
        assert_eq!((ask(&mut limited, 3).await, backend.calls()), (Ok(3), 3));
    });
}

#[test]
fn a_bulkhead_lets_so_many_in_and_a_dropped_call_out() {
    in_world(|env| async move {
        let backend = Backend::new(&env, 0);
        let config = bulkhead::Config { calls: 1, waiting: 0, wait_max: MS, keys: 4 };
        let shared = SharedBulkhead::new(&env, "backend", config);
        let layer = BulkheadLayer::new(shared.clone(), |request: &u32| request % 2);
        let (mut one, mut other) = (layer.layer(backend.clone()), layer.layer(backend.clone()));
        let slow = ask(&mut one, 100);
        let others = async {
            env.sleep(MS).await;
            assert_eq!(ask(&mut other, 2).await, Err(Error::Refused(Rejected::Full)));
            assert_eq!(ask(&mut other, 3).await, Ok(3));
        };
        race(slow, others).await;
        assert_eq!((shared.load(&0), ask(&mut other, 2).await), ((0, 0), Ok(2)));
    });
}

fn always<E>(_: &E) -> Advice {
    Advice::Retry
}

#[test]
fn layers_work_together() {
    in_world(|env| async move {
        let backend = Backend::new(&env, 1);
        let backoff = Backoff { first: MS, most: MS, jitter: Jitter::Full };
        let retry = Retry::new(&env, Policy { tries: 3, backoff }, Budget::new(10, 0));
        let effect = |request: &u32| match request {
            0..100 => Effect::Once,
            _ => Effect::Idempotent,
        };
        let judge_of = (effect, always as fn(&Error<_, Failed>) -> Advice);
        let retries = RetryLayer::new(&env, retry.clone(), MS * 1_000, judge_of);
        let timeout = TimeoutLayer::new(&env, MS * 50);
        let mut service = retries.layer(timeout.layer(backend.clone()));
        assert_eq!((ask(&mut service, 1).await, backend.calls()), (Ok(1), 2));
        // It takes too long each time, and may have been done: only one of the two is repeated.
        let once = ask(&mut service, 99).await.unwrap_err();
        assert_eq!((once.why, once.tries, once.outcome()), {
            (Why::MayBeDone, 1, Outcome::Indeterminate)
        });
        assert_eq!(once.last, Some(Error::Refused(squall_env::Elapsed)));
        let again = ask(&mut service, 100).await.unwrap_err();
        assert_eq!((again.why, again.tries), (Why::Tries, 3));
        let layer = BreakerLayer::new(breaker(&env), judge);
        let judge_of = (effect, always as fn(&Error<_, Error<_, Failed>>) -> Advice);
        let retries = RetryLayer::new(&env, retry, MS * 1_000, judge_of);
        let mut service = retries.layer(layer.layer(timeout.layer(Backend::new(&env, 5))));
        let error = ask(&mut service, 1).await.unwrap_err();
        assert!(matches!(error.last, Some(Error::Refused(_))), "the breaker stands within");
        assert_eq!((error.why, error.tries, error.outcome()), {
            (Why::Tries, 3, Outcome::NotDone)
        });
    });
}
