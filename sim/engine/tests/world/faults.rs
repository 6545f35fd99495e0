use crate::probe::{MS, SECOND, calm, crash, episode, notes, only, probe, run_until, without};
use squall::plan::{Kind, Latency};
use squall::table::TABLE;
use squall::{Fault, Scenario, Tolerance};
use squall_env::{Env, Port};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

/// How many seeds a fault that needs luck may take to show.
const SEEDS: u64 = 20;

#[test]
fn every_fault_counts_and_changes_the_run() {
    for row in TABLE {
        let changed = (0..SEEDS).any(|seed| {
            let with = run_until(&probe(), seed, &only(row.fault), SECOND);
            let without = run_until(&probe(), seed, &without(row.fault), SECOND);
            assert_eq!(with.failure, None, "{}", row.name);
            let fired = with.faults[row.fault as usize].fired > 0;
            fired && with.digest != without.digest
        });
        assert!(changed, "{} never had an effect in {SEEDS} seeds", row.name);
    }
}

#[test]
fn a_fault_that_is_off_never_counts() {
    for row in TABLE.iter().filter(|row| row.fault != Fault::Latency) {
        for seed in 0..3 {
            let outcome = run_until(&probe(), seed, &without(row.fault), SECOND);
            assert_eq!(outcome.faults[row.fault as usize].fired, 0, "{}", row.name);
            assert!(!outcome.configured.has(row.fault), "{}", row.name);
        }
    }
}

#[test]
fn a_fault_that_is_not_tolerated_never_strikes() {
    let strict = || probe().tolerates(Tolerance::nothing());
    for fault in [Fault::Crash, Fault::Pause, Fault::Stall, Fault::IsolateOne, Fault::WallBack] {
        let outcome = run_until(&strict(), 1, &only(fault), SECOND);
        assert_eq!(outcome.faults[fault as usize].fired, 0, "{}", fault.name());
    }
}

type Seen = &'static Mutex<Vec<(u64, Vec<u8>)>>;

/// One node sends a hundred numbered messages, a millisecond apart; the other notes when (on its
/// clock, from its first look) each came.
fn pair(seen: Seen) -> Scenario {
    Scenario::new("test/pair")
        .nodes("node", 2..=2, move |env: Env| async move {
            let start = env.now();
            let mut socket = env.bind(Port::named("pair")).map_err(|e| e.to_string())?;
            if env.me().ordinal() == 1 {
                let to = env.addresses("node", socket.port())[1];
                for number in 0..100u8 {
                    socket.send(to, &[number; 9]);
                    env.sleep(Duration::from_millis(1)).await;
                }
            }
            let mut buffer = Vec::new();
            while socket.receive(&mut buffer).await.is_ok() {
                let since = (env.now() - start).as_nanos() as u64;
                seen.lock().unwrap().push((since, buffer.clone()));
            }
            Ok::<(), String>(())
        })
        .tolerates(Tolerance::nothing().any_network().any_clock())
}

fn pair_plan() -> squall::Plan {
    let mut plan = calm(2);
    plan.weather.latency = Latency::Uniform { low_ns: MS, high_ns: MS };
    plan
}

fn received(plan: &squall::Plan) -> Vec<(u64, Vec<u8>)> {
    let seen: Seen = notes();
    run_until(&pair(seen), 5, plan, 10 * SECOND);
    std::mem::take(&mut seen.lock().unwrap())
}

fn numbers(received: &[(u64, Vec<u8>)]) -> Vec<u8> {
    received.iter().map(|(_, bytes)| bytes[0]).collect()
}

#[test]
fn calm_messages_all_arrive_once_in_order_and_whole() {
    let received = received(&pair_plan());
    assert_eq!(numbers(&received), (0..100).collect::<Vec<u8>>());
    assert!(received.iter().all(|(_, bytes)| bytes.iter().all(|byte| *byte == bytes[0])));
}

