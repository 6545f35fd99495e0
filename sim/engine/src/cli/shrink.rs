//! Shrinking: the command, and plans that are tried in worker processes.

use super::args::ShrinkArgs;
use super::library::Library;
use super::output::{Out, note};
use super::pool::{Job, Pool};
use super::protocol::{Ask, Done, Single};
use super::{CLEAN, Trouble};
use crate::plan::Plan;
use crate::regression::as_rust;
use crate::repro::{Expected, Repro};
use crate::scenario::Scenario;
use crate::shrink::{self, Oracle, Shrunk, Size, Verdict, strikes};
use crate::story::Sentence;
use crate::world::Recorded;
use serde::Serialize;
use std::sync::mpsc::{Receiver, Sender, channel};

#[derive(Serialize)]
struct ShrinkJson<'a> {
    name: &'a str,
    seed: u64,
    property: &'a str,
    fingerprint: &'a str,
    found: Size,
    shrunk: Size,
    runs: u64,
    minimal: bool,
    /// What happened in the shrunk run, in sentences.
    story: &'a [Sentence],
}

/// Shrinks a failing run.
pub(super) fn shrink(library: &Library, args: &ShrinkArgs, out: &mut Out) -> Result<u8, Trouble> {
    let (scenario, seed, plan) = library.run_of(&args.name, args.seed)?;
    let list = list(library, args, scenario.name())?;
    let pool = Pool::new(args.jobs);
    let done = pool.single(single(scenario, seed, &plan), &mut |_| {})?;
    let Some(found) = done.found.first() else {
        let name = scenario.name();
        return Err(Trouble::Usage(format!(
            "{name} seed {seed} does not fail, so there is nothing to shrink"
        )));
    };
    let fingerprint = found.failure.fingerprint();
    let mut tell = |what: &str, size: &Size, runs: u64| {
        note(&format!("after {runs} runs: {} (fewer {what})", size.words()));
    };
    let shrunk = shrink_in(&pool, scenario, (seed, &plan), &fingerprint, args.runs, &mut tell)?;
    let told = Single { record: true, ..single(scenario, seed, &shrunk.plan) };
    let last = pool.single(told, &mut |_| {})?;
    let Some(left) = last.found.first().filter(|f| f.failure.fingerprint() == fingerprint) else {
        return Err(Trouble::Infrastructure(
            "the shrunk run ended in another way in a fresh process".to_owned(),
        ));
    };
    let digest = last.last.as_ref().map(|last| last.digest.clone());
    let (property, fingerprint) = (left.failure.property.clone(), left.failure.fingerprint());
    let expected =
        Expected { property: Some(property), fingerprint: Some(fingerprint.clone()), digest };
    let repro = Repro::new(scenario.name(), seed, &shrunk.plan, expected);
    if let Some(list) = &list {
        let source = as_rust(&repro, list, last.story()).map_err(Trouble::Infrastructure)?;
        let Some(file) = &args.output else {
            out.line(source.trim_end())?;
            return Ok(CLEAN);
        };
        let failed = |why| Trouble::Infrastructure(format!("cannot write {file:?}: {why}"));
        std::fs::write(file, source).map_err(failed)?;
    } else if let Some(file) = &args.output {
        repro.write(file).map_err(|error| Trouble::Infrastructure(error.to_string()))?;
    }
    if args.json {
        out.json(&ShrinkJson {
            name: scenario.name(),
            seed,
            property: &left.failure.property,
            fingerprint: &fingerprint,
            found: shrunk.sizes.0,
            shrunk: shrunk.sizes.1,
            runs: shrunk.runs,
            minimal: shrunk.is_minimal,
            story: last.story(),
        })?;
        return Ok(CLEAN);
    }
    let named = (scenario.name(), seed);
    out.lines(&crate::report::lines(named, &left.failure, &shrunk.plan, last.story()))?;
    out.lines(&summary(&shrunk, args))?;
    Ok(CLEAN)
}

