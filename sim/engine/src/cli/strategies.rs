//! Which way of looking finds what: each strategy against each specimen and mutant.

use super::library::Library;
use super::output::{Out, Progress};
use super::pool::{Job, Pool};
use super::protocol::{Ask, Seek};
use super::specimens::{RANGE, RANGES, median};
use super::{CLEAN, FAILED, Trouble};
use crate::report::NOT_ALIKE;
use crate::scenario::Scenario;
use crate::search::Strategy;
use serde::Serialize;
use std::collections::BTreeMap;

/// Each of them, in the order of the table.
const ALL: [Strategy; 3] = [Strategy::Random, Strategy::Pct, Strategy::Coverage];

#[derive(Serialize)]
struct StrategiesJson<'a> {
    name: &'a str,
    property: &'a str,
    repetitions: u64,
    runs_max: u64,
    strategies: BTreeMap<&'static str, Measured>,
}

/// How one strategy did.
#[derive(Serialize)]
struct Measured {
    /// After how many runs it found it; none if half of the repetitions or more did not.
    median_runs: Option<u64>,
    /// How many repetitions found it, and how many runs there were in all.
    found: u64,
    runs: u64,
}

/// Measures all strategies, a line for each specimen.
pub(super) fn strategies(
    library: &Library,
    names: &[String],
    pool: &Pool,
    json: bool,
    out: &mut Out,
) -> Result<u8, Trouble> {
    let chosen = library.resolve_specimens(names)?;
    // What is no function of a plan is found by no way of drawing plans.
    let wanted = |scenario: &&Scenario| scenario.broken_property().is_some_and(|p| p != NOT_ALIKE);
    let chosen: Vec<&Scenario> = chosen.into_iter().filter(wanted).collect();
    let width = chosen.iter().map(|scenario| scenario.name().len()).max().unwrap_or_default();
    if !json {
        let names = ALL.map(|strategy| format!("{:>9}", strategy.name()));
        out.line(&format!("{:<width$}  {}", "median runs", names.join("  ")))?;
    }
    let mut exit = CLEAN;
    for scenario in chosen {
        let measured = measure(pool, scenario)?;
        if measured.values().all(|measured| measured.median_runs.is_none()) {
            exit = FAILED;
        }
        let name = scenario.name();
        if json {
            out.json(&StrategiesJson {
                name,
                property: scenario.broken_property().unwrap_or_default(),
                repetitions: RANGES,
                runs_max: RANGE,
                strategies: measured.into_iter().map(|(s, m)| (s.name(), m)).collect(),
            })?;
            continue;
        }
        let medians = measured.values().map(|measured| match measured.median_runs {
            Some(runs) => format!("{runs:>9}"),
            None => format!("{:>9}", format!("> {RANGE}")),
        });
        out.line(&format!("{name:<width$}  {}", medians.collect::<Vec<_>>().join("  ")))?;
    }
    Ok(exit)
}

/// Has every strategy search in every repetition.
fn measure(pool: &Pool, scenario: &Scenario) -> Result<BTreeMap<Strategy, Measured>, Trouble> {
    let property = scenario.broken_property().unwrap_or_default();
    let all = ALL.iter().enumerate().flat_map(|(of, s)| (0..RANGES).map(move |r| (of, *s, r)));
    let mut jobs = all.map(|(of, strategy, repetition)| {
        let seek = Seek {
            scenario: scenario.name().to_owned(),
            strategy,
            from: repetition * RANGE,
            most: RANGE,
            property: property.to_owned(),
        };
        Job { of, ask: Ask::Seek(seek), fresh: false }
    });
    let mut counts: BTreeMap<Strategy, (u64, Vec<Option<u64>>)> = BTreeMap::new();
    let mut progress = Progress::new(None);
    let worked = pool.work(
        || jobs.next(),
        |job, done| {
            let (runs, counts) = counts.entry(ALL[job.of]).or_default();
            *runs += done.tally.seeds;
            let found = done.found.iter().any(|found| found.failure.property == property);
            counts.push(found.then_some(done.tally.seeds));
            progress.add(done.tally.seeds, 0);
            Ok(())
        },
    );
    progress.end();
    worked?;
    let measured = |(strategy, (runs, counts)): (Strategy, (u64, Vec<Option<u64>>))| {
        let found = counts.iter().flatten().count() as u64;
        (strategy, Measured { median_runs: median(counts), found, runs })
    };
    Ok(counts.into_iter().map(measured).collect())
}
