//! Short runs of the weather's scenarios and of Raft in words: what is struck, what is done, and
//! what the contract says of it. A contract that does not know the fault must break, and says so
//! last. As in `stories`, times are left out.

use crate::stories::told;
use squall::check_history::{Register, RegisterCall, RegisterReturn};
use squall::plan::{Forecast, Kind};
use squall::script::{fault, returned};
use squall::{Client, Scenario, Script, Tolerance, linearizable};
use squall_env::Env;
use squall_env::platform::BindError;
use squall_protocols::raft::{ClientError, Config, RaftClient, invariants, serve};
use squall_protocols::store::{Store, StoreClient};
use squall_scenarios::config::model::{Call, Versioned};
use squall_scenarios::config::perform;
use squall_scenarios::raft::{Value, Write};
use squall_scenarios::weather::{ALL, Blind, code, streams};
use std::collections::BTreeSet;
use std::time::Duration;

/// What strikes the nodes of a scenario of the weather.
fn kind(scenario: &str) -> Option<Kind> {
    let node = "node-1".to_owned();
    let kind = match scenario {
        "weather/links" => Kind::PartitionOneWay { nodes: vec![node] },
        "weather/leader" => Kind::IsolateLeader {},
        "weather/nodes" => Kind::Suspend { node },
        "weather/disks" => Kind::Stall { node },
        "weather/forgetful" => Kind::Wipe { node },
        "weather/rot" => Kind::BitRot { node },
        "weather/clocks" => Kind::WallStep { node, by_ns: -3_000_000_000 },
        "weather/code" => Kind::Crash { node, power_loss: false },
        // What happens to a stream is drawn, not struck.
        "weather/streams" => return None,
        other => panic!("nothing is said here of {other}"),
    };
    Some(kind)
}

/// The story of a scenario under this script and nothing else.
fn story(scenario: Scenario, script: Script) -> String {
    stories(scenario, script).next().expect("there are seeds")
}

