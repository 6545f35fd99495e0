use crate::resilience::in_world;
use squall_env::{HasOutcome, Outcome, race};
use squall_protocols::breaker::{
    Accepted, CallError, Config, Fallback, Registry, SharedBreaker, State, Then, Verdict, Wait,
    Window,
};
use std::sync::Mutex;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failed {
    /// The service could not be reached: the breaker should know.
    Unreachable,
    /// It said no, which says nothing of how it is.
    Declined,
}

impl HasOutcome for Failed {
    fn outcome(&self) -> Outcome {
        match self {
            Failed::Unreachable => Outcome::Indeterminate,
            Failed::Declined => Outcome::NotDone,
        }
    }
}

fn judge(error: &Failed) -> Verdict {
    match error {
        Failed::Unreachable => Verdict::Failure,
        Failed::Declined => Verdict::Ignored,
    }
}

#[test]
fn five_failures_in_a_row_open_it_for_thirty_seconds() {
    in_world(|env| async move {
        let breaker = SharedBreaker::new(&env, Config::consecutive(5, SECOND * 30)).unwrap();
        let call = |result: Result<u8, Failed>| breaker.call(judge, async move { result });
        for failed in [Failed::Unreachable, Failed::Declined] {
            for _ in 0..4 {
                assert_eq!(call(Err(failed)).await, Err(CallError::Failed(failed)));
            }
        }
        // Failures long ago that something good came behind do not count.
        assert_eq!(call(Ok(1)).await, Ok(1));
        for _ in 0..5 {
            assert_eq!(breaker.lock().state(env.now()), State::Closed);
            call(Err(Failed::Unreachable)).await.unwrap_err();
        }
        let opened = env.now();
        env.sleep_until(opened + SECOND * 29).await;
        let refused = call(Ok(2)).await.unwrap_err();
        let CallError::Refused(refused) = refused else { panic!("{refused:?}") };
        assert_eq!(refused.to_string(), "service unavailable: the circuit breaker is open");
        assert_eq!((refused.state, refused.retry_at), (State::Open, Some(opened + SECOND * 30)));
        env.sleep_until(opened + SECOND * 30).await;
        assert_eq!(call(Ok(3)).await, Ok(3));
        assert_eq!(breaker.lock().state(env.now()), State::Closed);
        assert_eq!(breaker.lock().metrics(env.now()).calls, 0);
    });
}

#[test]
fn payments_that_fail_by_half_are_queued_and_made_when_three_calls_went_well() {
    in_world(|env| async move {
        let config = Config {
            failure_rate: 50.0,
            wait: Wait::fixed(SECOND * 30),
            window: Window::Calls(10),
            calls_min: 10,
            half_open_calls: 3,
            ..Config::default()
        };
        let breaker = Registry::new(&env, config, 8).unwrap().get("paymentService");
        let opened = Fallback::<u64>::open(&env, "paymentQueue", breaker.clone(), 100).await;
        let (payments, run) = opened.unwrap_or_else(|error| panic!("{error}"));
        env.spawn("queue", run);
        let put_off = |error: &Failed| match error {
            Failed::Unreachable => (Verdict::Failure, Then::PutOff),
            Failed::Declined => (Verdict::Ignored, Then::Fail),
        };
        let charge = |order: u64, ends: Result<(), Failed>| {
            payments.call((order, order * 100), put_off, async move { ends })
        };
        for order in 0..10 {
            let is_good = order % 2 == 0;
            let ends = if is_good { Ok(()) } else { Err(Failed::Unreachable) };
            let queued = if is_good { Accepted::Done(()) } else { Accepted::Queued };
            assert_eq!(charge(order, ends).await, Ok(queued), "payment {order}");
        }
        let opened = breaker.lock().since();
        assert_eq!(breaker.lock().state(env.now()), State::Open);
        assert_eq!(charge(10, Ok(())).await, Ok(Accepted::Queued), "nobody was asked");
        let made = Mutex::new(Vec::new());
        let attempt = |order: u64, total: u64| {
            let number = {
                let mut made = made.lock().unwrap();
                made.push((order, total, env.now()));
                made.len()
            };
            let state = breaker.lock().state(env.now());
            let is_probe = number <= 3;
            assert_eq!(state == State::HalfOpen, is_probe, "payment {order}");
            async { Ok(()) }
        };
        race(payments.drain(put_off, attempt, |_, _| {}), env.sleep(SECOND * 31)).await;
        let made = made.into_inner().unwrap();
        let orders: Vec<(u64, u64)> =
            made.iter().map(|(order, total, _)| (*order, *total)).collect();
        assert!(made.iter().all(|(_, _, at)| *at >= opened + SECOND * 30));
        assert_eq!(orders, [1, 3, 5, 7, 9, 10].map(|order| (order, order * 100)));
        assert_eq!(breaker.lock().state(env.now()), State::Closed);
    });
}
