//! How nodes end, and how their tasks do.

use crate::support::{Cluster, Failure, PATIENCE, ended, lend, run_as, wait_for, wait_until};
use squall_env::sync::Gone;
use squall_env::{Address, Port};
use squall_real::{Node, RunError, run};
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

struct OnDrop(mpsc::Sender<&'static str>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

#[test]
fn run_gives_what_the_service_returns() {
    let cluster = Cluster::new();
    run(cluster.config("replica-1"), |_| async { Ok::<(), Failure>(()) }).unwrap();
    let failed = run(cluster.config("replica-1"), |_| async { Err::<(), _>("out of stock") });
    assert!(matches!(failed, Err(RunError::Serve(error)) if error.to_string() == "out of stock"));
}

#[test]
fn the_tasks_of_a_node_die_with_its_service() {
    let cluster = Cluster::new();
    let (sender, dropped) = mpsc::channel();
    run_as(cluster.config("replica-1"), |env| async move {
        let held = OnDrop(sender);
        env.spawn("lingers", async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        env.sleep(Duration::from_millis(1)).await;
    });
    assert_eq!(wait_for(&dropped), "dropped");
}

#[test]
fn a_dropped_node_stops() {
    let cluster = Cluster::new();
    let (sender, dropped) = mpsc::channel();
    let held = OnDrop(sender);
    let node = cluster.start("replica-1", |_| async move {
        std::future::pending::<()>().await;
        drop(held);
        Ok(())
    });
    drop(node);
    assert_eq!(wait_for(&dropped), "dropped");
    cluster.start_echo("replica-1").stop().unwrap();
}

#[test]
fn a_task_that_panics_stops_the_node_and_is_named() {
    let cluster = Cluster::new();
    let node = cluster.start("replica-1", |env| async move {
        env.spawn("careless", async { panic!("on {}", "purpose") });
        std::future::pending().await
    });
    match ended(node) {
        Err(RunError::Panicked { task, message }) => {
            assert_eq!((task, message.as_str()), ("careless", "on purpose"));
        }
        other => panic!("the node ended with {other:?}"),
    }
}

#[test]
fn a_service_or_blocking_work_that_panics_stops_the_node() {
    let cluster = Cluster::new();
    let node = cluster.start("replica-1", |_| async { panic!("at once") });
    assert!(matches!(ended(node), Err(RunError::Panicked { task: "serve", .. })));
    let node = cluster.start("replica-1", |env| async move {
        assert_eq!(env.blocking(|| panic!("elsewhere")).await, Err::<(), _>(Gone));
        std::future::pending().await
    });
    assert!(matches!(ended(node), Err(RunError::Panicked { task: "blocking work", .. })));
}

struct Spiteful;

impl Future for Spiteful {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Drop for Spiteful {
    fn drop(&mut self) {
        panic!("on the way out");
    }
}

#[test]
fn a_panic_while_a_task_is_dropped_is_not_swallowed() {
    let cluster = Cluster::new();
    let node = cluster.start("replica-1", |env| async move {
        env.platform().spawn("spiteful", Box::pin(Spiteful));
        std::future::pending().await
    });
    assert!(matches!(ended(node), Err(RunError::Panicked { task: "spiteful", .. })));
}

#[test]
fn blocking_work_runs_elsewhere_and_on_few_threads() {
    let mut cluster = Cluster::new();
    cluster.limits.blocking_threads_max = 2;
    let most = run_as(cluster.config("replica-1"), |env| async move {
        let (here, running) = (thread::current().id(), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (asks, running) = (env.clone(), Arc::clone(&running));
                let body = async move {
                    asks.blocking(move || {
                        let at_once = running.fetch_add(1, Ordering::SeqCst) + 1;
                        thread::sleep(Duration::from_millis(5));
                        running.fetch_sub(1, Ordering::SeqCst);
                        (at_once, thread::current().id())
                    })
                    .await
                };
                env.spawn("asks", body)
            })
            .collect();
        let mut most = 0;
        for task in tasks {
            let (at_once, thread) = task.await.unwrap().unwrap();
            assert_ne!(thread, here);
            most = most.max(at_once);
        }
        most
    });
    assert!((1..=2).contains(&most));
}

#[test]
fn the_tasks_of_a_node_share_one_thread_unless_it_is_given_more() {
    let cluster = Cluster::new();
    let threads = run_as(cluster.config("replica-1"), |env| async move {
        let tasks: Vec<_> =
            (0..20).map(|_| env.spawn("where", async { thread::current().id() })).collect();
        let mut threads = vec![thread::current().id()];
        for task in tasks {
            threads.push(task.await.unwrap());
        }
        threads
    });
    assert!(threads.iter().all(|thread| *thread == threads[0]));
    let mut config = cluster.config("replica-1");
    config.threads = NonZeroUsize::new(2).unwrap();
    run_as(config, |env| async move {
        // Each waits for the other without giving up its thread, so one thread is not enough.
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let wait = |barrier: Arc<std::sync::Barrier>| async move {
            barrier.wait();
        };
        let (one, other) = (wait(Arc::clone(&barrier)), wait(barrier));
        let (one, other) = (env.spawn("one", one), env.spawn("other", other));
        assert_eq!((one.await, other.await), (Ok(()), Ok(())));
    });
}

#[test]
fn a_port_that_is_taken_is_an_error_of_its_own() {
    let cluster = Cluster::new();
    let _first = cluster.start_echo("replica-1");
    let mut second = cluster.config("replica-2");
    second.listen = cluster.addresses.get(&cluster.node("replica-1")).copied();
    let refused = Node::start(second, crate::support::echo);
    assert!(matches!(refused, Err(RunError::Listen { .. })));
}

#[test]
fn a_handle_that_outlives_its_node_is_harmless() {
    let cluster = Cluster::new();
    let (lent, env) = mpsc::channel();
    let node = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let socket = env.bind(Port::ANY).unwrap();
    node.stop().unwrap();
    socket.send(Address::new(cluster.node("replica-2"), Port::named("echo")), b"too late");
    let task = env.spawn("late", async {});
    drop(env.blocking(|| ()));
    let mut cx = Context::from_waker(Waker::noop());
    let polled = std::pin::pin!(task).as_mut().poll(&mut cx);
    assert_eq!(polled, Poll::Ready(Err(Gone)));
    let _ = (env.random(), env.now(), env.wall());
}

#[test]
fn rejections_are_counted() {
    let cluster = Cluster::new();
    let (lent, env) = mpsc::channel();
    let node = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let (sender, received) = mpsc::channel();
    let mut messages = env.messages::<u64>(Port::named("typed")).unwrap();
    let to = Address::new(env.me(), messages.port());
    env.bind(Port::ANY).unwrap().send(to, b"no message at all");
    messages.send(to, &7);
    env.spawn("receives", async move {
        let received = messages.receive().await;
        sender.send(received.map(|(_, number)| number)).unwrap();
    });
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), Ok(7));
    wait_until("it is counted", || node.metrics().rejected == 1);
    assert_eq!(node.counters().metrics().rejected, 1);
}
