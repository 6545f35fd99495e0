//! A map of strings on Raft to which clients append: what the real cluster of members serves.
//!
//! Every piece that is appended is written once. So a command that is lost shows in the next read
//! of its key, and so does one that is applied twice. Keys change every few seconds, for a checker
//! looks at each key by itself, and a key with few operations is judged at once.

use super::tally::InDoubt;
use serde::{Deserialize, Serialize};
use squall::Client;
use squall_check::{AppendKv, AppendKvCall, AppendKvReturn};
use squall_env::platform::BindError;
use squall_env::{Env, NodeId};
use squall_protocols::raft::{
    ClientError, Config, Index, Raft, RaftClient, ServeError, StateMachine, serve_beside,
};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// The role of those who keep the map.
pub(super) const ROLE: &str = "member";

/// How many keys are in use at a time.
const KEYS: u64 = 4;

/// How long the same keys are in use.
const EPOCH: Duration = Duration::from_secs(2);

/// How long a client waits for one operation.
const OPERATION_MAX: Duration = Duration::from_millis(1_500);

/// Strings by key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Map(BTreeMap<String, String>);

/// Adds a piece to the end of the string of a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Append {
    /// Which key.
    pub key: String,
    /// What is added.
    pub piece: String,
}

impl StateMachine for Map {
    type Command = Append;
    type Output = ();
    type Query = String;
    type Answer = String;
    type Snapshot = BTreeMap<String, String>;

    fn apply(&mut self, _: Index, Append { key, piece }: Append) {
        self.0.entry(key).or_default().push_str(&piece);
    }

    fn query(&self, key: &String) -> String {
        self.0.get(key).cloned().unwrap_or_default()
    }

    fn snapshot(&self) -> BTreeMap<String, String> {
        self.0.clone()
    }

    fn restore(snapshot: BTreeMap<String, String>) -> Map {
        Map(snapshot)
    }
}

fn members(env: &Env) -> Vec<NodeId> {
    env.peers(ROLE)
}

/// A member. It compacts its log often, so that those who come back are sent snapshots. It tells
/// `in_doubt` once it has read its journal.
///
/// # Errors
/// If it cannot be opened or has to stop.
pub(super) async fn member(
    env: Env,
    doubts_torn_tails: bool,
    in_doubt: Arc<InDoubt>,
) -> Result<(), ServeError> {
    let config = Config::of(members(&env));
    let (snapshot_entries, tail_entries) = (1_000, 100);
    let config = Config { snapshot_entries, tail_entries, doubts_torn_tails, ..config };
    serve_beside::<Map, _>(env, config, |member| {
        // It is asked before it has heard anybody.
        let _ = in_doubt.set(member.live().read(Raft::is_doubtful));
        pending()
    })
    .await
}

fn key(epoch: u64, number: u64) -> String {
    format!("{epoch}-{number}")
}

/// Appends and reads for a while.
///
/// # Errors
/// If the client's node has stopped.
pub(super) async fn load(client: Client, length: Duration) -> Result<(), BindError> {
    let env = client.env().clone();
    let start = env.now();
    let mut raft = RaftClient::open(&env, members(&env))?;
    while let Some(operation) = client.next_operation(u64::MAX)
        && env.now() < start + length
    {
        env.sleep(Duration::from_micros(operation.draw(0, 20_000))).await;
        // Now and then a key of the time before is asked for, which a late leader may have missed.
        let age = u64::from(operation.draw(1, 5) == 0);
        let epoch = (env.now() - start).as_secs() / EPOCH.as_secs();
        let key = key(epoch.saturating_sub(age), operation.draw(2, KEYS));
        // What came of it is recorded.
        let _ = match operation.draw(3, 2) {
            0 => get(&client, &mut raft, key).await,
            _ => {
                let piece = format!("{}.{} ", env.me().ordinal(), operation.number());
                append(&client, &mut raft, key, piece).await
            }
        };
    }
    Ok(())
}

/// Reads every key that clients may have appended to who went on for so long.
///
/// # Errors
/// If the client's node has stopped.
pub(super) async fn read_all(client: Client, length: Duration) -> Result<(), BindError> {
    let mut raft = RaftClient::open(client.env(), members(client.env()))?;
    let last = (length + OPERATION_MAX).as_secs() / EPOCH.as_secs();
    for epoch in 0..=last {
        for number in 0..KEYS {
            while get(&client, &mut raft, key(epoch, number)).await.is_err() {}
        }
    }
    Ok(())
}

async fn get(client: &Client, raft: &mut RaftClient<Map>, key: String) -> Result<(), ClientError> {
    let call = AppendKvCall::Get(key.clone());
    let read = async { Ok(AppendKvReturn::Value(raft.read(&key, OPERATION_MAX).await?)) };
    client.perform::<AppendKv, ClientError>(call, read).await.map(drop)
}

async fn append(
    client: &Client,
    raft: &mut RaftClient<Map>,
    key: String,
    piece: String,
) -> Result<(), ClientError> {
    let call = AppendKvCall::Append(key.clone(), piece.clone());
    let write = async {
        raft.propose(&Append { key, piece }, OPERATION_MAX).await?;
        Ok(AppendKvReturn::Done)
    };
    client.perform::<AppendKv, ClientError>(call, write).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(map: &mut Map, key: &str, piece: &str) {
        map.apply(1, Append { key: key.to_owned(), piece: piece.to_owned() });
    }

    #[test]
    fn pieces_stand_in_the_order_in_which_they_came() {
        let mut map = Map::default();
        append(&mut map, "a", "1 ");
        append(&mut map, "b", "2 ");
        append(&mut map, "a", "3 ");
        assert_eq!(map.query(&"a".to_owned()), "1 3 ");
        assert_eq!(map.query(&"none".to_owned()), "");
        assert_eq!(Map::restore(map.snapshot()), map);
    }
}
