//! The rate limiters, with the figures of governor's and express-rate-limit's own tests.

use proptest::prelude::*;
use squall_env::Instant;
use squall_protocols::limiter::{
    Decision, FixedWindow, Gcra, Keyed, LimitError, Quota, SlidingCounter, SlidingLog,
};
use std::sync::Mutex;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Instant {
    Instant::ORIGIN + Duration::from_millis(millis)
}

fn gcra(cells: u32) -> Gcra {
    Gcra::new(Quota::per(SECOND, cells).unwrap())
}

fn allowed(limiter: &mut Gcra, times: &[u64]) -> Vec<bool> {
    times.iter().map(|at| limiter.check(ms(*at)).is_allowed()).collect()
}

#[test]
fn cells_come_as_fast_as_the_quota_says() {
    assert_eq!(allowed(&mut gcra(5), &[0]), [true]);
    let mut two = gcra(2);
    let times = [0, 1, 2, 1_002, 1_003, 1_004];
    assert_eq!(allowed(&mut two, &times), [true, true, false, true, true, false]);
    let mut five = gcra(5);
    assert_eq!(allowed(&mut five, &[0; 6]), [true, true, true, true, true, false]);
    assert_eq!(allowed(&mut five, &[2_000; 6]), [true, true, true, true, true, false]);
}

#[test]
fn several_cells_come_together_or_not_at_all() {
    let mut four = gcra(4);
    let mut pairs = |at| four.check_all(2, ms(at)).unwrap().is_allowed();
    assert_eq!(
        [0, 0, 1, 1_001, 1_002, 1_003].map(&mut pairs),
        [true, true, false, true, true, false]
    );
    let mut five = gcra(5);
    for cells in [15, 7, 6] {
        assert_eq!(five.check_all(cells, ms(0)), Err(LimitError::Capacity { burst: 5 }));
    }
    assert_eq!(five.check_all(5, ms(0)), Ok(Decision::Allowed), "nothing has changed");
}

#[test]
fn whoever_waits_as_told_comes_through() {
    let (mut five, mut now) = (gcra(5), ms(0));
    let mut waits = 0;
    for _ in 0..20 {
        if let Decision::Limited { retry_at } = five.check(now) {
            waits += 1;
            assert!(!five.check(Instant::from_nanos(retry_at.as_nanos() - 1)).is_allowed());
            now = retry_at;
            assert!(five.check(now).is_allowed());
        }
    }
    assert_eq!((waits, now), (15, ms(3_000)));
}

#[test]
fn the_told_wait_is_exact_for_any_capacity() {
    for burst in 1..10_000 {
        let mut limiter = gcra(burst);
        let now = ms(7);
        assert_eq!(limiter.check_all(burst, now), Ok(Decision::Allowed));
        let Decision::Limited { retry_at } = limiter.check(now) else { panic!("{burst}") };
        assert!(!limiter.check(Instant::from_nanos(retry_at.as_nanos() - 1)).is_allowed());
        assert!(limiter.check(retry_at).is_allowed());
    }
}

#[test]
fn quotas_without_sense_are_refused() {
    assert_eq!(Quota::per(SECOND, 0), Err(LimitError::Quota));
    assert_eq!(Quota::per(Duration::from_nanos(3), 4), Err(LimitError::Quota));
    assert_eq!(Quota::per(Duration::MAX, 1), Err(LimitError::Quota));
    let quota = Quota::per(SECOND, 10).unwrap();
    assert_eq!(quota.with_burst(0), Err(LimitError::Quota));
    let mut limiter = Gcra::new(quota.with_burst(2).unwrap());
    assert_eq!(limiter.remaining(ms(0)), 2);
    assert_eq!(allowed(&mut limiter, &[0, 0, 0, 100, 100]), [true, true, false, true, false]);
    assert_eq!((limiter.remaining(ms(150)), limiter.remaining(ms(200))), (0, 1));
    assert!(!limiter.is_idle(ms(299)) && limiter.is_idle(ms(300)));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "threads are what is tested")]
fn twenty_threads_at_once_take_a_burst_of_twenty_and_nothing_more() {
    let limiter = Mutex::new(Gcra::new(Quota::per(SECOND, 20).unwrap()));
    let all_at = |at: Instant| {
        let check = || limiter.lock().unwrap().check(at).is_allowed();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..20).map(|_| scope.spawn(check)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|is| *is).count()
        })
    };
    assert_eq!(all_at(ms(0)), 20);
    assert_eq!(all_at(ms(2)), 0);
    assert_eq!(all_at(ms(1_000)), 20);
}

