//! Stories of Raft: what has to happen, in what order, for one line that is wrong to do harm.
//! Random weather hardly ever comes upon these, and a script always does.

mod disturbed;
mod leases;
mod logs;
mod reads;

pub use disturbed::disturbed;
pub use leases::{drifting, handed_over, restarted, standing_still};
pub use logs::{old_entries, snapshot, votes};
pub use reads::reads;

use super::{COMPLETE, LINEARIZABLE, LOGS_MATCH, Value, Write, mutant_of, properties};
use squall::{Client, Most, Scenario, Tolerance, linearizable};
use squall_check::{Register, RegisterCall, RegisterReturn};
use squall_env::platform::BindError;
use squall_protocols::raft::{ClientError, RaftClient};
use std::time::Duration;

/// The number of `Message::AppendEntries` among the messages.
pub(super) const APPEND: u8 = 2;

pub(super) type Model = Register<Option<u64>>;

pub(super) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Reads once when all is well again.
async fn look(client: Client) -> Result<(), BindError> {
    let env = client.env();
    let mut raft = RaftClient::open(env, env.peers("member"))?;
    client.after_heal().await;
    while read(&client, &mut raft).await.is_err() {}
    Ok(())
}

/// Writes a value at its cue, by these members. What came of it is recorded.
async fn write(client: &Client, raft: &mut RaftClient<Value>, value: u64) {
    client.cue(&format!("write {value}")).await;
    let write = async {
        raft.propose(&Write(value), ms(5_000)).await?;
        Ok(RegisterReturn::Written)
    };
    let call = RegisterCall::Write(Some(value));
    let _ = client.perform::<Model, ClientError>(call, write).await;
}

/// Reads at its cue, from the first member alone.
pub(super) async fn read_from_the_first(client: Client) -> Result<(), BindError> {
    let env = client.env();
    let mut raft = RaftClient::open(env, vec![env.peers("member")[0]])?;
    client.cue("read").await;
    // What came of it is recorded.
    let _ = read(&client, &mut raft).await;
    Ok(())
}

async fn read(client: &Client, raft: &mut RaftClient<Value>) -> Result<(), ClientError> {
    let read = async { Ok(RegisterReturn::Value(raft.read(&(), ms(1_000)).await?)) };
    client.perform::<Model, ClientError>(RegisterCall::Read, read).await.map(drop)
}

fn survived() -> Tolerance {
    Tolerance::nothing().crashes().lost_unsynced_writes().impaired("member", Most::Any)
}

pub(super) fn told(name: &str) -> Scenario {
    properties::<Value>(Scenario::new(name))
        .tolerates(survived())
        .check(linearizable(Model::new(None)))
        .heals_after(Duration::from_secs(30))
}

/// One line gone wrong in each, which its story brings to light.
pub(super) fn mutants() -> Vec<Scenario> {
    vec![
        mutant_of(old_entries(), "raft/commits-entries-of-earlier-terms", COMPLETE),
        mutant_of(reads(), "raft/reads-without-a-quorum", LINEARIZABLE),
        mutant_of(snapshot(), "raft/keeps-entries-behind-a-snapshot", LOGS_MATCH),
        mutant_of(handed_over(), "raft/leases-after-a-transfer", LINEARIZABLE),
        mutant_of(restarted(), "raft/restarts-without-its-promise", LINEARIZABLE),
        mutant_of(drifting(), "raft/leases-trust-all-clocks", LINEARIZABLE),
        mutant_of(disturbed(), "raft/deposes-leaders-that-are-heard", disturbed::LEADS_ON),
    ]
}
