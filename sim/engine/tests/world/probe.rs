//! A small system that uses everything a node has, so that every fault finds something to hit.

use squall::plan::{Episode, Kind, Latency, Plan, RoleNodes, Weather, When};
use squall::table::Group;
use squall::{Fault, Most, RunOutcome, Scenario, Tolerance, Watch, run_plan};
use squall_env::disk::DiskError;
use squall_env::{Address, Env, Port, View, buggify};
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
    Scenario::new("test/probe")
        .nodes("node", 3..=3, serve)
        .tolerates(tolerance)
        .leader(|| |view: &View<'_>| view.up::<Leads>().next().map(|leads| leads.node))
}

/// What the node on show leads.
struct Leads;

async fn serve(env: Env) -> Result<(), DiskError> {
    env.show("leads", Leads);
    let mut log = env.open_file("log", true).await?;
    env.sync_directory("").await?;
    env.ready();
    let Ok(mut socket) = env.bind(Port::named("probe")) else { return Ok(()) };
    let listener = env.clone();
    let peers = env.addresses("node", Port::named("probe"));
    let me = env.me();
    let sender = env.clone();
    let pause = env.knob("probe/pause", 10, 1, 50);
    stream(&env);
    env.spawn("talk", async move {
        let Ok(out) = sender.bind(Port::ANY) else { return };
        for number in 0u64.. {
            sender.sleep(Duration::from_millis(pause)).await;
            for peer in peers.iter().filter(|peer| peer.node != me) {
                out.send(*peer, &number.to_le_bytes());
            }
            if let Some(peer) = peers.iter().find(|peer| peer.node != me) {
                out.send(Address::new(peer.node, Port::named("slow")), &[0; 40]);
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
    let slow = env.clone();
    env.spawn("slow", async move {
        let Ok(mut socket) = slow.bind(Port::named("slow")) else { return };
        let mut buffer = Vec::new();
        while socket.receive(&mut buffer).await.is_ok() {
            slow.sleep(Duration::from_millis(50)).await;
        }
    });
    for number in 0u64.. {
        log.append(vec![number as u8; 700]).await?;
        if number % 3 == 0 {
            log.sync().await?;
        }
        if number % 5 == 0 {
            log.read_at(0, 100).await?;
            env.open_file(&format!("extra-{number}"), true).await?;
        }
        env.sleep(Duration::from_millis(7)).await;
    }
    Ok(())
}

/// Every node takes connections and gives back what it reads, and keeps one to the next node busy
/// with what takes several segments.
fn stream(env: &Env) {
    let port = Port::named("probe");
    let server = env.clone();
    env.spawn("serve streams", async move {
        let Ok(mut listener) = server.listen(port) else { return };
        while let Ok(mut stream) = listener.accept().await {
            server.spawn("echo", async move {
                let mut bytes = [0; 512];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    if stream.write_all(&bytes[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let client = env.clone();
    env.spawn("use streams", async move {
        let peers = client.addresses("node", port);
        let next = peers[usize::from(client.me().ordinal()) % peers.len()];
        loop {
            let exchange = async {
                let mut stream = client.connect(next).await.map_err(|_| ())?;
                for _ in 0..20 {
                    stream.write_all(&[7; 3_000]).await.map_err(|_| ())?;
                    stream.read_exact(&mut [0; 3_000]).await.map_err(|_| ())?;
                }
                Ok::<(), ()>(())
            };
            // Whatever came of it, the next one follows.
            let _ = client.timeout(Duration::from_millis(500), exchange).await;
            client.sleep(Duration::from_millis(5)).await;
        }
    });
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
    let crashes = || vec![episode(1, crash("node-2"), 200 * MS, 100 * MS)];
    match fault.row().group {
        Group::Process | Group::Network if kind(fault).is_some() => {}
        _ => strengthen(fault, &mut plan.weather),
    }
    match fault {
        // What a power loss does needs one.
        Fault::LostWrites
        | Fault::TornWrites
        | Fault::Garbage
        | Fault::LengthWithoutData
        | Fault::LostEntries => plan.episodes = crashes(),
        Fault::CrashInRecovery => {
            plan.episodes = crashes();
            let from = When::Step { after_ns: 290 * MS, number: 1 };
            let kind = Kind::CrashInRecovery { node: "node-2".to_owned(), power_loss: true };
            plan.episodes.push(Episode { id: 2, kind, from, for_ns: Some(50 * MS) });
        }
        _ => {
            let kind = kind(fault).into_iter();
            plan.episodes = kind.map(|kind| episode(1, kind, 200 * MS, 200 * MS)).collect();
        }
    }
    plan
}

fn strengthen(fault: Fault, weather: &mut Weather) {
    match fault {
        Fault::Latency => {
            weather.latency = Latency::Uniform { low_ns: 20 * MS, high_ns: 40 * MS };
        }
        Fault::Loss => weather.loss_ppm = 300_000,
        Fault::Duplication => weather.duplication_ppm = 300_000,
        Fault::Reordering => {
            weather.reordering_ppm = 300_000;
            weather.reordering_ns = 100 * MS;
        }
        Fault::Corruption => weather.corruption_ppm = 300_000,
        Fault::QueueOverflow => weather.mailbox_max = 1,
        Fault::Bandwidth => weather.bandwidth = 500,
        Fault::Eio => weather.eio_ppm = 100_000,
        Fault::SyncFailure => weather.sync_failure_ppm = 200_000,
        Fault::ShortIo => weather.short_io_ppm = 300_000,
        Fault::ClockRate => weather.clock_rate_ppm = 20_000,
        Fault::LateTimers => {
            weather.late_timers_ppm = 300_000;
            weather.late_timers_ns = 50 * MS;
        }
        Fault::WallOffset => weather.wall_offset_ns = 3_600 * SECOND,
        Fault::WallDrift => weather.wall_drift_ppm = 50_000,
        Fault::Buggify => weather.buggify = true,
        Fault::Knobs => weather.knobs = true,
        Fault::LostWrites => weather.lost_writes = true,
        Fault::TornWrites => (weather.lost_writes, weather.torn_writes) = (true, true),
        Fault::Garbage => (weather.lost_writes, weather.garbage) = (true, true),
        Fault::LengthWithoutData => {
            (weather.lost_writes, weather.length_without_data) = (true, true);
        }
        Fault::LostEntries => weather.lost_entries = true,
        Fault::StreamReset => weather.streams.reset_ppm = 20_000,
        Fault::HalfOpen => weather.streams.half_open_ppm = 10_000,
        Fault::ConnectRefused => weather.streams.connect_refused_ppm = 300_000,
        Fault::ConnectHang => weather.streams.connect_hang_ppm = 100_000,
        Fault::ConnectReset => weather.streams.connect_reset_ppm = 300_000,
        Fault::BackPressure => weather.streams.back_pressure = true,
        Fault::StreamShortIo => weather.streams.short_io_ppm = 500_000,
        _ => {}
    }
}

/// The episode of a fault that has one.
pub(crate) fn kind(fault: Fault) -> Option<Kind> {
    let node = "node-2".to_owned();
    let two = || vec!["node-2".to_owned(), "node-1".to_owned()];
    let by_ns = SECOND as i64;
    Some(match fault {
        Fault::Crash => Kind::Crash { node, power_loss: true },
        Fault::CrashLoop => Kind::CrashLoop { node, power_loss: true, times: 3 },
        Fault::GracefulStop => Kind::GracefulStop { node, grace_ns: 20 * MS },
        Fault::Pause => Kind::Pause { node },
        Fault::Suspend => Kind::Suspend { node },
        Fault::SlowNode => Kind::SlowNode { node, by_ns: 50 * MS },
        Fault::Wipe => Kind::Wipe { node },
        Fault::SwappedDisks => Kind::SwappedDisks { nodes: two() },
        Fault::Stall => Kind::Stall { node },
        Fault::SlowDisk => Kind::SlowDisk { node, factor: 50 },
        Fault::DiskFull => Kind::DiskFull { node },
        Fault::LyingSync => Kind::LyingSync { node },
        Fault::BitRot => Kind::BitRot { node },
        Fault::MisdirectedWrite => Kind::MisdirectedWrite { node },
        Fault::OldDisk => Kind::OldDisk { node, age_ns: 100 * MS },
        Fault::Partition => Kind::Partition { nodes: vec![node] },
        Fault::OneWay => Kind::PartitionOneWay { nodes: vec![node] },
        Fault::IsolateOne => Kind::IsolateOne { node },
        Fault::IsolateLeader => Kind::IsolateLeader {},
        Fault::MajoritiesRing => {
            Kind::MajoritiesRing { nodes: (1..=3).map(|n| format!("node-{n}")).collect() }
        }
        Fault::Bridge => Kind::Bridge { nodes: two() },
        Fault::ClogLink => Kind::ClogLink { nodes: two() },
        Fault::ClogNode => Kind::ClogNode { node },
        Fault::SwizzleClog => Kind::SwizzleClog { nodes: two() },
        Fault::WallForward => Kind::WallStep { node, by_ns },
        Fault::WallBack => Kind::WallStep { node, by_ns: -by_ns },
        Fault::WallStrobe => Kind::WallStrobe { node, by_ns, every_ns: 10 * MS },
        _ => return None,
    })
}

/// What the plan of a fault is without it.
pub(crate) fn without(fault: Fault) -> Plan {
    let mut plan = only(fault);
    match fault {
        // A loss needs a crash to show, and a second crash a first one.
        Fault::LostWrites | Fault::LostEntries => plan.weather = calm(3).weather,
        Fault::TornWrites | Fault::Garbage | Fault::LengthWithoutData => {
            plan.weather = calm(3).weather;
            plan.weather.lost_writes = true;
        }
        Fault::CrashInRecovery => {
            plan.episodes.pop();
        }
        _ => plan = calm(3),
    }
    plan
}