/// Shrinks a plan that fails with this fingerprint, with the workers of a pool.
pub(super) fn shrink_in(
    pool: &Pool,
    scenario: &Scenario,
    (seed, plan): (u64, &Plan),
    fingerprint: &str,
    runs: u64,
    tell: &mut dyn FnMut(&str, &Size, u64),
) -> Result<Shrunk, Trouble> {
    let (ask, asked) = channel();
    let (answer, answers) = channel();
    std::thread::scope(|scope| {
        let working = scope.spawn(move || {
            pool.work(
                move || asked.recv().ok(),
                |job: &Job, done| {
                    // Whoever asked has given up.
                    let _ = answer.send((job.of, done));
                    Ok(())
                },
            )
        });
        let mut workers = Workers { scenario, seed, ask, answers };
        let shrunk = shrink::shrink(scenario, (plan, fingerprint), runs, &mut workers, tell);
        drop(workers);
        match working.join() {
            Ok(Err(trouble)) => Err(trouble),
            _ => shrunk.map_err(|error| Trouble::Infrastructure(error.to_string())),
        }
    })
}

/// The expression of the list that a test looks in for the scenario, if one is to be written.
fn list(library: &Library, args: &ShrinkArgs, name: &str) -> Result<Option<String>, Trouble> {
    if !args.rust || args.list.is_some() {
        return Ok(args.list.clone());
    }
    let Ok(package) = std::env::var("CARGO_PKG_NAME") else {
        return Err(Trouble::Usage(
            "in which list is the scenario? Say it with --list, as in `--list \
             'my_crate::scenarios()'`, or run this with `cargo run`"
                .to_owned(),
        ));
    };
    let is_specimen = library.specimens().iter().any(|specimen| specimen.name() == name);
    let function = if is_specimen { "specimens" } else { "scenarios" };
    Ok(Some(format!("{}::{function}()", package.replace('-', "_"))))
}

fn summary(shrunk: &Shrunk, args: &ShrinkArgs) -> Vec<String> {
    let mut lines = vec![String::new()];
    lines.extend(shrunk.lines());
    match &args.output {
        Some(file) if args.rust => lines.push(format!("  the test is in {}", file.display())),
        Some(file) => lines.push(format!("  to replay it: squall replay {}", file.display())),
        None => {}
    }
    lines
}

fn single(scenario: &Scenario, seed: u64, plan: &Plan) -> Single {
    let (scenario, plan) = (scenario.name().to_owned(), Some(plan.clone()));
    Single { scenario, seed, plan, ..Single::default() }
}

/// Runs plans in the workers of a pool.
struct Workers<'a> {
    scenario: &'a Scenario,
    seed: u64,
    ask: Sender<Job>,
    answers: Receiver<(usize, Done)>,
}

impl Workers<'_> {
    fn send(&self, of: usize, single: Single) -> Result<(), String> {
        let job = Job { of, ask: Ask::Single(Box::new(single)), fresh: false };
        self.ask.send(job).map_err(|_| "the workers have ended".to_owned())
    }

    fn hear(&self) -> Result<(usize, Done), String> {
        self.answers.recv().map_err(|_| "the workers have ended".to_owned())
    }
}

impl Oracle for Workers<'_> {
    fn verdicts(&mut self, plans: &[Plan]) -> Result<Vec<Verdict>, String> {
        for (of, plan) in plans.iter().enumerate() {
            self.send(of, single(self.scenario, self.seed, plan))?;
        }
        let mut all: Vec<Option<Verdict>> = vec![None; plans.len()];
        for _ in plans {
            let (of, done) = self.hear()?;
            let found = done.found.first();
            let fired = |fault: &str| done.tally.faults.get(fault).map_or(0, |counts| counts[0]);
            all[of] = Some(Verdict {
                fingerprint: found.map(|found| found.failure.fingerprint()),
                strikes: strikes(&plans[of], fired),
                at_ns: found.map_or(0, |found| found.failure.at_ns),
            });
        }
        Ok(all.into_iter().flatten().collect())
    }

    fn record(&mut self, plan: &Plan) -> Result<Recorded, String> {
        self.send(0, Single { record: true, ..single(self.scenario, self.seed, plan) })?;
        Ok(self.hear()?.1.recorded.unwrap_or_default())
    }
}
