//! The circuit breaker by hand, one step after the other, with the figures of Resilience4j's own
//! tests: failures and slow calls of 50 %, slow above 4 s, a window of 20 s, 5 calls at least, 4
//! while half-open, open for 5 s.

mod bench;

use bench::{Bench, config, patient, s, verdict_of};
use squall_env::Instant;
use squall_protocols::breaker::{
    AfterHalfOpen, CircuitBreaker, Config, ConfigError, Event, IllegalTransition, Initial, State,
    Verdict, Wait, Window,
};
use std::time::Duration;

#[test]
fn an_open_breaker_refuses_and_counts_that() {
    let mut bench = Bench::of(config());
    bench.breaker.open(bench.now);
    assert!(bench.is_refused());
    assert_eq!(bench.metrics().4, 1);
    let mut bench = Bench::of(config());
    bench.breaker.force_open(bench.now);
    assert!(bench.is_refused());
    bench.pass(6.0);
    assert!(bench.is_refused(), "by force it stays open");
    assert_eq!((bench.state(), bench.metrics()), (State::ForcedOpen, (-1.0, 0, 0, 0, 2)));
}

#[test]
fn so_many_calls_go_through_while_it_is_half_open() {
    let mut bench = Bench::half_open(patient());
    let mut permits = bench.permits(6);
    assert_eq!((permits.len(), bench.metrics().4), (4, 2));
    bench.breaker.release(permits.remove(0), bench.now);
    permits.extend(bench.permits(2));
    assert_eq!(permits.len(), 4, "one was handed back");
    bench.breaker.half_open(bench.now).unwrap();
    assert!(bench.is_refused(), "to ask for it again lets no more through");
    bench.breaker.open(bench.now);
    bench.breaker.half_open(bench.now).unwrap();
    assert_eq!(bench.permits(6).len(), 4, "this time is another");
}

#[test]
fn half_of_the_calls_are_enough_if_they_are_enough_calls() {
    let mut bench = Bench::of(config());
    for letter in "oooee".chars() {
        bench.call(verdict_of(letter), 0.1);
        bench.pass(1.0);
    }
    assert_eq!((bench.state(), bench.metrics()), (State::Closed, (40.0, 3, 5, 2, 0)));
    bench.calls("e");
    assert_eq!((bench.state(), bench.metrics()), (State::Open, (50.0, 3, 6, 3, 0)));
}

#[test]
fn what_it_has_counted_stays_to_be_seen_when_it_opens() {
    let mut bench = Bench::of(config());
    bench.calls("e");
    assert_eq!((bench.state(), bench.metrics()), (State::Closed, (-1.0, 0, 1, 1, 0)));
    bench.calls("e");
    assert_eq!(bench.metrics(), (-1.0, 0, 2, 2, 0));
    bench.calls("e");
    assert_eq!(bench.metrics(), (-1.0, 0, 3, 3, 0));
    bench.calls("o");
    assert_eq!((bench.state(), bench.metrics()), (State::Closed, (-1.0, 1, 4, 3, 0)));
    bench.calls("o");
    assert_eq!((bench.state(), bench.metrics()), (State::Open, (60.0, 2, 5, 3, 0)));
    assert_eq!(bench.told(|event| *event == Event::FailureRateExceeded(60.0)), 1);
    assert!(bench.is_refused());
    assert_eq!(bench.metrics(), (60.0, 2, 5, 3, 1));
}

