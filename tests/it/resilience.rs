//! Breakers, limiters, bulkheads and retries as tasks of a node share them, by the world's clock.

use squall::{Client, Scenario};
use squall_env::{Elapsed, Env, HasOutcome, Instant, Outcome, race};
use squall_protocols::breaker::{
    Accepted, CallError, Config, ConfigError, Event, Fallback, FallbackError, Registry,
    SharedBreaker, State, Then, Verdict, WINDOW_MAX, Window,
};
use squall_protocols::bulkhead::{self, Rejected, SharedBulkhead};
use squall_protocols::limiter::{Quota, SharedLimiter};
use squall_protocols::retry::{
    Advice, Backoff, Budget, Deadline, Effect, Jitter, Policy, Retry, RetryError, Why,
};
use std::future::{Future, pending};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Runs this as the only node of a calm world.
pub(crate) fn in_world<B, F>(body: B)
where
    B: Fn(Env) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let load = move |client: Client| async move {
        body(client.env().clone()).await;
        Ok::<(), String>(())
    };
    Scenario::new("resilience/by-hand").clients("client", 1..=1, load).seeds(0..5).run();
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Failed(Outcome);

impl HasOutcome for Failed {
    fn outcome(&self) -> Outcome {
        self.0
    }
}

fn three(wait: Duration) -> Config {
    Config::consecutive(3, wait)
}

#[test]
fn a_call_is_counted_by_what_comes_of_it_and_not_at_all_if_it_is_given_up() {
    in_world(|env| async move {
        let breaker = SharedBreaker::new(&env, three(MS * 100)).unwrap();
        let counts = || {
            let metrics = breaker.lock().metrics(env.now());
            (metrics.calls, metrics.failed)
        };
        let judge = |error: &Failed| match error.0 {
            Outcome::NotDone => Verdict::Ignored,
            _ => Verdict::Failure,
        };
        let well: Result<u8, CallError<Failed>> = breaker.call(judge, async { Ok(7) }).await;
        assert_eq!((well, counts()), (Ok(7), (1, 0)));
        let ends = |outcome| breaker.call(judge, async move { Err::<(), _>(Failed(outcome)) });
        let refused = ends(Outcome::NotDone).await.unwrap_err();
        assert_eq!((refused.outcome(), counts()), (Outcome::NotDone, (1, 0)));
        race(breaker.call(judge, pending::<Result<(), Failed>>()), env.sleep(MS)).await;
        assert_eq!(counts(), (1, 0));
        for _ in 0..3 {
            let failed = ends(Outcome::Indeterminate).await.unwrap_err();
            assert_eq!(failed, CallError::Failed(Failed(Outcome::Indeterminate)));
            assert_eq!(failed.outcome(), Outcome::Indeterminate);
        }
        let refused = ends(Outcome::Done).await.unwrap_err();
        let CallError::Refused(why) = refused else { panic!("{refused:?}") };
        assert_eq!((why.state, refused.outcome()), (State::Open, Outcome::NotDone));
        env.sleep_until(why.retry_at.unwrap()).await;
        let well = breaker.call(judge, async { Ok::<(), Failed>(()) }).await;
        assert_eq!((well, breaker.lock().state(env.now())), (Ok(()), State::Closed));
    });
}

#[test]
fn a_probe_that_is_dropped_leaves_its_place_to_another() {
    in_world(|env| async move {
        let breaker = SharedBreaker::new(&env, three(MS)).unwrap();
        breaker.lock().open(env.now());
        env.sleep(MS * 2).await;
        let probe = breaker.acquire().unwrap();
        assert!(breaker.acquire().is_err(), "one at a time");
        drop(probe);
        breaker.acquire().unwrap().record(Verdict::Success);
        assert_eq!(breaker.lock().state(env.now()), State::Closed);
    });
}

#[test]
fn a_registry_has_so_many_breakers_and_the_one_asked_for_the_longest_ago_goes() {
    in_world(|env| async move {
        let told: Arc<Mutex<Vec<(String, Event)>>> = Arc::default();
        let sink = Arc::clone(&told);
        let mut registry = Registry::new(&env, three(MS), 2).unwrap().with_listener(
            move |name: &str, event: &Event| {
                sink.lock().unwrap().push((name.to_owned(), *event));
            },
        );
        registry.get("payments").lock().open(env.now());
        registry.get("stock").acquire().unwrap().record(Verdict::Success);
        assert_eq!(registry.get("payments").lock().state(env.now()), State::Open, "the same");
        let old = registry.get("stock");
        registry.get("payments");
        registry.get("mail");
        assert_eq!(registry.names().collect::<Vec<_>>(), ["mail", "payments"]);
        assert_eq!(registry.get("stock").lock().metrics(env.now()).calls, 0, "it begins anew");
        assert_eq!(old.lock().metrics(env.now()).calls, 1, "who has it goes on with it");
        assert_eq!(registry.names().collect::<Vec<_>>(), ["mail", "stock"]);
        let opened = Event::Transition { from: State::Closed, to: State::Open };
        let told = told.lock().unwrap();
        assert_eq!(told[0], ("payments".to_owned(), opened));
        assert!(matches!(&told[1], (name, Event::Success(_)) if name == "stock"));
    });
}

