//! When a failure became likely: the command, with futures that are run in worker processes.

use super::args::WhyArgs;
use super::library::Library;
use super::output::{Out, Progress, note};
use super::pool::{Job, Pool};
use super::protocol::{Ask, Done, Say, Single};
use super::{CLEAN, Trouble};
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::trace::Wanted;
use crate::why::{Past, Point, Step, Why, why as look};
use crate::words::seconds;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Serialize)]
struct WhyJson<'a> {
    name: &'a str,
    seed: u64,
    property: &'a str,
    fingerprint: String,
    at_ns: u64,
    runs: u64,
    points: Vec<PointJson>,
    steps: &'a [Step],
}

#[derive(Serialize)]
struct PointJson {
    #[serde(flatten)]
    point: Point,
    low_percent: f64,
    high_percent: f64,
}

/// Plots how likely a run's failure was against time.
pub(super) fn why(library: &Library, args: &WhyArgs, out: &mut Out) -> Result<u8, Trouble> {
    let (scenario, seed, plan) = library.run_of(&args.name, args.seed)?;
    let (name, pool) = (scenario.name(), Pool::new(args.jobs));
    let done = pool.single(single(scenario, seed, &plan), &mut |_| {})?;
    let Some(found) = done.found.first() else {
        return Err(Trouble::Usage(format!(
            "{name} seed {seed} does not fail, so there is nothing to explain"
        )));
    };
    let Some(at_ns) = found.at_ns() else {
        return Err(Trouble::Usage(format!(
            "{name} seed {seed} does not end ({}), so it is not known when it failed",
            found.failure.class
        )));
    };
    let fingerprint = found.failure.fingerprint();
    let struck = &done.struck;
    let past = Past { scenario, plan: &plan, fingerprint: &fingerprint, at_ns, struck };
    let mut progress = Progress::new(None);
    let mut run = |plans: &[Plan]| {
        let ended = run_all(&pool, scenario, seed, plans).map_err(|trouble| trouble.to_string());
        progress.add(plans.len() as u64, 0);
        ended
    };
    let mut why = look(&past, args.samples, &mut run).map_err(Trouble::Infrastructure)?;
    progress.end();
    let wanted = Wanted { world: true, lanes: false, filter: "off".to_owned() };
    let traced = Single { trace: Some(wanted), ..single(scenario, seed, &plan) };
    pool.single(traced, &mut |said| {
        if let Say::Trace(line) = said {
            why.hear(&line);
        }
    })?;
    if let Some(file) = &args.svg {
        write(file, &why.svg(&format!("{name} seed {seed}: {}", found.failure.property)))?;
    }
    if args.json {
        out.json(&json((name, seed), &found.failure, &why))?;
        return Ok(CLEAN);
    }
    let property = &found.failure.property;
    out.line(&format!("{name} breaks: {property}"))?;
    out.line(&format!("  seed {seed}, at {}; {} futures were run", seconds(at_ns), why.runs))?;
    out.line("")?;
    out.lines(&why.lines())?;
    if let Some(file) = &args.svg {
        note(&format!("the picture is in {}", file.display()));
    }
    Ok(CLEAN)
}

fn json<'a>(
    (name, seed): (&'a str, u64),
    failure: &'a crate::Failure,
    why: &'a Why,
) -> WhyJson<'a> {
    let points = why.points.iter().map(|point| {
        let (low, high) = point.bounds();
        // Whole tenths, so that no platform prints another digit.
        let tenth = |percent: f64| (percent * 10.0).round() / 10.0;
        PointJson { point: *point, low_percent: tenth(low), high_percent: tenth(high) }
    });
    WhyJson {
        name,
        seed,
        property: &failure.property,
        fingerprint: failure.fingerprint(),
        at_ns: failure.at_ns,
        runs: why.runs,
        points: points.collect(),
        steps: &why.steps,
    }
}

fn single(scenario: &Scenario, seed: u64, plan: &Plan) -> Single {
    let (scenario, plan) = (scenario.name().to_owned(), Some(plan.clone()));
    Single { scenario, seed, plan, ..Single::default() }
}

/// With which fingerprint each plan fails, if it does, in their order.
fn run_all(
    pool: &Pool,
    scenario: &Scenario,
    seed: u64,
    plans: &[Plan],
) -> Result<Vec<Option<String>>, Trouble> {
    let mut jobs = plans.iter().enumerate().map(|(of, plan)| {
        let ask = Ask::Single(Box::new(single(scenario, seed, plan)));
        Job { of, ask, fresh: false }
    });
    let mut all: BTreeMap<usize, Done> = BTreeMap::new();
    pool.work(
        || jobs.next(),
        |job, done| {
            all.insert(job.of, done);
            Ok(())
        },
    )?;
    let ended = all.into_values();
    Ok(ended.map(|done| done.found.first().map(|found| found.failure.fingerprint())).collect())
}

fn write(file: &Path, text: &str) -> Result<(), Trouble> {
    std::fs::write(file, text).map_err(|error| {
        Trouble::Infrastructure(format!("cannot write {}: {error}", file.display()))
    })
}
