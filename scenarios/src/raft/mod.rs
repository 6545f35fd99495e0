//! Scenarios of Raft.

mod corruption;
mod formats;
mod leases;
mod membership;
mod snapshots;
pub mod stories;
mod transfers;

pub use corruption::corruption;
pub use formats::formats;
pub use leases::leases;
pub use membership::membership;
pub use snapshots::snapshots;
pub use transfers::transfers;

use serde::{Deserialize, Serialize};
use squall::{Client, Fault, Most, Operation, RECOVERY, Scenario, Tolerance, linearizable};
use squall_check::{Register, RegisterCall, RegisterReturn};
use squall_env::platform::BindError;
use squall_env::{Env, NodeId};
use squall_protocols::raft::{
    ClientError, Config, Index, RaftClient, ServeError, StateMachine, invariants, serve,
};
use std::time::Duration;

/// The property of what clients see.
pub const LINEARIZABLE: &str = "the history is linearizable";
/// Election safety.
pub const ONE_LEADER: &str = "a term has at most one leader";
/// Leader completeness.
pub const COMPLETE: &str = "leaders have what was committed in earlier terms";
const APPEND_ONLY: &str = "leaders only append to their logs";
const COMMITTED: &str = "committed entries are the same everywhere and for ever";
/// Log matching.
pub const LOGS_MATCH: &str =
    "logs with an entry of the same index and term are the same up to there";
const NEVER_BACK: &str = "term, vote, commit, applied index and snapshot never go back";
const STATES: &str = "members that have applied the same entries have the same state";
const DURABLE: &str = "what is committed is durable on a quorum";
const STEPS: &str = "members change one step at a time";
const IN_FORCE: &str = "the latest configuration in the log is in force";
const QUORUMS: &str = "leaders commit what a quorum has";

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 20;

/// How long a client waits for one operation.
const OPERATION_MAX: Duration = Duration::from_millis(1_500);

/// One value that is written and read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Value(Option<u64>);

/// Writes the value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Write(pub u64);

impl StateMachine for Value {
    type Command = Write;
    type Output = ();
    type Query = ();
    type Answer = Option<u64>;
    type Snapshot = Option<u64>;

    fn apply(&mut self, _: Index, Write(value): Write) {
        self.0 = Some(value);
    }

    fn query(&self, (): &()) -> Option<u64> {
        self.0
    }

    fn snapshot(&self) -> Option<u64> {
        self.0
    }

    fn restore(snapshot: Option<u64>) -> Value {
        Value(snapshot)
    }
}

/// The members of the cluster.
pub(crate) fn members(env: &Env) -> Vec<NodeId> {
    env.peers("member")
}

/// What holds of every cluster (Ongaro, 2014, figure 3.2).
pub fn properties<S: StateMachine>(scenario: Scenario) -> Scenario {
    properties_of::<S>(scenario, <[NodeId]>::to_vec)
}

/// The same of a cluster that is founded by some of the nodes.
fn properties_of<S: StateMachine>(
    scenario: Scenario,
    founders: fn(&[NodeId]) -> Vec<NodeId>,
) -> Scenario {
    scenario
        .leader(invariants::latest_leader::<S>)
        .always(ONE_LEADER, invariants::one_leader_in_a_term::<S>)
        .always(APPEND_ONLY, invariants::leaders_only_append::<S>)
        .always(LOGS_MATCH, invariants::logs_match::<S>)
        .always(COMPLETE, invariants::leaders_have_what_is_committed::<S>)
        .always(COMMITTED, invariants::committed_entries_agree::<S>)
        .always(NEVER_BACK, invariants::members_never_go_back::<S>)
        .always(STATES, invariants::states_agree::<S>)
        .always(STEPS, invariants::members_change_in_steps::<S>)
        .always(IN_FORCE, invariants::configurations_are_in_the_log::<S>)
        .always(QUORUMS, invariants::leaders_commit_by_quorums::<S>)
        .audit(DURABLE, move || invariants::committed_is_durable::<S>("member", founders))
}

async fn member(env: Env) -> Result<(), ServeError> {
    let config = Config::of(members(&env));
    serve::<Value>(env, config).await
}

/// A register on a cluster of three to five members, of which a minority at a time may crash,
/// lose what it had not synced, stand still, or have a failing disk.
pub fn register() -> Scenario {
    cluster(Scenario::new("raft/register").nodes("member", 3..=5, member))
        .sometimes("an election was lost")
        .sometimes("a leader without a quorum steps down")
        .sometimes("a follower's entries were overwritten")
        .sometimes("a follower's log did not match")
}

