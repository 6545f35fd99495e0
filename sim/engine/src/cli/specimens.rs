//! The test of the tester: how many seeds it takes to find each specimen and mutant, and what is
//! left of the first run that does when it is shrunk.

use super::args::SpecimensArgs;
use super::library::Library;
use super::output::{Out, Progress};
use super::pool::{Job, Pool};
use super::protocol::{Ask, Batch, Twice};
use super::shrink::shrink_in;
use super::strategies::strategies;
use super::{CLEAN, FAILED, Trouble};
use crate::report::NOT_ALIKE;
use crate::run::POLL_MAX_VARIABLE;
use crate::scenario::Scenario;
use crate::shrink::RUNS_MAX;
use serde::Serialize;
use std::time::Instant;

/// So many disjoint ranges of seeds are searched.
pub(super) const RANGES: u64 = 30;

/// A range is given up after so many seeds.
pub(super) const RANGE: u64 = 1_000;

/// A specimen that hangs does so in every range; the workers here notice it after so many seconds.
const POLL_MAX_S: u64 = 1;

#[derive(Serialize)]
struct SpecimenJson<'a> {
    name: &'a str,
    property: &'a str,
    seeds_tried: u64,
    found: bool,
    median_seeds: Option<u64>,
    /// When the runs break that were found, in milliseconds of their own time.
    median_at_ms: Option<u64>,
    #[serde(flatten)]
    shrunk: Option<ShrunkJson>,
}

#[derive(Serialize)]
struct ShrunkJson {
    /// Faults and operations of the run that was found.
    found_steps: u64,
    shrunk_faults: u64,
    shrunk_operations: u64,
    shrink_seconds: f64,
    shrink_runs: u64,
    minimal: bool,
}

/// What a search came to.
#[derive(Default)]
struct Search {
    /// How many seeds were run in all.
    tried: u64,
    /// In each range how many up to the first that breaks the property.
    counts: Vec<Option<u64>>,
    /// In each range when that run breaks it, in nanoseconds.
    times: Vec<Option<u64>>,
    /// The least seed that breaks it, and the failure's fingerprint.
    first: Option<(u64, String)>,
}

/// Looks for each of the chosen specimens.
pub(super) fn specimens(
    library: &Library,
    args: &SpecimensArgs,
    out: &mut Out,
) -> Result<u8, Trouble> {
    let chosen = library.resolve_specimens(&args.names)?;
    let mut pool = Pool::new(args.jobs);
    if std::env::var_os(POLL_MAX_VARIABLE).is_none() {
        pool = pool.with_variable(POLL_MAX_VARIABLE, POLL_MAX_S.to_string());
    }
    if args.strategies {
        return strategies(library, &args.names, &pool, args.json, out);
    }
    let mut exit = CLEAN;
    if args.markdown {
        out.line("| name | what breaks | seeds | at | shrunk to |\n|---|---|---|---|---|")?;
    }
    for scenario in chosen {
        let Some(property) = scenario.broken_property() else { continue };
        let search = search(&pool, scenario, property)?;
        let found = Found {
            name: scenario.name(),
            property,
            tried: search.tried,
            seeds: median(search.counts),
            at_ns: median(search.times.into_iter().filter(Option::is_some).collect()),
        };
        if found.seeds.is_none() {
            exit = FAILED;
        }
        let wanted = !args.no_shrink && property != NOT_ALIKE;
        let shrunk = match search.first.filter(|_| wanted) {
            Some((seed, fingerprint)) => Some(shrink(&pool, scenario, seed, &fingerprint)?),
            None => None,
        };
        if args.json {
            out.json(&found.json(shrunk))?;
        } else if args.markdown {
            out.line(&found.row(shrunk.as_ref()))?;
        } else {
            out.line(&found.line())?;
            if let Some(shrunk) = shrunk {
                out.line(&shrunk.line())?;
            }
        }
    }
    Ok(exit)
}

/// What came of looking for one of them.
struct Found<'a> {
    name: &'a str,
    property: &'a str,
    tried: u64,
    /// The medians over all ranges.
    seeds: Option<u64>,
    at_ns: Option<u64>,
}

impl<'a> Found<'a> {
    fn json(&self, shrunk: Option<ShrunkJson>) -> SpecimenJson<'a> {
        SpecimenJson {
            name: self.name,
            property: self.property,
            seeds_tried: self.tried,
            found: self.seeds.is_some(),
            median_seeds: self.seeds,
            median_at_ms: self.at_ns.map(|at| at / 1_000_000),
            shrunk,
        }
    }

    fn line(&self) -> String {
        let Found { name, property, tried, .. } = self;
        match (self.seeds, self.at_ns) {
            (Some(seeds), Some(at)) => format!(
                "{name}: found after {seeds} seeds, {} into the run (the medians of {RANGES})",
                seconds(at)
            ),
            _ => format!("{name}: NOT FOUND in {tried} seeds; it must break: {property}"),
        }
    }

    /// A row of a table in Markdown.
    fn row(&self, shrunk: Option<&ShrunkJson>) -> String {
        let Found { name, property, tried, .. } = self;
        let seeds = match self.seeds {
            Some(seeds) => seeds.to_string(),
            None => format!("not in {tried}"),
        };
        let at = self.at_ns.map(seconds).unwrap_or_default();
        let shrunk = shrunk.map_or_else(String::new, |shrunk| {
            format!("{} faults, {} operations", shrunk.shrunk_faults, shrunk.shrunk_operations)
        });
        format!("| `{name}` | {property} | {seeds} | {at} | {shrunk} |")
    }
}

