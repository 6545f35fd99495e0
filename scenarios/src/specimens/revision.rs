//! A store that does not write down how far its revisions have come, and finds it out when it
//! starts: from the newest revision of what is there. What was removed last has left nothing, once
//! its event is compacted, and then the revision goes back. etcd had this when a compaction was cut
//! short (issue 17780 of etcd-io/etcd). What a member would recover is compared with what it is
//! before anybody reads from it.

use crate::config::model::{Call, Versioned};
use crate::config::{self, perform};
use crate::raft::{members, properties, tolerance};
use squall::{Client, RECOVERY, Scenario, linearizable};
use squall_env::Env;
use squall_env::platform::BindError;
use squall_protocols::raft::{self, Index, ServeError, StateMachine};
use squall_protocols::store::{Answer, Command, Output, Query, Refused, Store, StoreClient};
use std::time::Duration;

/// How many operations each client does.
const OPERATIONS: u64 = 10;

/// How long a compaction may take.
const COMPACT_MAX: Duration = Duration::from_secs(3);

/// Members whose copies of the store do that.
pub fn goes_back() -> Scenario {
    let specimen = Scenario::new("specimen/config-finds-its-revision-out");
    let members = specimen.nodes("member", 3..=5, member);
    properties::<Found>(members)
        .clients("client", 2..=2, load)
        .tolerates(tolerance())
        .check(linearizable(Versioned))
        .finishes_within(Duration::from_secs(30))
        .breaks(RECOVERY)
}

async fn member(env: Env) -> Result<(), ServeError> {
    let config = config::config(&env);
    raft::serve::<Found>(env, config).await
}

/// The store, which is asked and answers as it always does.
#[derive(Default)]
struct Found(Store);

impl StateMachine for Found {
    type Command = Command;
    type Output = Result<Output, Refused>;
    type Query = Query;
    type Answer = Answer;
    type Snapshot = Store;

    fn apply(&mut self, index: Index, command: Command) -> Self::Output {
        self.0.apply(index, command)
    }

    fn query(&self, query: &Query) -> Answer {
        self.0.query(query)
    }

    fn snapshot(&self) -> Store {
        self.0.snapshot()
    }

    fn restore(snapshot: Store) -> Found {
        let keys = snapshot.keys().map(|there| there.mod_revision).max();
        let events = snapshot.events().next_back().map(|event| event.revision);
        let found = keys.max(events).unwrap_or_default();
        let mut kept = serde_json::to_value(&snapshot).expect("a store has an encoding");
        kept["revision"] = found.into();
        Found(serde_json::from_value(kept).expect("a store has a revision"))
    }
}

/// Puts and removes a key, and compacts what is known of that.
async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let mut store = StoreClient::open(&env, members(&env))?;
    while let Some(operation) = client.next_operation(OPERATIONS) {
        env.sleep(Duration::from_micros(operation.draw(0, 100_000))).await;
        let key = env.me().ordinal() as u8;
        let call = match operation.draw(1, 2) {
            0 => Call::Put(key, operation.number()),
            _ => Call::Delete(key),
        };
        // What came of it is recorded.
        if let Ok(told) = perform(&client, &mut store, call).await
            && operation.draw(2, 2) == 0
        {
            // Somebody else may have been faster.
            let _ = store.compact(told.revision(), COMPACT_MAX).await;
        }
    }
    client.after_heal().await;
    while perform(&client, &mut store, Call::Get(0)).await.is_err() {}
    Ok(())
}
