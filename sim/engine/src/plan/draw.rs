//! How a plan is drawn from a seed.
//!
//! Each run gets a random subset of the faults that its scenario tolerates and none of the others
//! (swarm testing: Groce et al., ISSTA 2012), about one run in five gets none, rates and durations
//! are log-uniform, and clients are mostly close to the nodes.

use super::{Episode, Forecast, Kind, Latency, Plan, RoleNodes, StreamWeather, Weather, When};
use crate::choice::Stream;
use crate::table::{Fault, FaultSet, Group};

const MS: u64 = 1_000_000;

/// The most episodes of one kind.
const EPISODES_MAX: u64 = 24;

/// What the drawing needs to know of a scenario.
pub struct Frame<'a> {
    /// The roles in roster order: name, least and greatest number of nodes, whether clients.
    pub roles: &'a [(String, u16, u16, bool)],
    /// The weather that is wanted.
    pub forecast: &'a Forecast,
    /// The faults that the scenario tolerates.
    pub tolerated: FaultSet,
    /// Roles that may crash, pause, stall or have failing disks.
    pub impairable: &'a [String],
    /// Whether the scenario says who leads.
    pub has_leader: bool,
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
    let mut on = frame.forecast.sure.and(frame.tolerated).with(Fault::Latency);
    for row in crate::table::TABLE {
        // Drawn for every row, so that a tolerance more or less moves no other fault.
        let drawn = swarm.chance(500_000) && !calm && frame.forecast.drawn.has(row.fault);
        if drawn && frame.tolerated.has(row.fault) {
            on = on.with(row.fault);
        }
    }
    if on.has(Fault::TornWrites) || on.has(Fault::Garbage) || on.has(Fault::LengthWithoutData) {
        // They are ways of losing a write.
        on = on.with(Fault::LostWrites);
    }
    if (on.has(Fault::LostWrites) || on.has(Fault::LostEntries))
        && frame.forecast.lacks_crashes()
        && frame.tolerated.has(Fault::Crash)
    {
        on = on.with(Fault::Crash);
    }
    plan.weather = draw_weather(seed, on);
    if calm && frame.forecast.sure == FaultSet::default() {
        plan.weather.slow_link_ns = 0;
    }
    frame.forecast.apply(&mut plan.weather);
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
    weather.mailbox_max = rate(Fault::QueueOverflow, 1, 64) as u32;
    weather.bandwidth = rate(Fault::Bandwidth, 10_000, 10_000_000);
    weather.short_io_ppm = rate(Fault::ShortIo, 1_000, 300_000) as u32;
    weather.late_timers_ppm = rate(Fault::LateTimers, 1_000, 300_000) as u32;
    weather.late_timers_ns = rate(Fault::LateTimers, MS, 500 * MS);
    weather.wall_offset_ns = rate(Fault::WallOffset, MS, 86_400_000 * MS);
    let mut disk = Stream::new(seed, "disk");
    weather.disk_latency = draw_latency(&mut disk, MS / 100, MS);
    weather.sync_latency = draw_latency(&mut disk, MS / 20, 20 * MS);
    weather.lost_writes = on.has(Fault::LostWrites);
    weather.torn_writes = on.has(Fault::TornWrites);
    weather.garbage = on.has(Fault::Garbage);
    weather.length_without_data = on.has(Fault::LengthWithoutData);
    weather.lost_entries = on.has(Fault::LostEntries);
    weather.streams = StreamWeather::draw(seed, on);
    weather.buggify = on.has(Fault::Buggify);
    weather.knobs = on.has(Fault::Knobs);
    weather
}

fn draw_episodes(seed: u64, on: FaultSet, frame: &Frame<'_>, nodes: &[RoleNodes]) -> Vec<Episode> {
    let mut episodes = Vec::new();
    for fault in on.iter() {
        let mut stream = Stream::new(seed, fault.name());
        let count = stream.log_uniform(1, EPISODES_MAX);
        let (first, from_ns) = (0, 0);
        let more = More { fault, first, count, from_ns };
        push_episodes(&mut stream, more, frame, nodes, &mut episodes);
    }
    episodes
}