#[test]
fn slow_calls_open_it_as_failures_do() {
    let mut bench = Bench::of(config());
    for (letter, took) in [('e', 5.0), ('o', 5.0), ('e', 0.1), ('o', 0.1), ('o', 5.0)] {
        bench.call(verdict_of(letter), took);
    }
    let metrics = bench.breaker.metrics(bench.now);
    assert_eq!((bench.state(), metrics.slow, metrics.slow_rate), (State::Open, 3, Some(60.0)));
    assert_eq!(bench.told(|event| *event == Event::SlowRateExceeded(60.0)), 1);
    let mut bench = Bench::of(config());
    let slow = [5.0, 5.0, 1.0, 1.0, 5.0].map(|took| {
        assert_eq!(bench.state(), State::Closed);
        let permit = bench.breaker.acquire(bench.now).unwrap();
        bench.pass(took);
        bench.breaker.record(permit, Verdict::Success, bench.now);
        bench.breaker.metrics(bench.now).slow
    });
    assert_eq!((slow, bench.state()), ([1, 2, 2, 2, 3], State::Open));
}

#[test]
fn its_wait_ends_when_somebody_wants_to_call() {
    let mut bench = Bench::of(config());
    bench.breaker.open(bench.now);
    assert!(bench.is_refused());
    bench.pass(3.0);
    assert!(bench.is_refused());
    assert_eq!(bench.metrics(), (-1.0, 0, 0, 0, 2));
    bench.pass(3.0);
    assert_eq!(bench.state(), State::Open, "to look changes nothing");
    assert!(!bench.is_refused());
    assert_eq!((bench.state(), bench.metrics()), (State::HalfOpen, (-1.0, 0, 0, 0, 0)));
}

#[test]
fn it_stays_open_for_as_long_as_it_is_told() {
    let mut bench = Bench::of(config());
    bench.breaker.open_for(s(7_200.0), bench.now);
    bench.pass(3_600.0);
    assert!(bench.is_refused());
    bench.pass(3_601.0);
    assert!(!bench.is_refused());
    assert_eq!(bench.state(), State::HalfOpen);
    let mut bench = Bench::of(config());
    bench.breaker.open_until(bench.now + s(1_800.0), bench.now);
    bench.pass(900.0);
    let refused = bench.breaker.acquire(bench.now).unwrap_err();
    assert_eq!(refused.retry_at, Some(bench.now + s(900.0)));
    bench.pass(901.0);
    assert!(!bench.is_refused());
    assert_eq!(bench.state(), State::HalfOpen);
}

#[test]
fn each_time_it_opens_again_it_waits_longer() {
    let mut bench = Bench::of(Config { wait: Wait::exponential(s(5.0)), ..patient() });
    bench.breaker.open(bench.now);
    bench.pass(3.0);
    assert!(bench.is_refused());
    bench.pass(3.0);
    assert!(!bench.is_refused());
    assert_eq!(bench.state(), State::HalfOpen);
    bench.breaker.open(bench.now);
    bench.pass(6.0);
    assert!(bench.is_refused());
    bench.pass(5.0);
    assert!(!bench.is_refused());
    assert_eq!(bench.state(), State::HalfOpen);
    bench.calls("oooo");
    assert_eq!(bench.state(), State::Closed);
    bench.breaker.open(bench.now);
    bench.pass(6.0);
    assert!(!bench.is_refused(), "once it was closed, it begins anew");
}

#[test]
fn waits_that_grow_have_an_end_and_chance_moves_them_apart() {
    let wait = Wait { first: s(5.0), factor: 2.0, most: s(60.0), jitter: 0.5 };
    let config = Config { wait, ..patient() };
    let until = |salt: u64, times: u32| {
        let now = Instant::ORIGIN;
        let mut breaker = CircuitBreaker::new(config.clone(), salt, now).unwrap();
        for _ in 0..times {
            breaker.open(now);
        }
        breaker.acquire(now).unwrap_err().retry_at.unwrap() - now
    };
    let first: Vec<Duration> = (0..100).map(|salt| until(salt, 1)).collect();
    assert!(first.iter().all(|wait| (s(5.0)..s(7.5)).contains(wait)));
    assert!(first.iter().max().unwrap().abs_diff(*first.iter().min().unwrap()) > s(2.0));
    assert_eq!(until(3, 1), until(3, 1));
    assert!((0..100).all(|salt| (s(60.0)..s(90.0)).contains(&until(salt, 5_000))));
}

