use crate::assert_found;
use squall::plan::Forecast;
use squall::{Client, Scenario};
use squall_env::Env;
use squall_env::platform::BindError;
use squall_protocols::raft::{ClientError, Config, RaftClient, ServeError, serve};
use squall_protocols::store::{
    Command, Keys, Refused, Store, StoreClient, StoreError, TXN_BYTES_MAX, Txn,
};
use squall_scenarios::config::{http, leases, mutants, store};
use std::time::Duration;

#[test]
fn the_store_on_raft_is_one_store_and_its_watchers_hear_of_everything_once() {
    store().seeds(0..300).run();
}

#[test]
fn leases_last_as_long_as_was_promised_and_not_for_ever() {
    leases().seeds(0..150).run();
}

#[test]
fn over_http_it_is_the_same_store() {
    http().seeds(0..300).run();
}

#[test]
fn every_mutant_breaks_the_property_that_it_names() {
    assert_found(mutants(), 200);
}

async fn member(env: Env) -> Result<(), ServeError> {
    let config = Config::of(env.peers("member"));
    serve::<Store>(env, config).await
}

/// Bytes of a value that a transaction may have, and of commands that are too large for the store,
/// for Raft, and for a message to its members.
async fn too_large(client: Client) -> Result<(), BindError> {
    let (env, limit) = (client.env(), Duration::from_secs(20));
    let members = env.peers("member");
    let mut store = StoreClient::open(env, members.clone())?;
    let refused = store.transact(Txn::put("a", vec![0; TXN_BYTES_MAX]), limit).await;
    assert_eq!(refused, Err(StoreError::Refused(Refused::TooLarge { bytes: TXN_BYTES_MAX + 1 })));
    let mut raft = RaftClient::<Store>::open(env, members)?;
    for bytes in [600 << 10, 1_000 << 10] {
        let command = Command::Txn(Txn::put("a", vec![0; bytes]));
        assert_eq!(raft.propose(&command, limit).await, Err(ClientError::TooLarge));
    }
    // The cluster goes on, and takes what is allowed; several answers bring it back.
    for key in ["a", "b", "c"] {
        let put = Txn::put(key, vec![7; TXN_BYTES_MAX - 1]);
        store.transact(put, limit).await.expect("it is done");
    }
    let keys = Keys::Prefix(String::new());
    let (revision, found) = store.get(keys, limit).await.expect("it is there");
    assert_eq!((revision, found.len()), (3, 3));
    assert!(found.iter().all(|there| there.value.len() == TXN_BYTES_MAX - 1));
    Ok(())
}

#[test]
fn what_is_too_large_is_refused_and_stops_nothing() {
    let scenario = Scenario::new("test/large")
        .nodes("member", 3..=3, member)
        .clients("client", 1..=1, too_large)
        .finishes_within(Duration::from_secs(60));
    let scenario = scenario.under(Forecast::read("calm").expect("it is a preset"));
    scenario.seeds(0..5).run();
}
