//! How a plan is drawn from a seed.
//!
//! Each run gets a random subset of the faults that its scenario tolerates and none of the others
//! (swarm testing: Groce et al., ISSTA 2012), about one run in five gets none, rates and durations
//! are log-uniform, and clients are mostly close to the nodes.

use super::{Episode, Kind, Latency, Plan, RoleNodes, Weather, When};
use crate::choice::Stream;
use crate::table::{Fault, FaultSet};

const MS: u64 = 1_000_000;

/// The most episodes of one kind.
const EPISODES_MAX: u64 = 24;

/// What the drawing needs to know of a scenario.
pub struct Frame<'a> {
    /// The roles in roster order: name, least and greatest number of nodes, whether clients.
    pub roles: &'a [(String, u16, u16, bool)],
    /// The faults that may be drawn.
    pub faults: FaultSet,
    /// Roles that may crash, pause, stall or have failing disks.
    pub impairable: &'a [String],
    /// How long faults go on, in nanoseconds.
    pub heal_at_ns: u64,
}

/// The plan of this seed.
pub fn draw(seed: u64, frame: &Frame<'_>) -> Plan {
    let mut sizes = Stream::new(seed, "nodes");
    let nodes: Vec<RoleNodes> = frame
        .roles
        .iter()
        .map(|(role, low, high, _)| {
            let nodes = sizes.between(u64::from(*low), u64::from(*high)) as u16;
            RoleNodes { role: role.clone(), nodes }
        })
        .collect();
    let mut plan = Plan::calm(nodes, frame.heal_at_ns);
    let mut swarm = Stream::new(seed, "swarm");
    let calm = swarm.chance(200_000);
    let mut on = FaultSet::default().with(Fault::Latency);
    for row in crate::table::TABLE {
        // Drawn for every row, so that a tolerance more or less moves no other fault.
        if swarm.chance(500_000) && !calm && frame.faults.has(row.fault) {
            on = on.with(row.fault);
        }
    }
    plan.weather = draw_weather(seed, on);
    if calm {
        plan.weather.slow_link_ns = 0;
    }
    plan.episodes = draw_episodes(seed, on, frame, &plan.nodes);
    plan
}

fn draw_latency(stream: &mut Stream, low: u64, high: u64) -> Latency {
    let low_ns = stream.log_uniform(low, high / 4);
    let high_ns = stream.log_uniform(low_ns, high);
    match stream.between(0, 2) {
        0 => Latency::Uniform { low_ns, high_ns },
        1 => Latency::Exponential { low_ns, mean_ns: high_ns.div_ceil(3) },
        _ => {
            let tail_ppm = stream.log_uniform(1_000, 50_000) as u32;
            Latency::Tail { low_ns, high_ns, tail_ns: high_ns.saturating_mul(20), tail_ppm }
        }
    }
}

fn draw_weather(seed: u64, on: FaultSet) -> Weather {
    let mut weather = Weather::calm();
    let mut latency = Stream::new(seed, "latency");
    weather.latency = draw_latency(&mut latency, MS / 20, 50 * MS);
    weather.client_latency = if latency.chance(500_000) {
        Latency::Uniform { low_ns: 1_000, high_ns: 20_000 }
    } else {
        draw_latency(&mut latency, MS / 20, 10 * MS)
    };
    weather.slow_link_ns = match latency.between(0, 1) {
        0 => 0,
        _ => latency.log_uniform(MS, 500 * MS),
    };
    let mut rates = Stream::new(seed, "rates");
    // Every rate is drawn in any case, for the same reason as above.
    let mut rate = |fault: Fault, low: u64, high: u64| {
        let drawn = rates.log_uniform(low, high);
        if on.has(fault) { drawn } else { 0 }
    };
    weather.loss_ppm = rate(Fault::Loss, 1_000, 300_000) as u32;
    weather.duplication_ppm = rate(Fault::Duplication, 1_000, 300_000) as u32;
    weather.reordering_ppm = rate(Fault::Reordering, 1_000, 300_000) as u32;
    weather.reordering_ns = rate(Fault::Reordering, MS, 500 * MS);
    weather.corruption_ppm = rate(Fault::Corruption, 1_000, 100_000) as u32;
    weather.eio_ppm = rate(Fault::Eio, 100, 20_000) as u32;
    weather.sync_failure_ppm = rate(Fault::SyncFailure, 100, 20_000) as u32;
    weather.clock_rate_ppm = rate(Fault::ClockRate, 10, 20_000) as u32;
    weather.wall_drift_ppm = rate(Fault::WallDrift, 10, 50_000) as u32;
    let mut disk = Stream::new(seed, "disk");
    weather.disk_latency = draw_latency(&mut disk, MS / 100, MS);
    weather.sync_latency = draw_latency(&mut disk, MS / 20, 20 * MS);
    weather.lost_writes = on.has(Fault::LostWrites);
    weather.torn_writes = on.has(Fault::TornWrites) && weather.lost_writes;
    weather.lost_entries = on.has(Fault::LostEntries);
    weather.buggify = on.has(Fault::Buggify);
    weather.knobs = on.has(Fault::Knobs);
    weather
}