#[test]
fn the_calls_that_go_through_decide() {
    let mut bench = Bench::half_open(patient());
    bench.calls("eeoe");
    assert_eq!((bench.state(), bench.metrics()), (State::Open, (75.0, 1, 4, 3, 0)));
    let mut bench = Bench::half_open(patient());
    for took in [5.0, 5.0, 5.0, 1.0] {
        bench.call(Verdict::Success, took);
    }
    let metrics = bench.breaker.metrics(bench.now);
    assert_eq!((metrics.slow, metrics.slow_rate, metrics.failure_rate), (3, Some(75.0), Some(0.0)));
    assert_eq!(bench.state(), State::Open);
    let mut bench = Bench::half_open(patient());
    bench.calls("eooo");
    assert_eq!((bench.state(), bench.metrics()), (State::Closed, (-1.0, 0, 0, 0, 0)));
    bench.calls("o");
    assert_eq!(bench.metrics(), (-1.0, 1, 1, 0, 0));
}

#[test]
fn a_reset_forgets_and_closes() {
    let mut bench = Bench::of(config());
    bench.calls("oe");
    bench.breaker.reset(bench.now);
    assert_eq!(bench.metrics(), (-1.0, 0, 0, 0, 0));
    bench.breaker.open(bench.now);
    bench.breaker.reset(bench.now);
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(bench.told(|event| *event == Event::Reset), 2);
}

#[test]
fn a_disabled_breaker_lets_everything_through_and_tells_nothing() {
    let mut bench = Bench::of(config());
    bench.breaker.disable(bench.now);
    let before = bench.told(|_| true);
    bench.calls("eeeeeeeeee");
    assert_eq!((bench.state(), bench.metrics()), (State::Disabled, (-1.0, 0, 0, 0, 0)));
    assert_eq!(bench.told(|_| true), before);
}

#[test]
fn what_is_ignored_gives_its_permit_back() {
    let mut bench = Bench::half_open(patient());
    bench.calls("oooi");
    assert_eq!((bench.state(), bench.metrics()), (State::HalfOpen, (-1.0, 3, 3, 0, 0)));
    bench.calls("e");
    assert_eq!(bench.state(), State::Closed);
    let mut bench = Bench::half_open(patient());
    bench.calls("iiii");
    assert_eq!((bench.state(), bench.metrics()), (State::HalfOpen, (-1.0, 0, 0, 0, 0)));
    bench.calls("oooo");
    assert_eq!(bench.state(), State::Closed);
}

#[test]
fn a_closed_breaker_does_not_become_half_open() {
    let mut bench = Bench::of(config());
    bench.calls("e");
    let error = bench.breaker.half_open(bench.now).unwrap_err();
    assert_eq!(error, IllegalTransition { from: State::Closed, to: State::HalfOpen });
    assert_eq!((bench.state(), bench.metrics()), (State::Closed, (-1.0, 0, 1, 1, 0)));
}

#[test]
fn one_that_only_counts_never_opens_and_says_once_what_it_sees() {
    let initial = Initial::MetricsOnly;
    let mut bench = Bench::of(Config { initial, ..config() });
    bench.calls("eeeoo");
    assert_eq!((bench.state(), bench.metrics()), (State::MetricsOnly, (60.0, 2, 5, 3, 0)));
    bench.calls("e");
    assert_eq!(bench.state(), State::MetricsOnly);
    let failures = |event: &Event| matches!(event, Event::FailureRateExceeded(_));
    assert_eq!(bench.told(failures), 1);
    let mut bench = Bench::of(Config { initial, ..config() });
    for _ in 0..5 {
        bench.call(Verdict::Failure, 5.0);
    }
    let slow = |event: &Event| matches!(event, Event::SlowRateExceeded(_));
    assert_eq!((bench.told(failures), bench.told(slow)), (1, 1));
}