#[test]
fn latency_lies_in_the_drawn_range() {
    let mut plan = pair_plan();
    plan.weather.latency = Latency::Uniform { low_ns: 20 * MS, high_ns: 30 * MS };
    let received = received(&plan);
    assert_eq!(received.len(), 100);
    for (at, bytes) in received {
        let after = at - u64::from(bytes[0]) * MS;
        assert!((20 * MS..=30 * MS).contains(&after), "{after}");
    }
}

#[test]
fn loss_takes_about_its_share_of_messages() {
    let mut plan = pair_plan();
    plan.weather.loss_ppm = 300_000;
    let received = received(&plan).len();
    assert!((50..90).contains(&received), "{received} of 100");
}

#[test]
fn duplication_delivers_the_same_bytes_twice() {
    let mut plan = pair_plan();
    plan.weather.duplication_ppm = 300_000;
    let received = numbers(&received(&plan));
    let different: BTreeSet<u8> = received.iter().copied().collect();
    assert_eq!(different.len(), 100);
    assert!((115..150).contains(&received.len()), "{}", received.len());
}

#[test]
fn reordering_lets_later_messages_overtake() {
    let mut plan = pair_plan();
    plan.weather.reordering_ppm = 200_000;
    plan.weather.reordering_ns = 50 * MS;
    let received = numbers(&received(&plan));
    assert_eq!(received.len(), 100);
    assert!(!received.is_sorted());
}

#[test]
fn corruption_flips_a_few_bits_and_keeps_the_length() {
    let mut plan = pair_plan();
    plan.weather.corruption_ppm = 300_000;
    let received = received(&plan);
    assert_eq!(received.len(), 100);
    let mut damaged = 0;
    for (place, (_, bytes)) in received.iter().enumerate() {
        assert_eq!(bytes.len(), 9);
        let flips: u32 = bytes.iter().map(|byte| (byte ^ place as u8).count_ones()).sum();
        assert!(flips <= 9, "{flips} bits");
        damaged += u32::from(flips > 0);
    }
    assert!((15..50).contains(&damaged), "{damaged} of 100");
}

/// Which of the hundred messages fall into a window of sending times.
fn cut_off(kind: Kind) -> Vec<u8> {
    let mut plan = pair_plan();
    plan.episodes = vec![episode(1, kind, 20 * MS + 1, 30 * MS)];
    let received = numbers(&received(&plan));
    (0..100).filter(|number| !received.contains(number)).collect()
}

#[test]
fn a_partition_stops_what_is_sent_or_under_way_and_nothing_else() {
    let group = vec!["node-1".to_owned()];
    // Message 20 is on its way when the cut begins, and 50 is sent just before it ends.
    let window: Vec<u8> = (20..=50).collect();
    assert_eq!(cut_off(Kind::Partition { nodes: group.clone() }), window);
    assert_eq!(cut_off(Kind::IsolateOne { node: "node-2".to_owned() }), window);
    assert_eq!(cut_off(Kind::PartitionOneWay { nodes: group }), window);
}

#[test]
fn a_one_way_partition_lets_the_other_way_pass() {
    let other = Kind::PartitionOneWay { nodes: vec!["node-2".to_owned()] };
    assert!(cut_off(other).is_empty());
}

#[test]
fn a_paused_node_gets_everything_when_it_goes_on() {
    let mut plan = pair_plan();
    let node = "node-2".to_owned();
    plan.episodes = vec![episode(1, Kind::Pause { node }, 20 * MS, 30 * MS)];
    let seen: Seen = notes();
    let scenario =
        pair(seen).tolerates(Tolerance::nothing().crashes().impaired("node", squall::Most::Any));
    run_until(&scenario, 5, &plan, 10 * SECOND);
    let received = seen.lock().unwrap();
    assert_eq!(received.len(), 100);
    assert!(received.iter().all(|(at, _)| !(20 * MS + 1..50 * MS).contains(at)));
    let burst = received.iter().filter(|(at, _)| *at == 50 * MS).count();
    assert!(burst >= 29, "{burst} at once");
}

