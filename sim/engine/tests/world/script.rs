use crate::probe::{MS, SECOND, calm, notes, run_until};
use crate::streams;
use squall::plan::{Invalid, Kind, Latency};
use squall::script::{
    BadStep, Io, TOLD, answered, asked, crash, cue, delivered, end, fault, hold, partition, pause,
    power_loss, reached, ready, release, sent, sync, synced,
};
use squall::{
    Class, Client, Fault, Most, Plan, RunOutcome, Scenario, Script, Tolerance, conditions, run,
};
use squall_env::{Env, Port};
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Seen = &'static Mutex<Vec<(u64, String)>>;

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn say(seen: Seen, env: &Env, what: &str) {
    let now = conditions().expect("a run is under way").now_ns / MS;
    let name = env.roster().name(env.me());
    seen.lock().unwrap().push((now, format!("{name} {what}")));
}

/// Two nodes. Every ten milliseconds the first one stores a line, syncs it, says so, and sends two
/// messages to the other, which says what it hears.
fn system(seen: Seen) -> Scenario {
    let serve = move |env: Env| async move {
        say(seen, &env, "boots");
        let mut socket = env.bind(Port::named("script")).map_err(|error| error.to_string())?;
        let mut log = env.open_file("log", true).await.map_err(|error| error.to_string())?;
        env.sync_directory("").await.map_err(|error| error.to_string())?;
        say(seen, &env, &format!("has {}", log.length()));
        env.ready();
        if env.me().ordinal() == 1 {
            let to = env.addresses("node", socket.port())[1];
            for number in 1..=9u8 {
                env.sleep(ms(10)).await;
                log.append(vec![number]).await.map_err(|error| error.to_string())?;
                log.sync().await.map_err(|error| error.to_string())?;
                say(seen, &env, &format!("stored {number}"));
                env.sometimes("it stored");
                socket.send(to, &[number]);
                socket.send(to, &[number + 100]);
            }
        }
        let mut bytes = Vec::new();
        while socket.receive(&mut bytes).await.is_ok() {
            say(seen, &env, &format!("hears {}", bytes[0]));
        }
        Ok::<(), String>(())
    };
    let tolerance = Tolerance::nothing().any_network().crashes().lost_unsynced_writes();
    Scenario::new("test/script")
        .nodes("node", 2..=2, serve)
        .tolerates(tolerance.impaired("node", Most::Any))
}

/// Messages take one millisecond, and so does every answer of a disk.
fn steady(script: Script) -> Plan {
    let mut plan = calm(2);
    let exactly = Latency::Uniform { low_ns: MS, high_ns: MS };
    plan.weather.latency = exactly.clone();
    plan.weather.disk_latency = exactly.clone();
    plan.weather.sync_latency = exactly;
    plan.weather.lost_writes = true;
    plan.script = script.steps().to_vec();
    plan
}

/// What was said in a run with this script, of which all has to come to pass.
fn told(script: Script) -> (Vec<(u64, String)>, RunOutcome) {
    let (seen, plan) = (notes(), steady(script));
    assert_eq!(plan.check(&["node"]), Ok(()));
    let outcome = run_until(&system(seen), 3, &plan, SECOND);
    assert_eq!(outcome.failure, None);
    (std::mem::take(&mut seen.lock().unwrap()), outcome)
}

/// The same without times.
fn words(script: Script) -> Vec<String> {
    told(script).0.into_iter().map(|(_, what)| what).collect()
}

fn count(said: &[String], what: &str) -> usize {
    said.iter().filter(|said| said.contains(what)).count()
}

#[test]
fn without_a_script_everything_is_stored_and_heard_in_order() {
    let said = words(Script::new());
    assert_eq!(count(&said, "boots"), 2);
    assert_eq!((count(&said, "stored"), count(&said, "hears")), (9, 18));
}

