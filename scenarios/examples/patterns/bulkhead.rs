//! Calls of a service through a bulkhead: two of each customer at a time, and two more wait. One
//! who asks too much holds up nobody else.

use super::faults;
use super::service::{Service, serve};
use squall::{Client, Scenario};
use squall_env::View;
use squall_protocols::bulkhead::{Config, SharedBulkhead};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const CALLS: u32 = 2;

/// How many calls of each customer are under way.
struct UnderWay(BTreeMap<&'static str, u32>);

/// What has to hold.
pub(crate) const PROPERTY: &str = "nobody has more calls under way than allowed";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/bulkhead")
        .nodes("service", 1..=1, serve)
        .clients("gateway", 1..=1, pass)
        .tolerates(faults(&["service"]))
        .always(PROPERTY, || {
            |view: &View<'_>| {
                let mut all = view.up::<UnderWay>().flat_map(|under_way| under_way.0.clone());
                match all.find(|(_, calls)| *calls > CALLS) {
                    Some((who, calls)) => Err(format!("{who} has {calls} calls under way")),
                    None => Ok(()),
                }
            }
        })
        .sometimes("a call was turned away")
        .finishes_within(Duration::from_secs(60))
}

async fn pass(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let service = Arc::new(Service::open(&env)?);
    let wait_max = Duration::from_millis(100);
    let config = Config { calls: CALLS, waiting: 2, wait_max, keys: 10 };
    let bulkhead = SharedBulkhead::new(&env, "customers", config);
    let under_way = env.show("under way", UnderWay(BTreeMap::new()));
    while let Some(operation) = client.next_operation(60) {
        env.sleep(Duration::from_millis(operation.draw(0, 20))).await;
        let who = if operation.draw(1, 10) == 0 { "Grace" } else { "Ada" };
        let (service, under_way) = (Arc::clone(&service), under_way.clone());
        let (bulkhead, own) = (bulkhead.clone(), env.clone());
        env.spawn("call", async move {
            let work = async {
                under_way.update(&own, |all| *all.0.entry(who).or_default() += 1);
                let result = service.ask(operation.number()).await;
                under_way.update(&own, |all| *all.0.entry(who).or_default() -= 1);
                result
            };
            if bulkhead.call(&who, work).await.is_err() {
                own.sometimes("a call was turned away");
            }
        });
    }
    Ok(())
}
