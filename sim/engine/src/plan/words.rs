//! A plan in words, for the top of a failure.

use super::{Episode, Fate, Kind, Latency, Override, Plan, Weather, When};
use crate::words::{duration, seconds};
use std::fmt;

impl Plan {
    /// The plan as lines: who is there, the weather as far as there is any, and the episodes in
    /// the order of their beginnings.
    pub fn lines(&self) -> Vec<String> {
        let nodes: Vec<String> =
            self.nodes.iter().map(|role| format!("{} {}", role.nodes, role.role)).collect();
        let mut lines = vec![format!(
            "nodes: {}; the world heals at {}",
            nodes.join(", "),
            seconds(self.heal_at_ns)
        )];
        lines.push(format!("weather: {}", weather(&self.weather).join("; ")));
        let mut episodes: Vec<&Episode> = self.episodes.iter().collect();
        episodes.sort_by_key(|episode| (episode.from.earliest_ns(), episode.id));
        lines.extend(episodes.into_iter().map(tell_episode));
        if self.episodes.is_empty() && self.script.is_empty() {
            lines.push("no episodes".to_owned());
        }
        lines.extend(self.overrides.iter().map(Override::to_string));
        let steps = self.script.iter().enumerate();
        lines.extend(steps.map(|(at, step)| format!("step {}, {}", at + 1, step.line())));
        if self.salt != 0 {
            lines.push(format!("another set of choices: salt {}", self.salt));
        }
        lines.extend(self.pct.as_ref().map(super::Pct::line));
        lines.extend(self.rerolls.iter().map(|reroll| reroll.line()));
        if let Some(mutant) = &self.mutant {
            lines.push(format!("deliberate bug: {mutant}"));
        }
        lines
    }
}

fn latency(latency: &Latency) -> String {
    match *latency {
        Latency::Uniform { low_ns, high_ns } => {
            format!("{}..{}", duration(low_ns), duration(high_ns))
        }
        Latency::Exponential { low_ns, mean_ns } => {
            format!("{} and about {} more", duration(low_ns), duration(mean_ns))
        }
        Latency::Tail { low_ns, high_ns, tail_ns, tail_ppm } => format!(
            "{}..{}, and up to {} for {}",
            duration(low_ns),
            duration(high_ns),
            duration(tail_ns),
            percent(tail_ppm)
        ),
    }
}

/// A rate in percent, with as many digits as it has.
pub(super) fn percent(ppm: u32) -> String {
    let text = format!("{}.{:04}", ppm / 10_000, ppm % 10_000);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn weather(weather: &Weather) -> Vec<String> {
    let mut words = vec![
        format!("messages take {}", latency(&weather.latency)),
        format!("from and to clients {}", latency(&weather.client_latency)),
    ];
    let mut rate = |ppm: u32, what: &str| {
        if ppm > 0 {
            words.push(format!("{what} {}", percent(ppm)));
        }
    };
    rate(weather.loss_ppm, "loss");
    rate(weather.duplication_ppm, "duplication");
    rate(weather.reordering_ppm, "reordering");
    rate(weather.corruption_ppm, "corruption");
    rate(weather.short_io_ppm, "reads that give less");
    rate(weather.late_timers_ppm, "late timers");
    rate(weather.eio_ppm, "failing disk operations");
    rate(weather.sync_failure_ppm, "failing syncs");
    rate(weather.clock_rate_ppm, "clock rates off by up to");
    rate(weather.wall_drift_ppm, "wall clocks drift by up to");
    if weather.slow_link_ns > 0 {
        words.push(format!("slow links, up to {} more", duration(weather.slow_link_ns)));
    }
    if weather.mailbox_max > 0 {
        words.push(format!("sockets hold {} messages", weather.mailbox_max));
    }
    if weather.bandwidth > 0 {
        words.push(format!("links carry {} bytes/s", weather.bandwidth));
    }
    if weather.wall_offset_ns > 0 {
        words.push(format!("wall clocks wrong by up to {}", duration(weather.wall_offset_ns)));
    }
    words.extend(weather.streams.words());
    let mut flag = |on: bool, what: &str| {
        if on {
            words.push(what.to_owned());
        }
    };
    flag(weather.lost_writes, "power losses take what was not synced");
    flag(weather.torn_writes, "and tear sectors");
    flag(weather.garbage, "and leave garbage");
    flag(weather.length_without_data, "and keep lengths without data");
    flag(weather.lost_entries, "and lose names");
    flag(weather.buggify, "the code does rare things");
    flag(weather.knobs, "knobs are turned");
    words
}

fn tell_episode(episode: &Episode) -> String {
    let from = match episode.from {
        When::AtNs(time) => format!("at {}", seconds(time)),
        When::Step { after_ns, number } => {
            format!("at the {number}. I/O step from {}", seconds(after_ns))
        }
    };
    let what = tell_kind(&episode.kind);
    match episode.for_ns {
        _ if episode.kind.is_instant() => format!("{from}: {what}"),
        Some(length) => format!("{from}: {what}, for {}", duration(length)),
        None => format!("{from}: {what}, for good"),
    }
}

pub(crate) fn tell_kind(kind: &Kind) -> String {
    match kind {
        Kind::Crash { node, power_loss: true } => format!("{node} crashes and loses power"),
        Kind::Crash { node, .. } => format!("{node} crashes"),
        Kind::CrashInRecovery { node, .. } => format!("{node} crashes while it recovers"),
        Kind::CrashLoop { node, times, .. } => format!("{node} crashes {times} times"),
        Kind::GracefulStop { node, grace_ns } => {
            format!("{node} is asked to stop within {}", duration(*grace_ns))
        }
        Kind::Pause { node } => format!("{node} stands still"),
        Kind::Suspend { node } => format!("{node} is suspended"),
        Kind::SlowNode { node, by_ns } => {
            format!("{node} is slower by up to {}", duration(*by_ns))
        }
        Kind::Wipe { node } => format!("{node} loses its disk"),
        Kind::SwappedDisks { nodes } => format!("the disks of {} are swapped", nodes.join(" and ")),
        Kind::Stall { node } => format!("the disk of {node} stalls"),
        Kind::SlowDisk { node, factor } => {
            format!("the disk of {node} takes {factor} times as long")
        }
        Kind::DiskFull { node } => format!("the disk of {node} is full"),
        Kind::LyingSync { node } => format!("the disk of {node} lies about syncs"),
        Kind::BitRot { node } => format!("bits rot on the disk of {node}"),
        Kind::MisdirectedWrite { node } => format!("a write of {node} goes astray"),
        Kind::OldDisk { node, age_ns } => {
            format!("{node} is later put back to this disk, then {} old", duration(*age_ns))
        }
        Kind::Partition { nodes } => format!("{} and the others are apart", nodes.join(", ")),
        Kind::PartitionOneWay { nodes } => format!("the others do not hear {}", nodes.join(", ")),
        Kind::IsolateOne { node } => format!("{node} is cut off"),
        Kind::IsolateLeader {} => "whoever leads is cut off".to_owned(),
        Kind::MajoritiesRing { nodes } => {
            format!("each hears only its neighbours on the ring {}", nodes.join(", "))
        }
        Kind::Bridge { nodes } => {
            let (bridge, side) = nodes.split_first().map_or(("nobody", &[][..]), |(b, s)| (b, s));
            format!("only {bridge} connects {} and the others", side.join(", "))
        }
        Kind::ClogLink { nodes } => format!("the link {} is clogged", nodes.join(" to ")),
        Kind::ClogNode { node } => format!("the links of {node} are clogged"),
        Kind::SwizzleClog { nodes } => {
            format!("the links of {} are clogged, one by one", nodes.join(", "))
        }
        Kind::WallStep { node, by_ns } => {
            let way = if *by_ns < 0 { "back" } else { "forward" };
            format!("the wall clock of {node} jumps {way} by {}", duration(by_ns.unsigned_abs()))
        }
        Kind::WallStrobe { node, by_ns, every_ns } => format!(
            "the wall clock of {node} jumps by {} and back every {}",
            duration(by_ns.unsigned_abs()),
            duration(*every_ns)
        ),
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&tell_override(self))
    }
}

