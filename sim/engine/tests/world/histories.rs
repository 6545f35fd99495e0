//! What a scenario records of its clients' operations, and holds against a model.

use squall::{Client, Scenario, linearizable};
use squall_check::{Register, RegisterCall, RegisterReturn};
use squall_env::{Elapsed, HasOutcome, Outcome};
use std::future::ready;
use std::time::Duration;

type Model = Register<u64>;

const MS: Duration = Duration::from_millis(1);

/// An error whose author takes every failure for one without effect.
#[derive(Debug, thiserror::Error)]
enum Careless {
    #[error("too late")]
    Late(#[from] Elapsed),
    #[error("refused")]
    Refused,
}

impl HasOutcome for Careless {
    fn outcome(&self) -> Outcome {
        Outcome::NotDone
    }
}

/// A client that writes 7 in this way, and reads after that.
async fn write_and_read(
    client: &Client,
    work: impl Future<Output = Result<(), Careless>>,
    seen: u64,
) {
    let write = async { work.await.map(|()| RegisterReturn::Written) };
    let _: Result<_, Careless> = client.perform::<Model, _>(RegisterCall::Write(7), write).await;
    let read = async { Ok::<_, Careless>(RegisterReturn::Value(seen)) };
    let _: Result<_, Careless> = client.perform::<Model, _>(RegisterCall::Read, read).await;
}

/// Whether the history of a client that does this is linearizable.
fn is_allowed<F>(name: &str, load: impl Fn(Client) -> F + Copy + Send + Sync + 'static) -> bool
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let scenario = Scenario::new(name)
        .clients("client", 1..=1, load)
        .check(linearizable(Model::new(0)))
        .eventually("it ends", Duration::from_secs(1), || |_: &squall_env::View<'_>| true);
    let folder = tempfile::tempdir().expect("a folder");
    match scenario.seeds(0..1).failures_in(folder.path()).outcome() {
        Ok(()) => true,
        Err(report) => {
            assert!(report.contains("the history is linearizable"), "{report}");
            false
        }
    }
}

#[test]
fn a_deadline_is_never_taken_for_not_done() {
    assert!(is_allowed("test/late", |client| async move {
        let env = client.env();
        let late = env.timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
        write_and_read(&client, ready(late.map_err(Careless::from)), 7).await;
        Ok(())
    }));
}

/// Whether a write may be seen that sleeps before its author takes it for not done.
fn may_be_seen(name: &str, sleep: Duration) -> bool {
    is_allowed(name, move |client| async move {
        let env = client.env().clone();
        let write = async move {
            // By hand, and the error names no cause.
            let reply = squall_env::race(std::future::pending::<()>(), env.sleep(sleep)).await;
            assert_eq!(reply, squall_env::Either::Right(()));
            Err(Careless::Refused)
        };
        write_and_read(&client, write, 7).await;
        Ok(())
    })
}

#[test]
fn a_limit_kept_by_hand_is_never_taken_for_not_done() {
    assert!(may_be_seen("test/by-hand", MS));
    assert!(may_be_seen("test/by-hand-at-once", Duration::ZERO));
}

/// Whether a write may be seen that is refused when another task of its node has slept so long,
/// which began before the write.
fn may_be_seen_beside(name: &str, sleep: Duration) -> bool {
    is_allowed(name, move |client| async move {
        let env = client.env().clone();
        let other = client.env().spawn("sleeper", async move { env.sleep(sleep).await });
        let env = client.env().clone();
        env.sleep(MS).await;
        let write = async move {
            if sleep > MS {
                let _ = other.await;
            }
            Err(Careless::Refused)
        };
        write_and_read(&client, write, 7).await;
        Ok(())
    })
}

#[test]
fn a_limit_that_another_task_keeps_is_never_taken_for_not_done() {
    assert!(may_be_seen_beside("test/elsewhere", 2 * MS));
    // What was over before says nothing about the write.
    assert!(!may_be_seen_beside("test/elsewhere-before", Duration::ZERO));
}

#[test]
fn what_was_refused_must_not_be_seen() {
    assert!(!is_allowed("test/refused", |client| async move {
        write_and_read(&client, ready(Err(Careless::Refused)), 7).await;
        Ok(())
    }));
    assert!(is_allowed("test/refused-unseen", |client| async move {
        write_and_read(&client, ready(Err(Careless::Refused)), 0).await;
        Ok(())
    }));
}

#[test]
fn operations_at_one_instant_have_the_order_of_their_events() {
    // No time passes between the return of the write and the read that misses it.
    assert!(!is_allowed("test/instant", |client| async move {
        write_and_read(&client, ready(Ok(())), 0).await;
        Ok(())
    }));
    assert!(is_allowed("test/instant-seen", |client| async move {
        write_and_read(&client, ready(Ok(())), 7).await;
        Ok(())
    }));
}
