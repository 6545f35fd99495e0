//! A small system that uses everything a node has, so that every fault finds something to hit.

use squall::plan::{Episode, Kind, Plan, RoleNodes, When};
use squall::{Fault, Most, RunOutcome, Scenario, Tolerance, Watch, run_plan};
use squall_env::disk::DiskError;
use squall_env::{Env, Port, buggify};
use std::sync::Mutex;
use std::time::Duration;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// A place for what nodes saw. It is leaked, since roles may own nothing.
pub(crate) fn notes<T>() -> &'static Mutex<Vec<T>> {
    Box::leak(Box::new(Mutex::new(Vec::new())))
}

/// Three nodes that talk, write, and look at their clocks for ever.
pub(crate) fn probe() -> Scenario {
    let mut tolerance = Tolerance::nothing().impaired("node", Most::Any);
    for row in squall::table::TABLE {
        tolerance = tolerance.fault(row.fault);
    }
    Scenario::new("test/probe").nodes("node", 3..=3, serve).tolerates(tolerance)
}

async fn serve(env: Env) -> Result<(), DiskError> {
    let mut log = env.open_file("log", true).await?;
    env.sync_directory("").await?;
    env.ready();
    let Ok(mut socket) = env.bind(Port::named("probe")) else { return Ok(()) };
    let listener = env.clone();
    let peers = env.addresses("node", Port::named("probe"));
    let me = env.me();
    let sender = env.clone();
    let pause = env.knob("probe/pause", 10, 1, 50);
    env.spawn("talk", async move {
        let Ok(out) = sender.bind(Port::ANY) else { return };
        for number in 0u64.. {
            sender.sleep(Duration::from_millis(pause)).await;
            for peer in peers.iter().filter(|peer| peer.node != me) {
                out.send(*peer, &number.to_le_bytes());
            }
            if buggify!(sender, "probe/twice") {
                out.send(peers[0], b"again");
            }
            sender.wall();
        }
    });
    env.spawn("listen", async move {
        let mut buffer = Vec::new();
        while socket.receive(&mut buffer).await.is_ok() {
            listener.random();
        }
    });
    for number in 0u64.. {
        log.append(vec![number as u8; 700]).await?;
        if number % 3 == 0 {
            log.sync().await?;
        }
        if number % 5 == 0 {
            env.open_file(&format!("extra-{number}"), true).await?;
        }
        env.sleep(Duration::from_millis(7)).await;
    }
    Ok(())
}

/// A plan without faults for these many nodes of the role "node".
pub(crate) fn calm(nodes: u16) -> Plan {
    Plan::calm(vec![RoleNodes { role: "node".to_owned(), nodes }], 60 * SECOND)
}

pub(crate) fn episode(id: u32, kind: Kind, at_ns: u64, for_ns: u64) -> Episode {
    Episode { id, kind, from: When::AtNs(at_ns), for_ns: Some(for_ns) }
}

pub(crate) fn crash(node: &str) -> Kind {
    Kind::Crash { node: node.to_owned(), power_loss: true }
}

/// Runs for so many nanoseconds.
pub(crate) fn run_until(scenario: &Scenario, seed: u64, plan: &Plan, until_ns: u64) -> RunOutcome {
    run_plan(scenario, seed, plan, Watch { until_ns, ..Watch::default() })
}

/// A calm plan with one fault on, as strong as it gets.
pub(crate) fn only(fault: Fault) -> Plan {
    let mut plan = calm(3);
    let weather = &mut plan.weather;
    let node = "node-2".to_owned();
    let crashes = || vec![episode(1, crash("node-2"), 200 * MS, 100 * MS)];
    match fault {
        Fault::Latency => {
            weather.latency = squall::plan::Latency::Uniform { low_ns: 20 * MS, high_ns: 40 * MS }
        }
        Fault::Loss => weather.loss_ppm = 300_000,
        Fault::Duplication => weather.duplication_ppm = 300_000,
        Fault::Reordering => {
            weather.reordering_ppm = 300_000;
            weather.reordering_ns = 100 * MS;
        }
        Fault::Corruption => weather.corruption_ppm = 300_000,
        Fault::Eio => weather.eio_ppm = 100_000,
        Fault::SyncFailure => weather.sync_failure_ppm = 200_000,
        Fault::ClockRate => weather.clock_rate_ppm = 20_000,
        Fault::WallDrift => weather.wall_drift_ppm = 50_000,
        Fault::Buggify => weather.buggify = true,
        Fault::Knobs => weather.knobs = true,
        Fault::LostWrites => {
            weather.lost_writes = true;
            plan.episodes = crashes();
        }
        Fault::TornWrites => {
            weather.lost_writes = true;
            weather.torn_writes = true;
            plan.episodes = crashes();
        }
        Fault::LostEntries => {
            weather.lost_entries = true;
            plan.episodes = crashes();
        }
        Fault::Crash => plan.episodes = crashes(),
        Fault::CrashInRecovery => {
            plan.episodes = crashes();
            let from = When::Step { after_ns: 290 * MS, number: 1 };
            let kind = Kind::CrashInRecovery { node, power_loss: true };
            plan.episodes.push(Episode { id: 2, kind, from, for_ns: Some(50 * MS) });
        }
        Fault::Pause => plan.episodes = vec![episode(1, Kind::Pause { node }, 200 * MS, 100 * MS)],
        Fault::Stall => plan.episodes = vec![episode(1, Kind::Stall { node }, 200 * MS, 100 * MS)],
        Fault::Partition => {
            let kind = Kind::Partition { nodes: vec![node] };
            plan.episodes = vec![episode(1, kind, 200 * MS, 100 * MS)];
        }
        Fault::OneWay => {
            let kind = Kind::PartitionOneWay { nodes: vec![node] };
            plan.episodes = vec![episode(1, kind, 200 * MS, 100 * MS)];
        }
        Fault::IsolateOne => {
            plan.episodes = vec![episode(1, Kind::IsolateOne { node }, 200 * MS, 100 * MS)];
        }
        Fault::WallStep => {
            let kind = Kind::WallStep { node, by_ns: -(SECOND as i64) };
            plan.episodes = vec![episode(1, kind, 200 * MS, 1)];
        }
    }
    plan
}

/// What the plan of a fault is without it.
pub(crate) fn without(fault: Fault) -> Plan {
    let mut plan = only(fault);
    match fault {
        // A loss needs a crash to show, and a second crash a first one.
        Fault::LostWrites | Fault::TornWrites | Fault::LostEntries => {
            let calm = calm(3).weather;
            plan.weather.torn_writes = calm.torn_writes;
            plan.weather.lost_entries = calm.lost_entries;
            plan.weather.lost_writes = fault == Fault::TornWrites;
        }
        Fault::CrashInRecovery => {
            plan.episodes.pop();
        }
        _ => plan = calm(3),
    }
    plan
}
