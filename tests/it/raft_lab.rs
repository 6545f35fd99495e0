//! The limits that a widely used Raft laboratory sets to its students' code (MIT 6.5840, labs 3 and
//! 4): how many messages and bytes an election and an agreement take, how soon a leader is there,
//! how long the log gets. Messages take 1 to 10 ms here and syncs 0.2 to 3 ms.

use squall::check_history::{Register, RegisterCall, RegisterReturn};
use squall::plan::{Episode, Forecast, Kind, RoleNodes, When};
use squall::trace::Trace;
use squall::{Client, Most, Plan, Scenario, Tolerance, Watch, linearizable, run_plan};
use squall_env::platform::BindError;
use squall_env::{Env, View};
use squall_protocols::raft::{ClientError, Config, Raft, RaftClient, ServeError, serve};
use squall_scenarios::raft::{Value, Write, properties};
use std::time::Duration;

const MS: u64 = 1_000_000;

/// How long there are faults.
const FAULTS: Duration = Duration::from_secs(3);

/// What a leader or a candidate asks, of which the laboratory counts each with its answer as one.
const REQUESTS: [&str; 3] = ["RequestVote", "AppendEntries", "InstallSnapshot"];

async fn member(env: Env) -> Result<(), ServeError> {
    let config = Config::of(env.peers("member"));
    serve::<Value>(env, config).await
}

async fn write(
    client: &Client,
    raft: &mut RaftClient<Value>,
    value: u64,
    limit: Duration,
) -> Result<(), ClientError> {
    let write = async {
        raft.propose(&Write(value), limit).await?;
        Ok(RegisterReturn::Written)
    };
    let call = RegisterCall::Write(Some(value));
    client.perform::<Register<Option<u64>>, ClientError>(call, write).await.map(drop)
}

/// Waits a second, so that there is a leader, and writes so many values.
async fn write_many<const VALUES: u64>(client: Client) -> Result<(), BindError> {
    let env = client.env();
    let mut raft = RaftClient::open(env, env.peers("member"))?;
    env.sleep(Duration::from_secs(1)).await;
    for value in 0..VALUES {
        while write(&client, &mut raft, value, Duration::from_secs(1)).await.is_err() {}
    }
    client.after_heal().await;
    Ok(())
}

fn lab(name: &str, members: u16) -> Scenario {
    properties::<Value>(Scenario::new(name))
        .nodes("member", members..=members, member)
        .check(linearizable(Register::<Option<u64>>::new(None)))
}

/// A plan without faults for so many members and a client.
fn calm(members: u16, length: u64) -> Plan {
    let roles = [("member", members), ("client", 1)];
    let roles = roles.map(|(role, nodes)| RoleNodes { role: role.to_owned(), nodes });
    Plan::calm(roles.to_vec(), length)
}

fn traced(scenario: &Scenario, seed: u64, plan: &Plan) -> Trace {
    let mut outcome = run_plan(scenario, seed, plan, Watch { causes: true, ..Watch::default() });
    assert_eq!(outcome.failure, None, "seed {seed}");
    outcome.trace(scenario, seed, plan).expect("its causes were kept")
}

/// When there were events of this kind.
fn times(trace: &Trace, kind: &str) -> Vec<u64> {
    let of_kind = trace.events.iter().filter(|event| event.kind == kind);
    of_kind.map(|event| event.at_ns).collect()
}

/// When somebody began to lead.
fn leaders(trace: &Trace) -> Vec<u64> {
    let led = trace.events.iter().filter(|event| event.text.contains("leads term"));
    led.map(|event| event.at_ns).collect()
}

/// How many requests were sent in that time.
fn requests(trace: &Trace, from_ns: u64, to_ns: u64) -> usize {
    let sent = trace.events.iter().filter(|event| event.kind == "send");
    let sent = sent.filter(|event| (from_ns..to_ns).contains(&event.at_ns));
    sent.filter(|event| REQUESTS.iter().any(|request| event.text.contains(request))).count()
}

#[test]
fn a_leader_is_there_within_a_second_and_stays() {
    let scenario = lab("test/election", 3).clients("client", 1..=1, write_many::<0>);
    for seed in 0..50 {
        let trace = traced(&scenario, seed, &calm(3, 3_000 * MS));
        let leaders = leaders(&trace);
        assert!(leaders.len() == 1 && leaders[0] < 1_000 * MS, "seed {seed}: {leaders:?}");
    }
}

#[test]
fn elections_agreements_and_idling_take_few_messages() {
    let scenario = lab("test/count", 3).clients("client", 1..=1, write_many::<10>);
    for seed in 0..50 {
        let trace = traced(&scenario, seed, &calm(3, 5_000 * MS));
        let led = leaders(&trace)[0];
        let election = requests(&trace, 0, led);
        assert!((1..=30).contains(&election), "seed {seed}: {election} to elect a leader");
        let (first, last) = (times(&trace, "call")[0], *times(&trace, "return").last().unwrap());
        let agreed = requests(&trace, first, last);
        assert!(agreed <= (10 + 1 + 3) * 3, "seed {seed}: {agreed} for ten entries");
        let idle = requests(&trace, last + 500 * MS, last + 1_500 * MS);
        assert!((1..=60).contains(&idle), "seed {seed}: {idle} in an idle second");
    }
}

