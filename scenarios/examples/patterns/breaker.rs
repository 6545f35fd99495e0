//! A client with a breaker before a service that comes and goes. After three failures in a row the
//! service is left alone for a second.

use super::faults;
use super::service::{Service, serve};
use squall::{Client, Scenario};
use squall_env::{Instant, View};
use squall_protocols::breaker::{Config, SharedBreaker, Verdict};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(1);

/// When each call was made, when it ended, and whether it failed.
struct Calls(Vec<(Instant, Instant, bool)>);

/// What has to hold.
pub(crate) const PROPERTY: &str = "a service that fails is left alone";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/breaker")
        .nodes("service", 1..=1, serve)
        .clients("client", 1..=1, call)
        .tolerates(faults(&["service"]))
        .always(PROPERTY, || {
            |view: &View<'_>| {
                view.up::<Calls>().try_for_each(|calls| {
                    calls.0.windows(4).try_for_each(|four| {
                        let open = four[..3].iter().all(|(.., failed)| *failed);
                        let rest = four[3].0.since(four[2].1);
                        match open && rest < WAIT {
                            true => Err(format!("it was left alone for {rest:?} only")),
                            false => Ok(()),
                        }
                    })
                })
            }
        })
        .finishes_within(Duration::from_secs(60))
}

async fn call(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let service = Service::open(&env)?;
    let breaker = SharedBreaker::new(&env, Config::consecutive(3, WAIT));
    let breaker = breaker.map_err(|error| error.to_string())?;
    let calls = env.show("calls", Calls(Vec::new()));
    while let Some(operation) = client.next_operation(40) {
        env.sleep(Duration::from_millis(50)).await;
        let work = async {
            let begun = env.now();
            let result = service.ask(operation.number()).await;
            calls.update(&env, |calls| calls.0.push((begun, env.now(), result.is_err())));
            result
        };
        // What is refused was not asked, and the service has its rest.
        let _ = breaker.call(|_| Verdict::Failure, work).await;
    }
    Ok(())
}