/// What a cluster survives with its clients.
pub(crate) fn tolerance() -> Tolerance {
    impaired(Most::Minority)
}

/// The same with so many members that fail at once.
fn impaired(most: Most) -> Tolerance {
    Tolerance::nothing()
        .impaired("member", most)
        .impaired("client", Most::Any)
        .any_network()
        .but_not(Fault::QueueOverflow)
        .any_clock()
        // Raft never asks for the time of day.
        .but_not(Fault::WallDrift)
        .crashes()
        .lost_unsynced_writes()
        .failing_disks()
}

/// A cluster of members with the workload, all that is tolerated, and all that must hold.
fn cluster(scenario: Scenario) -> Scenario {
    loaded(properties::<Value>(scenario), Most::Minority)
}

fn loaded(scenario: Scenario, most: Most) -> Scenario {
    scenario
        .clients("client", 2..=4, workload)
        .tolerates(impaired(most))
        .check(linearizable(Register::<Option<u64>>::new(None)))
        .finishes_within(Duration::from_secs(30))
}

/// Reads and writes at random while there are faults, and then reads once more.
async fn workload(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let mut raft = RaftClient::open(&env, members(&env))?;
    while let Some(operation) = client.next_operation(OPERATIONS) {
        let pause_max = if operation.draw(0, 5) == 0 { 1_000_000 } else { 10_000 };
        env.sleep(Duration::from_micros(operation.draw(2, pause_max))).await;
        // What came of it is recorded.
        let _ = operate(&client, &mut raft, operation).await;
    }
    client.after_heal().await;
    while read(&client, &mut raft).await.is_err() {}
    Ok(())
}

async fn operate(
    client: &Client,
    raft: &mut RaftClient<Value>,
    operation: Operation,
) -> Result<(), ClientError> {
    if operation.draw(1, 2) == 0 {
        return read(client, raft).await;
    }
    let value = u64::from(client.env().me().ordinal()) << 32 | operation.number();
    let write = async {
        raft.propose(&Write(value), OPERATION_MAX).await?;
        Ok(RegisterReturn::Written)
    };
    let call = RegisterCall::Write(Some(value));
    client.perform::<Register<Option<u64>>, ClientError>(call, write).await.map(drop)
}

async fn read(client: &Client, raft: &mut RaftClient<Value>) -> Result<(), ClientError> {
    let read = async { Ok(RegisterReturn::Value(raft.read(&(), OPERATION_MAX).await?)) };
    let call = RegisterCall::Read;
    client.perform::<Register<Option<u64>>, ClientError>(call, read).await.map(drop)
}

/// One line of Raft gone wrong, each in its own way, under the plans of the good code.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |switch, breaks| mutant_of(register(), switch, breaks);
    let mutants = vec![
        mutant("raft/votes-twice-in-a-term", NEVER_BACK),
        mutant("raft/counts-pre-votes-as-votes", ONE_LEADER),
        mutant("raft/votes-for-older-logs", COMPLETE),
        mutant("raft/appends-behind-durable-entries", APPEND_ONLY),
        mutant("raft/skips-the-consistency-check", LOGS_MATCH),
        mutant("raft/reads-before-its-term-commits", LINEARIZABLE),
        mutant("raft/acknowledges-before-durable", DURABLE),
        mutant("raft/counts-undurable-entries", DURABLE),
        mutant("raft/commits-unverified-entries", COMMITTED),
        mutant("raft/applies-again", LINEARIZABLE),
        mutant("raft/keeps-overwritten-entries-in-memory", LOGS_MATCH),
        mutant("raft/overwrites-only-in-memory", RECOVERY),
        mutant("raft/truncates-when-deposed", DURABLE),
        mutant("raft/answers-before-it-commits", LINEARIZABLE),
    ];
    let others = snapshots::mutants().into_iter().chain(transfers::mutants());
    let others = others.chain(membership::mutants()).chain(corruption::mutants());
    let others = others.chain(stories::mutants());
    mutants.into_iter().chain(others).collect()
}

fn mutant_of(scenario: Scenario, switch: &'static str, breaks: &'static str) -> Scenario {
    scenario.mutant(&format!("mutant/{}", switch.replace('/', "-")), switch, breaks)
}