/// The same under one seed after the other.
fn stories(scenario: Scenario, script: Script) -> impl Iterator<Item = String> {
    let scenario = scenario.script(script).expect("the script fits");
    let scenario = scenario.under(Forecast::read("calm").expect("it is a preset"));
    (1..200).map(move |seed| {
        let story = told(&scenario, seed, &scenario.plan(seed));
        // What a cut stops, and how often, is drawn.
        let lines = story.lines().map(|line| line.split("; it stops").next().unwrap_or(line));
        lines.collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn each_weather() {
    let mut said = Vec::new();
    for (make, _) in ALL {
        let name = make(Blind::NOT).name().to_owned();
        let Some(kind) = kind(&name) else { continue };
        let nodes = if ["weather/links", "weather/leader"].contains(&&*name) { 3 } else { 2 };
        let half = Duration::from_millis(500);
        let two = Duration::from_secs(2);
        let script =
            || Script::new().nodes("node", nodes).at(two, fault(kind.clone()).lasting(half));
        let good = story(make(Blind::NOT), script());
        let blind = story(make(Blind::to(kind.fault())), script());
        said.push(format!("{name}\n{good}\n... and if it did not know of it\n{blind}\n"));
    }
    insta::assert_snapshot!(said.join("\n"));
}

/// What is drawn and not struck: each sentence of some seeds under a group of faults, once and
/// without the numbers of the nodes.
fn drawn(make: fn(Blind) -> Scenario, forecast: &str) -> String {
    let scenario = make(Blind::NOT).under(Forecast::read(forecast).expect("they are faults"));
    let stories = (0..30).map(|seed| told(&scenario, seed, &scenario.plan(seed)));
    let mut shapes = BTreeSet::new();
    for story in stories {
        let told_one_by_one = story.lines().filter(|line| !line.starts_with("... and "));
        let shape = |line: &str| line.replace(|c: char| c.is_ascii_digit(), "#");
        shapes.extend(told_one_by_one.map(shape));
    }
    shapes.into_iter().collect::<Vec<_>>().join("\n")
}

#[test]
fn weather_that_is_drawn() {
    let connections = "stream-reset,half-open,connect-refused,connect-hang,connect-reset";
    let streams = drawn(streams::streams, connections);
    let code = drawn(code::code, "buggify");
    insta::assert_snapshot!(format!("weather/streams\n{streams}\n\nweather/code\n{code}"));
}

/// Writes and reads, three times with half a second between them.
async fn write_and_read(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let mut raft = RaftClient::<Value>::open(&env, env.peers("member"))?;
    let patience = Duration::from_secs(3);
    for value in [7, 8, 9] {
        env.sleep(Duration::from_millis(500)).await;
        type Model = Register<Option<u64>>;
        let write = async {
            raft.propose(&Write(value), patience).await?;
            Ok(RegisterReturn::Written)
        };
        // What came of it is recorded.
        let call = RegisterCall::Write(Some(value));
        let _ = client.perform::<Model, ClientError>(call, write).await;
        let read = async { Ok(RegisterReturn::Value(raft.read(&(), patience).await?)) };
        let _ = client.perform::<Model, ClientError>(RegisterCall::Read, read).await;
    }
    Ok(())
}

/// Who wins an election is drawn: these are the first seeds that member-1 wins, and then member-2.
#[test]
fn raft_on_a_calm_day_and_when_its_leader_is_cut_off() {
    let member = |env: Env| async move {
        let config = Config::of(env.peers("member"));
        serve::<Value>(env, config).await
    };
    let scenario = || {
        Scenario::new("golden/raft")
            .nodes("member", 3..=3, member)
            .clients("client", 1..=1, write_and_read)
            .tolerates(Tolerance::minority_impaired("member").any_network())
            .leader(invariants::latest_leader::<Value>)
            .check(linearizable(Register::<Option<u64>>::new(None)))
    };
    let calm = Script::new().nodes("member", 3);
    let cut_off = fault(Kind::IsolateLeader {}).lasting(Duration::from_secs(1));
    let cut_off = calm.clone().when(returned("client-1").nth(3), cut_off);
    let first_wins = |story: &String| !story.contains("member-2") && !story.contains("member-3");
    let second_wins =
        |story: &String| story.contains("member-1 leads") && story.ends_with("from member-2");
    let calm = stories(scenario(), calm).find(first_wins).expect("a seed of them");
    let cut_off = stories(scenario(), cut_off).find(second_wins).expect("a seed of them");
    insta::assert_snapshot!(format!("{calm}\n\n{cut_off}"));
}

/// Hands leadership over between two writes, on members that compact their logs at once.
async fn write_transfer_write(client: Client) -> Result<(), BindError> {
    type Model = Register<Option<u64>>;
    let env = client.env().clone();
    let members = env.peers("member");
    let mut raft = RaftClient::<Value>::open(&env, members.clone())?;
    let patience = Duration::from_secs(3);
    env.sleep(Duration::from_millis(500)).await;
    for value in [7, 8] {
        let write = async {
            raft.propose(&Write(value), patience).await?;
            Ok(RegisterReturn::Written)
        };
        // What came of it is recorded.
        let call = RegisterCall::Write(Some(value));
        let _ = client.perform::<Model, ClientError>(call, write).await;
        let _ = raft.transfer(members[1], patience).await;
    }
    Ok(())
}

#[test]
fn raft_that_compacts_its_log_and_hands_over() {
    let member = |env: Env| async move {
        let mut config = Config::of(env.peers("member"));
        (config.snapshot_entries, config.tail_entries) = (1, 0);
        serve::<Value>(env, config).await
    };
    let scenario = Scenario::new("golden/raft")
        .nodes("member", 3..=3, member)
        .clients("client", 1..=1, write_transfer_write)
        .check(linearizable(Register::<Option<u64>>::new(None)));
    let first_then_second = |story: &String| {
        let mut lines = story.lines();
        let has = |line: Option<&str>, text: &str| line.is_some_and(|line| line.contains(text));
        let first = lines.next().filter(|line| !line.contains("NotLeader"));
        has(first, "`Response(Session)` from member-1")
            && has(lines.next(), "`Response(Applied)` from member-2")
    };
    let told = stories(scenario, Script::new().nodes("member", 3)).find(first_then_second);
    insta::assert_snapshot!(told.expect("a seed of them"));
}

/// Changes one key of the store in each way.
async fn change_a_key(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let mut store = StoreClient::open(&env, env.peers("member"))?;
    env.sleep(Duration::from_millis(500)).await;
    for call in [
        Call::Put(1, 7),
        Call::CompareAndSet(1, 1, 8),
        Call::CompareAndSet(1, 1, 9),
        Call::Get(1),
        Call::Delete(1),
        Call::Get(1),
    ] {
        // What came of it is recorded.
        let _ = perform(&client, &mut store, call).await;
    }
    Ok(())
}

#[test]
fn the_store_on_a_calm_day() {
    let member = |env: Env| async move {
        let config = Config::of(env.peers("member"));
        serve::<Store>(env, config).await
    };
    let scenario = Scenario::new("golden/store")
        .nodes("member", 3..=3, member)
        .clients("client", 1..=1, change_a_key)
        .check(linearizable(Versioned));
    let first_leads = |story: &String| !story.contains("member-2") && !story.contains("member-3");
    let told = stories(scenario, Script::new().nodes("member", 3)).find(first_leads);
    insta::assert_snapshot!(told.expect("a seed of them"));
}
