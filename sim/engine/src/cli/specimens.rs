//! The test of the tester: how many seeds it takes to find each specimen and mutant.

use super::args::SpecimensArgs;
use super::library::Library;
use super::output::{Out, Progress};
use super::pool::{Job, Pool};
use super::protocol::{Ask, Batch, Twice};
use super::{CLEAN, FAILED, Trouble};
use crate::report::NOT_ALIKE;
use crate::run::POLL_MAX_VARIABLE;
use crate::scenario::Scenario;
use serde::Serialize;

/// So many disjoint ranges of seeds are searched.
const RANGES: u64 = 30;

/// A range is given up after so many seeds.
const RANGE: u64 = 1_000;

/// A specimen that hangs does so in every range; the workers here notice it after so many seconds.
const POLL_MAX_S: u64 = 2;

#[derive(Serialize)]
struct SpecimenJson<'a> {
    name: &'a str,
    property: &'a str,
    seeds_tried: u64,
    found: bool,
    median_seeds: Option<u64>,
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
    let mut exit = CLEAN;
    for scenario in chosen {
        let Some(property) = scenario.broken_property() else { continue };
        let (tried, counts) = search(&pool, scenario, property)?;
        let median_seeds = median(counts);
        if median_seeds.is_none() {
            exit = FAILED;
        }
        let (name, found) = (scenario.name(), median_seeds.is_some());
        if args.json {
            out.json(&SpecimenJson { name, property, seeds_tried: tried, found, median_seeds })?;
        } else {
            out.line(&match median_seeds {
                Some(seeds) => {
                    format!("{name}: found after {seeds} seeds (the median of {RANGES})")
                }
                None => format!("{name}: NOT FOUND in {tried} seeds; it must break: {property}"),
            })?;
        }
    }
    Ok(exit)
}

/// Searches every range: how many seeds were run in all, and in each range up to the first that
/// breaks the property.
fn search(
    pool: &Pool,
    scenario: &Scenario,
    property: &str,
) -> Result<(u64, Vec<Option<u64>>), Trouble> {
    let mut ranges = 0..RANGES;
    let job = |range: u64| {
        let batch = Batch {
            scenario: scenario.name().to_owned(),
            from: range * RANGE,
            to: (range + 1) * RANGE,
            // Of runs that are no function of their seed, a single one shows nothing.
            twice: if property == NOT_ALIKE { Twice::All } else { Twice::None },
            digests: false,
            stop_at: Some(property.to_owned()),
        };
        Job { of: 0, ask: Ask::Batch(batch), fresh: false }
    };
    let (mut tried, mut counts) = (0, Vec::new());
    let mut progress = Progress::new(None);
    let result = pool.work(
        || ranges.next().map(job),
        |_, done| {
            tried += done.tally.seeds;
            let found = done.found.iter().any(|found| found.failure.property == property);
            counts.push(found.then_some(done.tally.seeds));
            progress.add(done.tally.seeds, 0);
            Ok(())
        },
    );
    progress.end();
    result.map(|()| (tried, counts))
}

/// The median; none if half of the ranges or more were given up. Between two numbers it is their
/// mean, rounded up.
fn median(counts: Vec<Option<u64>>) -> Option<u64> {
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
