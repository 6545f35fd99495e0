//! A counter that clients read and write under a lock. A client that has lost the lock without
//! knowing it is turned away by the counter, for its token is too small.

use super::faults_and_losses;
use serde::{Deserialize, Serialize};
use squall::{Client, Scenario};
use squall_env::View;
use squall_protocols::lock::{self, Config, GuardedClient, LockClient, Resource, Single, guard};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Counter(u64);

impl Resource for Counter {
    type Write = u64;
    type Value = u64;

    fn write(&mut self, write: &u64) {
        self.0 = *write;
    }

    fn value(&self) -> u64 {
        self.0
    }
}

/// What a client was told that it has counted.
#[derive(Default)]
struct Counted(Vec<u64>);

/// What has to hold.
pub(crate) const PROPERTY: &str = "no number is counted twice";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/lock")
        .nodes("locks", 1..=1, lock::serve)
        .nodes("counter", 1..=1, guard::<Counter>)
        .clients("client", 2..=3, count)
        .tolerates(faults_and_losses(&["locks", "client"]))
        .always(PROPERTY, || {
            |view: &View<'_>| {
                let mut seen = BTreeSet::new();
                let mut counted = view.up::<Counted>().flat_map(|counted| counted.0.clone());
                let again = counted.find(|number| !seen.insert(*number));
                again.map_or(Ok(()), |number| Err(format!("{number} was counted twice")))
            }
        })
        .finishes_within(Duration::from_secs(60))
}

async fn count(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let text = |error: squall_env::platform::BindError| error.to_string();
    let locks = Arc::new(Single::open(&env, env.peers("locks")[0]).map_err(text)?);
    let locks = LockClient::new(&env, locks, Config::default());
    let counter: GuardedClient<Counter> =
        GuardedClient::open(&env, env.peers("counter")[0]).map_err(text)?;
    let counted = client.keep::<Counted>("counted");
    let limit = Duration::from_secs(2);
    while client.next_operation(5).is_some() {
        let ttl = Duration::from_secs(1);
        let Ok(lease) = locks.acquire("counter", ttl, env.now() + limit).await else { continue };
        let mut counter = counter.under(lease.token());
        if let Ok(number) = counter.read(limit).await
            && counter.write(number + 1, limit).await.is_ok()
        {
            counted.update(&env, |counted| counted.0.push(number + 1));
        }
        // Who cannot give it back leaves it to end by itself.
        let _ = lease.release().await;
    }
    Ok(())
}
