use crate::probe::{SECOND, calm, run_until};
use serde::{Deserialize, Serialize};
use squall::check_history::{Register, RegisterCall, RegisterReturn};
use squall::{Class, Client, Failure, Plan, Scenario, linearizable, plan::RoleNodes};
use squall_env::request::CallError;
use squall_env::{Env, Port, View, sync};
use std::time::Duration;

fn failure(scenario: &Scenario) -> Failure {
    run_until(scenario, 1, &calm(1), u64::MAX).failure.expect("it fails")
}

fn client_plan() -> Plan {
    Plan::calm(vec![RoleNodes { role: "client".to_owned(), nodes: 2 }], SECOND)
}

#[test]
fn a_panic_names_node_place_and_text() {
    let scenario = Scenario::new("test/panic").nodes("node", 1..=1, |env: Env| async move {
        env.sleep(Duration::from_secs(1)).await;
        let missing = env.peers("nobody").pop();
        missing.expect("there is one");
        Ok::<(), String>(())
    });
    let failure = failure(&scenario);
    assert_eq!((failure.class, failure.at_ns), (Class::Panic, SECOND));
    let story = failure.story.join("\n");
    assert!(story.contains("node-1") && story.contains("there is one"), "{story}");
    assert!(failure.place.contains("reports.rs"), "{}", failure.place);
}

#[test]
fn a_panic_of_a_spawned_task_is_one_of_the_node() {
    let scenario = Scenario::new("test/panic").nodes("node", 1..=1, |env: Env| async move {
        env.spawn("worker", async { panic!("in a task") });
        std::future::pending::<Result<(), String>>().await
    });
    assert_eq!(failure(&scenario).class, Class::Panic);
}

#[test]
fn polls_without_end_are_a_livelock_and_say_who() {
    let scenario = Scenario::new("test/livelock").nodes("node", 1..=1, |env: Env| async move {
        env.spawn(
            "spinner",
            std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                std::task::Poll::<()>::Pending
            }),
        );
        std::future::pending::<Result<(), String>>().await
    });
    let failure = failure(&scenario);
    assert_eq!((failure.class, failure.at_ns), (Class::Livelock, 0));
    assert!(failure.story.join("\n").contains("\"spinner\" of node-1"), "{:?}", failure.story);
}

/// Whoever hears of something tells it to so many others, after a while.
fn rumours(copies: usize) -> Scenario {
    Scenario::new("test/rumours").nodes("node", 3..=3, move |env: Env| async move {
        let port = Port::named("rumours");
        let mut rumours = env.messages::<Rumour>(port).map_err(|error| error.to_string())?;
        let others: Vec<_> = env.addresses("node", port).into_iter().take(copies).collect();
        if env.me().ordinal() == 1 {
            rumours.send(others[0], &Rumour::Small);
        }
        while rumours.receive().await.is_ok() {
            rumours.send_all(others.iter().copied(), &Rumour::Big);
        }
        Ok::<(), String>(())
    })
}

#[derive(Serialize, Deserialize)]
enum Rumour {
    Small,
    Big,
}

#[test]
fn messages_that_multiply_end_the_run_and_are_named() {
    let failure = run_until(&rumours(2), 1, &calm(3), u64::MAX).failure.expect("it fails");
    assert_eq!((failure.class, &*failure.property), (Class::Runaway, "the run ends"));
    let story = failure.story.join("\n");
    let port = Port::named("rumours").number();
    assert!(story.starts_with("250000 messages and timers wait"), "{story}");
    assert!(story.contains("node-1 sends "), "{story}");
    assert!(story.contains(&format!(" messages of kind 1 to port {port}")), "{story}");
    assert_eq!(failure.place, format!("node sends kind 1 to port {port}"));
    // Which of the nodes sends most hangs on the seed, and what failures have in common does not.
    let other = run_until(&rumours(2), 2, &calm(3), u64::MAX).failure.expect("it fails");
    assert_eq!(failure.fingerprint(), other.fingerprint());
}

#[test]
fn a_run_without_an_end_is_ended_by_the_number_of_its_events() {
    // A single message on its way is enough, and so is a single timer.
    let scenario = rumours(1).events_max(30_000);
    let outcome = run_until(&scenario, 1, &calm(3), u64::MAX);
    let failure = outcome.failure.expect("it fails");
    assert_eq!((failure.class, outcome.events), (Class::Runaway, 30_000));
    assert!(failure.story[0].starts_with("30000 events, and no end"), "{:?}", failure.story);
    let again = run_until(&scenario, 1, &calm(3), u64::MAX);
    assert_eq!(outcome.digest, again.digest);
    let ticking = Scenario::new("test/ticks").nodes("node", 1..=1, |env: Env| async move {
        loop {
            env.sleep(Duration::from_millis(1)).await;
        }
        #[expect(unreachable_code, reason = "it says of which type the result is")]
        Ok::<(), String>(())
    });
    let outcome = run_until(&ticking.events_max(200_000), 1, &calm(1), u64::MAX - 1);
    let failure = outcome.failure.expect("it fails");
    assert_eq!(failure.place, "timers of node");
    assert!(failure.story[2].starts_with("node-1 has 99648 timers run out"), "{:?}", failure.story);
}