#[test]
fn a_fixed_window_begins_with_the_first_hit() {
    let mut window = FixedWindow::new(2, SECOND);
    assert!(window.check(ms(300)).is_allowed());
    assert_eq!((window.hits(ms(300)), window.resets_at(ms(300))), (1, Some(ms(1_300))));
    assert!(window.check(ms(400)).is_allowed());
    assert_eq!(window.check(ms(1_299)), Decision::Limited { retry_at: ms(1_300) });
    assert_eq!((window.hits(ms(1_299)), window.remaining(ms(1_299))), (3, 0));
    assert!(window.check(ms(1_300)).is_allowed());
    assert_eq!((window.hits(ms(1_300)), window.remaining(ms(1_300))), (1, 1));
    window.give_back(ms(1_300), ms(1_400));
    assert_eq!(window.hits(ms(1_400)), 1, "it is another window's");
    window.give_back(ms(2_300), ms(1_400));
    window.give_back(ms(2_300), ms(1_400));
    assert_eq!(window.hits(ms(1_400)), 0, "never below");
    assert!(window.check(ms(1_500)).is_allowed());
    window.give_back(ms(2_300), ms(2_300));
    assert_eq!((window.hits(ms(2_299)), window.hits(ms(2_300))), (1, 0), "too late");
    window.check(ms(2_300)).is_allowed();
    window.reset();
    assert_eq!((window.hits(ms(2_300)), window.remaining(ms(2_300))), (0, 2));
    let mut none = FixedWindow::new(0, SECOND);
    assert!(!none.check(ms(0)).is_allowed());
}

#[test]
fn around_its_end_a_fixed_window_lets_twice_as_many_through_and_the_others_do_not() {
    let times: Vec<u64> = (0..5).map(|n| 900 + n).chain((0..5).map(|n| 1_010 + n)).collect();
    let through = |mut check: Box<dyn FnMut(Instant) -> Decision>| {
        times.iter().filter(|at| check(ms(**at)).is_allowed()).count()
    };
    let mut window = FixedWindow::new(5, SECOND);
    // Its first hit is long before.
    assert!(window.check(ms(5)).is_allowed());
    window.give_back(ms(1_005), ms(6));
    assert_eq!(through(Box::new(move |at| window.check(at))), 10);
    let mut log = SlidingLog::new(5, SECOND);
    assert_eq!(through(Box::new(move |at| log.check(at))), 5);
    let mut counter = SlidingCounter::new(5, SECOND);
    assert_eq!(through(Box::new(move |at| counter.check(at))), 5);
}

#[test]
fn sliding_windows_tell_when_to_come_again() {
    let mut log = SlidingLog::new(2, SECOND);
    assert!(log.check(ms(0)).is_allowed() && log.check(ms(300)).is_allowed());
    assert_eq!(log.check(ms(999)), Decision::Limited { retry_at: ms(1_000) });
    assert!(log.check(ms(1_000)).is_allowed());
    assert_eq!(log.check(ms(299)), Decision::Limited { retry_at: ms(1_300) });
    let mut log = SlidingLog::new(2, SECOND);
    assert!(log.check(ms(5_000)).is_allowed());
    let oldest = ms(4_000) + Duration::from_nanos(1);
    assert_eq!(log.check(ms(9)), Decision::Limited { retry_at: oldest }, "it is too old");
    assert!(log.check(oldest).is_allowed() && !log.check(ms(4_500)).is_allowed());
    let mut counter = SlidingCounter::new(4, SECOND);
    for _ in 0..4 {
        assert!(counter.check(ms(500)).is_allowed());
    }
    // Three of the four are left when a quarter of the next window is over.
    assert_eq!(counter.check(ms(600)), Decision::Limited { retry_at: ms(1_250) });
    assert!(!counter.check(ms(1_249)).is_allowed());
    assert!(counter.check(ms(1_250)).is_allowed());
    let never = Decision::Limited { retry_at: Instant::NEVER };
    assert_eq!(SlidingCounter::new(0, SECOND).check(ms(0)), never);
    assert_eq!(SlidingLog::new(0, SECOND).check(ms(0)), never);
}