fn tell_override(wish: &Override) -> String {
    match wish {
        Override::Message { from, to, payload, nth, count, at_ns, fate, .. } => {
            let names = [
                payload.map(|payload| format!("the {nth}. with the payload {payload:016x}")),
                count.map(|count| format!("the {count}. of all")),
                at_ns.map(|time| format!("the first from {} on", seconds(time))),
            ];
            let name = names.into_iter().flatten().collect::<Vec<_>>().join(", else ");
            let fate = match fate {
                Fate::Lost => "is lost".to_owned(),
                Fate::DeliveredAfterNs(after) => format!("takes {}", duration(*after)),
                Fate::Delivered { after_ns, copy_after_ns, damage } => {
                    let damaged = damage.map_or("", |_| " and is damaged");
                    let copy = copy_after_ns
                        .map_or(String::new(), |after| format!(", a copy {}", duration(after)));
                    format!("takes {}{damaged}{copy}", duration(*after_ns))
                }
            };
            format!("a message from {from} to {to} {fate}: {name} (counted from 0)")
        }
        Override::SkipOperation { client, number } => {
            format!("{client} leaves out operation {number}")
        }
        Override::OnlyOperations { client, numbers } if numbers.is_empty() => {
            format!("{client} does no operation")
        }
        Override::OnlyOperations { client, numbers } => {
            let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
            format!("of its operations {client} does only {}", numbers.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::RoleNodes;

    fn calm() -> Plan {
        let replicas = RoleNodes { role: "replica".to_owned(), nodes: 3 };
        let clients = RoleNodes { role: "client".to_owned(), nodes: 2 };
        Plan::calm(vec![replicas, clients], 3_000_000_000)
    }

    #[test]
    fn a_calm_plan_speaks_of_latencies_alone() {
        let lines = calm().lines();
        assert_eq!(lines[0], "nodes: 3 replica, 2 client; the world heals at 3.000000 s");
        assert!(
            lines[1].starts_with("weather: messages take 1.0 ms..10.0 ms; from and to clients")
        );
        assert_eq!(lines[1].matches(';').count(), 1, "{}", lines[1]);
        assert_eq!(&lines[2..], ["no episodes"]);
    }

    #[test]
    fn only_what_is_on_is_said_and_episodes_stand_in_the_order_of_time() {
        let mut plan = calm();
        plan.weather.loss_ppm = 12_500;
        let episode =
            |id, at, kind| Episode { id, kind, from: When::AtNs(at), for_ns: Some(250_000_000) };
        let node = "replica-2".to_owned();
        plan.episodes.push(episode(1, 2_000_000_000, Kind::Pause { node: node.clone() }));
        plan.episodes.push(episode(2, 1_500_000_000, Kind::Crash { node, power_loss: true }));
        let lines = plan.lines();
        assert!(lines[1].ends_with("; loss 1.25 %"), "{}", lines[1]);
        assert_eq!(
            &lines[2..],
            [
                "at 1.500000 s: replica-2 crashes and loses power, for 250.0 ms",
                "at 2.000000 s: replica-2 stands still, for 250.0 ms",
            ]
        );
    }
}
