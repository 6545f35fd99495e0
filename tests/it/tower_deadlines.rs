//! Deadlines that requests carry through the layers of tower, by the world's clock.

use crate::resilience::in_world;
use crate::tower::Failed;
use squall_env::{Elapsed, Env, HasOutcome, Instant, Outcome, race};
use squall_protocols::breaker::{self, SharedBreaker, State, Verdict};
use squall_protocols::bulkhead::{self, Rejected, SharedBulkhead};
use squall_protocols::limiter::{Quota, SharedLimiter};
use squall_protocols::retry::{
    Advice, Backoff, Budget, Deadline, Effect, Jitter, Policy, Retry, Why,
};
use squall_protocols::tower::{
    BreakerLayer, BulkheadLayer, Deadlines, Error, HasDeadline, LimiterLayer, RetryLayer,
    TimeoutLayer, WithDeadline,
};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

const MS: Duration = Duration::from_millis(1);

/// A service that takes as many milliseconds as it is asked to and then fails or not. It remembers
/// when each request came and which deadline it had.
#[derive(Clone)]
struct Backend {
    env: Env,
    start: Instant,
    fails: bool,
    ready_at: Instant,
    came: Arc<Mutex<Vec<Came>>>,
}

/// When a request came since the start, and until when it was worth anything, in ms.
type Came = (u128, Option<u128>);

impl Backend {
    fn new(env: &Env) -> Backend {
        let (start, came) = (env.now(), Arc::default());
        Backend { env: env.clone(), start, fails: false, ready_at: Instant::ORIGIN, came }
    }

    fn failing(env: &Env) -> Backend {
        Backend { fails: true, ..Backend::new(env) }
    }

    /// What has come since this was asked last.
    fn came(&self) -> Vec<Came> {
        std::mem::take(&mut *self.came.lock().unwrap())
    }

    /// How many milliseconds have passed.
    fn at(&self) -> u128 {
        millis(self.start, self.env.now())
    }
}

/// The time between in whole milliseconds: anything else is another number than was asked for.
fn millis(start: Instant, end: Instant) -> u128 {
    let nanos = (end - start).as_nanos();
    assert_eq!(nanos % 1_000_000, 0, "{nanos} ns");
    nanos / 1_000_000
}

impl<R: Asks + Send> Service<R> for Backend {
    type Response = u32;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Failed>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        if self.env.now() >= self.ready_at {
            return Poll::Ready(Ok(()));
        }
        let (env, until, waker) = (self.env.clone(), self.ready_at, cx.waker().clone());
        self.env.spawn("ready", async move {
            env.sleep_until(until).await;
            waker.wake();
        });
        Poll::Pending
    }

    fn call(&mut self, request: R) -> Self::Future {
        let deadline = request.deadline().map(|deadline| millis(self.start, deadline.at()));
        self.came.lock().unwrap().push((self.at(), deadline));
        let (env, fails, takes) = (self.env.clone(), self.fails, request.takes());
        Box::pin(async move {
            env.sleep(MS * takes).await;
            if fails { Err(Failed) } else { Ok(takes) }
        })
    }
}

/// A request to take so many milliseconds.
trait Asks: HasDeadline {
    fn takes(&self) -> u32;
}

impl Asks for WithDeadline<u32> {
    fn takes(&self) -> u32 {
        self.request
    }
}

/// One that may have a deadline.
#[derive(Clone, Copy)]
struct Perhaps(u32, Option<Deadline>);

impl HasDeadline for Perhaps {
    fn deadline(&self) -> Option<Deadline> {
        self.1
    }

    fn until(self, deadline: Deadline) -> Perhaps {
        Perhaps(self.0, Some(deadline))
    }
}

impl Asks for Perhaps {
    fn takes(&self) -> u32 {
        self.0
    }
}

/// A request that takes so long, and whose deadline is so many milliseconds after the start.
fn within(backend: &Backend, takes: u32, deadline: u32) -> WithDeadline<u32> {
    let deadline = Deadline::after(MS * deadline, backend.start);
    WithDeadline { deadline, request: takes }
}

/// A call as users of tower make it.
async fn ask<S: Service<R>, R>(service: &mut S, request: R) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