#[test]
fn from_everywhere_it_may_be_made_to_count_only() {
    let ways: [fn(&mut CircuitBreaker, Instant); 6] = [
        CircuitBreaker::close,
        CircuitBreaker::open,
        CircuitBreaker::force_open,
        CircuitBreaker::disable,
        CircuitBreaker::only_count,
        |breaker, now| {
            breaker.open(now);
            breaker.half_open(now).unwrap();
        },
    ];
    for way in ways {
        let mut bench = Bench::of(config());
        way(&mut bench.breaker, bench.now);
        bench.breaker.only_count(bench.now);
        assert_eq!(bench.state(), State::MetricsOnly);
        let before = bench.told(|_| true);
        bench.breaker.only_count(bench.now);
        assert_eq!(bench.told(|_| true), before, "nothing changes");
    }
}

#[test]
fn it_is_not_half_open_for_longer_than_it_may() {
    for (after, state) in
        [(AfterHalfOpen::Open, State::Open), (AfterHalfOpen::Close, State::Closed)]
    {
        let mut bench = Bench::half_open(Config { after_half_open: after, ..config() });
        bench.pass(2.0);
        assert_eq!(bench.state(), state);
        assert_eq!(bench.breaker.since(), bench.now - s(1.0), "at its time, not when it is seen");
    }
}

#[test]
fn it_begins_as_it_is_told() {
    let begins = |initial| Bench::of(Config { initial, ..config() });
    assert_eq!(begins(Initial::Closed).state(), State::Closed);
    assert_eq!(begins(Initial::MetricsOnly).state(), State::MetricsOnly);
    let mut open = begins(Initial::Open);
    assert!(open.is_refused());
    open.pass(5.0);
    assert!(!open.is_refused());
}

#[test]
fn a_window_of_calls_slides() {
    let (window, calls_min) = (Window::Calls(10), 10);
    let initial = Initial::MetricsOnly;
    let mut bench = Bench::of(Config { window, calls_min, initial, ..config() });
    bench.calls("ooee");
    assert_eq!(bench.metrics().0, -1.0);
    bench.calls("eeeeoooo");
    assert_eq!(bench.metrics(), (60.0, 4, 10, 6, 0));
    let over = |event: &Event| matches!(event, Event::FailureRateExceeded(_));
    assert_eq!(bench.told(over), 1, "it is over");
    bench.calls("ooo");
    assert_eq!(bench.metrics(), (30.0, 7, 10, 3, 0));
    assert_eq!(bench.told(over), 1, "it is below again");
}

#[test]
fn the_defaults_are_those_of_resilience4j() {
    let config = Config::default();
    assert_eq!((config.failure_rate, config.slow_rate, config.slow), (50.0, 100.0, s(60.0)));
    assert_eq!((config.window, config.calls_min), (Window::Calls(100), 100));
    assert_eq!((config.wait, config.half_open_calls), (Wait::fixed(s(60.0)), 10));
    assert_eq!((config.half_open_max, config.initial), (None, Initial::Closed));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |config| CircuitBreaker::new(config, 0, Instant::ORIGIN).err();
    for rate in [0.0, -1.0, 100.1, f32::NAN] {
        let bad = Config { failure_rate: rate, ..config() };
        assert_eq!(refused(bad), Some(ConfigError::Rate("failure_rate")));
        let bad = Config { slow_rate: rate, ..config() };
        assert_eq!(refused(bad), Some(ConfigError::Rate("slow_rate")));
    }
    let zeros = [
        (Config { window: Window::Calls(0), ..config() }, "window"),
        (Config { window: Window::Seconds(0), ..config() }, "window"),
        (Config { calls_min: 0, ..config() }, "calls_min"),
        (Config { half_open_calls: 0, ..config() }, "half_open_calls"),
        (Config { wait: Wait::fixed(Duration::ZERO), ..config() }, "wait.first"),
        (Config { slow: Duration::ZERO, ..config() }, "slow"),
        (Config { lost_after: Duration::ZERO, ..config() }, "lost_after"),
    ];
    for (bad, name) in zeros {
        assert_eq!(refused(bad), Some(ConfigError::Zero(name)));
    }
    let half_open_max = Some(s(0.999));
    assert_eq!(refused(Config { half_open_max, ..config() }), Some(ConfigError::HalfOpenMax));
    for (factor, jitter) in [(0.9, 0.0), (f64::NAN, 0.0), (1.0, 1.1), (1.0, -0.1)] {
        let wait = Wait { factor, jitter, ..Wait::fixed(s(1.0)) };
        assert_eq!(refused(Config { wait, ..config() }), Some(ConfigError::Wait));
    }
}

