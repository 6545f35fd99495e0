use squall::check_history::{Register, RegisterCall, RegisterReturn};
use squall::plan::Forecast;
use squall::script::{
    crash, cue, end, hold, power_loss, ready, release, returned, sent, sync, synced,
};
use squall::{Client, Most, Scenario, Script, Tolerance, linearizable, run, twice};
use squall_env::Env;
use squall_env::platform::BindError;
use squall_protocols::raft::{ClientError, Config, RaftClient, ServeError, serve};
use squall_scenarios::raft::{
    COMPLETE, LINEARIZABLE, LOGS_MATCH, ONE_LEADER, Value, Write, properties,
};
use std::time::Duration;

/// The number of `Message::AppendEntries` among the messages.
pub(crate) const APPEND: u8 = 2;

pub(crate) type Model = Register<Option<u64>>;

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A member that sends one entry at a time, compacts its log every two entries, and has an
/// election timeout of its own.
async fn member(env: Env, timeouts: [u64; 3]) -> Result<(), ServeError> {
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
async fn quick_third(env: Env) -> Result<(), ServeError> {
    member(env, [4_000, 20_000, 200]).await
}

/// Reads once when all is well again.
async fn look(client: Client) -> Result<(), BindError> {
    let env = client.env();
    let mut raft = RaftClient::open(env, env.peers("member"))?;
    client.after_heal().await;
    while read(&client, &mut raft).await.is_err() {}
    Ok(())
}

/// Writes twice, each time at its cue.
async fn write_twice(client: Client) -> Result<(), BindError> {
    let env = client.env();
    let mut raft = RaftClient::<Value>::open(env, env.peers("member"))?;
    for value in [1, 2] {
        client.cue(&format!("write {value}")).await;
        let write = async {
            raft.propose(&Write(value), ms(5_000)).await?;
            Ok(RegisterReturn::Written)
        };
        // What came of it is recorded.
        let call = RegisterCall::Write(Some(value));
        let _ = client.perform::<Model, ClientError>(call, write).await;
    }
    Ok(())
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

/// Reads at its cue, from the first member alone.
pub(crate) async fn read_from_the_first(client: Client) -> Result<(), BindError> {
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

pub(crate) fn told(name: &str) -> Scenario {
    properties::<Value>(Scenario::new(name))
        .tolerates(
            Tolerance::nothing().crashes().lost_unsynced_writes().impaired("member", Most::Any),
        )
        .check(linearizable(Model::new(None)))
        .heals_after(Duration::from_secs(30))
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

fn old_entries() -> Scenario {
    told("test/raft-figure-3-7")
        .nodes("member", 3..=3, quick_first_and_third)
        .clients("client", 1..=1, look)
        .script(figure_3_7())
        .unwrap()
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

fn votes() -> Scenario {
    let lossy = Forecast::read("lost-writes,-crash").unwrap();
    told("test/raft-vote")
        .nodes("member", 3..=3, quick_first_and_third)
        .clients("client", 1..=1, look)
        .script(an_unsynced_vote())
        .unwrap()
        .under(lossy)
}

/// The first member leads and answers a write. Then nobody hears it any more, another leader
/// answers another write, and somebody reads from the first.
fn a_deposed_leader() -> Script {
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
        .then(crash("member-2").lasting(ms(10)))
        .when(sent("member-3", "member-2").of_kind(APPEND), cue("write 2"))
        .when(returned("writer-1"), cue("read"))
        .when(returned("reader-1"), release("member-1", "member-2"))
        .then(release("member-1", "member-3"))
        .then(release("member-2", "member-1"))
        .then(release("member-3", "member-1"))
        .then(release("writer-1", "member-1"))
}

fn reads() -> Scenario {
    told("test/raft-read")
        .nodes("member", 3..=3, quick_third)
        .clients("writer", 1..=1, write_twice)
        .clients("reader", 1..=1, read_from_the_first)
        .script(a_deposed_leader())
        .unwrap()
}

/// A leader that nobody hears takes entries that are never committed, and so many that its log
/// reaches beyond the snapshot which the next leader sends it.
fn a_snapshot_for_a_deposed_leader() -> Script {
    Script::new()
        .nodes("member", 3)
        .then(crash("member-3").named("third is down"))
        .when(sent("member-1", "member-2").of_kind(APPEND), cue("write 1"))
        .when(returned("writer-1"), end("third is down"))
        .when(synced("member-3"), hold("writer-1", "member-1"))
        .after(ms(500), hold("member-1", "member-2"))
        .then(hold("member-1", "member-3"))
        .then(hold("member-2", "member-1"))
        .then(hold("member-3", "member-1"))
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

fn snapshot() -> Scenario {
    told("test/raft-snapshot")
        .nodes("member", 3..=3, quick_third)
        .clients("writer", 1..=1, write_twice)
        .clients("asker", 4..=4, ask_the_first)
        .clients("client", 1..=1, look)
        .script(a_snapshot_for_a_deposed_leader())
        .unwrap()
}

/// Whatever the latencies.
pub(crate) fn always_breaks(scenario: Scenario, mutant: &'static str, property: &'static str) {
    let bad = scenario.mutant("test/bad", mutant, property);
    let broken = (0..20).map(|seed| run(&bad, seed).failure.map(|failure| failure.property));
    let broken: Vec<Option<String>> = broken.collect();
    assert!(broken.iter().all(|broken| broken.as_deref() == Some(property)), "{broken:?}");
}

#[test]
fn an_entry_of_an_earlier_term_that_a_majority_has_may_still_be_overwritten() {
    old_entries().seeds(0..20).run();
    always_breaks(old_entries(), "raft/commits-entries-of-earlier-terms", COMPLETE);
}

#[test]
fn a_vote_that_is_sent_before_it_is_durable_is_given_twice() {
    votes().seeds(0..20).run();
    let bad = votes().mutant("test/bad", "raft/votes-before-durable", ONE_LEADER);
    let broken: Vec<String> = (0..20)
        .filter_map(|seed| run(&bad, seed).failure)
        .map(|failure| failure.property)
        .collect();
    // What was not synced may be kept as well.
    assert!(broken.len() > 3 && broken.iter().all(|property| property == ONE_LEADER), "{broken:?}");
}

#[test]
fn a_leader_that_asks_no_quorum_answers_with_an_older_value() {
    reads().seeds(0..20).run();
    always_breaks(reads(), "raft/reads-without-a-quorum", LINEARIZABLE);
}

#[test]
fn entries_that_conflict_with_a_snapshot_do_not_stay_behind_it() {
    snapshot().seeds(0..20).run();
    always_breaks(snapshot(), "raft/keeps-entries-behind-a-snapshot", LOGS_MATCH);
}

#[test]
fn stories_repeat_exactly() {
    for story in [old_entries(), votes(), reads(), snapshot()] {
        for seed in 0..5 {
            assert!(twice(&story, seed, &story.plan(seed)).is_ok(), "seed {seed}");
        }
    }
}