#[test]
fn a_time_limit_makes_the_deadline_of_a_request_sooner_and_passes_it_on() {
    in_world(|env| async move {
        let elapsed = Err(Error::Refused(Elapsed));
        let backend = Backend::new(&env);
        let mut fifty = TimeoutLayer::new(&env, MS * 50).timed().layer(backend.clone());
        assert_eq!(ask(&mut fifty, within(&backend, 100, 30)).await, elapsed);
        assert_eq!((backend.at(), backend.came()), (30, vec![(0, Some(30))]));
        assert_eq!(ask(&mut fifty, within(&backend, 100, 500)).await, elapsed);
        assert_eq!((backend.at(), backend.came()), (80, vec![(30, Some(80))]));
        assert_eq!(ask(&mut fifty, Perhaps(100, None)).await, elapsed);
        assert_eq!((backend.at(), backend.came()), (130, vec![(80, Some(130))]));
        assert_eq!(ask(&mut fifty, within(&backend, 20, 160)).await, Ok(20));
        assert_eq!((backend.at(), backend.came()), (150, vec![(130, Some(160))]));
        // Two of them: the shorter one holds, wherever it stands.
        let mut outer = TimeoutLayer::new(&env, MS * 20).timed().layer(fifty);
        let error = ask(&mut outer, within(&backend, 100, 500)).await.unwrap_err();
        assert_eq!(error, Error::Failed(Error::Refused(Elapsed)), "the inner one looks first");
        assert_eq!((backend.at(), backend.came()), (170, vec![(150, Some(170))]));
    });
}

#[test]
fn a_time_limit_that_knows_nothing_of_deadlines_leaves_requests_as_they_are() {
    in_world(|env| async move {
        let backend = Backend::new(&env);
        let mut untimed = TimeoutLayer::new(&env, MS * 50).layer(backend.clone());
        let ended = ask(&mut untimed, within(&backend, 100, 30)).await;
        assert_eq!(ended, Err(Error::Refused(Elapsed)));
        assert_eq!((backend.at(), backend.came()), (50, vec![(0, Some(30))]));
        assert_eq!(ask(&mut untimed, within(&backend, 10, 30)).await, Ok(10));
    });
}

#[test]
fn all_tries_have_the_deadline_of_their_request_or_the_limit_if_that_is_sooner() {
    in_world(|env| async move {
        let backoff = Backoff { first: MS * 10, most: MS * 1_000, jitter: Jitter::None };
        let retry = Retry::new(&env, Policy { tries: 9, backoff }, Budget::new(100, 0));
        let judge: fn(&Failed) -> Advice = |_| Advice::Retry;
        fn once<R>(_: &R) -> Effect {
            Effect::Once
        }
        let retries = |limit| {
            RetryLayer::new(&env, retry.clone(), MS * limit, (once::<WithDeadline<u32>>, judge))
        };
        let backend = Backend::failing(&env);
        let mut service = retries(1_000).timed().layer(backend.clone());
        let error = ask(&mut service, within(&backend, 10, 55)).await.unwrap_err();
        // Tries at 0, 20 and, were there time, 50, which is in time, and none at 100.
        assert_eq!((error.tries, error.why, backend.at()), (3, Why::Deadline, 55));
        assert_eq!(error.outcome(), Outcome::Indeterminate, "the last one was cut off");
        assert_eq!(backend.came(), [(0, Some(55)), (20, Some(55)), (50, Some(55))]);
        let mut service = retries(30).timed().layer(backend.clone());
        let error = ask(&mut service, within(&backend, 10, 500)).await.unwrap_err();
        assert_eq!((error.tries, error.why, backend.at()), (2, Why::Deadline, 85));
        assert_eq!(backend.came(), [(55, Some(85)), (75, Some(85))]);
        let mut service = retries(30).layer(backend.clone());
        let error = ask(&mut service, within(&backend, 10, 86)).await.unwrap_err();
        assert_eq!((error.tries, backend.at()), (2, 115));
        assert_eq!(backend.came(), [(85, Some(86)), (105, Some(86))], "nobody looks at it");
    });
}