#[test]
fn what_is_put_off_is_made_later_under_its_key_and_what_fails_for_good_is_not() {
    in_world(|env| async move {
        use Outcome::{Indeterminate, NotDone};
        let breaker = SharedBreaker::new(&env, three(MS * 50)).unwrap();
        let opened = Fallback::<u8>::open(&env, "put-off", breaker.clone(), 2).await;
        let (fallback, run) = opened.unwrap_or_else(|error| panic!("{error}"));
        env.spawn("queue", run);
        let judge = |error: &Failed| match error.0 {
            NotDone => (Verdict::Ignored, Then::Fail),
            _ => (Verdict::Failure, Then::PutOff),
        };
        let call = |key, ends: Result<u8, Failed>| {
            let body = u8::try_from(key * 10).unwrap();
            fallback.call((key, body), judge, async move { ends })
        };
        assert_eq!(call(1, Ok(7)).await, Ok(Accepted::Done(7)));
        let declined = call(1, Err(Failed(NotDone))).await;
        assert_eq!(declined, Err(FallbackError::Failed(Failed(NotDone))));
        assert_eq!(call(2, Err(Failed(Indeterminate))).await, Ok(Accepted::Queued));
        breaker.lock().open(env.now());
        for _ in 0..2 {
            assert_eq!(call(3, Ok(7)).await, Ok(Accepted::Queued), "nobody was called");
        }
        let full = call(4, Ok(7)).await.unwrap_err();
        assert_eq!((full, full.outcome()), (FallbackError::Full(NotDone), NotDone));
        assert_eq!(fallback.queue().live().read(|queue| queue.len()), 2);
        let (made, settled) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let attempt = |key: u64, body: u8| {
            let mut made = made.lock().unwrap();
            made.push((key, body));
            let ends = if made.len() == 1 { Err(Failed(Indeterminate)) } else { Ok(()) };
            async move { ends }
        };
        let settles = |key, result: Result<(), Failed>| {
            settled.lock().unwrap().push((key, result.is_ok()));
        };
        race(fallback.drain(judge, attempt, settles), env.sleep(MS * 1_000)).await;
        assert_eq!(*made.lock().unwrap(), [(2, 20), (3, 30), (2, 20)]);
        assert_eq!(*settled.lock().unwrap(), [(3, true), (2, true)]);
        assert!(fallback.queue().live().read(|queue| queue.is_empty()));
    });
}

#[test]
fn absurd_sizes_of_a_breaker_are_refused() {
    in_world(|env| async move {
        let refused = |config| SharedBreaker::new(&env, config).err();
        for window in [Window::Calls(u32::MAX), Window::Seconds(WINDOW_MAX + 1)] {
            let config = Config { window, ..Config::default() };
            assert_eq!(refused(config.clone()), Some(ConfigError::Window("window")));
            assert!(Registry::new(&env, config, 1).is_err());
        }
        let half_open_calls = WINDOW_MAX + 1;
        let config = Config { half_open_calls, ..Config::default() };
        assert_eq!(refused(config), Some(ConfigError::Window("half_open_calls")));
        let window = Window::Calls(WINDOW_MAX);
        assert_eq!(refused(Config { window, ..Config::default() }), None);
    });
}

#[test]
fn who_waits_for_a_limiter_comes_through_as_soon_as_the_rate_allows_and_not_in_vain() {
    in_world(|env| async move {
        let quota = Quota::per(MS * 100, 1).unwrap();
        let limiter = SharedLimiter::new(&env, quota, 10);
        let start = env.now();
        limiter.ready(&"a", Instant::NEVER).await.unwrap();
        limiter.ready(&"a", Instant::NEVER).await.unwrap();
        assert!((MS * 100..MS * 101).contains(&(env.now() - start)));
        let before = env.now();
        let limited = limiter.ready(&"a", before + MS * 50).await.unwrap_err();
        assert_eq!((limited.outcome(), env.now()), (Outcome::NotDone, before));
        assert!(limited.retry_after > MS * 50 && limiter.check(&"b").is_ok());
        assert_eq!(limiter.keys(), 2);
    });
}

#[test]
fn a_bulkhead_hands_places_on_in_order_also_past_those_who_have_gone() {
    in_world(|env| async move {
        let config = bulkhead::Config { calls: 1, waiting: 3, wait_max: MS * 50, keys: 4 };
        let bulkhead = SharedBulkhead::new(&env, "places", config);
        let held = bulkhead.acquire(&0).await.unwrap();
        let order: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut waiting = Vec::new();
        for number in 0..3 {
            let (own, env_, order) = (bulkhead.clone(), env.clone(), Arc::clone(&order));
            let patience = if number == 1 { MS * 5 } else { MS * 500 };
            waiting.push(env.spawn("waits", async move {
                let acquiring = async {
                    let held = own.acquire(&0).await.unwrap();
                    order.lock().unwrap().push(number);
                    env_.sleep(MS).await;
                    drop(held);
                };
                race(acquiring, env_.sleep(patience)).await;
            }));
            env.sleep(MS).await;
        }
        assert_eq!(bulkhead.load(&0), (1, 3));
        let full: Result<(), bulkhead::CallError<Elapsed>> =
            bulkhead.call(&0, async { panic!("it is not made") }).await;
        assert_eq!(full, Err(bulkhead::CallError::Rejected(Rejected::Full)));
        assert_eq!(full.unwrap_err().outcome(), Outcome::NotDone);
        env.sleep(MS * 10).await;
        drop(held);
        env.sleep(MS * 10).await;
        assert_eq!((order.lock().unwrap().clone(), bulkhead.load(&0)), (vec![0, 2], (0, 0)));
        let held = bulkhead.acquire(&0).await.unwrap();
        let start = env.now();
        assert_eq!(bulkhead.acquire(&0).await.err(), Some(Rejected::TimedOut));
        assert!((MS * 50..MS * 51).contains(&(env.now() - start)));
        drop((held, waiting));
    });
}

