//! Entries and votes: what is not safe yet, and is taken for safe.

use super::reads::write_twice;
use super::{APPEND, Value, Write, look, ms, told};
use squall::plan::Forecast;
use squall::script::{
    crash, cue, end, hold, power_loss, ready, release, returned, sent, sync, synced,
};
use squall::{Client, Scenario, Script};
use squall_env::Env;
use squall_env::platform::BindError;
use squall_protocols::raft::{Config, RaftClient, ServeError, serve};

/// A member that sends one entry at a time, compacts its log every two entries, and has an
/// election timeout of its own.
pub(super) async fn member(env: Env, timeouts: [u64; 3]) -> Result<(), ServeError> {
    let mut config = Config::of(env.peers("member"));
    config.election_timeout = ms(timeouts[usize::from(env.me().ordinal()) - 1]);
    config.heartbeat = ms(20);
    config.entries_max = 1;
    config.snapshot_entries = 2;
    config.tail_entries = 0;
    serve::<Value>(env, config).await
}

/// The second member votes, and runs for nothing as long as the story goes on.
async fn quick_first_and_third(env: Env) -> Result<(), ServeError> {
    member(env, [200, 5_000, 200]).await
}

/// The first member leads for seconds before it looks for its quorum.
pub(super) async fn quick_third(env: Env) -> Result<(), ServeError> {
    member(env, [4_000, 20_000, 200]).await
}

/// Asks the first member alone, at its cue, to open a session.
async fn ask_the_first(client: Client) -> Result<(), BindError> {
    let env = client.env();
    let mut raft = RaftClient::<Value>::open(env, vec![env.peers("member")[0]])?;
    client.cue("ask the first").await;
    // Nobody needs the answer.
    let _ = raft.propose(&Write(0), ms(1_000)).await;
    Ok(())
}

/// Figure 3.7 of the thesis, with three servers: the first leads term 1, and its first entry
/// reaches nobody; the third leads term 2, and neither does its. Then the first leads term 3 and
/// copies its entry of term 1 to the second, but none of term 3; and the third leads term 4.
fn figure_3_7() -> Script {
    Script::new()
        .nodes("member", 3)
        .then(crash("member-3").named("third is down"))
        .then(hold("member-1", "member-3"))
        .then(hold("member-3", "member-1"))
        .when(sent("member-1", "member-2").of_kind(APPEND), hold("member-1", "member-2"))
        .when(synced("member-1"), crash("member-1").named("first is down"))
        .then(end("third is down"))
        .when(sent("member-3", "member-2").of_kind(APPEND), hold("member-3", "member-2"))
        .when(synced("member-3"), crash("member-3").named("third is down again"))
        .then(end("first is down"))
        .then(release("member-1", "member-2"))
        .step_to(ready("member-1"))
        .step_to(sent("member-1", "member-2").of_kind(APPEND))
        .when(synced("member-2"), hold("member-1", "member-2"))
        .after(ms(500), crash("member-1").named("first is down again"))
        // Whoever has just heard of a leader votes for nobody else.
        .then(crash("member-2").lasting(ms(10)))
        .then(release("member-3", "member-2"))
        .then(end("third is down again"))
        .step_to(sent("member-3", "member-2").of_kind(APPEND))
        .after(ms(500), end("first is down again"))
        .then(release("member-1", "member-2"))
        .then(release("member-1", "member-3"))
        .then(release("member-3", "member-1"))
}

/// Entries of earlier terms, which no number of copies commits.
pub fn old_entries() -> Scenario {
    told("story/raft-figure-3-7")
        .nodes("member", 3..=3, quick_first_and_third)
        .clients("client", 1..=1, look)
        .script(figure_3_7())
        .expect("the story names its own nodes")
}

/// The second member votes for the first, loses its power while it syncs the vote, and is asked
/// by the third in the same term.
fn an_unsynced_vote() -> Script {
    Script::new()
        .nodes("member", 3)
        .then(crash("member-3").named("third is down"))
        .step_to(ready("member-2"))
        // Who founds the cluster.
        .step_to(synced("member-2"))
        .when(sync("member-2"), power_loss("member-2").lasting(ms(10)))
        .then(hold("member-1", "member-2"))
        .then(hold("member-1", "member-3"))
        .then(end("third is down"))
        .step_to(sent("member-3", "member-2").of_kind(APPEND))
        .after(ms(500), release("member-1", "member-2"))
        .then(release("member-1", "member-3"))
}

/// A vote that is lost with the power.
pub fn votes() -> Scenario {
    let lossy = Forecast::read("lost-writes,-crash").expect("faults of the table");
    told("story/raft-vote")
        .nodes("member", 3..=3, quick_first_and_third)
        .clients("client", 1..=1, look)
        .script(an_unsynced_vote())
        .expect("the story names its own nodes")
        .under(lossy)
}

/// The first member leads and answers a write. Then nobody hears it any more.
pub(super) fn a_leader_that_nobody_hears() -> Script {
    Script::new()
        .nodes("member", 3)
        .then(crash("member-3").named("third is down"))
        .when(sent("member-1", "member-2").of_kind(APPEND), cue("write 1"))
        .when(returned("writer-1"), end("third is down"))
        .when(synced("member-3"), hold("writer-1", "member-1"))
        // Until the third has what is committed.
        .after(ms(500), hold("member-1", "member-2"))
        .then(hold("member-1", "member-3"))
        .then(hold("member-2", "member-1"))
        .then(hold("member-3", "member-1"))
}

/// A leader that nobody hears takes entries that are never committed, and so many that its log
/// reaches beyond the snapshot which the next leader sends it.
fn a_snapshot_for_a_deposed_leader() -> Script {
    a_leader_that_nobody_hears()
        .then(cue("ask the first"))
        .then(crash("member-2").lasting(ms(10)))
        .when(sent("member-3", "member-2").of_kind(APPEND), cue("write 2"))
        .step_to(returned("writer-1"))
        // What is released while the first is down is lost, the first entries of term 2 with it.
        .after(ms(500), crash("member-1").named("first is down"))
        .then(release("member-1", "member-2"))
        .then(release("member-1", "member-3"))
        .then(release("member-2", "member-1"))
        .then(release("member-3", "member-1"))
        .then(release("writer-1", "member-1"))
        .then(end("first is down"))
}

/// A snapshot for a log that goes on behind it with entries of its own.
pub fn snapshot() -> Scenario {
    told("story/raft-snapshot")
        .nodes("member", 3..=3, quick_third)
        .clients("writer", 1..=1, write_twice)
        .clients("asker", 4..=4, ask_the_first)
        .clients("client", 1..=1, look)
        .script(a_snapshot_for_a_deposed_leader())
        .expect("the story names its own nodes")
}