/// Episodes that are drawn beside those of a seed.
#[derive(Clone, Copy)]
pub(crate) struct More {
    /// Of which kind.
    pub(crate) fault: Fault,
    /// Which the first of them is, among those of its kind.
    pub(crate) first: u64,
    /// How many.
    pub(crate) count: u64,
    /// When they begin at the earliest, in nanoseconds.
    pub(crate) from_ns: u64,
}

/// So many episodes, each drawn as those of a seed are.
pub(crate) fn more_episodes(
    seed: u64,
    more: More,
    frame: &Frame<'_>,
    nodes: &[RoleNodes],
) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let mut stream = Stream::new(seed, more.fault.name());
    push_episodes(&mut stream, more, frame, nodes, &mut episodes);
    episodes
}

fn push_episodes(
    stream: &mut Stream,
    more: More,
    frame: &Frame<'_>,
    nodes: &[RoleNodes],
    episodes: &mut Vec<Episode>,
) {
    let names = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        let roles = nodes.iter().filter(|r| wanted(&r.role));
        roles.flat_map(|r| (1..=r.nodes).map(|n| format!("{}-{n}", r.role))).collect()
    };
    let everybody = names(&|_| true);
    let impairable = names(&|role| frame.impairable.iter().any(|name| name == role));
    for number in more.first..more.first + more.count {
        let mut draw = EpisodeDraw {
            at: stream.between(more.from_ns, (frame.heal_at_ns * 9 / 10).max(more.from_ns)),
            length: stream.log_uniform(MS, frame.heal_at_ns / 2),
            power_loss: stream.chance(750_000),
            bits: stream.bits(),
            stream: &mut *stream,
            everybody: &everybody,
            impairable: &impairable,
            has_leader: frame.has_leader,
        };
        // The id says which fault and which of its kind, so that others keep theirs.
        let id = (more.fault as u32) * 10_000 + number as u32;
        draw.push(more.fault, id, episodes);
    }
}

struct EpisodeDraw<'a> {
    stream: &'a mut Stream,
    at: u64,
    length: u64,
    power_loss: bool,
    bits: u64,
    everybody: &'a [String],
    impairable: &'a [String],
    has_leader: bool,
}