#[test]
fn who_waits_for_its_turn_at_a_limiter_waits_no_longer_than_its_deadline() {
    in_world(|env| async move {
        let limiter = SharedLimiter::new(&env, Quota::per(MS * 100, 1).unwrap(), 10);
        let layer = LimiterLayer::new(limiter.clone(), |_: &WithDeadline<u32>| ()).timed();
        let backend = Backend::new(&env);
        let mut limited = layer.layer(backend.clone());
        assert_eq!(ask(&mut limited, within(&backend, 0, 10)).await, Ok(0));
        let refused = ask(&mut limited, within(&backend, 0, 99)).await.unwrap_err();
        let Error::Refused(why) = refused else { panic!("{refused:?}") };
        assert_eq!((why.retry_after, backend.at()), (MS * 100, 0), "it did not wait at all");
        assert_eq!(ask(&mut limited, within(&backend, 0, 101)).await, Ok(0));
        assert_eq!(backend.came(), [(0, Some(10)), (100, Some(101))]);
        env.sleep(MS * 100).await;
        assert_eq!(ask(&mut limited, within(&backend, 0, 200)).await, Err(Error::Late));
        assert_eq!(limiter.check(&()), Ok(()), "what came too late has taken nothing");
        let layer = LimiterLayer::new(limiter, |_: &Perhaps| ()).timed();
        let refused = ask(&mut layer.layer(backend.clone()), Perhaps(0, None)).await;
        assert!(matches!(refused, Err(Error::Refused(_))) && backend.at() == 200);
        assert_eq!(backend.came(), []);
    });
}

#[test]
fn who_waits_for_a_place_waits_no_longer_than_its_deadline() {
    in_world(|env| async move {
        let config = bulkhead::Config { calls: 1, waiting: 3, wait_max: MS * 150, keys: 4 };
        let bulkhead = SharedBulkhead::new(&env, "backend", config);
        let layer = BulkheadLayer::new(bulkhead.clone(), |_: &WithDeadline<u32>| ()).timed();
        let (backend, timed_out) = (Backend::new(&env), Err(Error::Refused(Rejected::TimedOut)));
        let mut places = layer.layer(backend.clone());
        let held = bulkhead.acquire(&()).await.unwrap();
        assert_eq!(ask(&mut places, within(&backend, 10, 30)).await, timed_out);
        assert_eq!((backend.at(), bulkhead.load(&())), (30, (1, 0)));
        assert_eq!(ask(&mut places, within(&backend, 10, 500)).await, timed_out);
        assert_eq!(backend.at(), 180, "no longer than the bulkhead allows either");
        let frees = async {
            env.sleep(MS * 20).await;
            drop(held);
            std::future::pending::<()>().await;
        };
        let waits = async {
            assert_eq!(ask(&mut places, within(&backend, 10, 300)).await, Ok(10));
        };
        race(waits, frees).await;
        assert_eq!((backend.at(), backend.came()), (210, vec![(200, Some(300))]));
        assert_eq!(ask(&mut places, within(&backend, 10, 210)).await, timed_out, "it is free");
        assert_eq!((backend.came(), bulkhead.load(&())), (vec![], (0, 0)));
    });
}

#[test]
fn a_request_whose_deadline_is_over_is_not_sent() {
    in_world(|env| async move {
        let backend = Backend::new(&env);
        env.sleep(MS * 40).await;
        let mut limited = TimeoutLayer::new(&env, MS * 50).timed().layer(backend.clone());
        let late = ask(&mut limited, within(&backend, 10, 40)).await.unwrap_err();
        assert_eq!((late, late.outcome()), (Error::Late, Outcome::NotDone));
        let backoff = Backoff { first: MS, most: MS, jitter: Jitter::None };
        let retry = Retry::new(&env, Policy { tries: 3, backoff }, Budget::new(9, 0));
        let effect = |_: &WithDeadline<u32>| Effect::Idempotent;
        let judge = |_: &Failed| Advice::Retry;
        let retries = RetryLayer::new(&env, retry, MS * 500, (effect, judge)).timed();
        let error = ask(&mut retries.layer(backend.clone()), within(&backend, 10, 40)).await;
        let error = error.unwrap_err();
        assert_eq!((error.tries, error.why, error.outcome()), {
            (0, Why::Deadline, Outcome::NotDone)
        });
        assert_eq!((backend.at(), backend.came()), (40, vec![]));
        // It becomes ready at the very moment at which nobody needs it any more.
        let ready_at = backend.start + MS * 60;
        let slow = Backend { ready_at, ..backend.clone() };
        let mut limited = TimeoutLayer::new(&env, MS * 50).timed().layer(slow);
        let late = ask(&mut limited, within(&backend, 10, 60)).await.unwrap_err();
        assert!(matches!(late, Error::Late | Error::Refused(Elapsed)));
        assert_eq!((backend.at(), backend.came()), (60, vec![]));
        let in_time = ask(&mut limited, within(&backend, 10, 70)).await;
        assert_eq!((in_time, backend.came()), (Ok(10), vec![(60, Some(70))]));
    });
}