#[test]
fn no_more_calls_are_needed_than_a_window_of_calls_has() {
    let window = Window::Calls(5);
    let mut bench = Bench::of(Config { window, calls_min: 100, ..config() });
    bench.calls("eeeee");
    assert_eq!(bench.state(), State::Open);
    let window = Window::Seconds(5);
    let mut bench = Bench::of(Config { window, calls_min: 100, ..config() });
    bench.calls("eeeee");
    assert_eq!(bench.state(), State::Closed);
}

#[test]
fn what_comes_back_from_an_earlier_state_changes_nothing() {
    let mut bench = Bench::of(patient());
    let mut old = bench.permits(10);
    bench.calls("eeeee");
    assert_eq!(bench.state(), State::Open);
    let before = bench.metrics();
    let permit = old.remove(0);
    bench.pass(3.0);
    bench.breaker.record(permit, Verdict::Failure, bench.now);
    assert_eq!(bench.metrics(), before);
    assert_eq!(bench.breaker.metrics(bench.now).late, 1);
    bench.pass(2.0);
    // It waits from when it opened, and not from the last failure.
    bench.calls("ooo");
    for permit in old.drain(..5) {
        bench.breaker.record(permit, Verdict::Failure, bench.now);
    }
    bench.calls("o");
    assert_eq!(bench.state(), State::Closed);
    for permit in old {
        bench.breaker.record(permit, Verdict::Failure, bench.now);
    }
    assert_eq!((bench.state(), bench.metrics()), (State::Closed, (-1.0, 0, 0, 0, 0)));
}

#[test]
fn three_failures_in_a_row_open_it_for_a_minute() {
    let mut bench = Bench::of(Config::consecutive(3, s(60.0)));
    bench.calls("eeoee");
    assert_eq!(bench.state(), State::Closed);
    bench.calls("e");
    assert_eq!(bench.state(), State::Open);
    bench.pass(59.0);
    assert!(bench.is_refused());
    bench.pass(1.0);
    bench.calls("o");
    assert_eq!(bench.state(), State::Closed);
}

#[test]
fn calls_that_never_come_back_do_not_keep_it_half_open() {
    let mut bench = Bench::half_open(Config { lost_after: s(30.0), ..patient() });
    let lost = bench.permits(4);
    bench.pass(29.0);
    assert!(bench.is_refused());
    bench.pass(1.0);
    assert_eq!((bench.state(), bench.metrics().0), (State::Open, 100.0));
    bench.pass(5.0);
    bench.calls("oooo");
    for permit in lost {
        bench.breaker.record(permit, Verdict::Failure, bench.now);
    }
    assert_eq!(bench.state(), State::Closed);
}

#[test]
fn failures_in_a_row_open_it_and_others_do_not() {
    let mut bench = Bench::of(Config::consecutive(3, s(30.0)));
    bench.calls("eeoeeo");
    assert_eq!(bench.state(), State::Closed);
    bench.calls("eee");
    assert_eq!(bench.state(), State::Open);
    bench.pass(30.0);
    bench.calls("o");
    assert_eq!(bench.state(), State::Closed);
}
