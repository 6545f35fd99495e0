//! A worker: a process that runs the seeds it is told to, and may die of them.

use super::found::Found;
use super::library::Library;
use super::protocol::{Ask, Batch, Done, Last, MARK, Say, Seek, Single};
use crate::failure::{Class, Failure};
use crate::plan::Plan;
use crate::report::NOT_ALIKE;
use crate::run::{Outcome, Watch, run_logged, run_plan};
use crate::scenario::Scenario;
use crate::search::{Candidate, Reached, Search, Strategy, reached};
use crate::trace::Log;
use crate::twice::{entries, twice};
use crate::words::Words;
use std::collections::VecDeque;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::Instant;

/// The command that makes a process a worker. It is of use to nobody else.
pub(super) const COMMAND: &str = "__worker";

/// Does what the standard input asks, until it ends.
pub(super) fn serve(library: &Library) -> ExitCode {
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let said = match serde_json::from_str(&line) {
            Ok(ask) => work(library, &ask),
            Err(error) => say(&Say::Unable(format!("a worker was asked nonsense: {error}"))),
        };
        // Nobody listens any more: whoever asked has ended.
        if said.is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn say(what: &Say) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{MARK}{}", serde_json::to_string(what)?)?;
    out.flush()
}

fn work(library: &Library, ask: &Ask) -> io::Result<()> {
    let name = match ask {
        Ask::Batch(batch) => &batch.scenario,
        Ask::Single(single) => &single.scenario,
        Ask::Seek(seek) => &seek.scenario,
    };
    let Some(scenario) = library.find(name) else {
        return say(&Say::Unable(format!("a worker was asked for the unknown scenario {name:?}")));
    };
    let began = Instant::now();
    let mut done = match ask {
        Ask::Batch(batch) => work_batch(scenario, batch)?,
        Ask::Seek(seek) => work_seek(scenario, seek)?,
        Ask::Single(single) => match work_single(scenario, single)? {
            Ok(done) => done,
            Err(why) => return say(&Say::Unable(why)),
        },
    };
    done.busy_ns = began.elapsed().as_nanos() as u64;
    say(&Say::Done(Box::new(done)))
}

fn work_batch(scenario: &Scenario, batch: &Batch) -> io::Result<Done> {
    let mut done = Done::default();
    for seed in batch.from..batch.to {
        say(&Say::Begin(seed))?;
        let before = done.found.len();
        let strategy = batch.strategy.unwrap_or(Strategy::of(seed));
        let plan = scenario.plan_by(seed, strategy);
        run_seed(scenario, seed, &plan, batch.twice.has(seed), &mut done);
        if strategy != Strategy::of(seed) {
            for found in &mut done.found[before..] {
                (found.strategy, found.plan) = (strategy, Some(Box::new(plan.clone())));
            }
        }
        let digest = done.last.as_ref().map(|last| last.digest.clone());
        if batch.digests {
            done.digests.push((seed, digest));
        }
        let wanted = batch.stop_at.as_ref();
        if done.found[before..].iter().any(|found| Some(&found.failure.property) == wanted) {
            break;
        }
    }
    Ok(done)
}

/// Runs plans of a strategy one after the other, and says which number each has.
fn work_seek(scenario: &Scenario, seek: &Seek) -> io::Result<Done> {
    let mut done = Done::default();
    let mut search = Search::new(scenario, seek.from);
    let mut waiting = VecDeque::new();
    let is_led = seek.strategy == Strategy::Coverage;
    while done.tally.seeds < seek.most {
        if waiting.is_empty() && is_led {
            waiting = search.generation().into();
        }
        let drawn = || {
            let seed = seek.from + done.tally.seeds;
            Candidate::drawn(scenario, seed, seek.strategy)
        };
        let next = waiting.pop_front().unwrap_or_else(drawn);
        say(&Say::Begin(done.tally.seeds))?;
        let watch = Watch { reach: is_led, ..Watch::default() };
        let mut outcome = run_plan(scenario, next.seed, &next.plan, watch);
        take(&outcome, next.seed, &mut done);
        if done.found.iter().any(|found| found.failure.property == seek.property) {
            break;
        }
        if is_led {
            // What a run has reached may steer the next generation, and nothing before it.
            search.learn(&next, &reached(&mut outcome));
        }
    }
    Ok(done)
}

