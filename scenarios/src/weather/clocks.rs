//! Clocks: the monotonic one goes on at its rate and never back, timers are never early, and the
//! wall clock is off by as much as its faults say and no more.

use super::{Blind, MS, name, witness};
use squall::plan::Kind;
use squall::table::Group;
use squall::{Conditions, Fault, FaultSet, Scenario, Tolerance, conditions};
use squall_env::{Env, NodeId, View};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

const CONTRACT: &str = "clocks are off by what their faults say, and no more";
const LATE: &str = "a timer was late";
const BACK: &str = "a wall clock went back";

/// Where wall clocks start, 2025-01-01T00:00:00Z, in nanoseconds.
const EPOCH: i128 = 1_735_689_600_000_000_000;

/// How far off right wall clocks are.
const RIGHT_NS: i128 = 1_000_000_000;

/// One sleep of a node, by its own clocks.
#[derive(Clone, Copy, Default)]
struct Reading {
    nth: u64,
    asked_ns: u64,
    before_ns: u64,
    after_ns: u64,
    wall_ns: i64,
}

/// Nodes that sleep and look at their clocks.
pub fn clocks(blind: Blind) -> Scenario {
    blind
        .scenario("clocks", CONTRACT)
        .nodes("node", 2..=4, serve)
        .clients("witness", 1..=1, witness)
        .tolerates(Tolerance::nothing().faults_of(FaultSet::of(Group::Clock)))
        .sometimes(LATE)
        .sometimes(BACK)
        .always(CONTRACT, move || {
            let mut last: BTreeMap<NodeId, (u64, Reading, Vec<i128>)> = BTreeMap::new();
            move |view: &View<'_>| {
                for reading in view.changed::<Reading>() {
                    let node = reading.node;
                    let new = last.get(&node).is_none_or(|last| last.1.nth < reading.nth);
                    if !new {
                        continue;
                    }
                    let now = conditions().ok_or("no run is under way")?;
                    let offsets = offsets(blind, &now, node);
                    let before = last.get(&node);
                    let judged = judge(blind, &now, (before, &reading, &offsets));
                    judged.map_err(|story| format!("{}: {story}", name(node)))?;
                    last.insert(node, (now.now_ns, *reading, offsets));
                }
                Ok(())
            }
        })
}

async fn serve(env: Env) -> Result<(), Infallible> {
    let mut reading =
        Reading { after_ns: env.now().as_nanos(), wall_ns: wall(&env), ..Reading::default() };
    reading.before_ns = reading.after_ns;
    let shown = env.show("reading", reading);
    env.ready();
    loop {
        let asked_ns = env.random_below(60 * MS);
        let before = env.now();
        env.sleep(Duration::from_nanos(asked_ns)).await;
        let (after, wall_ns) = (env.now(), wall(&env));
        if (after - before).as_nanos() as u64 > asked_ns + MS {
            env.sometimes(LATE);
        }
        shown.update(&env, |shown| {
            if wall_ns < shown.wall_ns {
                env.sometimes(BACK);
            }
            let nth = shown.nth + 1;
            let (before_ns, after_ns) = (before.as_nanos(), after.as_nanos());
            *shown = Reading { nth, asked_ns, before_ns, after_ns, wall_ns };
        });
    }
}

fn wall(env: &Env) -> i64 {
    env.wall().as_unix_nanos()
}

/// How far its steps and strobes have moved a node's wall clock. What happens at this very instant
/// may or may not have.
fn offsets(blind: Blind, now: &Conditions, node: NodeId) -> Vec<i128> {
    let mut sums = vec![0i128];
    for struck in now.struck.iter().filter(|s| blind.knows(s.episode.kind.fault())) {
        let elapsed = now.now_ns - struck.since_ns;
        let moved: [i64; 2] = match &struck.episode.kind {
            Kind::WallStep { node: who, by_ns } if *who == name(node) => {
                [*by_ns, if elapsed == 0 { 0 } else { *by_ns }]
            }
            Kind::WallStrobe { node: who, by_ns, every_ns } if *who == name(node) => {
                let swings = elapsed / every_ns;
                let place = |swings: u64| if swings.is_multiple_of(2) { *by_ns } else { 0 };
                match struck.until_ns {
                    Some(until) if until < now.now_ns => [0, 0],
                    Some(_) => [0, *by_ns],
                    None if elapsed == 0 => [*by_ns, 0],
                    None if elapsed.is_multiple_of(*every_ns) => [place(swings), place(swings - 1)],
                    None => [place(swings); 2],
                }
            }
            _ => continue,
        };
        let both = moved.iter().flat_map(|by| sums.iter().map(move |sum| sum + i128::from(*by)));
        let mut both: Vec<i128> = both.collect();
        both.sort_unstable();
        both.dedup();
        sums = both;
    }
    sums
}

type Seen<'a> = (Option<&'a (u64, Reading, Vec<i128>)>, &'a Reading, &'a [i128]);

fn judge(blind: Blind, now: &Conditions, (last, reading, offsets): Seen<'_>) -> Result<(), String> {
    let weather = &now.weather;
    let took = reading.after_ns.checked_sub(reading.before_ns).ok_or("the clock went back")?;
    if took < reading.asked_ns {
        return Err(format!("a timer of {} ns fired after {took}", reading.asked_ns));
    }
    let rate = blind.see(Fault::ClockRate, weather.clock_rate_ppm, 0);
    let late = if weather.late_timers_ppm > 0 { weather.late_timers_ns } else { 0 };
    let late = blind.see(Fault::LateTimers, late, 0);
    let late = late + part(late, rate) as u64 + 3;
    if took - reading.asked_ns > late {
        return Err(format!("a timer of {} ns fired after {took}", reading.asked_ns));
    }
    let drift = blind.see(Fault::WallDrift, weather.wall_drift_ppm, 0);
    let wall = i128::from(reading.wall_ns);
    let Some((then_ns, before, then_offsets)) = last else {
        let most = match blind.see(Fault::WallOffset, weather.wall_offset_ns, 0) {
            0 => RIGHT_NS,
            most => i128::from(most),
        };
        let off = wall - EPOCH - i128::from(now.now_ns);
        let near = |offset: &i128| (off - offset).abs() <= most + part(now.now_ns, drift) + 3;
        return match offsets.iter().any(near) {
            true => Ok(()),
            false => Err(format!("the wall clock is off by {off} ns at first")),
        };
    };
    let truly = now.now_ns - then_ns;
    if reading.before_ns < before.after_ns {
        return Err("the monotonic clock went back".to_owned());
    }
    let own = reading.after_ns - before.after_ns;
    if i128::from(own.abs_diff(truly)) > part(truly, rate) + 3 {
        return Err(format!("{own} ns went by on its clock in {truly}"));
    }
    let moved = wall - i128::from(before.wall_ns) - i128::from(truly);
    let near = |to: &i128| {
        then_offsets.iter().any(|from| (moved - (to - from)).abs() <= part(truly, drift) + 3)
    };
    match offsets.iter().any(near) {
        true => Ok(()),
        false => Err(format!("the wall clock moved {moved} ns beside the truth in {truly}")),
    }
}

/// So many parts per million of a time.
fn part(ns: u64, ppm: u32) -> i128 {
    i128::from(ns) * i128::from(ppm) / 1_000_000
}
