//! What is said of runs: of bugs, and of short runs in which nothing goes wrong. The words are
//! those of the protocols; times are left out, since they belong to the simulator. To take in other
//! words, run the tests with `INSTA_UPDATE=always` and read the difference.

use crate::register_story::{STORE, new_then_old, register, two_unsynced_replicas};
use squall::check_history::{Access, MultiRegister, Register, RegisterCall, RegisterReturn};
use squall::plan::{Forecast, Latency, Override, RoleNodes};
use squall::script::{cue, hold, power_loss, returned, sent};
use squall::{Client, Plan, Scenario, Script, Watch, linearizable, run, run_plan};
use squall_env::Address;
use squall_scenarios::register::{DURABLE, LINEARIZABLE};
use squall_scenarios::{http, kv};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

const MS: u64 = 1_000_000;

/// The sentences of a run without its times and lengths, and what broke.
pub(crate) fn told(scenario: &Scenario, seed: u64, plan: &Plan) -> String {
    let watch = Watch { record: true, ..Watch::default() };
    let outcome = run_plan(scenario, seed, plan, watch);
    // Whoever listens changes nothing.
    let unheard = run_plan(scenario, seed, plan, Watch::default());
    assert_eq!(unheard.digest, outcome.digest);
    assert!(unheard.story().is_empty());
    let mut lines: Vec<String> =
        outcome.story().iter().map(|sentence| without_lengths(&sentence.text)).collect();
    lines.extend(outcome.failure.map(|failure| format!("this breaks: {}", failure.property)));
    lines.join("\n")
}