fn draw_episodes(seed: u64, on: FaultSet, frame: &Frame<'_>, nodes: &[RoleNodes]) -> Vec<Episode> {
    let names = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        let roles = nodes.iter().filter(|r| wanted(&r.role));
        roles.flat_map(|r| (1..=r.nodes).map(|n| format!("{}-{n}", r.role))).collect()
    };
    let everybody = names(&|_| true);
    let impairable = names(&|role| frame.impairable.iter().any(|name| name == role));
    let mut episodes = Vec::new();
    for fault in on.iter() {
        let mut stream = Stream::new(seed, fault.name());
        let count = stream.log_uniform(1, EPISODES_MAX);
        for number in 0..count {
            let mut draw = EpisodeDraw {
                stream: &mut stream,
                everybody: &everybody,
                impairable: &impairable,
                heal_at_ns: frame.heal_at_ns,
            };
            // The id says which fault and which of its kind, so that others keep theirs.
            let id = (fault as u32) * 10_000 + number as u32;
            draw.push(fault, id, &mut episodes);
        }
    }
    episodes
}

struct EpisodeDraw<'a> {
    stream: &'a mut Stream,
    everybody: &'a [String],
    impairable: &'a [String],
    heal_at_ns: u64,
}

impl EpisodeDraw<'_> {
    fn push(&mut self, fault: Fault, id: u32, episodes: &mut Vec<Episode>) {
        let at = self.stream.between(0, self.heal_at_ns * 9 / 10);
        let length = self.stream.log_uniform(MS, self.heal_at_ns / 2);
        let power_loss = self.stream.chance(750_000);
        let bits = self.stream.bits();
        let kind = match fault {
            Fault::Partition => self.group().map(|nodes| Kind::Partition { nodes }),
            Fault::OneWay => self.group().map(|nodes| Kind::PartitionOneWay { nodes }),
            Fault::IsolateOne => pick(self.everybody, bits).map(|node| Kind::IsolateOne { node }),
            Fault::Crash => {
                pick(self.impairable, bits).map(|node| Kind::Crash { node, power_loss })
            }
            Fault::CrashInRecovery => {
                self.push_crash_in_recovery(id, at, length, bits, episodes);
                return;
            }
            Fault::Pause => pick(self.impairable, bits).map(|node| Kind::Pause { node }),
            Fault::Stall => pick(self.impairable, bits).map(|node| Kind::Stall { node }),
            Fault::WallStep => {
                let by = self.stream.log_uniform(MS, 300_000 * MS) as i64;
                let by_ns = if self.stream.chance(500_000) { by } else { -by };
                pick(self.everybody, bits).map(|node| Kind::WallStep { node, by_ns })
            }
            _ => return,
        };
        let number = self.stream.log_uniform(1, 60) as u32;
        let for_good = self.stream.chance(100_000);
        let from = match fault {
            // Half of the crashes strike in the middle of something.
            Fault::Crash if bits & 1 == 0 => When::Step { after_ns: at, number },
            _ => When::AtNs(at),
        };
        let lasting = fault != Fault::WallStep && !(fault == Fault::Crash && for_good);
        if let Some(kind) = kind {
            let for_ns = lasting.then_some(length);
            episodes.push(Episode { id, kind, from, for_ns });
        }
    }

    /// A crash, and another one at one of the first disk operations after the restart.
    fn push_crash_in_recovery(
        &mut self,
        id: u32,
        at: u64,
        length: u64,
        bits: u64,
        episodes: &mut Vec<Episode>,
    ) {
        let Some(node) = pick(self.impairable, bits) else { return };
        let down = length / 4 + 1;
        let first = Kind::Crash { node: node.clone(), power_loss: self.stream.chance(750_000) };
        episodes.push(Episode {
            id: id + 5_000,
            kind: first,
            from: When::AtNs(at),
            for_ns: Some(down),
        });
        let number = self.stream.between(1, 24) as u32;
        let second = Kind::CrashInRecovery { node, power_loss: self.stream.chance(750_000) };
        let from = When::Step { after_ns: at + down, number };
        episodes.push(Episode { id, kind: second, from, for_ns: Some(length) });
    }

    /// A group that leaves somebody on the other side.
    fn group(&mut self) -> Option<Vec<String>> {
        let all = self.everybody.len() as u64;
        if all < 2 {
            return None;
        }
        let size = self.stream.between(1, all - 1) as usize;
        let mut left = self.everybody.to_vec();
        let mut group = Vec::new();
        while group.len() < size {
            let at = self.stream.between(0, left.len() as u64 - 1) as usize;
            group.push(left.remove(at));
        }
        group.sort();
        Some(group)
    }
}

fn pick(from: &[String], bits: u64) -> Option<String> {
    from.get(crate::choice::below(bits, from.len() as u64) as usize).cloned()
}
