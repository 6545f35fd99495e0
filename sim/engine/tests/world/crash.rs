use crate::probe::{MS, SECOND, calm, crash, episode, notes, run_until};
use squall::{Most, Scenario, Tolerance};
use squall_env::{Env, Port};
use std::sync::Mutex;
use std::time::Duration;

type Seen = &'static Mutex<Vec<String>>;

/// Does what a destructor should not: sends, writes, spawns, and may panic.
struct Guard {
    env: Env,
    panics: bool,
    seen: Seen,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.seen.lock().unwrap().push("dropped".to_owned());
        let peer = self.env.addresses("node", Port::named("crash"))[1];
        if let Ok(socket) = self.env.bind(Port::ANY) {
            socket.send(peer, b"from the grave");
        }
        let env = self.env.clone();
        self.env.spawn("ghost", async move {
            let written = env.replace_file("ghost", b"boo".to_vec()).await;
            drop(written);
        });
        let env = self.env.clone();
        let mut write = Box::pin(async move { env.replace_file("direct", b"boo".to_vec()).await });
        let polled =
            write.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        assert!(polled.is_pending(), "a dead node's disk answered");
        assert!(!self.panics, "a destructor panics");
    }
}

fn system(seen: Seen, panics: bool) -> Scenario {
    Scenario::new("test/guard")
        .nodes("node", 2..=2, move |env: Env| async move {
            let mut socket = env.bind(Port::named("crash")).map_err(|e| e.to_string())?;
            if env.me().ordinal() == 2 {
                let mut buffer = Vec::new();
                while socket.receive(&mut buffer).await.is_ok() {
                    let text = String::from_utf8_lossy(&buffer).into_owned();
                    seen.lock().unwrap().push(format!("received {text}"));
                }
                return Ok::<(), String>(());
            }
            let files = env.list("").await.map_err(|e| e.to_string())?;
            seen.lock().unwrap().push(format!("boots with {files:?}"));
            env.ready();
            let _guard = Guard { env: env.clone(), panics, seen };
            env.sleep(Duration::from_secs(100)).await;
            Ok(())
        })
        .tolerates(Tolerance::nothing().crashes().impaired("node", Most::Any))
}

fn guard_run(panics: bool) -> (Vec<String>, Option<squall::Failure>) {
    let seen: Seen = notes();
    let mut plan = calm(2);
    plan.episodes = vec![episode(1, crash("node-1"), 100 * MS, 100 * MS)];
    let outcome = run_until(&system(seen, panics), 1, &plan, SECOND);
    let lines = seen.lock().unwrap().clone();
    (lines, outcome.failure)
}

#[test]
fn what_a_destructor_does_in_a_crash_has_no_effect() {
    let (seen, failure) = guard_run(false);
    assert_eq!(failure, None);
    // The second drop is the end of the run, which is no less final.
    assert_eq!(seen, ["boots with []", "dropped", "boots with []", "dropped"]);
}

#[test]
fn a_destructor_that_panics_in_a_crash_takes_nothing_with_it() {
    let (seen, failure) = guard_run(true);
    assert_eq!(failure, None);
    assert_eq!(seen, ["boots with []", "dropped", "boots with []", "dropped"]);
}

#[test]
fn a_crash_in_the_middle_of_a_poll_silences_the_rest_of_it() {
    let seen: Seen = notes();
    let scenario = Scenario::new("test/mid-poll")
        .nodes("node", 2..=2, move |env: Env| async move {
            let mut socket = env.bind(Port::named("crash")).map_err(|e| e.to_string())?;
            let peer = env.addresses("node", socket.port())[1];
            if env.me().ordinal() == 1 {
                env.ready();
                env.sleep(Duration::from_millis(10)).await;
                // The crash strikes at this operation; the message is sent in the same poll.
                let mut write = Box::pin(env.open_file("x", true));
                let polled = std::future::poll_fn(|cx| {
                    let first = write.as_mut().poll(cx).is_ready();
                    socket.send(peer, b"after the crash");
                    std::task::Poll::Ready(first)
                })
                .await;
                seen.lock().unwrap().push(format!("went on: {polled}"));
                env.sleep(Duration::from_secs(1)).await;
                seen.lock().unwrap().push("never".to_owned());
            }
            let mut buffer = Vec::new();
            while socket.receive(&mut buffer).await.is_ok() {
                seen.lock().unwrap().push(String::from_utf8_lossy(&buffer).into_owned());
            }
            Ok::<(), String>(())
        })
        .tolerates(Tolerance::nothing().crashes().impaired("node", Most::Any));
    let mut plan = calm(2);
    plan.episodes = vec![squall::plan::Episode {
        id: 1,
        kind: crash("node-1"),
        from: squall::plan::When::Step { after_ns: 5 * MS, number: 1 },
        for_ns: None,
    }];
    let outcome = run_until(&scenario, 1, &plan, 5 * SECOND);
    assert_eq!(outcome.faults[squall::Fault::Crash as usize].fired, 1);
    assert_eq!(*seen.lock().unwrap(), ["went on: false"]);
}

#[test]
fn an_environment_that_outlives_its_run_does_nothing() {
    let kept: &'static Mutex<Vec<Env>> = notes();
    let scenario = Scenario::new("test/outlive").nodes("node", 1..=1, move |env: Env| async move {
        kept.lock().unwrap().push(env);
        Ok::<(), String>(())
    });
    run_until(&scenario, 1, &calm(1), SECOND);
    let env = kept.lock().unwrap().pop().unwrap();
    assert!(env.bind(Port::ANY).is_err());
    assert_eq!(env.random(), 0);
    // In another run it is as dead, though a node of the same name lives there.
    let again = Scenario::new("test/outlive").nodes("node", 1..=1, move |own: Env| async move {
        let old = kept.lock().unwrap().pop();
        assert!(own.bind(Port::ANY).is_ok());
        if let Some(old) = old {
            assert!(old.bind(Port::ANY).is_err());
        }
        Ok::<(), String>(())
    });
    kept.lock().unwrap().push(env);
    assert_eq!(run_until(&again, 1, &calm(1), SECOND).failure, None);
}
