use crate::probe::{MS, calm, crash, episode, notes};
use squall::plan::RoleNodes;
use squall::{
    AuditMoment, AuditView, Client, Combined, Most, Plan, Scenario, Tolerance, Watch, run, run_plan,
};
use squall_env::disk::DiskError;
use squall_env::{Env, Facet, NodeId, View};
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

/// How many lines a node has stored.
struct Stored(u64);

/// Two nodes that store a line every ten milliseconds, and sync it.
async fn store(env: Env) -> Result<(), DiskError> {
    let mut log = env.open_file("log", true).await?;
    env.sync_directory("").await?;
    let stored = env.show("stored", Stored(log.length()));
    env.ready();
    loop {
        env.sleep(Duration::from_millis(10)).await;
        log.append(vec![7]).await?;
        log.sync().await?;
        stored.update(&env, |stored| stored.0 += 1);
    }
}

async fn wait(client: Client) -> Result<(), Infallible> {
    client.after_heal().await;
    client.env().sleep(Duration::from_millis(50)).await;
    Ok(())
}

fn storing() -> Scenario {
    Scenario::new("test/kinds")
        .nodes("node", 2..=2, store)
        .clients("client", 1..=1, wait)
        .tolerates(
            Tolerance::nothing().crashes().lost_unsynced_writes().impaired("node", Most::Any),
        )
}

/// With a crash of the first node, or without.
fn plan(crashes: bool) -> Plan {
    let role = |role: &str, nodes| RoleNodes { role: role.to_owned(), nodes };
    let mut plan = Plan::calm(vec![role("node", 2), role("client", 1)], 300 * MS);
    plan.weather.lost_writes = true;
    if crashes {
        plan.episodes = vec![episode(1, crash("node-1"), 100 * MS, 50 * MS)];
    }
    plan
}

fn run_calm(scenario: &Scenario, crashes: bool) {
    let outcome = run_plan(scenario, 1, &plan(crashes), Watch::default());
    assert_eq!(outcome.failure, None);
}

#[test]
fn a_property_sees_what_async_code_shows_and_only_while_its_node_is_up() {
    let seen: &'static Mutex<Vec<(u64, NodeId, u64)>> = notes();
    let scenario = storing().always("it grows", move || {
        move |view: &View<'_>| {
            let all = view.up::<Stored>().map(|stored| (view.now_ns() / MS, stored.node, stored.0));
            seen.lock().unwrap().extend(all);
            Ok(())
        }
    });
    run_calm(&scenario, true);
    let seen = seen.lock().unwrap();
    let of = |node: u16| seen.iter().filter(move |(_, id, _)| id.ordinal() == node);
    assert!(of(1).chain(of(2)).all(|(at, _, stored)| *stored <= at / 10 + 1));
    assert!(of(1).any(|(at, _, stored)| *at > 200 && *stored > 5));
    // From the crash until it is back, there is nothing to be seen of the first.
    assert!(!of(1).any(|(at, ..)| (101..150).contains(at)));
    assert!(of(2).any(|(at, ..)| (101..150).contains(at)));
    let untouched = storing().always("not a string", || {
        |view: &View<'_>| match view.up::<String>().next() {
            Some(_) => Err("nobody shows one".to_owned()),
            None => Ok(()),
        }
    });
    run_calm(&untouched, true);
}

/// What an audit has seen: when, of how many lines the first node's disk is sure, and how many
/// lines each running node shows.
type Audited = (AuditMoment, usize, Vec<u64>);

