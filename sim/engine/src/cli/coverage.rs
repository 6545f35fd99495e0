//! The part of a sweep that goes by what is new.
//!
//! Plans are tried in generations: what all runs of one have reached is learnt of in the order of
//! their plans, and only then the next is made. So nothing hangs on the number of workers.

use super::Trouble;
use super::found::Found;
use super::pool::{Job, Pool};
use super::protocol::{Ask, Done, Single};
use super::sweep::{Part, TIME};
use crate::scenario::Scenario;
use crate::search::{Candidate, GENERATION, Search, Strategy};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a search goes on.
#[derive(Clone, Copy)]
enum Budget {
    Runs(u64),
    Until(Instant),
}

/// What came of a search.
#[derive(Clone, Default, Debug, Serialize)]
pub(super) struct Covered {
    pub(super) runs: u64,
    /// How many plans reached something new, and how many things were reached.
    pub(super) kept: u64,
    pub(super) reached: u64,
    #[serde(skip)]
    pub(super) found: Vec<Found>,
}

/// From this seed on fresh plans are drawn, so that they are others than those of the sweep.
const FRESH: u64 = 1 << 48;

/// Adds to each part of a sweep a search: of so many runs, or for a share of the time.
pub(super) fn cover(
    pool: &Pool,
    parts: &mut [Part<'_>],
    (time, one_in): (Option<Duration>, u64),
    range: Option<(u64, u64)>,
) -> Result<(), Trouble> {
    let many = parts.len() as u32;
    for part in parts {
        let share = time.unwrap_or(TIME) / one_in as u32 / many;
        let budget = match range {
            Some((from, to)) if time.is_none() => Budget::Runs((to - from) / one_in),
            _ => Budget::Until(Instant::now() + share),
        };
        let seed = FRESH + range.map_or(0, |(from, _)| from);
        part.covered = search(pool, part.scenario, seed, budget)?;
        confirm(pool, part.scenario, &mut part.covered.found)?;
    }
    Ok(())
}

/// Runs every plan that failed once more in a fresh process.
fn confirm(pool: &Pool, scenario: &Scenario, found: &mut [Found]) -> Result<(), Trouble> {
    let singles: Vec<Single> = found
        .iter()
        .map(|found| Single {
            scenario: scenario.name().to_owned(),
            seed: found.seed,
            plan: found.plan.as_deref().cloned(),
            ..Single::default()
        })
        .collect();
    let mut jobs = singles.into_iter().enumerate().map(|(of, single)| Job {
        of,
        ask: Ask::Single(Box::new(single)),
        fresh: true,
    });
    pool.work(
        || jobs.next(),
        |job, done| {
            let (seen, fresh) = (&mut found[job.of], done.found.first());
            if !fresh.is_some_and(|fresh| fresh.is_like(seen)) {
                *seen = seen.not_reproducible(fresh);
            }
            Ok(())
        },
    )
}

/// Searches one scenario with the workers of a pool, from a seed on.
fn search(pool: &Pool, scenario: &Scenario, seed: u64, budget: Budget) -> Result<Covered, Trouble> {
    let mut search = Search::new(scenario, seed);
    let mut covered = Covered::default();
    loop {
        let left = match budget {
            Budget::Runs(runs) => runs - covered.runs,
            Budget::Until(end) if Instant::now() < end => GENERATION,
            Budget::Until(_) => 0,
        };
        if left == 0 {
            let (kept, reached) = search.size();
            (covered.kept, covered.reached) = (kept as u64, reached as u64);
            return Ok(covered);
        }
        let mut generation = search.generation();
        generation.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let all = run(pool, scenario, &generation)?;
        for (candidate, mut done) in generation.iter().zip(all) {
            search.learn(candidate, &done.reached);
            covered.runs += 1;
            covered.found.extend(done.found.drain(..).map(|found| Found {
                strategy: Strategy::Coverage,
                plan: Some(Box::new(candidate.plan.clone())),
                ..found
            }));
        }
    }
}

/// What came of each plan, in their order.
fn run(pool: &Pool, scenario: &Scenario, plans: &[Candidate]) -> Result<Vec<Done>, Trouble> {
    let mut jobs = plans.iter().enumerate().map(|(of, candidate)| {
        let single = Single {
            scenario: scenario.name().to_owned(),
            seed: candidate.seed,
            plan: Some(candidate.plan.clone()),
            reach: true,
            ..Single::default()
        };
        Job { of, ask: Ask::Single(Box::new(single)), fresh: false }
    });
    let mut all: BTreeMap<usize, Done> = BTreeMap::new();
    pool.work(
        || jobs.next(),
        |job, done| {
            all.insert(job.of, done);
            Ok(())
        },
    )?;
    Ok(all.into_values().collect())
}