#[test]
fn a_run_without_clients_and_goals_ends_when_the_faults_are_over() {
    let scenario = Scenario::new("test/ticks").nodes("node", 1..=1, |env: Env| async move {
        let ticks = env.show("ticks", 0_u64);
        loop {
            env.sleep(Duration::from_millis(400)).await;
            ticks.update(&env, |ticks| *ticks += 1);
        }
        #[expect(unreachable_code, reason = "it says of which type the result is")]
        Ok::<(), String>(())
    });
    let ends = |scenario: &Scenario| run_until(scenario, 1, &calm(1), u64::MAX).end_ns;
    assert_eq!(ends(&scenario), calm(1).heal_at_ns);
    let ticked = scenario.eventually("it has ticked", Duration::from_secs(10), || {
        |view: &View<'_>| view.up::<u64>().all(|ticks| *ticks >= 175)
    });
    assert_eq!((calm(1).heal_at_ns, ends(&ticked)), (60 * SECOND, 70 * SECOND));
}

#[test]
fn connects_without_an_end_are_named() {
    let scenario = Scenario::new("test/connects").nodes("node", 2..=2, |env: Env| async move {
        let to = env.addresses("node", Port::named("nobody"))[1];
        while env.connect(to).await.is_err() {}
        Ok::<(), String>(())
    });
    let failure = run_until(&scenario.events_max(30_000), 1, &calm(2), u64::MAX).failure;
    let failure = failure.expect("it fails");
    assert_eq!((failure.class, &*failure.place), (Class::Runaway, "connects of node"));
    assert!(failure.story.join("\n").contains("node-1 connects "), "{:?}", failure.story);
}

#[test]
fn a_bound_that_is_not_reached_changes_nothing() {
    let run = |scenario: Scenario| run_until(&scenario, 1, &calm(3), SECOND / 10);
    let free = run(rumours(1));
    let close = run(rumours(1).events_max(free.events).pending_max(8));
    assert_eq!((free.failure, close.failure), (None, None));
    assert_eq!((free.digest, free.events), (close.digest, close.events));
    assert!(run(rumours(1).events_max(free.events - 1)).failure.is_some());
}

#[test]
fn a_poll_that_sends_without_end_fails_the_run_before_memory_does() {
    let scenario = Scenario::new("test/flood").nodes("node", 2..=2, |env: Env| async move {
        let socket = env.bind(Port::named("flood")).map_err(|error| error.to_string())?;
        let to = env.addresses("node", socket.port())[1];
        for _ in 0..1_000_000 {
            socket.send(to, b"again");
        }
        std::future::pending::<Result<(), String>>().await
    });
    let failure = run_until(&scenario, 1, &calm(2), u64::MAX).failure.expect("it fails");
    assert_eq!(failure.class, Class::Runaway);
    assert!(failure.story.join("\n").contains("it ends in task \"main\" of node-"));
}

#[test]
fn clients_that_wait_for_ever_say_for_what() {
    let scenario = Scenario::new("test/deadlock")
        .clients("client", 2..=2, |client: Client| async move {
            let (_sender, mut receiver) = sync::channel::<u8>(client.env(), "orders", 1);
            let held = sync::semaphore(client.env(), "turnstile", 0);
            client.env().spawn("second", async move { drop(held.acquire().await) });
            receiver.receive().await;
            Ok::<(), String>(())
        })
        .finishes_within(Duration::from_secs(5));
    let failure = run_until(&scenario, 1, &client_plan(), u64::MAX).failure.expect("it fails");
    let story = failure.story.join("\n");
    assert!(story.contains("channel \"orders\""), "{story}");
    assert!(story.contains("permit of \"turnstile\""), "{story}");
    assert_eq!(failure.property, "every client finishes");
}