fn audited(crashes: bool) -> Vec<Audited> {
    let seen: &'static Mutex<Vec<Audited>> = notes();
    let scenario = storing().audit("disks hold what is shown", move || {
        move |audit: &AuditView<'_>| {
            let mut shown = Vec::new();
            for stored in audit.view().up::<Stored>() {
                let disk = audit.disk(stored.node).ok_or("it has no disk")?;
                let lines = disk.file("log").map_or(0, <[u8]>::len) as u64;
                if lines < stored.0 {
                    return Err(format!("{} of {} lines are durable", lines, stored.0));
                }
                shown.push(stored.0);
            }
            let node = audit.roster().find("node-1").and_then(|node| audit.disk(node));
            let lines = node.and_then(|disk| disk.file("log")).map_or(0, <[u8]>::len);
            seen.lock().unwrap().push((audit.moment(), lines, shown));
            Ok(())
        }
    });
    run_calm(&scenario, crashes);
    std::mem::take(&mut seen.lock().unwrap())
}

#[test]
fn audits_take_place_at_crashes_restarts_heal_and_end_and_see_disks_and_states() {
    let node = NodeId::new(0, 1);
    let seen = audited(true);
    let moments: Vec<AuditMoment> = seen.iter().map(|(moment, ..)| *moment).collect();
    use AuditMoment::{Crash, End, Heal, Restart};
    assert_eq!(moments, [Crash(node), Restart(node), Heal, End]);
    let [(_, crashed, up), (_, restarted, again), (_, healed, _), (_, ended, _)] = &seen[..] else {
        panic!("{seen:?}")
    };
    // The crashed node has nothing on show, and its disk is there.
    assert_eq!((up.len(), again.len()), (1, 2));
    assert!((1..10).contains(crashed) && crashed <= restarted, "{seen:?}");
    assert!(restarted < healed && healed < ended, "{seen:?}");
    let moments: Vec<AuditMoment> = audited(false).iter().map(|(moment, ..)| *moment).collect();
    assert_eq!(moments, [Heal, End]);
}

#[test]
fn an_audit_that_fails_at_a_crash_says_so_there() {
    let scenario = storing().audit("nobody crashes", || {
        |audit: &AuditView<'_>| match audit.moment() {
            AuditMoment::Crash(node) => Err(format!("{} has", audit.roster().name(node))),
            _ => Ok(()),
        }
    });
    let outcome = run_plan(&scenario, 1, &plan(true), Watch::default());
    let failure = outcome.failure.expect("a node crashes");
    assert_eq!((failure.at_ns, failure.story), (100 * MS, vec!["node-1 has".to_owned()]));
    run_calm(&scenario, false);
}

/// A node that reports the height of something, or does not.
fn flood(report: bool) -> Scenario {
    Scenario::new("test/watermark").clients("client", 2..=2, move |client: Client| async move {
        let env = client.env();
        for _ in 0..5 {
            env.sleep(Duration::from_millis(1)).await;
            let height = env.random_below(1_000);
            if report {
                env.watermark("flood", height);
                env.watermark("low", 3);
            }
        }
        Ok::<(), Infallible>(())
    })
}

#[test]
fn a_watermark_is_the_greatest_of_a_run_and_changes_nothing_of_it() {
    let plan = Plan::calm(vec![RoleNodes { role: "client".to_owned(), nodes: 2 }], 300 * MS);
    let ended = |report| run_plan(&flood(report), 5, &plan, Watch::default());
    let (told, silent) = (ended(true), ended(false));
    assert_eq!(told.watermarks.len(), 2);
    let [("flood", most), ("low", 3)] = told.watermarks[..] else { panic!("another is there") };
    assert!((500..1_000).contains(&most), "the greatest of ten draws is {most}");
    assert_eq!(silent.watermarks, []);
    assert_eq!(told.digest, silent.digest);
}

#[derive(Clone, Copy)]
enum Phase {
    Query,
    Store,
}

impl Facet for Phase {
    const VALUES: &'static [&'static str] = &["query", "store"];

    fn index(&self) -> usize {
        *self as usize
    }
}