/// Runs a seed, perhaps twice, and adds what came of it.
fn run_seed(scenario: &Scenario, seed: u64, plan: &Plan, both: bool, done: &mut Done) {
    done.twice += u64::from(both);
    let alike = if both { twice(scenario, seed, plan).map(Some) } else { Ok(None) };
    match alike {
        Ok(outcome) => {
            let run = || run_plan(scenario, seed, plan, Watch::default());
            take(&outcome.unwrap_or_else(run), seed, done);
        }
        Err(difference) => {
            let mut outcome = run_plan(scenario, seed, plan, Watch::default());
            // Which of the runs failed, and how, says less than that they differ.
            outcome.failure = Some(Failure {
                class: Class::Property,
                property: NOT_ALIKE.to_owned(),
                place: String::new(),
                story: difference.story,
                at_ns: outcome.end_ns,
            });
            take(&outcome, seed, done);
        }
    }
}

fn take(outcome: &Outcome, seed: u64, done: &mut Done) {
    done.tally.add(seed, outcome);
    let digest = outcome.digest.to_string();
    if let Some(failure) = &outcome.failure {
        let failure = failure.clone();
        let (digest, strategy) = (Some(digest.clone()), Strategy::of(seed));
        done.found.push(Found { seed, failure, digest, strategy, plan: None, file: None });
    }
    done.struck = outcome.struck.clone();
    done.last = Some(Last {
        digest,
        end_ns: outcome.end_ns,
        events: outcome.events,
        overrides: outcome.overrides,
        missed: outcome.missed.clone(),
    });
}

/// Runs one seed, and says its trace; the inner error is why its entries were not written.
fn work_single(scenario: &Scenario, single: &Single) -> io::Result<Result<Done, String>> {
    say(&Say::Begin(single.seed))?;
    let drawn = || scenario.plan(single.seed);
    let plan = single.plan.clone().unwrap_or_else(drawn);
    let mut done = Done::default();
    if let Some(wanted) = &single.trace {
        // Each line goes out at once: of a run that does not end, nothing could be said later.
        let tell = |line| {
            // Nobody listens any more: whoever asked has ended.
            let _ = say(&Say::Trace(line));
        };
        let log = match Log::told(scenario, &plan, wanted, tell) {
            Ok(log) => log,
            Err(why) => return Ok(Err(why)),
        };
        let outcome = run_logged(scenario, single.seed, &plan, Watch::default(), Some(log));
        take(&outcome, single.seed, &mut done);
    } else if let Some(file) = &single.entries {
        let watch = Watch { log: true, ..Watch::default() };
        let outcome = run_plan(scenario, single.seed, &plan, watch);
        let text = entries(&Words::of(scenario, &plan), &outcome).join("\n");
        if let Err(error) = std::fs::write(file, text) {
            return Ok(Err(format!("cannot write {}: {error}", file.display())));
        }
        take(&outcome, single.seed, &mut done);
    } else if let Some(export) = &single.export {
        let watch = Watch { causes: true, ..Watch::default() };
        let mut outcome = run_plan(scenario, single.seed, &plan, watch);
        take(&outcome, single.seed, &mut done);
        match export.write(scenario, (single.seed, &plan), &mut outcome) {
            Ok(chain) => done.chain = chain,
            Err(why) => return Ok(Err(why)),
        }
    } else if single.record || single.steps || single.reach {
        let Single { record, steps, reach, .. } = *single;
        let watch = Watch { record, steps, reach, ..Watch::default() };
        let mut outcome = run_plan(scenario, single.seed, &plan, watch);
        done.recorded = outcome.recorded.take();
        done.steps = std::mem::take(&mut outcome.steps);
        take(&outcome, single.seed, &mut done);
        done.reached = if reach { reached(&mut outcome) } else { Reached::new() };
    } else {
        run_seed(scenario, single.seed, &plan, single.twice, &mut done);
    }
    Ok(Ok(done))
}
