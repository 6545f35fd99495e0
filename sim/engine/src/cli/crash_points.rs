//! Crash points, all of them: of a small workload every I/O step of every node that may crash, and
//! every I/O step of the recovery that follows each.
//!
//! Most bugs of crash consistency need few operations and one crash in the right place (Mohan et
//! al., "Finding Crash-Consistency Bugs with Bounded Black-Box Crash Testing", OSDI 2018), so there
//! is no need to draw the place. The run without crashes counts the steps; up to its crash a run
//! with one is the same, so the n-th step of the one is that of the other.

use super::args::SweepArgs;
use super::found::Found;
use super::output::{Out, Progress, note};
use super::pool::{Job, Pool};
use super::protocol::{Ask, Done, Single};
use super::{CLEAN, FAILED, Trouble, UNDECIDED};
use crate::failure::Class;
use crate::plan::{Episode, Kind, Override, Plan, Weather, When};
use crate::repro::{Expected, Repro};
use crate::scenario::Scenario;
use crate::table::Fault;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// So many runs of a scenario are enough for what is not small.
pub(super) const POINTS_MAX: u64 = 100_000;

/// How long a node is down, in nanoseconds.
const DOWN_NS: u64 = 20_000_000;

/// Where repro files go, as those of failing tests.
pub(super) const FOLDER: &str = "squall-failures";

/// A crash at one I/O step, and perhaps another at one of the recovery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Point {
    node: usize,
    /// Which step of the node, from 1.
    step: u64,
    /// Which step after the restart, from 1.
    again: Option<u64>,
}

/// What came of the crash points of one scenario.
#[derive(Default, Serialize)]
struct Tried {
    name: String,
    seeds: u64,
    /// The I/O steps of all nodes that may crash, and those of all the recoveries.
    points: u64,
    recovery_points: u64,
    tried: u64,
    /// How many crashes had no effect, because the ledger refused them.
    refused: u64,
    /// Whether the bound was reached.
    bounded: bool,
    failures: Vec<Finding>,
}

/// Crash points that fail alike.
#[derive(Serialize)]
struct Finding {
    seed: u64,
    class: Class,
    property: String,
    fingerprint: String,
    /// How many crash points fail so, and how many of those are in a recovery.
    points: u64,
    recovery_points: u64,
    /// The first of them in words, and its repro file.
    first: String,
    file: PathBuf,
    #[serde(skip)]
    lines: Vec<String>,
}

#[derive(Serialize)]
struct CrashPointsJson {
    scenarios: Vec<Tried>,
    exit: u8,
}

/// Tries all crash points of scenarios.
pub(super) fn sweep(
    chosen: &[&Scenario],
    (from, to): (u64, u64),
    args: &SweepArgs,
    out: &mut Out,
) -> Result<u8, Trouble> {
    let pool = Pool::new(args.jobs);
    let (mut all, mut exit) = (Vec::new(), CLEAN);
    for scenario in chosen {
        if !scenario.tolerance.faults().has(Fault::Crash) {
            note(&format!("{} tolerates no crashes, and is passed over", scenario.name()));
            continue;
        }
        let mut tried = Tried { name: scenario.name().to_owned(), ..Tried::default() };
        for seed in from..to {
            let plan = base(scenario, seed, args.operations);
            let search = Search { pool: &pool, scenario, seed, plan };
            search.try_all(args.points, &mut tried)?;
        }
        for finding in &tried.failures {
            let worse = if finding.class == Class::Undecided { UNDECIDED } else { FAILED };
            exit = if exit == FAILED { FAILED } else { worse };
        }
        if !args.json {
            out.lines(&lines(&tried))?;
        }
        all.push(tried);
    }
    if all.is_empty() {
        let text = "none of these scenarios tolerates crashes, so there is nothing to try";
        return Err(Trouble::Usage(text.to_owned()));
    }
    if args.json {
        out.json(&CrashPointsJson { scenarios: all, exit })?;
    }
    Ok(exit)
}