#[test]
fn a_fault_strikes_at_its_time_and_ends_after_it() {
    let (said, outcome) = told(Script::new().at(ms(40), crash("node-1").lasting(ms(25))));
    let boots: Vec<&(u64, String)> = said.iter().filter(|(_, s)| s == "node-1 boots").collect();
    assert_eq!(boots.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 65]);
    assert_eq!(outcome.faults[Fault::Crash as usize].fired, 1);
}

#[test]
fn a_crash_at_the_nth_sync_comes_before_it_is_done_and_one_after_it_before_it_is_known() {
    let has = |moment: squall::script::Moment| {
        let said = words(Script::new().when(moment.nth(3), power_loss("node-1").lasting(ms(5))));
        assert_eq!(count(&said, "node-1 boots"), 2);
        let until = said.iter().rposition(|said| said == "node-1 boots").expect("it restarts");
        let kept = said[until..].iter().find(|said| said.starts_with("node-1 has"));
        (count(&said[..until], "stored"), kept.expect("it is back").clone())
    };
    // Whether the disk kept what was not synced is the choice of the power loss.
    assert_eq!(has(sync("node-1")).0, 2);
    // The third line is durable, and the node has never known.
    assert_eq!(has(synced("node-1")), (2, "node-1 has 3".to_owned()));
    assert_eq!(has(asked("node-1", Io::Write)).0, 2);
    assert_eq!(has(answered("node-1", Io::Write)).0, 2);
    // To open the file and to sync its directory came before the first write.
    assert_eq!(has(asked("node-1", Io::Any)).0, 0);
}

#[test]
fn a_step_at_a_message_that_leaves_comes_before_the_next_one() {
    let script = |nth| Script::new().when(sent("node-1", "node-2").nth(nth), crash("node-1"));
    assert_eq!(words(script(3)).iter().filter(|said| said.contains("hears")).count(), 3);
    assert_eq!(words(script(4)).iter().filter(|said| said.contains("hears")).count(), 4);
}

#[test]
fn a_step_at_a_message_that_arrives_comes_before_its_receiver_knows() {
    let script = Script::new().when(delivered("node-1", "node-2").nth(3), crash("node-2"));
    assert_eq!(count(&words(script), "hears"), 2);
}

#[test]
fn what_is_held_arrives_in_order_when_it_is_released_and_not_before() {
    let script =
        Script::new().at(ms(30), hold("node-1", "node-2")).at(ms(80), release("node-1", "node-2"));
    let (held, outcome) = told(script);
    let heard = |said: &[(u64, String)]| -> Vec<(u64, String)> {
        said.iter().filter(|(_, said)| said.contains("hears")).cloned().collect()
    };
    let (held, free) = (heard(&held), heard(&told(Script::new()).0));
    let order = |said: &[(u64, String)]| said.iter().map(|(_, s)| s.clone()).collect::<Vec<_>>();
    assert_eq!(order(&held), order(&free), "nothing is lost, and nothing overtakes");
    assert!(free.iter().any(|(at, _)| (30..80).contains(at)));
    assert!(held.iter().all(|(at, _)| !(30..80).contains(at)), "{held:?}");
    assert!(held.iter().filter(|(at, _)| *at == 80).count() > 4, "{held:?}");
    // The other direction is another link.
    let other = Script::new().at(ms(30), hold("node-2", "node-1"));
    assert_eq!(heard(&told(other).0), free);
    assert!(outcome.configured.iter().eq([Fault::Latency, Fault::LostWrites]));
}

#[test]
fn what_is_held_counts_as_pending_and_is_bounded() {
    let script = || Script::new().then(hold("node-1", "node-2"));
    let plan = steady(script());
    let class = |pending| {
        let outcome = run_until(&system(notes()).pending_max(pending), 3, &plan, SECOND);
        outcome.failure.map(|failure| failure.class)
    };
    assert_eq!(class(12), Some(Class::Runaway));
    assert_eq!(class(40), None);
    let free = run_until(&system(notes()).pending_max(12), 3, &steady(Script::new()), SECOND);
    assert_eq!(free.failure, None);
}

