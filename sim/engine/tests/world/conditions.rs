use crate::probe::{MS, SECOND, calm, crash, episode, notes, run_until};
use squall::plan::{Episode, Kind, Latency, Plan};
use squall::{Conditions, Fault, Most, Scenario, Tolerance, conditions};
use squall_env::{Env, NodeId, Port, View};
use std::sync::Mutex;
use std::time::Duration;

type Seen<T> = &'static Mutex<Vec<T>>;

fn node(n: u16) -> String {
    format!("node-{n}")
}

fn tolerance() -> Tolerance {
    Tolerance::nothing()
        .impaired("node", Most::Nodes(1))
        .crashes()
        .any_network()
        .corrupt_disks()
        .lost_unsynced_writes()
}

/// Nodes that do next to nothing, and a property that notes the conditions whenever it is asked.
fn watched(plan: Plan, asks: bool) -> (Vec<Conditions>, squall::RunOutcome) {
    let seen: Seen<Conditions> = notes();
    let scenario = Scenario::new("test/conditions")
        .nodes("node", 2..=2, |env: Env| async move {
            env.show("nothing", ());
            let mut file = env.open_file("f", true).await.map_err(|e| e.to_string())?;
            env.ready();
            loop {
                env.sleep(Duration::from_millis(40)).await;
                file.append(vec![1; 700]).await.map_err(|e| e.to_string())?;
                file.sync().await.map_err(|e| e.to_string())?;
            }
            #[allow(unreachable_code, reason = "it gives the type of the error")]
            Ok::<(), String>(())
        })
        .tolerates(tolerance())
        .always("it is noted", move || {
            move |_view: &View<'_>| {
                if asks {
                    seen.lock().unwrap().push(conditions().expect("a run is under way"));
                }
                Ok(())
            }
        });
    let outcome = run_until(&scenario, 1, &plan, 2 * SECOND);
    assert_eq!(outcome.failure, None);
    (seen.lock().unwrap().clone(), outcome)
}

fn plan(episodes: Vec<Episode>) -> Plan {
    Plan { episodes, heal_at_ns: SECOND, ..calm(2) }
}

#[test]
fn a_property_learns_of_every_strike_and_every_end_at_that_moment() {
    let episodes = vec![
        episode(1, Kind::Pause { node: node(1) }, 100 * MS, 50 * MS),
        episode(2, Kind::Stall { node: node(2) }, 110 * MS, 50 * MS),
        episode(3, crash("node-1"), 300 * MS, 100 * MS),
        episode(4, Kind::Partition { nodes: vec![node(1)] }, 500 * MS, 2 * SECOND),
        episode(5, Kind::MisdirectedWrite { node: node(2) }, 600 * MS, 1),
    ];
    let (seen, _) = watched(plan(episodes), true);
    let at = |ns: u64| seen.iter().rfind(|now| now.now_ns == ns).cloned().unwrap();
    let open = |now: &Conditions| -> Vec<u32> {
        let open = now.struck.iter().filter(|struck| struck.until_ns.is_none());
        open.map(|struck| struck.episode.id).collect()
    };
    assert_eq!(open(&at(100 * MS)), [1]);
    assert!(at(100 * MS).nodes[0].impaired && !at(100 * MS).nodes[1].impaired);
    // The stall of the other one was refused, and never shows.
    assert_eq!(open(&at(150 * MS)), [0; 0]);
    assert!(seen.iter().all(|now| now.struck.iter().all(|struck| struck.episode.id != 2)));
    let down = at(300 * MS).nodes[0];
    assert_eq!((down.up, down.power_losses, down.boots, down.budget), (false, 1, 1, Some(1)));
    assert_eq!(open(&at(500 * MS)), [4]);
    let healed = at(SECOND);
    assert!(healed.healed && open(&healed).is_empty());
    // The write went astray when there was one, and that is when it counts.
    let astray = healed.struck.iter().find(|struck| struck.episode.id == 5).unwrap();
    assert!(astray.since_ns >= 600 * MS && astray.until_ns == Some(astray.since_ns));
    let cut = healed.struck.iter().find(|struck| struck.episode.id == 4).unwrap();
    assert!(cut.holds_at(700 * MS) && !cut.holds_at(500 * MS) && !cut.holds_at(SECOND));
    assert!(cut.overlaps(0, 501 * MS) && !cut.overlaps(0, 500 * MS));
}

