//! Calls of a service that are made again if they fail: three tries at most, no longer than the
//! caller waits, and no more in all than a budget pays for.

use super::faults;
use super::service::{Service, serve};
use squall::{Client, Scenario};
use squall_env::View;
use squall_protocols::retry::{Advice, Backoff, Budget, Deadline, Effect, Jitter, Policy, Retry};
use std::time::Duration;

/// Retries that are paid for at first, and one more for ten calls that went well.
const BUDGET: u32 = 5;

/// How many calls the client wanted made, and how many times it asked.
#[derive(Default)]
struct Counts {
    calls: u32,
    asked: u32,
}

/// What has to hold.
pub(crate) const PROPERTY: &str = "retries make little of much";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/retry")
        .nodes("service", 1..=1, serve)
        .clients("client", 1..=1, call)
        .tolerates(faults(&["service"]))
        .always(PROPERTY, || {
            |view: &View<'_>| {
                view.up::<Counts>().try_for_each(|counts| {
                    let Counts { calls, asked } = *counts;
                    match asked > calls + BUDGET + calls / 10 {
                        true => Err(format!("{calls} calls became {asked}")),
                        false => Ok(()),
                    }
                })
            }
        })
        .finishes_within(Duration::from_secs(60))
}

async fn call(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let service = Service::open(&env)?;
    let backoff = Backoff {
        first: Duration::from_millis(20),
        most: Duration::from_millis(200),
        jitter: Jitter::Full,
    };
    let retry = Retry::new(&env, Policy { tries: 3, backoff }, Budget::new(BUDGET, 100));
    let counts = env.show("counts", Counts::default());
    while let Some(operation) = client.next_operation(30) {
        counts.update(&env, |counts| counts.calls += 1);
        let deadline = Deadline::after(Duration::from_millis(700), env.now());
        let ask = |_| {
            counts.update(&env, |counts| counts.asked += 1);
            service.ask(operation.number())
        };
        // Some fail all the same.
        let _ = retry.call(Effect::Idempotent, deadline, |_| Advice::Retry, ask).await;
    }
    Ok(())
}
