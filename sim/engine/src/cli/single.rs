//! One seed: a run, or the replay of a repro file.

use super::args::{ReplayArgs, RunArgs, Style};
use super::export::{Format, Subject};
use super::found::Found;
use super::library::{Library, tolerated};
use super::output::{Out, note};
use super::pool::Pool;
use super::protocol::{Done, Last, Say, Single};
use super::{CLEAN, FAILED, Trouble, UNDECIDED, report};
use crate::failure::Class;
use crate::plan::Matched;
use crate::report::NOT_ALIKE;
use crate::repro::{Expected, Repro, build_id};
use crate::scenario::Scenario;
use crate::story::Sentence;
use crate::trace::{Ends, Wanted};
use crate::twice::compare;
use crate::words::seconds;
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct RunJson<'a> {
    name: &'a str,
    seed: u64,
    digest: Option<&'a str>,
    outcome: String,
    property: Option<&'a str>,
    at_ns: Option<u64>,
    events: Option<u64>,
    overrides: Matched,
}

#[derive(Serialize)]
struct ReplayJson<'a> {
    #[serde(flatten)]
    run: RunJson<'a>,
    same_build: bool,
    same_run: bool,
    same_property: bool,
    same_fingerprint: bool,
    /// The places of the overrides that matched nothing.
    missed: &'a [usize],
    /// What happened, in sentences.
    story: &'a [Sentence],
}

/// Runs one seed of one scenario.
pub(super) fn run(library: &Library, args: &RunArgs, out: &mut Out) -> Result<u8, Trouble> {
    let scenario = library.resolve_one(&args.name)?;
    let trace = wanted(args.trace)?;
    tolerated(&[scenario])?;
    if let Some(format) = args.export {
        let subject = Subject::of_seed(library, &args.name, args.seed, args.weather.as_deref())?;
        return export(&subject, format, args.output.as_deref(), out);
    }
    let pool = Pool::new(Some(1)).under(args.weather.as_deref());
    let ask = Single {
        scenario: scenario.name().to_owned(),
        seed: args.seed,
        twice: args.twice && trace.is_none(),
        ..Single::default()
    };
    let is_traced = trace.is_some();
    let mut done = traced(&pool, Single { trace, ..ask.clone() }, out)?;
    if args.twice && !done.found.iter().any(|found| found.failure.property == NOT_ALIKE) {
        let other = pool.single(Single { twice: is_traced, ..ask }, &mut |_| {})?;
        compare_digests(&pool, scenario, args.seed, &mut done, other)?;
    }
    if let Some(file) = &args.save {
        let plan = scenario.plan(args.seed);
        let repro = Repro::new(scenario.name(), args.seed, &plan, expected(&done));
        repro.write(file).map_err(|error| Trouble::Infrastructure(error.to_string()))?;
    }
    let found = done.found.first();
    if args.json {
        out.json(&run_json(scenario, args.seed, &done))?;
    } else {
        match (found, &done.last) {
            (Some(found), _) => out.lines(&report::failure(scenario, found))?,
            (None, last) => out.line(&well(scenario, args, last.as_ref()))?,
        }
    }
    Ok(exit(found))
}

/// Writes a run's trace. What came of it goes to the standard error, since the trace may go to the
/// output.
fn export(
    subject: &Subject<'_>,
    format: Format,
    file: Option<&Path>,
    out: &mut Out,
) -> Result<u8, Trouble> {
    let done = subject.export(format, file, out)?;
    let found = done.found.first();
    let ended = found
        .map_or("nothing failed".to_owned(), |found| format!("breaks: {}", found.failure.property));
    note(&format!("{} seed {}: {ended}", subject.scenario.name(), subject.seed));
    done.chain.iter().for_each(|line| note(line));
    Ok(exit(found))
}

/// Which lines of a trace are asked for.
fn wanted(trace: Option<Style>) -> Result<Option<Wanted>, Trouble> {
    let wanted = Wanted::read(trace.is_some(), |name| std::env::var(name).ok());
    let lanes = trace == Some(Style::Lanes);
    let wanted = wanted.map_err(Trouble::Usage)?;
    Ok(wanted.map(|wanted| Wanted { lanes, ..wanted }))
}

/// Runs a seed in a fresh process and prints its trace, if it is asked for: as it comes, so that it
/// is there as well if the process hangs or dies.
fn traced(pool: &Pool, ask: Single, out: &mut Out) -> Result<Done, Trouble> {
    let (mut ends, mut printed) = (Ends::new(), Ok(()));
    let done = pool.single(ask, &mut |said| {
        if let (Say::Trace(line), Ok(())) = (said, &printed)
            && let Some(line) = ends.take(line)
        {
            printed = out.line(&line);
        }
    })?;
    printed?;
    ends.rest().try_for_each(|line| out.line(&line))?;
    Ok(done)
}