#[test]
fn a_link_that_nobody_releases_is_free_when_the_world_heals() {
    let (seen, mut plan) = (notes(), steady(Script::new().then(hold("node-1", "node-2"))));
    plan.heal_at_ns = 500 * MS;
    assert_eq!(run_until(&system(seen), 3, &plan, SECOND).failure, None);
    let seen = seen.lock().unwrap();
    let heard: Vec<u64> =
        seen.iter().filter(|(_, s)| s.contains("hears")).map(|(at, _)| *at).collect();
    assert_eq!(heard, [500; 18]);
}

#[test]
fn streams_are_held_as_well() {
    let said = |script: Script| {
        let seen: streams::Seen = notes();
        let scenario = streams::pair(
            seen,
            |own| async move {
                let Ok(mut stream) = own.connect().await else { return own.say("no way") };
                own.sleep_until(20).await;
                stream.write_all(b"hello").await.unwrap();
                let mut bytes = [0; 5];
                let answered = stream.read_exact(&mut bytes).await.is_ok();
                own.say(if answered { "answered" } else { "broken" });
            },
            streams::echo,
        );
        let mut plan = streams::even();
        plan.script = script.steps().to_vec();
        streams::run(&scenario, 3, &plan);
        let seen = seen.lock().unwrap();
        seen.iter().map(|(at, what)| (at / MS, what.clone())).collect::<Vec<_>>()
    };
    assert_eq!(said(Script::new()), [(22, "answered".to_owned())]);
    let held = |from, to| {
        let held = Script::new().at(ms(10), hold(from, to));
        said(held.at(ms(70), release(from, to)))
    };
    assert_eq!(held("node-1", "node-2"), [(71, "answered".to_owned())]);
    assert_eq!(held("node-2", "node-1"), [(70, "answered".to_owned())]);
}

#[test]
fn a_fault_with_a_name_ends_when_a_later_step_says_so() {
    let heard = |script| {
        let said = told(script).0;
        let heard = said.iter().filter(|(_, said)| said.contains("hears"));
        heard.map(|(at, _)| *at).collect::<Vec<_>>()
    };
    let script = Script::new().at(ms(30), pause("node-2").named("asleep"));
    assert!(heard(script.clone()).iter().all(|at| *at < 30));
    let times = heard(script.after(ms(25), end("asleep")));
    assert!(times.iter().all(|at| *at <= 30 || *at >= 55) && times.contains(&55), "{times:?}");
    // A partition loses what a held link keeps.
    let cut = partition(&["node-1"]).lasting(ms(50));
    assert!(heard(Script::new().at(ms(30), cut)).len() < 18);
}

#[test]
fn steps_come_one_after_the_other_and_count_from_when_they_are_next() {
    // The node is ready twice; that it was before it crashed does not count for the second step.
    let script = Script::new()
        .when(reached("node-1", "it stored").nth(2), crash("node-1").lasting(ms(5)))
        .when(ready("node-1"), hold("node-1", "node-2"))
        .when(sent("node-1", "node-2").nth(4), release("node-1", "node-2"));
    let (said, _) = told(script);
    let back = said.iter().rposition(|(_, said)| said.starts_with("node-1 has")).unwrap();
    let first = said[back..].iter().find(|(_, said)| said.contains("hears")).unwrap();
    let stored = said[back..].iter().filter(|(at, said)| said.contains("stored") && at <= &first.0);
    assert_eq!(stored.count(), 2, "{said:?}");
    // The messages of the second "it stored" had not left yet.
    let before = said[..back].iter().filter(|(_, said)| said.contains("hears")).count();
    assert_eq!(before, 2, "{said:?}");
}