#[test]
fn there_are_no_more_keys_than_allowed_and_none_gets_round_its_limit() {
    let mut keyed = Keyed::new(Quota::per(SECOND, 2).unwrap(), 3);
    for key in 0..3 {
        assert!(keyed.check(&key, ms(0)).is_allowed());
    }
    assert!(!keyed.check(&3, ms(1)).is_allowed(), "no key is idle");
    assert!(keyed.check(&0, ms(1)).is_allowed());
    assert!(!keyed.check(&0, ms(2)).is_allowed());
    assert!(keyed.check(&3, ms(600)).is_allowed(), "two keys are idle");
    assert_eq!(keyed.len(), 2);
    assert!(!keyed.check(&0, ms(400)).is_allowed());
    for key in 10..1_000 {
        let _ = keyed.check(&key, ms(600));
    }
    assert_eq!(keyed.len(), 3);
}

#[test]
fn a_key_that_was_forgotten_is_not_given_its_burst_again_for_an_older_time() {
    let mut keyed = Keyed::new(Quota::per(SECOND, 4).unwrap(), 1);
    let mut through = |key: u8, at: u64| keyed.check(&key, ms(at)).is_allowed();
    assert!((0..4).all(|_| through(0, 100)) && !through(0, 100));
    assert!(through(1, 1_500), "the first key is idle, and forgotten");
    assert!(through(0, 3_000), "as is the second");
    assert!(!through(1, 100), "there is no room");
    let mut keyed = Keyed::new(Quota::per(SECOND, 4).unwrap(), 2);
    let mut through = |key: u8, at: u64| keyed.check(&key, ms(at)).is_allowed();
    assert!((0..4).all(|_| through(0, 100)) && through(1, 100));
    assert!(through(2, 1_500), "both are forgotten");
    assert!(!through(0, 110), "what came then is not known any more");
    assert!((0..2).all(|_| through(0, 1_200)), "from then on some of it may come");
    assert!(!through(0, 1_200));
}

/// Steps of a clock in nanoseconds, some of them back.
fn steps() -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::vec(prop_oneof![0i64..50_000_000, -200_000_000i64..0], 1..300)
}

proptest! {
    #[test]
    fn no_time_lets_more_through_than_the_burst_and_the_rate(
        (cells, burst, steps) in (1u32..200, 1u32..50, steps())
    ) {
        let quota = Quota::per(SECOND, cells).unwrap().with_burst(burst).unwrap();
        let (mut limiter, mut clock, mut latest) = (Gcra::new(quota), 1_000_000_000i64, 0u64);
        let mut through: Vec<u64> = Vec::new();
        for step in steps {
            clock = (clock + step).max(0);
            latest = latest.max(clock as u64);
            if limiter.check(Instant::from_nanos(clock as u64)).is_allowed() {
                through.push(latest);
            }
        }
        // A clock that went back has not made time: counted by the latest it has shown.
        for (first, from) in through.iter().enumerate() {
            for (last, to) in through.iter().enumerate().skip(first) {
                let most = u64::from(burst) + (to - from) / quota.interval().as_nanos() as u64;
                prop_assert!((last - first + 1) as u64 <= most);
            }
        }
    }

    #[test]
    fn a_log_lets_no_window_have_more_than_its_limit_and_refuses_nobody_else(
        (limit, steps) in (1usize..20, steps())
    ) {
        let (mut log, mut clock) = (SlidingLog::new(limit as u32, SECOND), 0i64);
        // By the latest that the clock has shown, and by what it showed.
        let (mut shown, mut told): (Vec<u64>, Vec<u64>) = (vec![0], Vec::new());
        let second = SECOND.as_nanos() as u64;
        let mut latest = 0u64;
        let is_full = |told: &[u64], at: u64| {
            let mut with = [told, &[at]].concat();
            with.sort_unstable();
            with.windows(limit + 1).any(|window| window[limit] - window[0] < second)
        };
        for step in steps {
            clock = (clock + step).max(0);
            let now = clock as u64;
            latest = latest.max(now);
            match log.check(Instant::from_nanos(now)) {
                Decision::Allowed => {
                    prop_assert!(!is_full(&told, now));
                    shown.push(latest);
                    told.push(now);
                }
                Decision::Limited { retry_at } => {
                    let is_old = told.iter().any(|hit| now + second <= *hit);
                    prop_assert!(is_old || is_full(&told, now));
                    let retry_at = retry_at.as_nanos();
                    let mut later = log.clone();
                    prop_assert!(!later.check(Instant::from_nanos(retry_at - 1)).is_allowed());
                    prop_assert!(later.check(Instant::from_nanos(retry_at)).is_allowed());
                }
            }
        }
        for window in shown[1..].windows(limit + 1) {
            prop_assert!(window[limit] - window[0] >= second);
        }
    }
}
