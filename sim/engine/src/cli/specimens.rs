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
    for scenario in chosen {
        let Some(property) = scenario.broken_property() else { continue };
        let search = search(&pool, scenario, property)?;
        let median_seeds = median(search.counts);
        if median_seeds.is_none() {
            exit = FAILED;
        }
        let wanted = !args.no_shrink && property != NOT_ALIKE;
        let shrunk = match search.first.filter(|_| wanted) {
            Some((seed, fingerprint)) => Some(shrink(&pool, scenario, seed, &fingerprint)?),
            None => None,
        };
        let (name, found, seeds_tried) = (scenario.name(), median_seeds.is_some(), search.tried);
        if args.json {
            out.json(&SpecimenJson { name, property, seeds_tried, found, median_seeds, shrunk })?;
            continue;
        }
        out.line(&match median_seeds {
            Some(seeds) => format!("{name}: found after {seeds} seeds (the median of {RANGES})"),
            None => format!("{name}: NOT FOUND in {seeds_tried} seeds; it must break: {property}"),
        })?;
        if let Some(shrunk) = shrunk {
            out.line(&shrunk.line())?;
        }
    }
    Ok(exit)
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
    fn a_range_without_a_find_counts_as_longer_than_any() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![Some(3)]), Some(3));
        assert_eq!(median(vec![Some(5), Some(2), None]), Some(5));
        assert_eq!(median(vec![Some(5), Some(2)]), Some(4));
        assert_eq!(median(vec![Some(5), None]), None);
        assert_eq!(median(vec![Some(1), Some(2), Some(9), None]), Some(6));
    }
}