#[test]
fn a_node_that_ends_by_itself_says_why_it_is_down() {
    let scenario = Scenario::new("test/ends")
        .nodes("node", 1..=1, |env: Env| async move {
            env.sleep(Duration::from_millis(10)).await;
            Err::<(), _>("there is no room on the disk".to_owned())
        })
        .clients("client", 1..=1, |client: Client| async move {
            client.env().sleep(Duration::from_secs(100)).await;
            Ok::<(), String>(())
        })
        .finishes_within(Duration::from_secs(5));
    let mut plan = calm(1);
    plan.nodes.push(RoleNodes { role: "client".to_owned(), nodes: 1 });
    let failure = run_until(&scenario, 1, &plan, u64::MAX).failure.expect("it fails");
    let story = failure.story.join("\n");
    assert!(story.contains("node-1 is down: it ended by itself, "), "{story}");
    assert!(story.contains(" times: there is no room on the disk"), "{story}");
}

#[test]
fn a_goal_that_is_not_reached_in_time_fails_and_one_that_is_does_not() {
    struct Done(bool);
    let scenario = |after: u64| {
        let run = move |env: Env| async move {
            let done = env.show("done", Done(false));
            env.sleep(Duration::from_secs(after)).await;
            done.update(&env, |done| done.0 = true);
            std::future::pending::<Result<(), String>>().await
        };
        Scenario::new("test/goal")
            .nodes("node", 1..=1, run)
            .eventually("it is done", Duration::from_secs(10), || {
                |view: &View<'_>| view.up::<Done>().all(|done| done.0)
            })
            .clients("client", 1..=1, |client: Client| async move {
                client.after_heal().await;
                Ok::<(), String>(())
            })
    };
    let mut plan = calm(1);
    plan.nodes.push(RoleNodes { role: "client".to_owned(), nodes: 1 });
    plan.heal_at_ns = SECOND;
    assert_eq!(run_until(&scenario(5), 1, &plan, u64::MAX).failure, None);
    let late = run_until(&scenario(50), 1, &plan, u64::MAX).failure.expect("it is late");
    assert_eq!(late.property, "it is done");
    assert_eq!(late.at_ns, 11 * SECOND);
}

#[test]
fn a_check_runs_at_every_change_and_fails_at_the_first_wrong_one() {
    struct Count(u32);
    let scenario = Scenario::new("test/always")
        .nodes("node", 1..=1, |env: Env| async move {
            let count = env.show("count", Count(0));
            for _ in 0..10 {
                env.sleep(Duration::from_secs(1)).await;
                count.update(&env, |count| count.0 += 1);
            }
            Ok::<(), String>(())
        })
        .always("never seven", || {
            |view: &View<'_>| match view.up::<Count>().any(|count| count.0 == 7) {
                true => Err("it is seven".to_owned()),
                false => Ok(()),
            }
        });
    let failure = failure(&scenario);
    assert_eq!((failure.property.as_str(), failure.at_ns), ("never seven", 7 * SECOND));
    assert_eq!(failure.fingerprint(), "property/never seven/");
}

#[test]
fn a_role_that_ends_with_an_error_is_started_anew_with_its_caches() {
    use std::sync::Mutex;
    let seen: &'static Mutex<Vec<bool>> = crate::probe::notes();
    let scenario = Scenario::new("test/exit").nodes("node", 1..=1, move |env: Env| async move {
        let found = env.read_file("f").await.map_err(|e| e.to_string())?.is_some();
        seen.lock().unwrap().push(found);
        if found {
            return Ok(());
        }
        env.open_file("f", true).await.map_err(|e| e.to_string())?;
        Err("stops by itself".to_owned())
    });
    assert_eq!(run_until(&scenario, 1, &calm(1), 5 * SECOND).failure, None);
    assert_eq!(*seen.lock().unwrap(), [false, true]);
}

#[test]
fn a_wrong_history_names_its_clients_also_those_that_go_on_as_another_process() {
    let scenario = |loses_an_answer: bool| {
        let load = move |client: Client| async move {
            let write = async { Err::<RegisterReturn<u64>, _>(CallError::Timeout) };
            if loses_an_answer {
                let _ = client.perform::<Register<u64>, _>(RegisterCall::Write(1), write).await;
            }
            // Only the second client reads, and nobody has written what it reads.
            let last = client.env().me().ordinal() == 2;
            let read = async { Ok::<_, CallError>(RegisterReturn::Value(9)) };
            if last {
                let _ = client.perform::<Register<u64>, _>(RegisterCall::Read, read).await;
            }
            Ok::<(), String>(())
        };
        Scenario::new("test/history")
            .clients("client", 2..=2, load)
            .check(linearizable(Register::new(0u64)))
    };
    let story = |loses_an_answer| {
        let scenario = scenario(loses_an_answer);
        let failure = run_until(&scenario, 1, &client_plan(), u64::MAX).failure.unwrap();
        assert_eq!(failure.class, Class::Property);
        failure.story.join("\n")
    };
    assert!(story(false).starts_with("client-2 reads 9"), "{}", story(false));
    assert!(story(true).contains("client-2 (process 3) reads 9"), "{}", story(true));
}
