//! The store over HTTP: the same promises as to its own clients, through any of its members.

use super::model::{Call, Told, Versioned};
use super::{
    KEYS, LINEARIZABLE, ONCE, OPERATION_MAX, OPERATIONS, draw, key, learn, there, watching,
};
use crate::raft::{self, members};
use squall::{Client, Most, Scenario, linearizable};
use squall_env::Env;
use squall_protocols::raft::{Config, ServeError};
use squall_protocols::store::Store;
use squall_protocols::store::http::{Compared, HttpError, HttpStore, World, serve};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

async fn member(env: Env) -> Result<(), ServeError> {
    let mut config = Config::of(members(&env));
    (config.snapshot_entries, config.tail_entries) = (8, 4);
    serve(env, config).await
}

/// The store on three or five members, with clients and watchers that speak HTTP.
pub fn http() -> Scenario {
    let members = Scenario::new("config/http").nodes("member", 3..=5, member);
    raft::properties::<Store>(members)
        .clients("client", 2..=2, workload)
        .clients("watcher", 1..=1, watching::watch_http)
        .tolerates(raft::tolerance().impaired("watcher", Most::Any).any_stream())
        .always(ONCE, watching::hears_once)
        .sometimes("a comparison did not hold")
        .sometimes("what a watcher asked for was compacted")
        .check(linearizable(Versioned))
        .finishes_within(Duration::from_secs(60))
}

/// One line gone wrong, each in its own way, under the plans of the good code.
pub(super) fn mutants() -> Vec<Scenario> {
    let mutant = |switch: &'static str, breaks| {
        http().mutant(&format!("mutant/{}", switch.replace('/', "-")), switch, breaks)
    };
    vec![
        mutant("http/ignores-sessions", LINEARIZABLE),
        mutant("http/watches-past-a-revision", ONCE),
        mutant("http/tells-what-is-there-of-the-future", ONCE),
    ]
}

/// A client of the cluster that speaks HTTP.
pub(super) fn open(env: &Env) -> HttpStore {
    HttpStore::new(env, Arc::new(World::new(env, members(env))))
}

/// Changes keys at random while there are faults, and looks at all of them afterwards.
async fn workload(client: Client) -> Result<(), Infallible> {
    let env = client.env().clone();
    let mut store = open(&env);
    let mut known = [0; KEYS as usize];
    while let Some(operation) = client.next_operation(OPERATIONS) {
        let pause_max = if operation.draw(0, 5) == 0 { 1_000_000 } else { 10_000 };
        env.sleep(Duration::from_micros(operation.draw(2, pause_max))).await;
        let call = draw(&client, operation, &known);
        // What came of it is recorded.
        if let Ok(told) = perform(&client, &mut store, call).await {
            learn(&client, call, told, &mut known);
        }
        if operation.draw(3, 12) == 0 {
            let newest = known.iter().max().copied().unwrap_or_default();
            // Somebody else may have been faster.
            let _ = store.compact(newest, OPERATION_MAX).await;
        }
    }
    client.after_heal().await;
    for key in 0..KEYS as u8 {
        while perform(&client, &mut store, Call::Get(key)).await.is_err() {}
    }
    Ok(())
}

/// Changes keys at random for so long, with other clients beside it, and then looks at all of them.
pub async fn load(client: Client, mut store: HttpStore, length: Duration) {
    let env = client.env().clone();
    let (until, mut known) = (env.now() + length, [0; KEYS as usize]);
    while env.now() < until
        && let Some(operation) = client.next_operation(u64::MAX)
    {
        env.sleep(Duration::from_micros(operation.draw(2, 20_000))).await;
        let call = draw(&client, operation, &known);
        // What came of it is recorded.
        if let Ok(told) = perform(&client, &mut store, call).await {
            learn(&client, call, told, &mut known);
        }
    }
    for key in 0..KEYS as u8 {
        while perform(&client, &mut store, Call::Get(key)).await.is_err() {}
    }
}

/// Has a call done over HTTP and its outcome recorded.
///
/// # Errors
/// What the store answers.
pub async fn perform(
    client: &Client,
    store: &mut HttpStore,
    call: Call,
) -> Result<Told, HttpError> {
    let ask = async {
        let limit = OPERATION_MAX;
        let compared = match call {
            Call::Get(number) => {
                let (revision, found) = store.get(&key(number), limit).await?;
                return Ok(Told::Found(revision, found.as_ref().map(there)));
            }
            Call::Put(number, value) => {
                store.put(&key(number), value.to_le_bytes().to_vec(), None, None, limit).await?
            }
            Call::CompareAndSet(number, at, value) => {
                let value = value.to_le_bytes().to_vec();
                store.put(&key(number), value, None, Some(at), limit).await?
            }
            Call::Delete(number) => store.delete(&key(number), None, limit).await?,
        };
        Ok(match compared {
            Compared::Done { revision, .. } => Told::Done(revision),
            Compared::Differs { revision, .. } => Told::Differs(revision),
        })
    };
    client.perform::<Versioned, HttpError>(call, ask).await
}