/// Two processes have run the seed: books it if they saw different things.
fn compare_digests(
    pool: &Pool,
    scenario: &Scenario,
    seed: u64,
    done: &mut Done,
    other: Done,
) -> Result<(), Trouble> {
    let digest = |done: &Done| done.last.as_ref().map(|last| last.digest.clone());
    let (one, two) = (digest(done), digest(&other));
    if let Some(found) = other.found.iter().find(|found| found.failure.property == NOT_ALIKE) {
        done.found = vec![found.clone()];
    } else if one != two {
        let name = |digest: Option<String>| digest.unwrap_or_else(|| "none".to_owned());
        let digests =
            format!("in one process its digest is {}, in another {}", name(one.clone()), name(two));
        let story = compare_processes(pool, scenario, seed)?;
        let seen = done.found.pop().unwrap_or_else(|| Found::dead(seed, Class::Property, vec![]));
        let seen = Found { digest: one, ..seen };
        done.found = vec![seen.unlike(NOT_ALIKE, [vec![digests], story].concat())];
    }
    Ok(())
}

/// Runs a seed in two fresh processes that write down everything, and says what differs first.
pub(super) fn compare_processes(
    pool: &Pool,
    scenario: &Scenario,
    seed: u64,
) -> Result<Vec<String>, Trouble> {
    let mut logs = Vec::new();
    for number in 0..2 {
        let name = format!("squall-entries-{}-{number}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let ask = Single {
            scenario: scenario.name().to_owned(),
            seed,
            entries: Some(file.clone()),
            ..Single::default()
        };
        pool.single(ask, &mut |_| {})?;
        // A process that did not end has written nothing.
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let _ = std::fs::remove_file(&file);
        logs.push(text.lines().map(str::to_owned).collect::<Vec<String>>());
    }
    Ok(compare(&logs[0], &logs[1]))
}

/// Replays a repro file.
pub(super) fn replay(library: &Library, args: &ReplayArgs, out: &mut Out) -> Result<u8, Trouble> {
    let file = args.file.as_path();
    if let Some(format) = args.export {
        let subject = Subject::of_file(library, file)?;
        return export(&subject, format, args.output.as_deref(), out);
    }
    let (scenario, repro) = library.repro(file)?;
    let ask = Single {
        scenario: scenario.name().to_owned(),
        seed: repro.seed,
        plan: Some(repro.plan.clone()),
        trace: wanted(args.trace)?,
        record: true,
        ..Single::default()
    };
    let done = traced(&Pool::new(Some(1)), ask, out)?;
    let found = done.found.first();
    let seen = expected(&done);
    if args.json {
        out.json(&ReplayJson {
            run: run_json(scenario, repro.seed, &done),
            same_build: repro.build == build_id(),
            same_run: repro.expected.digest == seen.digest,
            same_property: repro.expected.property == seen.property,
            same_fingerprint: repro.expected.fingerprint == seen.fingerprint,
            missed: done.last.as_ref().map_or(&[], |last| &last.missed),
            story: done.story(),
        })?;
        return Ok(exit(found));
    }
    let last = done.last.as_ref();
    let overrides = last.map(|last| last.overrides).unwrap_or_default();
    let missed = last.map_or(&[][..], |last| &last.missed);
    out.lines(&repro.verdict(&seen, &overrides, missed))?;
    if let Some(found) = found {
        let (named, failure) = ((scenario.name(), found.seed), &found.failure);
        out.lines(&crate::report::lines(named, failure, &repro.plan, done.story()))?;
    }
    Ok(exit(found))
}

fn expected(done: &Done) -> Expected {
    let found = done.found.first();
    Expected {
        property: found.map(|found| found.failure.property.clone()),
        fingerprint: found.map(|found| found.failure.fingerprint()),
        digest: done.last.as_ref().map(|last| last.digest.clone()),
    }
}

fn exit(found: Option<&Found>) -> u8 {
    match found.map(|found| found.failure.class) {
        None => CLEAN,
        Some(Class::Undecided) => UNDECIDED,
        Some(_) => FAILED,
    }
}

fn run_json<'a>(scenario: &'a Scenario, seed: u64, done: &'a Done) -> RunJson<'a> {
    let (found, last) = (done.found.first(), done.last.as_ref());
    RunJson {
        name: scenario.name(),
        seed,
        digest: last.map(|last| last.digest.as_str()),
        outcome: found.map_or("ok".to_owned(), |found| found.failure.class.to_string()),
        property: found.map(|found| found.failure.property.as_str()),
        at_ns: found.map_or(last.map(|last| last.end_ns), Found::at_ns),
        events: last.map(|last| last.events),
        overrides: last.map(|last| last.overrides).unwrap_or_default(),
    }
}

fn well(scenario: &Scenario, args: &RunArgs, last: Option<&Last>) -> String {
    let (name, seed) = (scenario.name(), args.seed);
    let ended = last.map_or(String::new(), |last| {
        let (digest, events, end) = (&last.digest, last.events, seconds(last.end_ns));
        format!("; digest {digest}, {events} events, ended at {end}")
    });
    let alike = if args.twice { ", three times alike" } else { "" };
    format!("{name} seed {seed}: nothing failed{alike}{ended}")
}
