use super::{ensure, in_both_worlds};
use squall_env::{Either, Env, race};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_sleep_is_never_early() {
    in_both_worlds(1, |env: Env| async move {
        for length in [0, 1, 3, 20] {
            let start = env.now();
            env.sleep(MS * length).await;
            ensure(env.now() - start >= MS * length, "a sleep ended early")?;
        }
        Ok(())
    });
}

#[test]
fn the_monotonic_clock_never_goes_back() {
    in_both_worlds(1, |env: Env| async move {
        let mut last = env.now();
        for _ in 0..100 {
            let now = env.now();
            ensure(now >= last, "the clock went back")?;
            last = now;
            env.sleep(MS / 10).await;
        }
        Ok(())
    });
}

#[test]
fn the_shorter_sleep_ends_first_and_the_loser_is_forgotten() {
    in_both_worlds(1, |env: Env| async move {
        let first = race(env.sleep(300 * MS), env.sleep(10 * MS)).await;
        ensure(first == Either::Right(()), "the longer sleep ended first")
    });
}

#[test]
fn a_timeout_gives_up_and_a_ready_body_wins() {
    in_both_worlds(1, |env: Env| async move {
        let start = env.now();
        let late = env.timeout(5 * MS, std::future::pending::<()>()).await;
        ensure(late.is_err() && env.now() - start >= 5 * MS, "it gave up too early")?;
        let ready = env.timeout(Duration::ZERO, async { 7 }).await;
        ensure(ready == Ok(7), "a body that is ready lost")
    });
}

#[test]
fn thousands_of_cancelled_timeouts_leave_later_ones_alone() {
    in_both_worlds(1, |env: Env| async move {
        for _ in 0..2_000 {
            let sooner = race(std::future::ready(()), env.sleep(Duration::from_secs(60))).await;
            ensure(sooner == Either::Left(()), "a sleep won against what was ready")?;
        }
        let start = env.now();
        env.sleep(3 * MS).await;
        ensure(env.now() - start < Duration::from_secs(5), "a sleep was forgotten")
    });
}

#[test]
fn the_wall_clock_goes_on() {
    in_both_worlds(1, |env: Env| async move {
        let start = env.wall();
        env.sleep(20 * MS).await;
        let passed = env.wall().as_unix_nanos() - start.as_unix_nanos();
        let year_2020 = 1_577_836_800_000_000_000;
        ensure(passed > 0 && start.as_unix_nanos() > year_2020, "the wall clock stands still")
    });
}
