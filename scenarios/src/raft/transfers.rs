//! Raft whose leaders are asked to hand over all the time.

use super::{COMPLETE, ONE_LEADER, OPERATION_MAX, Value, cluster, member, members, mutant_of};
use squall::{Client, Scenario};
use squall_env::platform::BindError;
use squall_protocols::raft::RaftClient;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How often the operator asks.
const TRANSFERS: u64 = 12;

/// The cluster of `raft/register`, and an operator who wants another leader again and again.
pub fn transfers() -> Scenario {
    of(3..=5)
}

fn of(count: RangeInclusive<u16>) -> Scenario {
    cluster(Scenario::new("raft/transfers").nodes("member", count, member))
        .clients("operator", 1..=1, operator)
        .sometimes("leadership was transferred")
        .sometimes("a transfer of leadership was given up")
}

pub(super) async fn operator(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let members = members(&env);
    let mut raft = RaftClient::<Value>::open(&env, members.clone())?;
    while let Some(operation) = client.next_operation(TRANSFERS) {
        env.sleep(Duration::from_micros(operation.draw(1, 400_000))).await;
        let next = members[operation.draw(2, members.len() as u64) as usize];
        // Whatever comes of it, the cluster goes on.
        let _ = raft.transfer(next, OPERATION_MAX).await;
    }
    Ok(())
}

/// One line gone wrong, each in its own way.
pub(super) fn mutants() -> Vec<Scenario> {
    vec![
        mutant_of(transfers(), "raft/transfers-to-older-logs", COMPLETE),
        // Here there are many elections.
        mutant_of(transfers(), "raft/votes-before-durable", ONE_LEADER),
        // Among three, a vote that counts twice elects nobody who would not be elected anyway.
        mutant_of(of(5..=5), "raft/counts-doubled-votes", ONE_LEADER),
    ]
}