/// The plan of a seed without faults, but such that a power loss takes what it may.
fn base(scenario: &Scenario, seed: u64, operations: Option<u64>) -> Plan {
    let mut plan = scenario.plan(seed);
    let tolerated = scenario.tolerance.faults();
    let drawn = plan.weather;
    plan.weather = Weather {
        latency: drawn.latency,
        client_latency: drawn.client_latency,
        disk_latency: drawn.disk_latency,
        sync_latency: drawn.sync_latency,
        lost_writes: tolerated.has(Fault::LostWrites),
        torn_writes: tolerated.has(Fault::TornWrites),
        lost_entries: tolerated.has(Fault::LostEntries),
        ..Weather::calm()
    };
    plan.episodes.clear();
    if let Some(most) = operations {
        let clients = scenario.client_roles();
        for role in plan.nodes.iter().filter(|role| clients.contains(&role.role.as_str())) {
            let only = |n| Override::OnlyOperations {
                client: format!("{}-{n}", role.role),
                numbers: (0..most).collect(),
            };
            plan.overrides.extend((1..=role.nodes).map(only));
        }
    }
    plan
}

/// The crash points of one seed.
struct Search<'a> {
    pool: &'a Pool,
    scenario: &'a Scenario,
    seed: u64,
    plan: Plan,
}

