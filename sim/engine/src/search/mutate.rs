//! Other plans than a given one, not too far from it.

use super::Candidate;
use crate::choice::Stream;
use crate::plan::{Episode, Override, Plan, Reroll, When};
use crate::scenario::Scenario;
use crate::table::Fault;

const MS: u64 = 1_000_000;

/// A plan has at most so many episodes.
const EPISODES_MAX: usize = 200;

/// It is drawn anew so many times at most.
const REROLLS_MAX: usize = 32;

/// A plan that reached something at a time, with one to three changes; `other` may give a part.
/// What comes of it can always be run.
pub(super) fn alter(
    scenario: &Scenario,
    stream: &mut Stream,
    (parent, at_ns): (&Candidate, u64),
    other: &Candidate,
) -> Candidate {
    let mut child = parent.clone();
    // Half of the children are their parent up to where it reached what is gone after.
    if stream.chance(500_000) {
        go_on_from(scenario, stream, &mut child, at_ns);
    }
    for _ in 0..stream.between(1, 3) {
        change(scenario, stream, &mut child, (at_ns, other));
    }
    child.plan.episodes.truncate(EPISODES_MAX);
    child.plan.rerolls.truncate(REROLLS_MAX);
    if scenario.check_plan(&child.plan).is_err() || child == *parent {
        child = parent.clone();
        child.plan.salt = stream.bits();
    }
    child
}

/// Everything that is drawn from here on is drawn anew, with as many faults as before.
fn go_on_from(scenario: &Scenario, stream: &mut Stream, child: &mut Candidate, at_ns: u64) {
    let salt = stream.bits();
    child.plan = scenario.rerolled(&child.plan, Reroll { from_ns: at_ns, salt }, &|episode| {
        episode.from.earliest_ns()
    });
}

fn change(
    scenario: &Scenario,
    stream: &mut Stream,
    child: &mut Candidate,
    (at_ns, other): (u64, &Candidate),
) {
    let plan = &mut child.plan;
    match stream.between(0, 9) {
        0..=2 => add(scenario, stream, plan, at_ns),
        3 => remove(stream, plan),
        4 | 5 => shift(stream, plan),
        6 => splice(stream, plan, &other.plan),
        7 => plan.salt = stream.bits(),
        8 => plan.weather = scenario.plan(stream.bits()).weather,
        _ => leave_out(scenario, stream, plan),
    }
}

/// One more fault; every other one begins after what was reached.
fn add(scenario: &Scenario, stream: &mut Stream, plan: &mut Plan, at_ns: u64) {
    let tolerated: Vec<Fault> = scenario.tolerance.faults().iter().collect();
    let from_ns = if stream.chance(500_000) { at_ns } else { 0 };
    // Not every fault is an episode, and not every one suits the plan's nodes.
    for _ in 0..8 {
        let place = stream.between(0, tolerated.len().saturating_sub(1) as u64) as usize;
        let Some(fault) = tolerated.get(place) else { return };
        let mut drawn = scenario.episodes(stream.bits(), (*fault, 1), from_ns, plan);
        if drawn.is_empty() {
            continue;
        }
        near(stream, &mut drawn, from_ns);
        drawn.into_iter().for_each(|episode| plan.add(episode));
        return;
    }
}

/// Half of what begins later than a time begins soon after it.
fn near(stream: &mut Stream, drawn: &mut [Episode], from_ns: u64) {
    let earliest = drawn.iter().map(|episode| episode.from.earliest_ns()).min();
    let Some(earliest) = earliest.filter(|_| from_ns > 0 && stream.chance(500_000)) else { return };
    let soon = from_ns + stream.log_uniform(MS / 10, 200 * MS);
    for episode in drawn {
        let later = episode.from.earliest_ns() - earliest;
        episode.from = episode.from.at(soon + later);
    }
}

fn remove(stream: &mut Stream, plan: &mut Plan) {
    if let Some(last) = plan.episodes.len().checked_sub(1) {
        plan.episodes.remove(stream.between(0, last as u64) as usize);
    }
}

