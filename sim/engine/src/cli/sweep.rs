//! Sweeps: many seeds of many scenarios, and nothing that one seed does to its process stops
//! another.

use super::args::{Looking, SweepArgs};
use super::coverage::Covered;
use super::found::Found;
use super::library::{Library, tolerated};
use super::output::{Out, Progress};
use super::pool::{Job, Pool};
use super::protocol::{Ask, Batch, Done, Single, Twice};
use super::report::{self, Swept};
use super::{Trouble, canary, coverage, crash_points, single};
use crate::report::NOT_ALIKE;
use crate::scenario::Scenario;
use crate::search::Strategy;
use crate::tally::Tally;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// So many seeds are handed out at once. It is fixed, so that what shares a process does not hang
/// on how many workers there are.
const BATCH: u64 = 16;

/// One seed in so many is run twice, if nothing else is asked for: state that leaks from one run
/// into the next is found by itself, and costs next to nothing.
const TWICE_ONE_IN: u64 = 50;

/// Of a sweep by all strategies, so many runs of others come before one that goes by what is new.
const COVERAGE_ONE_IN: u64 = 8;

/// How long a sweep without any bound goes on.
pub(super) const TIME: Duration = Duration::from_secs(60);

/// What came of one scenario so far.
pub(super) struct Part<'a> {
    pub(super) scenario: &'a Scenario,
    tally: Tally,
    pub(super) found: Vec<Found>,
    busy_ns: u64,
    twice: u64,
    digests: BTreeMap<u64, Option<String>>,
    pub(super) covered: Covered,
}

impl<'a> Part<'a> {
    fn new(scenario: &'a Scenario) -> Part<'a> {
        let (tally, digests) = (Tally::default(), BTreeMap::new());
        let covered = Covered::default();
        Part { scenario, tally, found: Vec::new(), busy_ns: 0, twice: 0, digests, covered }
    }

    fn take(&mut self, done: Done) {
        self.tally.merge(&done.tally);
        self.found.extend(done.found);
        self.busy_ns += done.busy_ns;
        self.twice += done.twice;
        self.digests.extend(done.digests);
    }

    /// Books a failure in place of what the seed showed before.
    fn book(&mut self, found: Found) {
        self.found.retain(|other| other.seed != found.seed);
        self.found.push(found);
    }
}

/// Runs a sweep and says what came of it.
pub(super) fn sweep(library: &Library, args: &SweepArgs, out: &mut Out) -> Result<u8, Trouble> {
    let range = bounds(args)?;
    let chosen = library.resolve(&args.names)?;
    tolerated(&chosen)?;
    if chosen.is_empty() {
        return Err(Trouble::Usage("there are no scenarios to run".to_owned()));
    }
    if args.crash_points {
        return crash_points::sweep(&chosen, range.unwrap_or((0, 1)), args, out);
    }
    let canary = canary::scenario();
    let mut parts: Vec<Part<'_>> = chosen.into_iter().map(Part::new).collect();
    parts.push(Part::new(&canary));
    let pool = Pool::new(args.jobs).under(args.weather.as_deref());
    run_all(&pool, &mut parts, args, range)?;
    let canary_found = parts.pop().and_then(|part| first_canary(&part.found));
    confirm(&pool, &mut parts)?;
    let next = if args.strategy == Looking::Coverage { 1 } else { COVERAGE_ONE_IN };
    if matches!(args.strategy, Looking::Coverage | Looking::All) {
        coverage::cover(&pool, &mut parts, (args.time, next), range)?;
    }
    if args.twice {
        compare_with_others(&pool, &mut parts, args.strategy.only())?;
    }
    let all = parts.into_iter().map(|part| swept(part, pool.workers()));
    let swept: Vec<Swept<'_>> = all.collect::<Result<_, _>>()?;
    let exit = report::exit(&swept, canary_found);
    if args.json {
        out.json(&report::json(&swept, canary_found, exit))?;
    } else {
        out.lines(&report::lines(&swept, canary_found))?;
    }
    Ok(exit)
}

fn swept(mut part: Part<'_>, workers: usize) -> Result<Swept<'_>, Trouble> {
    part.found.append(&mut part.covered.found);
    part.found.sort_by_key(|found| (found.seed, found.strategy));
    report::keep_plans(part.scenario, &mut part.found)?;
    Ok(Swept {
        scenario: part.scenario,
        tally: part.tally,
        found: part.found,
        twice: part.twice,
        wall_seconds: part.busy_ns as f64 / 1e9 / workers as f64,
        covered: part.covered,
    })
}

/// After how many seeds the canary was found.
fn first_canary(found: &[Found]) -> Option<u64> {
    let right = found.iter().filter(|found| found.failure.property == canary::PROPERTY);
    right.map(|found| found.seed + 1).min()
}

/// The seeds, and when no more are started.
fn bounds(args: &SweepArgs) -> Result<Option<(u64, u64)>, Trouble> {
    match (args.seeds, args.from, args.to) {
        (Some(seeds), ..) => Ok(Some((0, seeds))),
        (None, Some(from), Some(to)) if from < to => Ok(Some((from, to))),
        (None, Some(from), Some(to)) => Err(Trouble::Usage(format!(
            "--from {from} --to {to} is no seed at all: seeds go from the first, up to and without \
             the second, so --to must be the greater"
        ))),
        _ => Ok(None),
    }
}

/// Hands out the canary's seeds, and then the scenarios' in turns.
struct Supply<'a> {
    names: Vec<&'a str>,
    canary: u64,
    /// The next seed of the round, and the scenario whose turn it is.
    next: u64,
    turn: usize,
    end: u64,
    deadline: Option<Instant>,
    twice: Twice,
    strategy: Option<Strategy>,
}

impl Supply<'_> {
    fn batch(&self, of: usize, from: u64, to: u64) -> Job {
        let canary = of + 1 == self.names.len();
        let ask = Ask::Batch(Batch {
            scenario: self.names[of].to_owned(),
            from,
            to,
            twice: if canary { Twice::None } else { self.twice },
            digests: self.twice == Twice::All,
            stop_at: None,
            strategy: self.strategy.filter(|_| !canary),
        });
        Job { of, ask, fresh: false }
    }