impl EpisodeDraw<'_> {
    fn push(&mut self, fault: Fault, id: u32, episodes: &mut Vec<Episode>) {
        if fault == Fault::CrashInRecovery {
            self.push_crash_in_recovery(id, episodes);
            return;
        }
        let drawn = match fault.row().group {
            Group::Network => self.network(fault),
            Group::Clock => self.clock(fault),
            _ => pick(self.impairable, self.bits).and_then(|node| self.node(fault, node)),
        };
        let number = self.stream.log_uniform(1, 60) as u32;
        let for_good = self.stream.chance(100_000);
        let Some(kind) = drawn else { return };
        // Half of the crashes strike in the middle of something.
        let from = if fault == Fault::Crash && self.bits & 1 == 0 {
            When::Step { after_ns: self.at, number }
        } else {
            When::AtNs(self.at)
        };
        let endless = kind.is_instant() || fault == Fault::Crash && for_good;
        episodes.push(Episode { id, kind, from, for_ns: (!endless).then_some(self.length) });
    }

    fn network(&mut self, fault: Fault) -> Option<Kind> {
        let kind = match fault {
            Fault::Partition => Kind::Partition { nodes: self.group()? },
            Fault::OneWay => Kind::PartitionOneWay { nodes: self.group()? },
            Fault::IsolateOne => Kind::IsolateOne { node: pick(self.everybody, self.bits)? },
            Fault::IsolateLeader if self.has_leader => Kind::IsolateLeader {},
            Fault::MajoritiesRing if self.everybody.len() > 2 => {
                Kind::MajoritiesRing { nodes: self.shuffled(self.everybody) }
            }
            Fault::Bridge if self.everybody.len() > 2 => {
                let mut nodes = self.shuffled(self.everybody);
                nodes.truncate(1 + self.everybody.len() / 2);
                Kind::Bridge { nodes }
            }
            Fault::ClogLink if self.everybody.len() > 1 => {
                let mut nodes = self.shuffled(self.everybody);
                nodes.truncate(2);
                Kind::ClogLink { nodes }
            }
            Fault::ClogNode => Kind::ClogNode { node: pick(self.everybody, self.bits)? },
            Fault::SwizzleClog => Kind::SwizzleClog { nodes: self.group()? },
            _ => return None,
        };
        Some(kind)
    }

    fn clock(&mut self, fault: Fault) -> Option<Kind> {
        let by_ns = self.stream.log_uniform(MS, 300_000 * MS) as i64;
        let every_ns = self.stream.log_uniform(MS, 1_000 * MS);
        let node = pick(self.everybody, self.bits)?;
        match fault {
            Fault::WallForward => Some(Kind::WallStep { node, by_ns }),
            Fault::WallBack => Some(Kind::WallStep { node, by_ns: -by_ns }),
            Fault::WallStrobe => Some(Kind::WallStrobe { node, by_ns, every_ns }),
            _ => None,
        }
    }

    fn node(&mut self, fault: Fault, node: String) -> Option<Kind> {
        let power_loss = self.power_loss;
        let kind = match fault {
            Fault::Crash => Kind::Crash { node, power_loss },
            Fault::CrashLoop => {
                let times = self.stream.between(2, 8) as u32;
                Kind::CrashLoop { node, power_loss, times }
            }
            Fault::GracefulStop => {
                Kind::GracefulStop { node, grace_ns: self.stream.log_uniform(MS, 1_000 * MS) }
            }
            Fault::Pause => Kind::Pause { node },
            Fault::Suspend => Kind::Suspend { node },
            Fault::SlowNode => {
                Kind::SlowNode { node, by_ns: self.stream.log_uniform(MS, 200 * MS) }
            }
            Fault::Wipe => Kind::Wipe { node },
            Fault::SwappedDisks => {
                let role = |name: &str| name.rsplit_once('-').map(|(role, _)| role.to_owned());
                let same = |other: &&String| **other != node && role(other) == role(&node);
                let others: Vec<String> = self.impairable.iter().filter(same).cloned().collect();
                let other = pick(&others, self.stream.bits())?;
                Kind::SwappedDisks { nodes: vec![node, other] }
            }
            Fault::Stall => Kind::Stall { node },
            Fault::SlowDisk => {
                Kind::SlowDisk { node, factor: self.stream.log_uniform(2, 200) as u32 }
            }
            Fault::DiskFull => Kind::DiskFull { node },
            Fault::LyingSync => Kind::LyingSync { node },
            Fault::BitRot => Kind::BitRot { node },
            Fault::MisdirectedWrite => Kind::MisdirectedWrite { node },
            Fault::OldDisk => {
                Kind::OldDisk { node, age_ns: self.stream.log_uniform(MS, self.length.max(MS)) }
            }
            _ => return None,
        };
        Some(kind)
    }

    /// A crash, and another one at one of the first I/O steps after the restart.
    fn push_crash_in_recovery(&mut self, id: u32, episodes: &mut Vec<Episode>) {
        let Some(node) = pick(self.impairable, self.bits) else { return };
        let down = self.length / 4 + 1;
        let first = Kind::Crash { node: node.clone(), power_loss: self.stream.chance(750_000) };
        episodes.push(Episode {
            id: id + 5_000,
            kind: first,
            from: When::AtNs(self.at),
            for_ns: Some(down),
        });
        let number = self.stream.between(1, 24) as u32;
        let second = Kind::CrashInRecovery { node, power_loss: self.stream.chance(750_000) };
        let from = When::Step { after_ns: self.at + down, number };
        episodes.push(Episode { id, kind: second, from, for_ns: Some(self.length) });
    }

    /// A group that leaves somebody on the other side, sorted.
    fn group(&mut self) -> Option<Vec<String>> {
        let all = self.everybody.len() as u64;
        if all < 2 {
            return None;
        }
        let size = self.stream.between(1, all - 1) as usize;
        let mut group = self.shuffled(self.everybody);
        group.truncate(size);
        group.sort();
        Some(group)
    }

    fn shuffled(&mut self, names: &[String]) -> Vec<String> {
        let mut left = names.to_vec();
        let mut shuffled = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let at = self.stream.between(0, left.len() as u64 - 1) as usize;
            shuffled.push(left.swap_remove(at));
        }
        shuffled
    }
}

fn pick(from: &[String], bits: u64) -> Option<String> {
    from.get(crate::choice::below(bits, from.len() as u64) as usize).cloned()
}