/// A fault begins earlier or later, at another step, or lasts another while.
fn shift(stream: &mut Stream, plan: &mut Plan) {
    let Some(last) = plan.episodes.len().checked_sub(1) else { return };
    let heal = plan.heal_at_ns;
    let episode = &mut plan.episodes[stream.between(0, last as u64) as usize];
    let by = stream.log_uniform(MS / 10, 1_000 * MS);
    let time = episode.from.earliest_ns();
    let time = if stream.chance(500_000) { time + by } else { time.saturating_sub(by) };
    let time = time.min(heal);
    match (stream.between(0, 2), episode.from, episode.for_ns) {
        (0, When::Step { after_ns, .. }, _) => {
            let number = stream.log_uniform(1, 60) as u32;
            episode.from = When::Step { after_ns, number };
        }
        (1, _, Some(_)) => episode.for_ns = Some(stream.log_uniform(MS, heal.max(4 * MS) / 2)),
        (_, from, _) => episode.from = from.at(time),
    }
}

/// What another plan does from a time on takes the place of what this one did.
fn splice(stream: &mut Stream, plan: &mut Plan, other: &Plan) {
    if plan.nodes != other.nodes {
        return;
    }
    let time = stream.between(0, plan.heal_at_ns);
    let is_later = |episode: &&Episode| episode.from.earliest_ns() >= time;
    plan.episodes.retain(|episode| !is_later(&episode));
    let later: Vec<Episode> = other.episodes.iter().filter(is_later).cloned().collect();
    later.into_iter().for_each(|episode| plan.add(episode));
}

/// A client leaves out one of its first operations.
fn leave_out(scenario: &Scenario, stream: &mut Stream, plan: &mut Plan) {
    let clients = scenario.client_roles();
    let roles = plan.nodes.iter().filter(|role| clients.contains(&role.role.as_str()));
    let names: Vec<String> =
        roles.flat_map(|role| (1..=role.nodes).map(|n| format!("{}-{n}", role.role))).collect();
    let place = stream.between(0, names.len().saturating_sub(1) as u64) as usize;
    let Some(client) = names.into_iter().nth(place) else { return };
    let number = stream.log_uniform(1, 32) - 1;
    let skipped = Override::SkipOperation { client, number };
    if !plan.overrides.contains(&skipped) {
        plan.overrides.push(skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tolerance;
    use crate::search::Strategy;
    use std::collections::BTreeSet;

    fn scenario() -> Scenario {
        let stay = |_env| std::future::pending::<Result<(), String>>();
        let wait = |client: crate::Client| async move {
            client.after_heal().await;
            Ok::<(), String>(())
        };
        let all = Tolerance::minority_impaired("node").any_network().any_clock().crashes();
        Scenario::new("test/mutate")
            .nodes("node", 3..=5, stay)
            .clients("client", 1..=2, wait)
            .tolerates(all.lost_unsynced_writes().failing_disks().rare_paths())
    }

    #[test]
    fn every_altered_plan_is_another_and_can_be_run() {
        let (scenario, mut stream) = (scenario(), Stream::new(1, "test"));
        let mut parent = Candidate::drawn(&scenario, 0, Strategy::Random);
        for seed in 0..400 {
            let other = Candidate::drawn(&scenario, seed, Strategy::Random);
            let child = alter(&scenario, &mut stream, (&parent, seed * 5 * MS), &other);
            assert_ne!(child, parent);
            assert_eq!(scenario.check_plan(&child.plan), Ok(()));
            let ids: BTreeSet<u32> = child.plan.episodes.iter().map(|one| one.id).collect();
            assert_eq!(ids.len(), child.plan.episodes.len(), "two episodes have one id");
            assert!(child.plan.episodes.len() <= EPISODES_MAX);
            assert!(child.plan.rerolls.is_sorted_by_key(|reroll| reroll.from_ns));
            parent = if seed % 16 == 0 { other } else { child };
        }
    }

    #[test]
    fn what_has_struck_stays_and_the_rest_is_drawn_anew_in_the_same_number() {
        let (scenario, from_ns) = (scenario(), 1_000 * MS);
        for seed in 0..100 {
            let plan = scenario.plan(seed);
            let began = |episode: &Episode| episode.from.earliest_ns();
            let other = scenario.rerolled(&plan, Reroll { from_ns, salt: 7 }, &began);
            let early = |plan: &Plan| {
                let all = plan.episodes.iter();
                all.filter(|one| began(one) < from_ns).cloned().collect::<Vec<_>>()
            };
            assert_eq!(early(&other), early(&plan));
            let late = |plan: &Plan, fault: Fault| {
                let all = plan.episodes.iter().filter(|one| began(one) >= from_ns);
                all.filter(|one| one.kind.fault() == fault).count()
            };
            for fault in [Fault::Pause, Fault::Partition, Fault::Stall, Fault::CrashLoop] {
                assert_eq!(late(&other, fault), late(&plan, fault), "{seed}: {fault:?}");
            }
        }
    }
}