    fn next(&mut self) -> Option<Job> {
        if self.canary < canary::SEEDS {
            let from = self.canary;
            self.canary = (from + BATCH).min(canary::SEEDS);
            return Some(self.batch(self.names.len() - 1, from, self.canary));
        }
        if self.turn + 1 == self.names.len() {
            self.turn = 0;
            self.next = self.next.saturating_add(BATCH);
        }
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if late || self.next >= self.end {
            return None;
        }
        let (of, from) = (self.turn, self.next);
        self.turn += 1;
        Some(self.batch(of, from, from.saturating_add(BATCH).min(self.end)))
    }
}

/// Runs all seeds once; the last part is the canary's.
fn run_all(
    pool: &Pool,
    parts: &mut [Part<'_>],
    args: &SweepArgs,
    range: Option<(u64, u64)>,
) -> Result<(), Trouble> {
    let names: Vec<&str> = parts.iter().map(|part| part.scenario.name()).collect();
    let (from, end) = match (range, args.strategy) {
        // Its runs come later, and are no seeds.
        (_, Looking::Coverage) => (0, 0),
        (range, _) => range.unwrap_or((0, u64::MAX)),
    };
    let time = args.time.or((range.is_none()).then_some(TIME));
    // What is left of it is for runs that go by what is new.
    let time = time.filter(|_| args.strategy != Looking::Coverage).map(|time| time * 7 / 8);
    let scenarios = names.len() as u64 - 1;
    let total = range.filter(|_| args.time.is_none());
    let total = total.map(|(from, to)| (to - from).saturating_mul(scenarios) + canary::SEEDS);
    let mut progress = Progress::new(total);
    let mut supply = Supply {
        names,
        canary: 0,
        next: from,
        turn: 0,
        end,
        deadline: time.and_then(|time| Instant::now().checked_add(time)),
        twice: match (args.twice, args.once) {
            (true, _) => Twice::All,
            (false, true) => Twice::None,
            (false, false) => Twice::OneIn(TWICE_ONE_IN),
        },
        strategy: args.strategy.only(),
    };
    let canary_at = parts.len() - 1;
    let result = pool.work(
        || supply.next(),
        |job, done| {
            let failures = if job.of == canary_at { 0 } else { done.found.len() as u64 };
            progress.add(done.tally.seeds, failures);
            parts[job.of].take(done);
            Ok(())
        },
    );
    progress.end();
    result
}

/// Runs every failing seed once more in a fresh process.
fn confirm(pool: &Pool, parts: &mut [Part<'_>]) -> Result<(), Trouble> {
    let mut jobs = Vec::new();
    for (of, part) in parts.iter().enumerate() {
        for found in part.found.iter().filter(|found| found.failure.property != NOT_ALIKE) {
            let scenario = part.scenario.name().to_owned();
            let plan = found.plan.as_deref().cloned();
            let single = Single { scenario, seed: found.seed, plan, ..Single::default() };
            jobs.push(Job { of, ask: Ask::Single(Box::new(single)), fresh: true });
        }
    }
    let mut jobs = jobs.into_iter();
    pool.work(
        || jobs.next(),
        |job, done| {
            let Ask::Single(single) = &job.ask else { return Ok(()) };
            let part = &mut parts[job.of];
            let fresh = done.found.first();
            let seen = part.found.iter().find(|found| found.seed == single.seed);
            if let Some(seen) = seen.filter(|seen| !fresh.is_some_and(|f| f.is_like(seen))) {
                let unlike = seen.not_reproducible(fresh);
                part.book(unlike);
            }
            Ok(())
        },
    )
}

/// Runs all seeds once more, in workers that have seen none of them, and compares the digests.
fn compare_with_others(
    pool: &Pool,
    parts: &mut [Part<'_>],
    strategy: Option<Strategy>,
) -> Result<(), Trouble> {
    let mut jobs = Vec::new();
    for (of, part) in parts.iter().enumerate() {
        // Runs of neighbouring seeds, as they were handed out.
        let seeds: Vec<u64> = part.digests.keys().copied().collect();
        for chunk in seeds.chunks(BATCH as usize) {
            let (Some(from), Some(last)) = (chunk.first(), chunk.last()) else { continue };
            let scenario = part.scenario.name().to_owned();
            let (from, to) = (*from, last + 1);
            let twice = Twice::None;
            let (digests, stop_at) = (true, None);
            let batch = Batch { scenario, from, to, twice, digests, stop_at, strategy };
            jobs.push(Job { of, ask: Ask::Batch(batch), fresh: false });
        }
    }
    // From the last to the first, so that other runs come before each seed than the first time.
    let mut jobs = jobs.into_iter().rev();
    let mut differ: Vec<(usize, u64, [Option<String>; 2])> = Vec::new();
    pool.work(
        || jobs.next(),
        |job, done| {
            for (seed, digest) in done.digests {
                let first = parts[job.of].digests.get(&seed).cloned().flatten();
                if first != digest {
                    differ.push((job.of, seed, [first, digest]));
                }
            }
            Ok(())
        },
    )?;
    differ.sort();
    let mut told = None;
    for (of, seed, [first, second]) in differ {
        let part = &mut parts[of];
        let seen = part.found.iter().find(|found| found.seed == seed).cloned();
        if seen.as_ref().is_some_and(|found| found.failure.property == NOT_ALIKE) {
            // Two runs in one process differed already, and that says more.
            continue;
        }
        let name = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "none".to_owned());
        let (one, other) = (name(&first), name(&second));
        let mut story = vec![format!("in one worker its digest is {one}, in another {other}")];
        if told != Some(of) {
            // The first of a scenario is told in full; the others are most likely the same.
            told = Some(of);
            story.extend(single::compare_processes(pool, part.scenario, seed)?);
        }
        let class = crate::Class::Property;
        let mut seen = seen.unwrap_or_else(|| Found::dead(seed, class, Vec::new()));
        seen.digest = first;
        part.book(seen.unlike(NOT_ALIKE, story));
    }
    Ok(())
}
