//! Shrinking against oracles that say exactly what a failure needs.

use super::*;
use crate::plan::{Episode, Fate, Kind, RoleNodes, When};
use crate::script::{Script, TOLD, hold, power_loss, release, sent, sync};
use crate::world::RecordedMessage;
use crate::{Client, Tolerance};
use squall_env::Env;

const WANTED: &str = "property/it holds/";

async fn serve(_: Env) -> Result<(), std::convert::Infallible> {
    Ok(())
}

async fn load(_: Client) -> Result<(), std::convert::Infallible> {
    Ok(())
}

fn scenario() -> Scenario {
    Scenario::new("test/shrunk")
        .nodes("node", 2..=5, serve)
        .clients("client", 1..=3, load)
        .tolerates(Tolerance::nothing())
}

/// A stormy plan of two dozen crashes.
fn stormy() -> Plan {
    let roles = [("node", 5), ("client", 3)];
    let roles = roles.map(|(role, nodes)| RoleNodes { role: role.to_owned(), nodes });
    let mut plan = Plan::calm(roles.to_vec(), 3_000_000_000);
    plan.weather.loss_ppm = 100_000;
    plan.weather.eio_ppm = 500;
    plan.weather.lost_writes = true;
    plan.episodes = (0..24)
        .map(|id| Episode {
            id,
            kind: Kind::Crash { node: format!("node-{}", id % 5 + 1), power_loss: true },
            from: When::AtNs(u64::from(id) * 100_000_007),
            for_ns: Some(33_333_333),
        })
        .collect();
    plan
}

/// The names of the messages that the oracle's runs lose: `count` from 0 to 9.
fn message(count: u64) -> Override {
    Override::Message {
        from: "node-1".to_owned(),
        to: "node-2".to_owned(),
        port: 1,
        message_kind: 0,
        payload: None,
        nth: 0,
        count: Some(count),
        at_ns: None,
        fate: Fate::Lost,
    }
}

/// Decides by a function of the plan.
struct Says<F> {
    fails: F,
    asked: u64,
}

impl<F: Fn(&Plan) -> Option<&'static str>> Oracle for Says<F> {
    fn verdicts(&mut self, plans: &[Plan]) -> Result<Vec<Verdict>, String> {
        self.asked += plans.len() as u64;
        let judge = |plan: &Plan| Verdict {
            fingerprint: (self.fails)(plan).map(str::to_owned),
            strikes: strikes(plan, |fault| if fault == "loss" { 10 } else { 1 }),
            at_ns: 2_000_000_000,
        };
        Ok(plans.iter().map(judge).collect())
    }

    fn record(&mut self, _: &Plan) -> Result<Recorded, String> {
        let operations = ["client-1", "client-2", "client-3"].into_iter();
        let lost =
            |count| RecordedMessage { as_override: message(count), is_struck: count % 2 > 0 };
        Ok(Recorded {
            messages: (0..20).map(lost).collect(),
            story: Vec::new(),
            operations: operations.flat_map(|who| (0..9).map(|n| (who.to_owned(), n))).collect(),
        })
    }
}

fn run(fails: impl Fn(&Plan) -> Option<&'static str>, runs: u64) -> Result<Shrunk, Trouble> {
    let mut oracle = Says { fails, asked: 0 };
    let shrunk = shrink(&scenario(), (&stormy(), WANTED), runs, &mut oracle, &mut |_, _, _| {});
    // One more for the recording.
    assert!(oracle.asked < runs, "{} of {runs}", oracle.asked);
    shrunk
}

fn has(plan: &Plan, ids: &[u32]) -> bool {
    ids.iter().all(|id| plan.episodes.iter().any(|episode| episode.id == *id))
}

fn does(plan: &Plan, client: &str, number: u64) -> bool {
    if plan.roster().find(client).is_none() {
        return false;
    }
    let only = |change: &Override| match change {
        Override::OnlyOperations { client: who, numbers } if who == client => Some(numbers.clone()),
        _ => None,
    };
    plan.overrides.iter().find_map(only).is_none_or(|numbers| numbers.contains(&number))
}

#[test]
fn what_a_failure_needs_is_left_and_nothing_else() {
    let fails = |plan: &Plan| {
        (has(plan, &[3, 17]) && does(plan, "client-2", 4) && does(plan, "client-1", 8))
            .then_some(WANTED)
    };
    let shrunk = run(fails, 20_000).unwrap();
    let mut ids: Vec<u32> = shrunk.plan.episodes.iter().map(|episode| episode.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [3, 17]);
    assert_eq!((shrunk.sizes.1.faults, shrunk.sizes.1.operations), (2, 2));
    // Nodes 3 and 4 crash, client 2 acts; nobody else has to be there.
    assert_eq!(shrunk.plan.nodes.iter().map(|role| role.nodes).collect::<Vec<_>>(), [4, 2]);
    assert!(shrunk.is_minimal && shrunk.sizes.1 < shrunk.sizes.0);
    assert!(calm::faults(&shrunk.plan).is_empty());
    assert_eq!((shrunk.plan.heal_at_ns, shrunk.plan.salt), (0, 0));
}

