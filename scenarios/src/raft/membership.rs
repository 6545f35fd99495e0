//! Raft whose members change all the time.

use super::{
    IN_FORCE, OPERATION_MAX, QUORUMS, STATES, STEPS, Value, loaded, members, mutant_of,
    properties_of,
};
use squall::{Client, FINISHES, Most, Operation, Scenario};
use squall_env::platform::BindError;
use squall_env::{Env, NodeId};
use squall_protocols::raft::{Change, ChangeError, Config, RaftClient, ServeError, serve};
use std::time::Duration;

/// How often the operator asks.
const CHANGES: u64 = 20;

/// How many of the nodes found the cluster.
const FOUNDERS: usize = 3;

/// Four to six nodes, of which three found the cluster, and operators who want other members
/// again and again, one or several at once.
pub fn membership() -> Scenario {
    let scenario = Scenario::new("raft/membership").nodes("member", 4..=6, member);
    // Whoever is left for good could be most of the voters of the moment: so all may fail, and
    // nobody for good.
    loaded(properties_of::<Value>(scenario, founders), Most::Any)
        .clients("operator", 1..=2, operator)
        .sometimes("a joint configuration was left")
        .sometimes("a leader that was removed steps down")
        .sometimes("a follower was sent a snapshot")
}

fn founders(nodes: &[NodeId]) -> Vec<NodeId> {
    nodes[..FOUNDERS.min(nodes.len())].to_vec()
}

async fn member(env: Env) -> Result<(), ServeError> {
    let voters = founders(&members(&env));
    let mut config = Config::of(if voters.contains(&env.me()) { voters } else { Vec::new() });
    config.entries_max = 4;
    config.snapshot_entries = 8;
    config.tail_entries = 4;
    serve::<Value>(env, config).await
}

async fn operator(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let nodes = members(&env);
    let mut raft = RaftClient::<Value>::open(&env, nodes.clone())?;
    while let Some(operation) = client.next_operation(CHANGES) {
        env.sleep(Duration::from_micros(operation.draw(1, 200_000))).await;
        let mut changes = changes(&operation, &nodes);
        // Whoever is to vote learns first. Whatever comes of it, the cluster goes on.
        while let Ok(Err(ChangeError::NotCaughtUp(node))) =
            raft.change(&changes, OPERATION_MAX).await
        {
            changes.retain(|change| *change != Change::Voter(node));
            changes.push(Change::Learner(node));
        }
    }
    Ok(())
}

/// Most often one change, else two or three.
fn changes(operation: &Operation, nodes: &[NodeId]) -> Vec<Change> {
    let several = operation.draw(2, 3);
    let of = |nth: u64| {
        let node = nodes[operation.draw(10 + nth, nodes.len() as u64) as usize];
        match operation.draw(20 + nth, 5) {
            0 => Change::Remove(node),
            1 => Change::Learner(node),
            _ => Change::Voter(node),
        }
    };
    (0..=if several == 0 { operation.draw(3, 3) } else { 0 }).map(of).collect()
}

/// One line gone wrong, each in its own way.
pub(super) fn mutants() -> Vec<Scenario> {
    let mutant = |switch, breaks| mutant_of(membership(), switch, breaks);
    vec![
        mutant("raft/only-voters-campaign", FINISHES),
        mutant("raft/changes-before-its-term-commits", STEPS),
        mutant("raft/changes-while-another-is-under-way", STEPS),
        mutant("raft/changes-several-voters-at-once", STEPS),
        mutant("raft/leaves-joint-uncommitted", STEPS),
        mutant("raft/joint-majorities-of-the-new-voters-only", QUORUMS),
        mutant("raft/snapshots-of-the-first-members", STATES),
        mutant("raft/keeps-overwritten-configurations", IN_FORCE),
        mutant("raft/restarts-with-the-first-members", STATES),
    ]
}