/// Replaces lengths of time, as in `2.9 ms`, by dots.
fn without_lengths(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let unit = word.trim_end_matches([',', ';', ')']);
        let is_number = |word: &String| word.parse::<f64>().is_ok();
        if ["ns", "us", "ms", "s"].contains(&unit) && words.last().is_some_and(is_number) {
            words.pop();
            words.push(format!("...{}", &word[unit.len()..]));
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

/// The story of the first seed that breaks this property.
fn broken(scenario: &Scenario, property: &str) -> String {
    let breaks = |seed: &u64| run(scenario, *seed).failure.is_some_and(|f| f.property == property);
    let seed = (0..50).find(breaks).expect("a seed breaks it");
    told(scenario, seed, &scenario.plan(seed))
}

#[test]
fn a_reader_that_does_not_write_back() {
    let mutant = "register/reads-without-write-back";
    let bad = register().script(new_then_old()).unwrap().mutant("test/bad", mutant, LINEARIZABLE);
    insta::assert_snapshot!(broken(&bad, LINEARIZABLE));
}

#[test]
fn replicas_that_answer_before_they_have_synced() {
    let told = register().script(two_unsynced_replicas()).unwrap();
    let told = told.under(Forecast::read("lost-writes,-crash").unwrap());
    let bad = told.mutant("test/bad", "register/acknowledges-before-durable", DURABLE);
    insta::assert_snapshot!(broken(&bad, DURABLE));
}

/// The writer reaches one replica, and the reader hears of another.
fn one_of_three() -> Script {
    Script::new()
        .nodes("replica", 3)
        .when(sent("writer-1", "replica-1").of_kind(STORE), hold("writer-1", "replica-2"))
        .then(hold("writer-1", "replica-3"))
        .then(hold("replica-1", "reader-1"))
        .when(returned("writer-1"), cue("reader-1"))
        .then(cue("reader-2"))
}

#[test]
fn a_quorum_of_one() {
    let bad = register().script(one_of_three()).unwrap();
    // The audit of the disks would see it before anybody reads.
    let bad = bad.mutant("test/bad", "register/quorum-off-by-one", DURABLE);
    insta::assert_snapshot!(broken(&bad, DURABLE));
}

#[test]
fn a_server_that_answers_before_it_has_synced() {
    let script = Script::new().nodes("server", 1).when(
        returned("client-1").nth(3),
        power_loss("server-1").lasting(Duration::from_millis(9)),
    );
    let bad = kv_once().script(script).unwrap();
    let bad = bad.under(Forecast::read("lost-writes,lost-entries,-crash").unwrap());
    let bad = bad.mutant("test/bad", "kv/answers-before-sync", LINEARIZABLE);
    insta::assert_snapshot!(broken(&bad, LINEARIZABLE));
}

/// Everything takes a fixed time, and one client is there.
fn calm(role: &str, nodes: u16) -> Plan {
    let sized = |role: &str, nodes| RoleNodes { role: role.to_owned(), nodes };
    let mut plan = Plan::calm(vec![sized(role, nodes), sized("client", 1)], 1_000 * MS);
    let fixed = |ns| Latency::Uniform { low_ns: ns, high_ns: ns };
    plan.weather.latency = fixed(MS);
    plan.weather.client_latency = fixed(MS);
    plan.weather.disk_latency = fixed(MS / 10);
    plan.weather.sync_latency = fixed(MS);
    plan
}

type Values = MultiRegister<String, Option<String>>;

/// A client that stores, reads, stores again, and reads until it is answered.
async fn store_and_read(client: Client) -> Result<(), Infallible> {
    let env = client.env();
    let to = Address::new(env.peers("server")[0], kv::after::PORT);
    let mut open = None;
    for step in ["store 3", "read", "store 4", "read", "read"] {
        env.sleep(Duration::from_millis(100)).await;
        let work = async {
            let kv = match &mut open {
                Some(kv) => kv,
                None => open.insert(kv::after::Client::connect(env, to).await?),
            };
            match step.split_once(' ') {
                Some((_, value)) => kv.put("apples", value).await.map(|()| Vec::new()),
                None => kv.get("apples").await.map(|value| vec![Some(value)]),
            }
        };
        let call = match step.split_once(' ') {
            Some((_, value)) => Access::Write("apples".to_owned(), Some(value.to_owned())),
            None => Access::Read("apples".to_owned()),
        };
        let done = client.perform::<Values, kv::after::KvError>(vec![call], work).await;
        if done.is_err() {
            open = None;
        }
    }
    Ok(())
}

fn kv_once() -> Scenario {
    let tolerance = squall::Tolerance::nothing().impaired("server", squall::Most::Any);
    let faults = [squall::Fault::LostWrites, squall::Fault::LostEntries];
    Scenario::new("golden/kv")
        .nodes("server", 1..=1, kv::after::serve)
        .clients("client", 1..=1, store_and_read)
        .tolerates(faults.into_iter().fold(tolerance.crashes(), squall::Tolerance::fault))
        .check(linearizable(Values::new(BTreeMap::new(), None)))
}

#[test]
fn a_key_value_server_on_a_calm_day() {
    insta::assert_snapshot!(told(&kv_once(), 1, &calm("server", 1)));
}

async fn write_and_read(client: Client) -> Result<(), Infallible> {
    let env = client.env().clone();
    env.sleep(Duration::from_millis(100)).await;
    let to = Address::new(env.peers("server")[0], http::PORT_1);
    let mut register = http::HttpClient::new(&env, to, Duration::from_secs(1));
    type Model = Register<Option<u64>>;
    let work = async { register.write(7).await.map(|()| RegisterReturn::Written) };
    let call = RegisterCall::Write(Some(7));
    // What came of it is recorded.
    let _ = client.perform::<Model, http::HttpError>(call, work).await;
    let work = async { register.read().await.map(RegisterReturn::Value) };
    let _ = client.perform::<Model, http::HttpError>(RegisterCall::Read, work).await;
    Ok(())
}

#[test]
fn a_register_over_http_on_a_calm_day() {
    let scenario = Scenario::new("golden/http")
        .nodes("server", 1..=1, http::serve)
        .clients("client", 1..=1, write_and_read)
        .check(linearizable(Register::<Option<u64>>::new(None)));
    insta::assert_snapshot!(told(&scenario, 1, &calm("server", 1)));
}

#[test]
fn the_register_on_a_calm_day_and_with_an_answer_lost() {
    let calm = told(&register(), 1, &register_plan());
    let mut plan = register_plan();
    let watch = Watch { record: true, ..Watch::default() };
    let seen = run_plan(&register(), 1, &plan, watch).recorded.expect("it was asked for");
    // The third replica's answer to the writer's question is lost.
    let lost = seen.messages.into_iter().map(|message| message.as_override).find(|wish| {
        let Override::Message { from, to, .. } = wish else { return false };
        (from.as_str(), to.as_str()) == ("replica-3", "writer-1")
    });
    let mut lost = lost.expect("it answers");
    if let Override::Message { fate, .. } = &mut lost {
        *fate = squall::plan::Fate::Lost;
    }
    plan.overrides.push(lost);
    let other = told(&register(), 1, &plan);
    insta::assert_snapshot!(format!("{calm}\n\n{other}"));
}

/// One writer and two readers, of which the readers wait for nobody.
fn register_plan() -> Plan {
    let mut plan = calm("replica", 3);
    plan.nodes[1].role = "writer".to_owned();
    plan.nodes.push(RoleNodes { role: "reader".to_owned(), nodes: 2 });
    plan
}