/// A time of a run, in seconds and hundredths.
fn seconds(ns: u64) -> String {
    let hundredths = ns / 10_000_000;
    format!("{}.{:02} s", hundredths / 100, hundredths % 100)
}

impl ShrunkJson {
    fn line(&self) -> String {
        let ShrunkJson { found_steps, shrunk_faults, shrunk_operations, .. } = self;
        format!(
            "  shrunk from {found_steps} steps to {shrunk_faults} faults and {shrunk_operations} \
             operations in {:.1} s, {} runs{}",
            self.shrink_seconds,
            self.shrink_runs,
            if self.minimal { "" } else { "; not minimal" }
        )
    }
}

/// Shrinks the run of a seed.
fn shrink(
    pool: &Pool,
    scenario: &Scenario,
    seed: u64,
    fingerprint: &str,
) -> Result<ShrunkJson, Trouble> {
    let began = Instant::now();
    let plan = scenario.plan(seed);
    let shrunk =
        shrink_in(pool, scenario, (seed, &plan), fingerprint, RUNS_MAX, &mut |_, _, _| {})?;
    let (found, last) = shrunk.sizes;
    Ok(ShrunkJson {
        found_steps: found.faults + found.operations,
        shrunk_faults: last.faults,
        shrunk_operations: last.operations,
        shrink_seconds: began.elapsed().as_secs_f64(),
        shrink_runs: shrunk.runs,
        minimal: shrunk.is_minimal,
    })
}

/// Searches every range.
fn search(pool: &Pool, scenario: &Scenario, property: &str) -> Result<Search, Trouble> {
    let mut ranges = 0..RANGES;
    let job = |range: u64| {
        let batch = Batch {
            scenario: scenario.name().to_owned(),
            from: range * RANGE,
            to: (range + 1) * RANGE,
            // Of runs that are no function of their seed, a single one shows nothing.
            twice: if property == NOT_ALIKE { Twice::All } else { Twice::None },
            digests: false,
            strategy: None,
            stop_at: Some(property.to_owned()),
        };
        Job { of: 0, ask: Ask::Batch(batch), fresh: false }
    };
    let mut search = Search::default();
    let mut progress = Progress::new(None);
    let result = pool.work(
        || ranges.next().map(job),
        |_, done| {
            search.tried += done.tally.seeds;
            let mut found = done.found.iter();
            let found = found.find(|found| found.failure.property == property);
            search.counts.push(found.map(|_| done.tally.seeds));
            search.times.push(found.map(|found| found.failure.at_ns));
            let found = found.map(|found| (found.seed, found.failure.fingerprint()));
            let earlier = [search.first.take(), found].into_iter().flatten();
            search.first = earlier.min_by_key(|(seed, _)| *seed);
            progress.add(done.tally.seeds, 0);
            Ok(())
        },
    );
    progress.end();
    result.map(|()| search)
}

/// The median; none if half of the ranges or more were given up. Between two numbers it is their
/// mean, rounded up.
pub(super) fn median(counts: Vec<Option<u64>>) -> Option<u64> {
    let mut known: Vec<u64> = counts.iter().flatten().copied().collect();
    known.sort_unstable();
    let all = counts.len();
    let low = known.get(all.checked_sub(1)? / 2)?;
    let high = known.get(all / 2)?;
    Some((low + high).div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_was_found_and_what_was_not() {
        let (name, property) = ("mutant/m", "it holds");
        let found = Found { name, property, tried: 90, seeds: Some(3), at_ns: Some(1_239_999_999) };
        assert_eq!(found.row(None), "| `mutant/m` | it holds | 3 | 1.23 s |  |");
        assert!(found.line().contains("after 3 seeds, 1.23 s into the run"));
        let lost = Found { seeds: None, at_ns: None, ..found };
        assert_eq!(lost.row(None), "| `mutant/m` | it holds | not in 90 |  |  |");
        assert!(lost.line().contains("NOT FOUND in 90 seeds"));
    }

    #[test]
    fn a_range_without_a_find_counts_as_longer_than_any() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![Some(3)]), Some(3));
        assert_eq!(median(vec![Some(5), Some(2), None]), Some(5));
        assert_eq!(median(vec![Some(5), Some(2)]), Some(4));
        assert_eq!(median(vec![Some(5), None]), None);
        assert_eq!(median(vec![Some(1), Some(2), Some(9), None]), Some(6));
    }
}
