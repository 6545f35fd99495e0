//! Scenarios of the configuration store on Raft.

mod http;
mod leases;
pub mod model;
mod watching;

pub use http::{http, load, perform as perform_http};
pub use leases::leases;

use crate::raft::{self, members};
use model::{Call, There, Told, Versioned};
use squall::{Client, Most, Operation, Scenario, linearizable};
use squall_env::Env;
use squall_env::platform::BindError;
use squall_protocols::raft::{Config, ServeError};
use squall_protocols::store::{Done, KeyValue, Keys, Store, StoreClient, StoreError, Txn, serve};
use std::time::Duration;

/// The property of what clients see.
pub const LINEARIZABLE: &str = "the history is linearizable";
/// The property of what watchers hear.
pub const ONCE: &str = "a watcher hears of every change once, and in order";

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 8;

/// How long a client waits for one operation.
const OPERATION_MAX: Duration = Duration::from_secs(3);

/// How many keys there are.
const KEYS: u64 = 3;

/// A member that takes snapshots all the time.
pub(crate) fn config(env: &Env) -> Config {
    let mut config = Config::of(members(env));
    (config.snapshot_entries, config.tail_entries) = (8, 4);
    config
}

async fn member(env: Env) -> Result<(), ServeError> {
    let config = config(&env);
    serve(env, config).await
}

/// The store on three or five members, with clients that put, compare and set, and remove, and with
/// watchers of their changes.
pub fn store() -> Scenario {
    let members = Scenario::new("config/store").nodes("member", 3..=5, member);
    raft::properties::<Store>(members)
        .clients("client", 2..=2, workload)
        .clients("watcher", 1..=2, |client| watching::watch(client, OPERATIONS, 60_000))
        .tolerates(raft::tolerance().impaired("watcher", Most::Any))
        .always(ONCE, watching::hears_once)
        .sometimes("a comparison did not hold")
        .sometimes("what a watcher asked for was compacted")
        .sometimes("a watcher heard of several revisions at once")
        .check(linearizable(Versioned))
        .finishes_within(Duration::from_secs(30))
}

/// One line gone wrong, each in its own way, under the plans of the good code.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |switch: &'static str, breaks| {
        store().mutant(&format!("mutant/{}", switch.replace('/', "-")), switch, breaks)
    };
    let own = vec![
        mutant("store/sets-without-comparing", LINEARIZABLE),
        mutant("store/watches-a-revision-again", ONCE),
        mutant("store/watches-past-a-revision", ONCE),
        mutant("store/passes-over-what-is-compacted", ONCE),
    ];
    own.into_iter().chain(leases::mutants()).chain(http::mutants()).collect()
}

fn key(number: u8) -> String {
    format!("service/{number}")
}

fn there(found: &KeyValue) -> There {
    let value = found.value[..].try_into().map(u64::from_le_bytes).unwrap_or(u64::MAX);
    (value, found.create_revision, found.mod_revision, found.version)
}

/// Changes keys at random while there are faults, and looks at all of them afterwards.
async fn workload(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let mut store = StoreClient::open(&env, members(&env))?;
    // The revisions at which this client believes the keys to be, and the newest one of all.
    let (mut known, mut newest) = ([0; KEYS as usize], 0);
    while let Some(operation) = client.next_operation(OPERATIONS) {
        let pause_max = if operation.draw(0, 5) == 0 { 1_000_000 } else { 10_000 };
        env.sleep(Duration::from_micros(operation.draw(2, pause_max))).await;
        let call = draw(&client, operation, &known);
        // What came of it is recorded.
        if let Ok(told) = perform(&client, &mut store, call).await {
            learn(&client, call, told, &mut known);
            newest = newest.max(told.revision());
        }
        if operation.draw(3, 12) == 0 {
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

fn draw(client: &Client, operation: Operation, known: &[u64]) -> Call {
    let key = operation.draw(4, KEYS) as u8;
    let value = u64::from(client.env().me().ordinal()) << 32 | operation.number();
    match operation.draw(1, 8) {
        0..=2 => Call::Get(key),
        3..=4 => Call::Put(key, value),
        5..=6 => Call::CompareAndSet(key, known[usize::from(key)], value),
        _ => Call::Delete(key),
    }
}

fn learn(client: &Client, call: Call, told: Told, known: &mut [u64]) {
    match (call, told) {
        (Call::Get(key), Told::Found(_, found)) => {
            known[usize::from(key)] = found.map_or(0, |there| there.2);
        }
        (Call::Put(key, _) | Call::CompareAndSet(key, ..), Told::Done(revision)) => {
            known[usize::from(key)] = revision;
        }
        (_, Told::Differs(_)) => client.env().sometimes("a comparison did not hold"),
        _ => {}
    }
}

/// Has a call done and its outcome recorded.
///
/// # Errors
/// What the store answers.
pub async fn perform(
    client: &Client,
    store: &mut StoreClient,
    call: Call,
) -> Result<Told, StoreError> {
    let ask = async {
        let txn = match call {
            Call::Get(number) => {
                let (revision, found) = store.get(Keys::One(key(number)), OPERATION_MAX).await?;
                return Ok(Told::Found(revision, found.first().map(there)));
            }
            Call::Put(number, value) => Txn::put(&key(number), value.to_le_bytes()),
            Call::CompareAndSet(number, at, value) => {
                Txn::compare_and_set(&key(number), at, value.to_le_bytes())
            }
            Call::Delete(number) => Txn::delete(Keys::One(key(number))),
        };
        let done = store.transact(txn, OPERATION_MAX).await?;
        let differs = matches!(done.results[..], [Done::Found(_)]);
        Ok(if differs { Told::Differs(done.revision) } else { Told::Done(done.revision) })
    };
    client.perform::<Versioned, StoreError>(call, ask).await
}