#[test]
fn to_ask_for_the_conditions_changes_nothing_in_the_run() {
    let episodes = vec![episode(1, crash("node-1"), 300 * MS, 100 * MS)];
    let (asked, with) = watched(plan(episodes.clone()), true);
    let (silent, without) = watched(plan(episodes), false);
    assert!(!asked.is_empty() && silent.is_empty());
    assert_eq!(with.digest, without.digest);
    assert_eq!(conditions(), None, "outside of a run there are none");
}

/// When a node noted what, in milliseconds of its monotonic clock since its first boot.
fn timeline(episodes: Vec<Episode>) -> Vec<(u64, &'static str)> {
    let seen: Seen<(u64, &'static str)> = notes();
    let scenario = Scenario::new("test/still")
        .nodes("node", 2..=2, move |env: Env| async move {
            env.ready();
            let me = env.me() == NodeId::new(0, 1);
            let note = |what| {
                if me {
                    seen.lock().unwrap().push((env.now().as_nanos(), what));
                }
            };
            note("boots");
            env.stopping().await;
            note("is asked to stop");
            std::future::pending::<Result<(), String>>().await
        })
        .tolerates(tolerance());
    let outcome = run_until(&scenario, 1, &plan(episodes), 2 * SECOND);
    assert_eq!(outcome.failure, None);
    let seen = seen.lock().unwrap().clone();
    seen.iter().map(|(at, what)| ((at - seen[0].0) / MS, *what)).collect()
}

#[test]
fn who_stands_still_hears_of_a_stop_when_it_goes_on() {
    let pause = episode(1, Kind::Pause { node: node(1) }, 100 * MS, 100 * MS);
    let stop = Kind::GracefulStop { node: node(1), grace_ns: 300 * MS };
    let seen = timeline(vec![pause, episode(2, stop, 150 * MS, 400 * MS)]);
    assert_eq!(seen, [(0, "boots"), (200, "is asked to stop"), (550, "boots")]);
}

#[test]
fn nothing_starts_on_a_node_that_stands_still() {
    let crash = episode(2, crash("node-1"), 150 * MS, 100 * MS);
    let pause = episode(1, Kind::Pause { node: node(1) }, 100 * MS, 300 * MS);
    assert_eq!(timeline(vec![pause, crash.clone()]), [(0, "boots"), (400, "boots")]);
    // The clock of a suspended node has not gone on in the meantime.
    let suspend = episode(1, Kind::Suspend { node: node(1) }, 100 * MS, 300 * MS);
    assert_eq!(timeline(vec![suspend, crash]), [(0, "boots"), (100, "boots")]);
}

#[test]
fn the_copy_of_a_message_waits_for_its_clogged_link_too() {
    let seen: Seen<u64> = notes();
    let scenario = Scenario::new("test/copies")
        .nodes("node", 2..=2, move |env: Env| async move {
            let start = env.now();
            let mut socket = env.bind(Port::named("c")).map_err(|e| e.to_string())?;
            if env.me().ordinal() == 1 {
                env.sleep(Duration::from_millis(100)).await;
                let to = env.addresses("node", socket.port())[1];
                (0..50u8).for_each(|number| socket.send(to, &[number]));
            }
            let mut bytes = Vec::new();
            while socket.receive(&mut bytes).await.is_ok() {
                seen.lock().unwrap().push((env.now() - start).as_millis() as u64);
            }
            Ok::<(), String>(())
        })
        .tolerates(tolerance());
    let clog = Kind::ClogLink { nodes: vec![node(1), node(2)] };
    let mut plan = plan(vec![episode(1, clog, 50 * MS, 400 * MS)]);
    plan.weather.latency = Latency::Uniform { low_ns: MS, high_ns: MS };
    plan.weather.duplication_ppm = 500_000;
    let outcome = run_until(&scenario, 1, &plan, 2 * SECOND);
    let copies = outcome.faults[Fault::Duplication as usize].fired;
    let seen = seen.lock().unwrap();
    assert!(copies > 10 && seen.len() as u64 == 50 + copies);
    assert!(seen.iter().all(|at| *at == 451), "{seen:?}");
}