/// A client meets each phase by day, and by night the first alone, or both.
fn days(always_both: bool) -> Scenario {
    Scenario::new("test/days")
        .clients("client", 1..=1, move |client: Client| async move {
            let env = client.env();
            let night = env.random_below(2) == 0;
            env.sometimes_each("a day", &(Phase::Query, night));
            if !night || always_both {
                env.sometimes_each("a day", &(Phase::Store, night));
            }
            Ok::<(), Infallible>(())
        })
        .sometimes_each::<(Phase, bool)>("a day", ["phase", "night"])
}

#[test]
fn combinations_are_counted_and_those_that_no_seed_has_seen_are_named() {
    let combined = |values: [&'static str; 2]| {
        let values = values.to_vec();
        Combined { name: "a day", values, times: 1 }
    };
    let night = (0..20).map(|seed| run(&days(false), seed)).find(|o| o.combined.len() == 1);
    assert_eq!(night.expect("there is one").combined, [combined(["query", "yes"])]);
    let day = (0..20).map(|seed| run(&days(false), seed)).find(|o| o.combined.len() == 2);
    let wanted = [combined(["query", "no"]), combined(["store", "no"])];
    assert_eq!(day.expect("there is one").combined, wanted);
    assert_eq!(days(true).seeds(0..200).outcome(), Ok(()));
    let unseen = days(false).seeds(0..200).outcome().expect_err("one is never seen");
    let wanted = "none of 200 seeds reached \"a day\" with phase: store, night: yes";
    assert_eq!(unseen, format!("test/days: {wanted}"));
    // So few seeds say nothing.
    assert_eq!(days(false).seeds(0..199).outcome(), Ok(()));
}

#[test]
fn a_scenario_without_them_reports_none() {
    let outcome = run_plan(&storing(), 1, &plan(false), Watch::default());
    assert!(outcome.combined.is_empty() && outcome.watermarks.is_empty());
    assert_eq!(calm(1).script, []);
}

/// How often a client has started, and that it is up.
#[derive(Default)]
struct Starts(u32);
struct IsUp;

#[test]
fn what_a_client_keeps_is_seen_while_it_is_down_and_found_by_its_next_boot() {
    static SEEN: Mutex<Vec<(Option<u32>, bool)>> = Mutex::new(Vec::new());
    let scenario = Scenario::new("test/keep")
        .clients("client", 1..=1, |client: Client| async move {
            client.env().show("is up", IsUp);
            client.keep::<Starts>("starts").update(client.env(), |starts| starts.0 += 1);
            // To ask for it again changes nothing, and another name is another value.
            assert_eq!(client.keep::<Starts>("other starts").read(|starts| starts.0), 0);
            wait(client).await
        })
        .tolerates(Tolerance::nothing().crashes().impaired("client", Most::Any))
        .always("somebody looks", || {
            |view: &View<'_>| {
                let starts = view.up::<Starts>().find(|starts| starts.name == "starts");
                let seen = (starts.map(|starts| starts.0), view.up::<IsUp>().next().is_some());
                let mut all = SEEN.lock().expect("nobody panics");
                if all.last() != Some(&seen) {
                    all.push(seen);
                }
                Ok(())
            }
        });
    let roles = vec![RoleNodes { role: "client".to_owned(), nodes: 1 }];
    let mut plan = Plan::calm(roles, 300 * MS);
    plan.episodes = vec![episode(1, crash("client-1"), 100 * MS, 50 * MS)];
    let outcome = run_plan(&scenario, 1, &plan, Watch::default());
    assert_eq!(outcome.failure, None);
    let seen = SEEN.lock().expect("nobody panics").clone();
    let wanted = [(Some(1), true), (Some(1), false), (Some(2), true)];
    let mut wanted = wanted.iter().peekable();
    for one in &seen {
        wanted.next_if(|next| *next == one);
    }
    assert_eq!(wanted.next(), None, "{seen:?}");
    assert!(seen.iter().all(|(starts, _)| starts.is_none_or(|starts| starts > 0)), "{seen:?}");
}