#[test]
fn to_listen_changes_nothing_for_the_nodes() {
    let listening = Script::new().step_to(sent("node-1", "node-2").nth(5)).step_to(sync("node-1"));
    let (plain, listened) = (told(Script::new()), told(listening));
    assert_eq!(plain.0, listened.0);
    let nodes = |outcome: &RunOutcome| outcome.digest.nodes()[..2].to_vec();
    assert_eq!(nodes(&plain.1), nodes(&listened.1));
    // The steps themselves are in the digest of the world.
    assert_ne!(plain.1.digest, listened.1.digest);
}

/// A client that does something when it gets its cue.
fn waiting(seen: Seen) -> Scenario {
    Scenario::new("test/cue").clients("client", 1..=2, move |client: Client| async move {
        client.cue("go").await;
        say(seen, client.env(), "goes");
        Ok::<(), Infallible>(())
    })
}

#[test]
fn a_client_waits_for_its_cue_if_there_is_one() {
    let seen: Seen = notes();
    let ended = |scenario: Scenario| {
        let outcome = run(&scenario, 1);
        assert_eq!(outcome.failure, None);
        std::mem::take(&mut *seen.lock().unwrap())
    };
    let at = |time| vec![(time, "client-1 goes".to_owned())];
    let script = |name| waiting(seen).script(Script::new().at(ms(70), cue(name))).unwrap();
    assert_eq!(ended(script("go")), at(70));
    // The run goes on until the script is told, also when nobody waits for it.
    assert_eq!(ended(script("another")), at(0));
    assert_eq!(run(&script("another"), 1).end_ns, 70 * MS);
    assert_eq!(run(&waiting(seen), 1).end_ns, 0);
}

#[test]
fn a_script_that_is_not_told_to_its_end_fails_with_the_step() {
    let failure = |script: Script| {
        let scenario = system(notes()).heals_after(ms(500)).script(script).unwrap();
        run(&scenario, 1).failure.expect("it is not told")
    };
    let late = failure(Script::new().at(ms(5), crash("node-1")).when(sync("node-1"), cue("x")));
    assert_eq!((late.property.as_str(), late.at_ns), (TOLD, 500 * MS));
    assert!(late.story[0].starts_with("step 2 of 2, when node-1 asks"), "{:?}", late.story);
    let down = Script::new().at(ms(5), crash("node-1")).then(power_loss("node-1"));
    let refused = failure(down);
    assert_eq!((refused.property.as_str(), refused.at_ns), (TOLD, 5 * MS));
    assert!(refused.story[0].contains("impaired are node-1"), "{:?}", refused.story);
    // The ledger holds for scripts too.
    let strict = system(notes()).tolerates(Tolerance::nothing().crashes());
    let strict = strict.script(Script::new().at(ms(5), crash("node-1"))).unwrap();
    assert_eq!(run(&strict, 1).failure.expect("it is refused").property, TOLD);
}

#[test]
fn a_repro_file_has_the_script_as_text_and_replays_it_exactly() {
    let script = Script::new()
        .when(sync("node-1").nth(2), power_loss("node-1").lasting(ms(5)))
        .when(sent("node-1", "node-2").of_kind(0), hold("node-1", "node-2"))
        .after(ms(20), release("node-1", "node-2"));
    let scenario = system(notes()).script(script).unwrap();
    let plan = scenario.plan(7);
    let text = serde_json::to_string(&plan).unwrap();
    let steps = "\"script\":[{\"when\":{\"asked\":{\"node\":\"node-1\",\"io\":\"sync\",\"nth\":2}}";
    assert!(text.contains(steps), "{text}");
    assert!(plan.lines().iter().any(|line| line.starts_with("step 3, after 20.0 ms: what node-1")));
    let read: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(read, plan);
    let ends = |plan: &Plan| run_until(&scenario, 7, plan, SECOND).digest;
    assert_eq!(ends(&read), ends(&plan));
    for seed in 0..20 {
        let alike = squall::twice(&scenario, seed, &scenario.plan(seed));
        assert!(alike.is_ok(), "seed {seed}");
    }
}

