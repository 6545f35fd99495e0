//! Simpler values in place of drawn ones.

use crate::plan::{Episode, Kind, Plan, When};

const MS: u64 = 1_000_000;

/// Plans in which one thing is simpler.
pub(super) fn simpler(plan: &Plan, keeps_heal: bool) -> Vec<Plan> {
    let mut plans = Vec::new();
    if plan.salt != 0 {
        plans.push(Plan { salt: 0, ..plan.clone() });
    }
    if plan.pct.is_some() {
        plans.push(Plan { pct: None, ..plan.clone() });
    }
    if !plan.rerolls.is_empty() {
        plans.push(Plan { rerolls: Vec::new(), ..plan.clone() });
    }
    if !keeps_heal {
        let heals = [0, plan.heal_at_ns / 2, round(plan.heal_at_ns, 1_000 * MS)];
        plans.extend(heals.map(|heal_at_ns| Plan { heal_at_ns, ..plan.clone() }));
    }
    for (place, episode) in plan.episodes.iter().enumerate() {
        for other in simpler_episodes(episode) {
            let mut changed = plan.clone();
            changed.episodes[place] = other;
            plans.push(changed);
        }
    }
    plans.retain(|other| other != plan);
    plans
}

fn round(ns: u64, unit: u64) -> u64 {
    ns / unit * unit
}

fn simpler_episodes(episode: &Episode) -> Vec<Episode> {
    let with = |kind: Kind| Episode { kind, ..episode.clone() };
    let mut simpler: Vec<Episode> = simpler_kinds(&episode.kind).into_iter().map(with).collect();
    if let Some(length) = episode.for_ns {
        let shorter = [MS, length / 8, length / 2, round(length, 100 * MS), round(length, MS)];
        let shorter = shorter.into_iter().filter(|shorter| (MS..length).contains(shorter));
        simpler.extend(shorter.map(|shorter| Episode { for_ns: Some(shorter), ..episode.clone() }));
    }
    let froms: Vec<When> = match episode.from {
        When::AtNs(time) => {
            [100 * MS, 10 * MS, MS].map(|unit| When::AtNs(round(time, unit))).to_vec()
        }
        When::Step { after_ns, number } => {
            let units = [100 * MS, 10 * MS, MS];
            let rounded = units.map(|unit| When::Step { after_ns: round(after_ns, unit), number });
            let first = When::Step { after_ns, number: 1 };
            rounded.into_iter().chain([first]).collect()
        }
    };
    simpler.extend(froms.into_iter().map(|from| Episode { from, ..episode.clone() }));
    simpler.retain(|other| other != episode);
    simpler
}

fn simpler_kinds(kind: &Kind) -> Vec<Kind> {
    match kind.clone() {
        Kind::Crash { node, power_loss: true } => vec![Kind::Crash { node, power_loss: false }],
        Kind::CrashInRecovery { node, power_loss } => vec![Kind::Crash { node, power_loss }],
        Kind::CrashLoop { node, power_loss, times } => {
            let mut simpler = vec![Kind::Crash { node: node.clone(), power_loss }];
            if times > 2 {
                simpler.push(Kind::CrashLoop { node, power_loss, times: 2 });
            }
            simpler
        }
        Kind::SwizzleClog { nodes } | Kind::Bridge { nodes } | Kind::MajoritiesRing { nodes } => {
            let single = nodes.iter().map(|node| Kind::IsolateOne { node: node.clone() });
            single.collect()
        }
        Kind::Partition { nodes } | Kind::PartitionOneWay { nodes } if nodes.len() == 1 => {
            nodes.into_iter().map(|node| Kind::IsolateOne { node }).collect()
        }
        _ => Vec::new(),
    }
}