#[test]
fn writes_take_less_than_a_third_of_a_heartbeat_each() {
    let scenario = lab("test/speed", 3).clients("client", 1..=1, write_many::<1_000>);
    let trace = traced(&scenario, 0, &calm(3, 40_000 * MS));
    let last = *times(&trace, "return").last().unwrap();
    // The heartbeat of the laboratory is 100 ms.
    assert!(last - 1_000 * MS < 1_000 * 33 * MS, "{last} ns");
}

/// Writes with a second's patience while a minority is all that it reaches, and again afterwards.
async fn write_to_a_minority(client: Client) -> Result<(), BindError> {
    let env = client.env();
    let mut raft = RaftClient::open(env, env.peers("member"))?;
    env.sleep(Duration::from_millis(1_500)).await;
    let cut_off = write(&client, &mut raft, 1, Duration::from_secs(1)).await;
    assert!(cut_off.is_err(), "a minority has agreed");
    client.after_heal().await;
    let healed = env.now();
    while write(&client, &mut raft, 2, Duration::from_secs(1)).await.is_err() {}
    assert!(env.now() - healed < Duration::from_secs(3), "{:?}", env.now() - healed);
    Ok(())
}

#[test]
fn a_minority_agrees_on_nothing_and_everybody_does_soon_after() {
    let scenario = lab("test/minority", 5)
        .clients("client", 1..=1, write_to_a_minority)
        .tolerates(Tolerance::nothing().any_network());
    let mut plan = calm(5, 4_000 * MS);
    let nodes = ["member-1", "member-2", "client-1"].map(str::to_owned).to_vec();
    let (kind, from) = (Kind::Partition { nodes }, When::AtNs(1_000 * MS));
    plan.episodes = vec![Episode { id: 0, kind, from, for_ns: Some(3_000 * MS) }];
    for seed in 0..50 {
        traced(&scenario, seed, &plan);
    }
}

/// Writes while there are faults, and then once more.
async fn write_all_the_time(client: Client) -> Result<(), BindError> {
    let mut raft = RaftClient::open(client.env(), client.env().peers("member"))?;
    let (start, mut value) = (client.env().now(), 0);
    while client.env().now() - start < FAULTS {
        // What came of it is recorded.
        let _ = write(&client, &mut raft, value, Duration::from_secs(1)).await;
        value += 1;
    }
    client.after_heal().await;
    while write(&client, &mut raft, value, Duration::from_secs(1)).await.is_err() {}
    Ok(())
}

/// The laboratory has leaders crash and be cut off a thousand times, with two thirds of the answers
/// late by seconds, and wants an agreement within ten seconds afterwards.
#[test]
fn whatever_was_before_there_is_an_agreement_within_ten_seconds() {
    let faults = "reordering,loss,isolate-leader,crash,lost-writes,partition";
    let tolerance = Tolerance::nothing().impaired("member", Most::Minority).any_network();
    let scenario = lab("test/figure-8", 5)
        .clients("client", 1..=1, write_all_the_time)
        .tolerates(tolerance.crashes().lost_unsynced_writes())
        .heals_after(FAULTS)
        .finishes_within(Duration::from_secs(10))
        .under(Forecast::read(faults).unwrap());
    scenario.seeds(0..200).run();
}

/// A snapshot every ten entries, as in the laboratory, or as soon as they have 1 000 bytes.
async fn short(env: Env) -> Result<(), ServeError> {
    let mut config = Config::of(env.peers("member"));
    config.snapshot_entries = 10;
    config.snapshot_bytes = 1_000;
    config.tail_entries = 0;
    serve::<Value>(env, config).await
}

#[test]
fn logs_with_snapshots_stay_short() {
    let scenario = properties::<Value>(Scenario::new("test/short"))
        .nodes("member", 3..=3, short)
        .clients("client", 1..=1, write_many::<1_000>)
        .check(linearizable(Register::<Option<u64>>::new(None)))
        .always("a log has less than 2 000 bytes", || {
            |view: &View<'_>| {
                let long = view.changed::<Raft<Value>>().find(|raft| raft.log().bytes() >= 2_000);
                long.map_or(Ok(()), |raft| Err(format!("{:?}: {}", raft.node, raft.log().bytes())))
            }
        })
        .audit("a journal has less than 256 KiB with its snapshot", || {
            |audit: &squall::AuditView<'_>| {
                for (node, disk) in audit.disks() {
                    let mut files = Vec::new();
                    disk.each("", &mut |name, content| files.push((name, content.len())));
                    if files.iter().map(|(_, bytes)| bytes).sum::<usize>() >= 256 << 10 {
                        return Err(format!("{node:?} has {files:?}"));
                    }
                }
                Ok(())
            }
        });
    for seed in 0..10 {
        traced(&scenario, seed, &calm(3, 40_000 * MS));
    }
}