#[test]
fn scripts_that_cannot_be_played_are_refused_with_the_step() {
    let refused = |script: Script| match system(notes()).script(script).err() {
        Some(Invalid::Step { number, why, .. }) => (number, why),
        other => panic!("{other:?}"),
    };
    let node = |name: &str| name.to_owned();
    let one = Script::new;
    let known = node("node-1, node-2");
    let unknown = |name| BadStep::UnknownNode { node: node(name), known: known.clone() };
    assert_eq!(refused(one().at(ms(1), crash("node-7"))), (1, unknown("node-7")));
    assert_eq!(refused(one().step_to(sync("nobody"))), (1, unknown("nobody")));
    assert_eq!(refused(one().then(hold("node-1", "x-1"))), (1, unknown("x-1")));
    let no_link = BadStep::NoLink { node: node("node-1") };
    assert_eq!(refused(one().then(hold("node-1", "node-1"))), (1, no_link.clone()));
    assert_eq!(refused(one().step_to(sent("node-1", "node-1"))), (1, no_link));
    let (from, to) = (node("node-1"), node("node-2"));
    let held = one().then(hold("node-1", "node-2"));
    let twice = BadStep::HeldTwice { from: from.clone(), to: to.clone() };
    assert_eq!(refused(held.clone().then(hold("node-1", "node-2"))), (2, twice));
    let back = BadStep::NotHeld { from: to, to: from };
    assert_eq!(refused(held.then(release("node-2", "node-1"))), (2, back));
    let heal_at_ns = 3 * SECOND;
    let late = BadStep::AfterEnd { at_ns: 3 * SECOND, heal_at_ns };
    assert_eq!(refused(one().at(ms(3_000), cue("x"))), (1, late.clone()));
    let slow = one().at(ms(1_000), cue("x")).after(ms(2_000), cue("x"));
    assert_eq!(refused(slow), (2, late));
    let past = BadStep::Backwards { at_ns: 5 * MS, earliest_ns: 6 * MS };
    assert_eq!(refused(one().at(ms(6), cue("x")).at(ms(5), cue("x"))), (2, past));
    assert_eq!(refused(one().step_to(sync("node-1").nth(0))), (1, BadStep::Zeroth));
    let none = BadStep::NoFault { name: node("a") };
    assert_eq!(refused(one().then(end("a"))), (1, none));
    let same = || crash("node-1").named("a");
    let twice = BadStep::NamedTwice { name: node("a") };
    assert_eq!(refused(one().at(ms(1), same()).at(ms(2), same())), (2, twice));
    let wipe = fault(Kind::Wipe { node: node("node-1") });
    assert_eq!(refused(one().then(wipe)), (1, BadStep::NotTolerated { fault: "wipe" }));
    let client = squall::script::returned("node-1");
    assert_eq!(refused(one().step_to(client)), (1, BadStep::NoClient { node: node("node-1") }));
}

#[test]
fn a_script_may_say_the_sizes_that_its_scenario_allows() {
    let sized = |script: Script| waiting(notes()).script(script).map(|s| s.plan(1).nodes[0].nodes);
    assert_eq!(sized(Script::new()), Ok(1));
    assert_eq!(sized(Script::new().nodes("client", 2)), Ok(2));
    let size = Invalid::Size { role: "client".to_owned(), found: 3, low: 1, high: 2 };
    assert_eq!(sized(Script::new().nodes("client", 3)), Err(size));
    assert!(matches!(sized(Script::new().nodes("replica", 1)), Err(Invalid::Roles { .. })));
    let many = (0..=squall::script::STEPS_MAX).fold(Script::new(), |s, _| s.then(cue("x")));
    assert_eq!(sized(many), Err(Invalid::Steps { found: squall::script::STEPS_MAX + 1 }));
}
