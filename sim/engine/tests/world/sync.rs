use crate::probe::{SECOND, calm, run_until};
use squall::Scenario;
use squall_env::{Env, race, sync};
use std::time::Duration;

/// Runs a body on one node; a panic in it fails the test.
fn on_a_node<F, Fut>(body: F)
where
    F: Fn(Env) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let scenario = Scenario::new("test/sync").nodes("node", 1..=1, move |env: Env| async move {
        body(env.clone()).await;
        env.sometimes("the end");
        Ok::<(), String>(())
    });
    for seed in 0..20 {
        let outcome = run_until(&scenario, seed, &calm(1), 100 * SECOND);
        assert_eq!(outcome.failure, None);
        assert_eq!(outcome.sometimes, [("the end", 1)]);
    }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_channel_passes_everything_on_in_order_and_holds_senders_back() {
    on_a_node(|env| async move {
        let (sender, mut receiver) = sync::channel(&env, "numbers", 2);
        let sending = env.spawn("sender", async move {
            for number in 0..50 {
                sender.send(number).await.unwrap();
            }
        });
        env.sleep(10 * MS).await;
        for number in 0..50 {
            assert_eq!(receiver.receive().await, Some(number));
        }
        assert_eq!(receiver.receive().await, None);
        sending.await.unwrap();
    });
}

#[test]
fn a_full_channel_refuses_and_a_closed_one_says_so() {
    on_a_node(|env| async move {
        let (sender, receiver) = sync::channel(&env, "numbers", 1);
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(sender.try_send(2), Err(sync::TrySendError::Full(2)));
        drop(receiver);
        assert_eq!(sender.try_send(3), Err(sync::TrySendError::Gone(3)));
        assert_eq!(sender.send(4).await, Err(sync::Gone));
    });
}

#[test]
fn a_sender_that_gives_up_passes_its_turn_on() {
    on_a_node(|env| async move {
        let (sender, mut receiver) = sync::channel(&env, "numbers", 1);
        sender.try_send(0).unwrap();
        let (first, second) = (sender.clone(), sender.clone());
        let clock = env.clone();
        let patient = env.spawn("patient", async move {
            clock.sleep(MS).await;
            second.send(2).await
        });
        assert!(env.timeout(2 * MS, first.send(1)).await.is_err());
        assert_eq!(receiver.receive().await, Some(0));
        assert_eq!(receiver.receive().await, Some(2));
        assert_eq!(patient.await, Ok(Ok(())));
    });
}

#[test]
fn permits_go_to_whoever_waits_longest() {
    on_a_node(|env| async move {
        let semaphore = sync::semaphore(&env, "permits", 1);
        let held = semaphore.acquire().await;
        let (order, mut ordered) = sync::channel(&env, "order", 8);
        for number in 0..4u64 {
            let (semaphore, order, clock) = (semaphore.clone(), order.clone(), env.clone());
            env.spawn("waiter", async move {
                clock.sleep(MS * number as u32).await;
                let permit = semaphore.acquire().await;
                order.send(number).await.unwrap();
                clock.sleep(MS).await;
                drop(permit);
            });
        }
        env.sleep(10 * MS).await;
        assert!(semaphore.try_acquire().is_none());
        drop(held);
        for number in 0..4 {
            assert_eq!(ordered.receive().await, Some(number));
        }
        env.sleep(2 * MS).await;
        assert_eq!(semaphore.free(), 1);
    });
}

#[test]
fn a_waiter_that_gives_up_loses_no_permit() {
    on_a_node(|env| async move {
        let semaphore = sync::semaphore(&env, "permits", 1);
        let held = semaphore.acquire().await;
        let mut waiting = Box::pin(semaphore.acquire());
        assert!(env.timeout(MS, &mut waiting).await.is_err());
        // The permit is handed to the waiter, which goes away with it.
        drop(held);
        assert_eq!(semaphore.free(), 0);
        drop(waiting);
        assert_eq!(semaphore.free(), 1);
    });
}

#[test]
fn a_watch_shows_the_newest_value_and_the_end() {
    on_a_node(|env| async move {
        let (sender, mut receiver) = sync::watch(&env, "config", 1);
        sender.set(2);
        sender.set(3);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(receiver.read(|value| *value), 3);
        assert!(env.timeout(MS, receiver.changed()).await.is_err());
        drop(sender);
        assert_eq!(receiver.changed().await, Err(sync::Gone));
    });
}

#[test]
fn a_barrier_lets_go_in_groups_and_forgets_those_who_leave() {
    on_a_node(|env| async move {
        let barrier = sync::barrier(&env, "start", 2);
        assert!(env.timeout(MS, barrier.wait()).await.is_err());
        let other = barrier.clone();
        let first = env.spawn("first", async move { other.wait().await });
        assert!(env.timeout(MS, std::future::pending::<()>()).await.is_err());
        assert!(barrier.wait().await);
        assert_eq!(first.await, Ok(false));
    });
}

#[test]
fn a_stop_reaches_everybody_and_a_cancelled_task_is_gone() {
    on_a_node(|env| async move {
        let (stopper, mut stop) = sync::stop(&env, "shutdown");
        assert!(!stop.stopped());
        let mut other = stop.clone();
        let waiting = env.spawn("waiting", async move { other.wait().await });
        env.sleep(MS).await;
        stopper.stop();
        stop.wait().await;
        assert_eq!(waiting.await, Ok(()));
        let forever = env.spawn("forever", std::future::pending::<()>());
        env.sleep(MS).await;
        forever.cancel();
        assert_eq!(forever.await, Err(sync::Gone));
    });
}

#[test]
fn blocking_work_comes_back_and_time_goes_on() {
    on_a_node(|env| async move {
        let before = env.now();
        assert_eq!(env.blocking(|| 6 * 7).await, Ok(42));
        assert!(env.now() > before);
    });
}

#[test]
fn a_race_drops_the_loser() {
    on_a_node(|env| async move {
        let won = race(env.sleep(2 * MS), env.sleep(MS)).await;
        assert_eq!(won, squall_env::Either::Right(()));
        let start = env.now();
        assert!(env.timeout(MS, env.sleep(5 * MS)).await.is_err());
        assert_eq!(env.now() - start, MS);
        assert_eq!(env.timeout(Duration::ZERO, async { 5 }).await, Ok(5));
    });
}

#[test]
fn the_nodes_randomness_serves_the_rand_crates() {
    use rand::RngExt;
    on_a_node(|env| async move {
        let drawn: Vec<u32> = (0..100).map(|_| env.rng().random_range(0..10)).collect();
        assert!(drawn.iter().all(|number| *number < 10));
        assert!(drawn.iter().any(|number| *number != drawn[0]));
    });
}