impl Search<'_> {
    fn try_all(&self, most: u64, tried: &mut Tried) -> Result<(), Trouble> {
        tried.seeds += 1;
        let mut found: Vec<(Option<Point>, Found)> = Vec::new();
        let done = self.pool.single(self.single(None), &mut |_| {})?;
        found.extend(done.found.into_iter().map(|found| (None, found)));
        let names = self.names();
        let may_crash = self.scenario.tolerance.roles();
        let mut points = Vec::new();
        for (node, steps) in done.steps.iter().enumerate() {
            let role = names[node].rsplit_once('-').map_or("", |(role, _)| role);
            if may_crash.iter().any(|name| name == role) {
                points.extend((1..=steps.all).map(|step| Point { node, step, again: None }));
            }
        }
        tried.points += points.len() as u64;
        let recoveries = self.try_points(&points, most, tried, &mut found)?;
        if self.scenario.tolerance.faults().has(Fault::CrashInRecovery) {
            let mut again = Vec::new();
            for (point, steps) in recoveries {
                again.extend((1..=steps).map(|step| Point { again: Some(step), ..point }));
            }
            tried.recovery_points += again.len() as u64;
            self.try_points(&again, most, tried, &mut found)?;
        }
        self.report(found, tried)
    }

    /// Tries points in worker processes. Says of each how many steps its recovery took.
    fn try_points(
        &self,
        points: &[Point],
        most: u64,
        tried: &mut Tried,
        found: &mut Vec<(Option<Point>, Found)>,
    ) -> Result<Vec<(Point, u64)>, Trouble> {
        let room = usize::try_from(most.saturating_sub(tried.tried)).unwrap_or(usize::MAX);
        if points.len() > room {
            tried.bounded = true;
        }
        let points = &points[..points.len().min(room)];
        let mut jobs = points.iter().enumerate().map(|(of, point)| {
            let ask = Ask::Single(Box::new(self.single(Some(*point))));
            Job { of, ask, fresh: false }
        });
        let mut done: BTreeMap<usize, Done> = BTreeMap::new();
        let mut progress = Progress::new(Some(points.len() as u64));
        let worked = self.pool.work(
            || jobs.next(),
            |job, one| {
                progress.add(1, one.found.len() as u64);
                done.insert(job.of, one);
                Ok(())
            },
        );
        progress.end();
        worked?;
        let mut recoveries = Vec::new();
        for (point, one) in points.iter().zip(done.into_values()) {
            tried.tried += 1;
            let refused = |fault: Fault| one.tally.faults.get(fault.name()).map_or(0, |c| c[1]);
            let refused = refused(Fault::Crash) + refused(Fault::CrashInRecovery);
            tried.refused += u64::from(refused > 0);
            // What the node does after a crash that was refused is no recovery; it has none.
            let steps = one.steps.get(point.node).map_or(0, |steps| steps.recovering);
            recoveries.push((*point, steps));
            found.extend(one.found.into_iter().map(|found| (Some(*point), found)));
        }
        Ok(recoveries)
    }

    /// Groups what was found, and has the first of each group run once more in a fresh process.
    fn report(&self, found: Vec<(Option<Point>, Found)>, tried: &mut Tried) -> Result<(), Trouble> {
        for (point, found) in found {
            let fingerprint = found.failure.fingerprint();
            let recovering = u64::from(point.is_some_and(|point| point.again.is_some()));
            let known = tried.failures.iter_mut().find(|known| known.fingerprint == fingerprint);
            if let Some(known) = known {
                known.points += 1;
                known.recovery_points += recovering;
                continue;
            }
            let plan = self.plan(point);
            let fresh = self.pool.single(self.single(point), &mut |_| {})?;
            let seen = match fresh.found.first() {
                Some(fresh) if fresh.is_like(&found) => found,
                fresh => found.not_reproducible(fresh),
            };
            let file = Path::new(FOLDER).join(self.file_name(point));
            let expected = Expected {
                property: Some(seen.failure.property.clone()),
                fingerprint: Some(seen.failure.fingerprint()),
                digest: seen.digest.clone(),
            };
            let (name, seed) = (self.scenario.name(), self.seed);
            let written = Repro::new(name, seed, &plan, expected).write(&file);
            written.map_err(|error| Trouble::Infrastructure(error.to_string()))?;
            tried.failures.push(Finding {
                seed,
                class: seen.failure.class,
                property: seen.failure.property.clone(),
                fingerprint,
                points: 1,
                recovery_points: recovering,
                first: self.words(point),
                file,
                lines: crate::report::lines((name, seed), &seen.failure, &plan, &[]),
            });
        }
        Ok(())
    }

    fn single(&self, point: Option<Point>) -> Single {
        Single {
            scenario: self.scenario.name().to_owned(),
            seed: self.seed,
            plan: Some(self.plan(point)),
            steps: true,
            ..Single::default()
        }
    }

    /// The names of all nodes, in roster order.
    fn names(&self) -> Vec<String> {
        let roles = self.plan.nodes.iter();
        roles.flat_map(|r| (1..=r.nodes).map(|n| format!("{}-{n}", r.role))).collect()
    }

    /// The plan with the crashes of a point. What the first keeps of the disk goes by its id, which
    /// is that of its step, so the second changes nothing of it.
    fn plan(&self, point: Option<Point>) -> Plan {
        let mut plan = self.plan.clone();
        let Some(Point { node, step, again }) = point else { return plan };
        let node = self.names()[node].clone();
        let power_loss = self.scenario.tolerance.faults().has(Fault::LostWrites);
        let mut crash = |id: u64, kind: Kind, number: u64| {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let from = When::Step { after_ns: 0, number };
            let id = u32::try_from(id).unwrap_or(u32::MAX);
            plan.episodes.push(Episode { id, kind, from, for_ns: Some(DOWN_NS) });
        };
        crash(2 * step, Kind::Crash { node: node.clone(), power_loss }, step);
        if let Some(again) = again {
            crash(2 * again + 1, Kind::CrashInRecovery { node, power_loss }, step + again);
        }
        plan
    }

    fn words(&self, point: Option<Point>) -> String {
        let Some(Point { node, step, again }) = point else {
            return "the run without crashes".to_owned();
        };
        let again = again.map_or(String::new(), |again| {
            format!(", and again at the {again}. I/O step of the recovery")
        });
        format!("{} crashes at its {step}. I/O step{again}", self.names()[node])
    }

    fn file_name(&self, point: Option<Point>) -> String {
        let plain = Repro::file_name(self.scenario.name(), self.seed);
        let stem = plain.strip_suffix(".json").unwrap_or(&plain).to_owned();
        match point {
            None => format!("{stem}-no-crash.json"),
            Some(Point { node, step, again }) => {
                let again = again.map_or(String::new(), |again| format!("-{again}"));
                format!("{stem}-{}-{step}{again}.json", self.names()[node])
            }
        }
    }
}

fn lines(tried: &Tried) -> Vec<String> {
    let Tried { name, seeds, points, recovery_points, refused, .. } = tried;
    let of = if *seeds == 1 { "1 seed".to_owned() } else { format!("{seeds} seeds") };
    let all = match tried.bounded {
        false => "all were tried".to_owned(),
        true => format!("the bound was reached: {} were tried (--points)", tried.tried),
    };
    let mut lines = vec![format!(
        "{name}: {of}, {points} crash points and {recovery_points} in the recoveries; {all}"
    )];
    if *refused > 0 {
        lines.push(format!("  {refused} crashes were refused by the ledger"));
    }
    for finding in &tried.failures {
        let Finding { points, recovery_points, first, file, .. } = finding;
        lines.push(String::new());
        lines.extend(finding.lines.iter().cloned());
        lines.push(format!(
            "  crash points that fail like this: {points}, {recovery_points} of them in a recovery"
        ));
        lines.push(format!("  the first: {first}"));
        lines.push(format!("  to see it again: squall replay {} --trace", file.display()));
        lines.push(String::new());
    }
    if tried.failures.is_empty() {
        lines.push("  none failed".to_owned());
    }
    lines
}