#[test]
fn a_request_whose_deadline_is_over_is_no_probe_of_a_breaker() {
    in_world(|env| async move {
        let backend = Backend::new(&env);
        let config = breaker::Config::consecutive(1, MS * 20);
        let breaker = SharedBreaker::new(&env, config).unwrap();
        let judge = |ended: &Result<u32, Failed>| match ended {
            Ok(_) => Verdict::Success,
            Err(_) => Verdict::Failure,
        };
        let layer = BreakerLayer::new(breaker.clone(), judge).timed();
        let failing = Backend { fails: true, ..backend.clone() };
        let state = || breaker.lock().state(env.now());
        let failed = ask(&mut layer.layer(failing), within(&backend, 10, 100)).await;
        assert_eq!((failed, state()), (Err(Error::Failed(Failed)), State::Open));
        env.sleep(MS * 20).await;
        let mut guarded = layer.layer(backend.clone());
        assert_eq!(ask(&mut guarded, within(&backend, 10, 30)).await, Err(Error::Late));
        let probed = ask(&mut guarded, within(&backend, 10, 100)).await;
        assert_eq!((probed, state()), (Ok(10), State::Closed));
        assert_eq!(backend.came(), [(0, Some(100)), (30, Some(100))]);
    });
}

/// Requests of a foreign type: until when, and for how long.
type Foreign = (u32, u64);

#[derive(Clone)]
struct Seconds;

impl Deadlines<Foreign> for Seconds {
    fn of(&self, request: &Foreign) -> Option<Deadline> {
        Some(Deadline::after(Duration::from_nanos(request.1), Instant::ORIGIN))
    }

    fn until(&self, request: Foreign, deadline: Deadline) -> Foreign {
        (request.0, deadline.at().as_nanos())
    }
}

/// A service of such requests, behind which there is one of ours.
#[derive(Clone)]
struct Inner(Backend);

impl Service<Foreign> for Inner {
    type Response = u32;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Failed>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        <Backend as Service<Perhaps>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Foreign) -> Self::Future {
        self.0.call(Perhaps(request.0, Seconds.of(&request)))
    }
}

#[test]
fn layers_within_each_other_pass_one_deadline_on_also_of_foreign_requests() {
    in_world(|env| async move {
        let backend = Backend::failing(&env);
        let backoff = Backoff { first: MS * 10, most: MS * 10, jitter: Jitter::None };
        let retry = Retry::new(&env, Policy { tries: 3, backoff }, Budget::new(9, 0));
        let limiter = SharedLimiter::new(&env, Quota::per(MS * 30, 1).unwrap(), 1);
        let config = bulkhead::Config { calls: 1, waiting: 0, wait_max: MS, keys: 1 };
        let places = SharedBulkhead::new(&env, "backend", config);
        let timeout = TimeoutLayer::new(&env, MS * 40).with_deadlines(Seconds);
        let bulkhead = BulkheadLayer::new(places, |_: &Foreign| ()).with_deadlines(Seconds);
        let limit = LimiterLayer::new(limiter, |_: &Foreign| ()).with_deadlines(Seconds);
        let effect = |_: &Foreign| Effect::Idempotent;
        let within = limit.layer(bulkhead.layer(timeout.layer(Inner(backend.clone()))));
        let judge = |_: &_| Advice::Retry;
        let retries = RetryLayer::new(&env, retry, MS * 100, (effect, judge));
        let mut service = retries.with_deadlines(Seconds).layer(within);
        let deadline = (backend.start + MS * 75).as_nanos();
        let error = ask(&mut service, (10, deadline)).await.unwrap_err();
        // The limiter has a turn at 0, 30 and 60, and the last try is left 15 ms of its 40.
        assert_eq!((error.tries, error.why, backend.at()), (3, Why::Tries, 70));
        assert_eq!(error.last, Some(Error::Failed(Error::Failed(Error::Failed(Failed)))));
        assert_eq!(backend.came(), [(0, Some(40)), (30, Some(70)), (60, Some(75))]);
    });
}