/// What a node's clocks say, every millisecond of its own.
fn clocks(plan: &squall::Plan) -> Vec<(u64, i64)> {
    let seen: &'static Mutex<Vec<(u64, i64)>> = notes();
    let scenario = Scenario::new("test/clock")
        .nodes("node", 1..=1, move |env: Env| async move {
            let start = (env.now(), env.wall().as_unix_nanos());
            for _ in 0..1_000 {
                env.sleep(Duration::from_millis(1)).await;
                let wall = env.wall().as_unix_nanos() - start.1;
                seen.lock().unwrap().push(((env.now() - start.0).as_nanos() as u64, wall));
            }
            Ok::<(), String>(())
        })
        .tolerates(Tolerance::nothing().any_clock());
    run_until(&scenario, 3, plan, 5 * SECOND);
    std::mem::take(&mut seen.lock().unwrap())
}

#[test]
fn calm_clocks_agree_and_timers_are_exact() {
    for (at, (mono, wall)) in clocks(&calm(1)).into_iter().enumerate() {
        assert_eq!((mono, wall), ((at as u64 + 1) * MS, (at as i64 + 1) * MS as i64));
    }
}

#[test]
fn a_wall_clock_steps_back_and_the_monotonic_one_does_not() {
    let mut plan = calm(1);
    let kind = Kind::WallStep { node: "node-1".to_owned(), by_ns: -(SECOND as i64) };
    plan.episodes = vec![episode(1, kind, 300 * MS + 5, 1)];
    let seen = clocks(&plan);
    assert_eq!(seen[299], (300 * MS, 300 * MS as i64));
    assert_eq!(seen[300], (301 * MS, 301 * MS as i64 - SECOND as i64));
}

#[test]
fn a_wall_clock_that_drifts_leaves_the_monotonic_one_within_its_bound() {
    let mut plan = calm(1);
    plan.weather.wall_drift_ppm = 50_000;
    let (mono, wall) = clocks(&plan)[999];
    let off = wall - mono as i64;
    assert!(off != 0 && off.unsigned_abs() <= mono / 20, "{off} ns");
}

#[test]
fn a_wrong_clock_rate_shows_against_true_time_and_not_to_the_node() {
    let ends = |ppm| {
        let ended: &'static Mutex<Vec<u64>> = notes();
        let mut plan = calm(1);
        plan.weather.clock_rate_ppm = ppm;
        let scenario = Scenario::new("test/rate")
            .nodes("node", 1..=1, move |env: Env| async move {
                let start = env.now();
                env.sleep(Duration::from_secs(1)).await;
                ended.lock().unwrap().push((env.now() - start).as_nanos() as u64);
                Ok::<(), String>(())
            })
            .tolerates(Tolerance::nothing().any_clock());
        let outcome = run_until(&scenario, 3, &plan, 5 * SECOND);
        let own = ended.lock().unwrap()[0];
        (outcome.end_ns, own)
    };
    assert_eq!(ends(0), (SECOND, SECOND));
    let (true_ns, own_ns) = ends(20_000);
    assert_ne!(true_ns, SECOND);
    assert!(true_ns.abs_diff(SECOND) <= SECOND / 40, "{true_ns}");
    // Late by what one tick of true time is worth, never early.
    assert!((SECOND..SECOND + 3).contains(&own_ns), "{own_ns}");
}

#[test]
fn a_restart_starts_the_role_anew_after_the_drawn_time() {
    let boots: &'static Mutex<Vec<u64>> = notes();
    let scenario = Scenario::new("test/restart")
        .nodes("node", 1..=1, move |env: Env| async move {
            boots.lock().unwrap().push(env.now().as_nanos());
            env.ready();
            std::future::pending::<Result<(), String>>().await
        })
        .tolerates(Tolerance::nothing().crashes().impaired("node", squall::Most::Any));
    let mut plan = calm(1);
    plan.episodes = vec![episode(1, crash("node-1"), 100 * MS, 250 * MS)];
    run_until(&scenario, 1, &plan, SECOND);
    let boots = boots.lock().unwrap();
    assert_eq!(boots.len(), 2);
    assert_eq!(boots[1] - boots[0], 350 * MS);
}