/// Retries that wait 10 ms, 20 ms and so on, and a service that fails like this.
struct Tried {
    retry: Retry,
    tries: AtomicU32,
    deadline: Deadline,
}

impl Tried {
    fn new(env: &Env, budget: u32) -> Tried {
        let backoff = Backoff { first: MS * 10, most: MS * 1_000, jitter: Jitter::None };
        let policy = Policy { tries: 4, backoff };
        let retry = Retry::new(env, policy, Budget::new(budget, 0));
        let deadline = Deadline::after(MS * 500, env.now());
        Tried { retry, tries: AtomicU32::new(0), deadline }
    }

    async fn ends(
        &self,
        effect: Effect,
        fails: &[Outcome],
        advice: Advice,
    ) -> Result<u32, RetryError<Failed>> {
        self.tries.store(0, Ordering::Relaxed);
        let attempt = |deadline: Deadline| async move {
            assert_eq!(deadline, self.deadline, "each try is told");
            let number = self.tries.fetch_add(1, Ordering::Relaxed);
            match fails.get(number as usize) {
                Some(outcome) => Err(Failed(*outcome)),
                None => Ok(number + 1),
            }
        };
        self.retry.call(effect, self.deadline, |_| advice, attempt).await
    }
}

#[test]
fn what_failed_is_tried_again_after_a_while_and_so_often_as_the_policy_says() {
    in_world(|env| async move {
        use Outcome::{Indeterminate, NotDone};
        let tried = Tried::new(&env, 100);
        let start = env.now();
        let well = tried.ends(Effect::Once, &[NotDone, NotDone], Advice::Retry).await;
        assert_eq!(well, Ok(3));
        assert!((MS * 30..MS * 31).contains(&(env.now() - start)));
        let error = tried.ends(Effect::Once, &[NotDone; 9], Advice::Retry).await.unwrap_err();
        assert_eq!((error.tries, error.why, error.outcome()), (4, Why::Tries, NotDone));
        // What may have been done is repeated only where that does no harm.
        let mixed = [NotDone, Indeterminate, NotDone, NotDone];
        let error = tried.ends(Effect::Once, &mixed, Advice::Retry).await.unwrap_err();
        assert_eq!((error.tries, error.why, error.outcome()), (2, Why::MayBeDone, Indeterminate));
        let error = tried.ends(Effect::Idempotent, &mixed, Advice::Retry).await.unwrap_err();
        assert_eq!((error.tries, error.why, error.last), (4, Why::Tries, Some(Failed(NotDone))));
        assert_eq!(error.outcome(), Indeterminate, "the second try may have done it");
        let error = tried.ends(Effect::Once, &[NotDone], Advice::GiveUp).await.unwrap_err();
        assert_eq!((error.tries, error.why), (1, Why::Futile));
    });
}

#[test]
fn there_is_no_try_beyond_the_budget_or_the_deadline() {
    in_world(|env| async move {
        use Outcome::{Indeterminate, NotDone};
        let tried = Tried::new(&env, 1);
        let error = tried.ends(Effect::Once, &[NotDone; 9], Advice::Retry).await.unwrap_err();
        assert_eq!((error.tries, error.why), (2, Why::Budget));
        assert_eq!(tried.retry.budget().left(), 0);
        let tried = Tried::new(&env, 100);
        let before = env.now();
        let later = Advice::RetryAfter(MS * 600);
        let error = tried.ends(Effect::Once, &[NotDone; 9], later).await.unwrap_err();
        assert_eq!((error.tries, error.why, env.now()), (1, Why::Deadline, before), "at once");
        let hangs = |_| pending::<Result<(), Failed>>();
        let judge = |_: &Failed| Advice::Retry;
        let hung = tried.retry.call(Effect::Once, tried.deadline, judge, hangs).await.unwrap_err();
        assert_eq!((hung.tries, hung.why, hung.last), (1, Why::Deadline, None));
        assert_eq!((hung.outcome(), env.now() >= tried.deadline.at()), (Indeterminate, true));
        let late = tried.ends(Effect::Once, &[], Advice::Retry).await.unwrap_err();
        assert_eq!((late.tries, late.outcome()), (0, NotDone), "it was not even tried");
    });
}