#[test]
fn messages_are_named_if_the_weather_cannot_go_calm() {
    let lost =
        |plan: &Plan, count| plan.weather.loss_ppm > 0 || plan.overrides.contains(&message(count));
    let fails = |plan: &Plan| (lost(plan, 5) && lost(plan, 7)).then_some(WANTED);
    let shrunk = run(fails, 20_000).unwrap();
    let mut left = shrunk.plan.overrides.clone();
    left.retain(|change| matches!(change, Override::Message { .. }));
    assert_eq!(left, [message(5), message(7)]);
    assert_eq!((shrunk.plan.weather.loss_ppm, shrunk.sizes.1.faults), (0, 2));
}

#[test]
fn another_failure_is_not_slid_to() {
    let fails = |plan: &Plan| match plan.episodes.len() {
        5.. => Some(WANTED),
        _ => Some("property/another holds/"),
    };
    assert_eq!(run(fails, 20_000).unwrap().plan.episodes.len(), 5);
    let error = run(|_| Some("panic/no node panics/"), 20_000).unwrap_err();
    assert!(matches!(error, Trouble::NotReproduced(_)), "{error}");
}

#[test]
fn what_hangs_on_timing_is_found_under_a_salt() {
    let fails = |plan: &Plan| (plan.episodes.len() > 23 || plan.salt == 5).then_some(WANTED);
    let shrunk = run(fails, 20_000).unwrap();
    assert_eq!((shrunk.plan.episodes.len(), shrunk.plan.salt), (0, 5));
}

#[test]
fn the_budget_is_kept_and_what_is_left_is_not_larger() {
    for runs in [12, 30, 100] {
        let fails = |plan: &Plan| (has(plan, &[3, 17, 20])).then_some(WANTED);
        let shrunk = run(fails, runs).unwrap();
        assert!(!shrunk.is_minimal && shrunk.runs <= runs);
        assert!(shrunk.sizes.1 <= shrunk.sizes.0 && has(&shrunk.plan, &[3, 17, 20]));
    }
}

#[test]
fn steps_of_a_script_go_if_what_is_left_can_be_played() {
    let mut plan = stormy();
    plan.episodes.clear();
    let (one, other) = ("node-1", "node-2");
    let script = Script::new()
        .when(sync("node-3"), power_loss("node-3"))
        .when(sent(one, other), hold(one, other))
        .when(sync("node-4"), power_loss("node-4"))
        .when(sync(other), release(one, other))
        .when(sync("node-5"), power_loss("node-5"));
    plan.script = script.steps().to_vec();
    let wanted = plan.script[3].clone();
    let fails = |plan: &Plan| plan.script.contains(&wanted).then_some(WANTED);
    let mut oracle = Says { fails, asked: 0 };
    let shrunk = shrink(&scenario(), (&plan, WANTED), 20_000, &mut oracle, &mut |_, _, _| {});
    // What is released must have been held.
    assert_eq!(shrunk.unwrap().plan.script, [plan.script[1].clone(), wanted.clone()]);
}

#[test]
fn of_a_story_that_is_not_told_only_goes_what_disturbs_it() {
    let mut plan = stormy();
    plan.script = Script::new().when(sync("node-3"), power_loss("node-3")).steps().to_vec();
    let fingerprint: &'static str = format!("property/{TOLD}/").leak();
    let fails = |plan: &Plan| has(plan, &[3]).then_some(fingerprint);
    let mut oracle = Says { fails, asked: 0 };
    let shrunk = shrink(&scenario(), (&plan, fingerprint), 20_000, &mut oracle, &mut |_, _, _| {});
    let left = shrunk.unwrap().plan;
    assert_eq!((left.script, left.heal_at_ns), (plan.script, plan.heal_at_ns));
    assert_eq!((left.nodes, left.episodes.len()), (plan.nodes, 1));
    assert_eq!(left.weather.loss_ppm, 0);
}

#[test]
fn leaving_out_a_node_takes_all_that_is_about_it_alone() {
    let mut plan = stormy();
    plan.episodes.truncate(5);
    plan.episodes[0].kind = Kind::Partition { nodes: vec!["node-1".into(), "node-5".into()] };
    plan.overrides.push(message(1));
    let rest = pieces::without(&plan, &[Piece::Node(0)]);
    assert_eq!(rest.nodes[0].nodes, 4);
    assert_eq!(rest.episodes[0].kind, Kind::Partition { nodes: vec!["node-1".into()] });
    assert_eq!((rest.episodes.len(), rest.overrides.len()), (4, 1));
    assert!(rest.check(&["node", "client"]).is_ok());
    let rest = pieces::without(&plan, &[const { Piece::Node(0) }; 4]);
    assert_eq!((rest.nodes[0].nodes, rest.episodes.len(), rest.overrides.len()), (1, 1, 0));
}
