//! Timers, cancelled sleeps, and the two clocks.

use crate::support::{Cluster, lend, run_as, wait_for};
use squall_env::platform::Wait;
use squall_env::{Either, Elapsed, Instant, race};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

#[test]
fn a_sleep_is_never_early() {
    let cluster = Cluster::new();
    run_as(cluster.config("client-1"), |env| async move {
        for micros in [0, 1, 10, 300, 999, 1000, 1001, 2500, 10_000] {
            for _ in 0..5 {
                let until = env.now() + Duration::from_micros(micros);
                env.sleep_until(until).await;
                assert!(env.now() >= until, "{micros} us");
            }
        }
    });
}

#[test]
fn a_sleep_that_is_moved_ahead_keeps_to_the_new_moment() {
    let cluster = Cluster::new();
    run_as(cluster.config("client-1"), |env| async move {
        let mut wait = Wait::default();
        let (early, late) =
            (env.now() + Duration::from_millis(2), env.now() + Duration::from_millis(20));
        let mut moved = false;
        std::future::poll_fn(|cx| {
            // The timer is made for the earlier moment, and must not be believed for the later.
            let until = if moved { late } else { early };
            moved = true;
            env.platform().poll_sleep(until, &mut wait, cx)
        })
        .await;
        assert!(env.now() >= late);
    });
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_cancelled_sleep_wakes_nobody() {
    let cluster = Cluster::new();
    let (lent, env) = mpsc::channel();
    let node = cluster.start("client-1", lend(lent));
    let env = wait_for(&env);
    let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&wakes));
    let (mut kept, mut cancelled) = (Wait::default(), Wait::default());
    let until = env.now() + Duration::from_millis(30);
    for wait in [&mut kept, &mut cancelled] {
        let polled = env.platform().poll_sleep(until, wait, &mut Context::from_waker(&waker));
        assert!(polled.is_pending() && wait.own.is_some());
    }
    env.platform().cancel(&mut cancelled);
    assert!(cancelled.own.is_none());
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "the one that was kept");
    let polled = env.platform().poll_sleep(until, &mut kept, &mut Context::from_waker(&waker));
    assert_eq!(polled, Poll::Ready(()));
    node.stop().unwrap();
    let mut late = Wait::default();
    let until = env.now() + Duration::from_millis(1);
    let polled = env.platform().poll_sleep(until, &mut late, &mut Context::from_waker(&waker));
    assert!(polled.is_pending(), "a stopped node has no timers");
}

#[test]
fn a_deadline_ends_what_takes_too_long() {
    let cluster = Cluster::new();
    run_as(cluster.config("client-1"), |env| async move {
        let start = env.now();
        let limit = Duration::from_millis(10);
        assert_eq!(env.timeout(limit, std::future::pending::<()>()).await, Err(Elapsed));
        assert!(env.now() - start >= limit);
        assert_eq!(env.timeout(Duration::ZERO, async { 7 }).await, Ok(7));
        let never = env.sleep_until(Instant::NEVER);
        let first = race(never, env.sleep(Duration::from_millis(1))).await;
        assert_eq!(first, Either::Right(()));
    });
}

#[test]
fn the_clock_of_a_node_begins_when_it_is_started() {
    let cluster = Cluster::new();
    run_as(cluster.config("client-1"), |env| async move {
        assert!(env.now() < Instant::ORIGIN + Duration::from_secs(60));
        assert!(env.wall().as_unix_nanos() > 0);
    });
}
