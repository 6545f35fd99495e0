//! Scenarios under `cargo test`: a range of seeds, and a report of the first one that fails.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test reads its environment and starts processes beside the world, not within it"
)]

use crate::failure::{Class, Failure};
use crate::plan::{Forecast, Plan, WEATHER_VARIABLE};
use crate::report::{self, NOT_REPRODUCIBLE, SEEDS_FOR_COVERAGE};
use crate::repro::{Expected, Repro};
use crate::run::{Outcome, Watch, run, run_logged, run_plan};
use crate::scenario::Scenario;
use crate::shrink::{CHILD_VARIABLE, Children, RUNS_MAX, Subject, serve, shrink};
use crate::tally::Tally;
use crate::trace::{Ends, Log, Wanted};
use crate::why::tested;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{env, fs};

const SEED: &str = "SQUALL_SEED";
const SEEDS: &str = "SQUALL_SEEDS";
const REPLAY: &str = "SQUALL_REPLAY";
const TRACE: &str = "SQUALL_TRACE";
const PROBE: &str = "SQUALL_PROBE";
const SHRINK: &str = "SQUALL_SHRINK";
const WHY: &str = "SQUALL_WHY";

/// For how long a failure is shrunk.
const SHRINK_TIME: Duration = Duration::from_secs(10);

/// How a run is watched whose story is told.
const RECORDED: Watch = Watch {
    log: false,
    record: true,
    steps: false,
    reach: false,
    causes: false,
    judge: true,
    properties: true,
    until_ns: u64::MAX,
};

/// A scenario and the seeds that a test runs it with.
///
/// These environment variables change what [`Seeds::run`] does:
///
/// | variable | effect |
/// |---|---|
/// | `SQUALL_SEED=218` | runs this seed alone |
/// | `SQUALL_SEEDS=0..5000` or `5000` | runs these seeds instead (from 0, if it is one number) |
/// | `SQUALL_WEATHER=network,-loss` | another weather; see [`Forecast`] for the words |
/// | `SQUALL_SHRINK=60s` or `0` | shrinks a failure for so long, or not; without it 10 s |
/// | `SQUALL_WHY=1` | says when a failure became likely, and what happened then |
/// | `SQUALL_REPLAY=file` | replays a repro file exactly, in the tests of its scenario |
/// | `SQUALL_TRACE=1` | prints everything that happens in the run that fails or is named |
/// | `SQUALL_LOG=info,my_crate=trace` | prints the events of `tracing` of that run that pass |
///
/// Events of `tracing` are printed with virtual time, node and boot, and with both variables they
/// stand between the lines of the trace; without the second, `RUST_LOG` filters them there. In a
/// run they go nowhere else, and whether they are printed or not changes nothing of it.
///
/// A trace is printed as it comes, so `-- --nocapture` shows it even if the run hangs or aborts. Of
/// a very long one the middle is left out.
pub struct Seeds {
    scenario: Scenario,
    seeds: Range<u64>,
    failures: PathBuf,
}

impl Scenario {
    /// The scenario with the seeds that a test runs it with: from the first, up to and without the
    /// second.
    #[must_use]
    pub fn seeds(self, seeds: Range<u64>) -> Seeds {
        Seeds { scenario: self, seeds, failures: PathBuf::from("squall-failures") }
    }
}

/// A request of a failing test to a fresh process of the same test.
#[derive(Serialize, Deserialize)]
struct Probe {
    scenario: String,
    seed: u64,
    into: PathBuf,
}

impl Seeds {
    /// Keeps the plans of failures in this folder. The default is `squall-failures` in the current
    /// one, which under `cargo test` is that of the package.
    #[must_use]
    pub fn failures_in(mut self, folder: impl Into<PathBuf>) -> Seeds {
        self.failures = folder.into();
        self
    }

    /// Runs the seeds one after the other in this thread, up to the first that fails.
    ///
    /// The failing seed is run again in a fresh process before it is reported, and its plan is
    /// written to a folder ([`Seeds::failures_in`]). A run of 200 seeds or more also fails if it
    /// never reached one of the scenario's `sometimes` or of their combinations, or if a fault that
    /// its plans had never fired.
    ///
    /// # Panics
    /// If a seed fails, with a report of it; if a variable of the environment does not say what it
    /// should; or if a run is under way in this thread.
    #[track_caller]
    pub fn run(self) {
        if let Err(report) = self.outcome() {
            panic!("{report}");
        }
    }

    /// As [`Seeds::run`], with the report as an error.
    ///
    /// # Errors
    /// The report of the first seed that fails, or of what no seed reached.
    ///
    /// # Panics
    /// If a run is under way in this thread.
    pub fn outcome(mut self) -> Result<(), String> {
        if let Some(text) = variable(WEATHER_VARIABLE)? {
            let wrong = |why| format!("{WEATHER_VARIABLE}: {why}");
            self.scenario.forecast = Forecast::read(&text).map_err(wrong)?;
        }
        if let Some(probe) = variable(PROBE)? {
            return self.answer(&probe);
        }
        if let Some(subject) = variable(CHILD_VARIABLE)? {
            return self.try_plans(&subject);
        }
        if let Some(file) = variable(REPLAY)? {
            return self.replay(Path::new(&file));
        }
        let (scenario, wanted) = (&self.scenario, wanted()?);
        if let Some(seed) = variable(SEED)? {
            let seed = seed
                .trim()
                .parse()
                .map_err(|_| format!("{SEED} is {seed:?}; a number is right, as in {SEED}=218"))?;
            let plan = scenario.plan(seed);
            let outcome = traced(scenario, seed, (&plan, Watch::default()), wanted.as_ref())?;
            return self.reported(seed, &plan, &outcome);
        }
        let seeds = match variable(SEEDS)? {
            Some(text) => parse_seeds(&text)?,
            None => self.seeds.clone(),
        };
        let mut tally = Tally::default();
        for seed in seeds {
            let outcome = run(scenario, seed);
            if outcome.failure.is_some() {
                let plan = scenario.plan(seed);
                if wanted.is_some() {
                    // Now that it is known which run is worth reading.
                    traced(scenario, seed, (&plan, Watch::default()), wanted.as_ref())?;
                }
                return self.reported(seed, &plan, &outcome);
            }
            tally.add(seed, &outcome);
        }
        coverage(scenario, &tally)
    }

    /// The report of a run, if it failed.
    fn reported(&self, seed: u64, plan: &Plan, outcome: &Outcome) -> Result<(), String> {
        let Some(failure) = &outcome.failure else { return Ok(()) };
        let name = self.scenario.name();
        let expected = Expected::of(outcome);
        let file = self.failures.join(Repro::file_name(name, seed));
        let written = Repro::new(name, seed, plan, expected.clone()).write(&file);
        let test = test_name();
        let strange = match &test {
            Some(test) => self.probe(test, seed, &expected),
            None => vec![
                "  not run again in a fresh process, and not shrunk: the name of the test is not \
                 known when tests run in one thread"
                    .to_owned(),
            ],
        };
        // What a fresh process does not show cannot be shrunk in others.
        let shrunk = match &test {
            Some(test) if strange.is_empty() => self.shrunk(test, seed, plan, failure)?,
            _ => None,
        };
        let why = match &test {
            Some(test) if strange.is_empty() && set(WHY) => {
                tested(&self.scenario, test, (seed, plan), outcome)?
            }
            _ => Vec::new(),
        };
        let whole = || report::lines((name, seed), failure, plan, &[]);
        let small = shrunk.as_ref().map(|(lines, _)| lines.clone());
        let mut lines = small.unwrap_or_else(whole);
        lines.push(String::new());
        lines.extend(why);
        lines.extend(strange);
        let cargo = format!("cargo test {}", test.as_deref().unwrap_or_default());
        let cargo = cargo.trim();
        let replay =
            |file: &Path| format!("    {REPLAY}={} {cargo} -- --nocapture", file.display());
        if let Some((_, small)) = &shrunk {
            lines.push("  to replay exactly this shrunk run, also after it is edited:".to_owned());
            lines.push(replay(small));
            lines.push("  to run the seed as it was found:".to_owned());
        } else {
            lines.push("  to run this seed alone:".to_owned());
        }
        lines.push(format!("    {SEED}={seed} {cargo}"));
        match written {
            Ok(()) if shrunk.is_some() => {}
            Ok(()) => {
                lines.push(
                    "  to replay exactly this run, also after the plan is edited:".to_owned(),
                );
                lines.push(replay(&file));
            }
            Err(error) => lines.push(format!("  there is no repro file: {error}")),
        }
        Err(lines.join("\n"))
    }

    /// The report of a smaller run that fails alike, and its repro file; none if there is no
    /// smaller one, or it is not wanted.
    fn shrunk(
        &self,
        test: &str,
        seed: u64,
        plan: &Plan,
        failure: &Failure,
    ) -> Result<Option<(Vec<String>, PathBuf)>, String> {
        let time = match variable(SHRINK)? {
            Some(text) => parse_time(&text)?,
            None => SHRINK_TIME,
        };
        if time.is_zero() {
            return Ok(None);
        }
        let (scenario, name) = (&self.scenario, self.scenario.name());
        let subject = Subject { scenario: name.to_owned(), seed };
        let mut children = Children::new(test, &subject, Instant::now() + time);
        let fingerprint = failure.fingerprint();
        if failure.class == Class::Runaway {
            // Each run of it would take as long as all the time there is.
            return Ok(None);
        }
        let found = (plan, fingerprint.as_str());
        let shrunk = shrink(scenario, found, RUNS_MAX, &mut children, &mut |_, _, _| {});
        // A failure that cannot be shrunk is a failure all the same.
        let Ok(shrunk) = shrunk else { return Ok(None) };
        let outcome = run_plan(scenario, seed, &shrunk.plan, RECORDED);
        let Some(failure) = outcome.failure.as_ref().filter(|f| f.fingerprint() == fingerprint)
        else {
            return Ok(None);
        };
        let file = self.failures.join(Repro::file_name(&format!("{name}-shrunk"), seed));
        let repro = Repro::new(name, seed, &shrunk.plan, Expected::of(&outcome));
        if repro.write(&file).is_err() {
            return Ok(None);
        }
        let mut lines = report::lines((name, seed), failure, &shrunk.plan, outcome.story());
        lines.push(String::new());
        lines.extend(shrunk.lines());
        Ok(Some((lines, file)))
    }

    /// Tries plans for another process, and ends this one.
    fn try_plans(&self, subject: &str) -> Result<(), String> {
        let subject: Subject =
            serde_json::from_str(subject).map_err(|error| format!("{CHILD_VARIABLE}: {error}"))?;
        if subject.scenario != self.scenario.name() {
            return Ok(());
        }
        serve(&self.scenario, subject.seed);
        std::process::exit(0)
    }

    /// Runs the seed in a fresh process of the same test, and says so if it ends in another way.
    fn probe(&self, test: &str, seed: u64, expected: &Expected) -> Vec<String> {
        let name = self.scenario.name();
        let into = env::temp_dir().join(format!(
            "squall-probe-{}-{}",
            std::process::id(),
            Repro::file_name(name, seed)
        ));
        let probe = Probe { scenario: name.to_owned(), seed, into: into.clone() };
        let asked = env::current_exe().and_then(|program| {
            Command::new(program)
                .args(["--include-ignored", "--nocapture", "--exact", test])
                .env(PROBE, serde_json::to_string(&probe)?)
                .env_remove(SEED)
                .env_remove(SEEDS)
                .env_remove(REPLAY)
                .stdin(Stdio::null())
                .output()
        });
        let answer = fs::read(&into).ok();
        let _ = fs::remove_file(&into);
        let ended = match asked {
            Ok(output) => output.status.to_string(),
            Err(error) => return vec![format!("  no fresh process could be started: {error}")],
        };
        let seen: Option<Expected> = answer.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match seen {
            Some(seen) if seen == *expected => Vec::new(),
            Some(seen) => {
                vec![
                    format!("  {NOT_REPRODUCIBLE}"),
                    format!("    here:               {}", in_words(expected)),
                    format!("    in a fresh process: {}", in_words(&seen)),
                ]
            }
            None => vec![
                format!("  {NOT_REPRODUCIBLE}"),
                format!("    here:               {}", in_words(expected)),
                format!("    in a fresh process: it ended without an answer ({ended})"),
            ],
        }
    }

    /// Does what a failing test has asked this fresh process to do, and ends it.
    fn answer(&self, probe: &str) -> Result<(), String> {
        let probe: Probe =
            serde_json::from_str(probe).map_err(|error| format!("{PROBE}: {error}"))?;
        if probe.scenario != self.scenario.name() {
            return Ok(());
        }
        let seen = Expected::of(&run(&self.scenario, probe.seed));
        let text = serde_json::to_string(&seen).map_err(|error| error.to_string())?;
        fs::write(&probe.into, text).map_err(|e| format!("{}: {e}", probe.into.display()))?;
        std::process::exit(0)
    }

    fn replay(&self, file: &Path) -> Result<(), String> {
        let repro = Repro::read(file).map_err(|error| format!("{REPLAY}: {error}"))?;
        let scenario = &self.scenario;
        if repro.scenario != scenario.name() {
            println!(
                "{REPLAY}: {} is not of {}, which is passed over",
                file.display(),
                scenario.name()
            );
            return Ok(());
        }
        repro.check(file, scenario).map_err(|error| format!("{REPLAY}: {error}"))?;
        let outcome = traced(scenario, repro.seed, (&repro.plan, RECORDED), wanted()?.as_ref())?;
        let seen = Expected::of(&outcome);
        let verdict = repro.verdict(&seen, &outcome.overrides, &outcome.missed).join("\n  ");
        let replayed = format!("replayed {}\n  {verdict}", file.display());
        let Some(failure) = &outcome.failure else {
            println!("{replayed}");
            return Ok(());
        };
        let named = (scenario.name(), repro.seed);
        let lines = report::lines(named, failure, &repro.plan, outcome.story());
        Err(format!("{replayed}\n{}", lines.join("\n")))
    }
}

/// Whether a variable asks for something.
fn set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Which lines of a trace are asked for.
fn wanted() -> Result<Option<Wanted>, String> {
    Wanted::read(set(TRACE), |name| env::var(name).ok())
}

/// Runs a single seed, and prints its trace if that is wanted.
fn traced(
    scenario: &Scenario,
    seed: u64,
    (plan, watch): (&Plan, Watch),
    wanted: Option<&Wanted>,
) -> Result<Outcome, String> {
    let Some(wanted) = wanted else {
        return Ok(run_plan(scenario, seed, plan, watch));
    };
    // Each line is printed as it comes: a run that hangs or aborts has no end.
    let ends = Rc::new(RefCell::new(Ends::new()));
    let taking = Rc::clone(&ends);
    let log = Log::told(scenario, plan, wanted, move |line| {
        taking.borrow_mut().take(line).iter().for_each(|line| println!("{line}"));
    })?;
    let outcome = run_logged(scenario, seed, plan, watch, Some(log));
    ends.replace(Ends::new()).rest().for_each(|line| println!("{line}"));
    Ok(outcome)
}

/// Fails if many runs together left out something that they should have shown.
fn coverage(scenario: &Scenario, tally: &Tally) -> Result<(), String> {
    if tally.seeds < SEEDS_FOR_COVERAGE {
        return Ok(());
    }
    let (name, seeds) = (scenario.name(), tally.seeds);
    let unseen = tally.never_seen(scenario).into_iter();
    let unseen = unseen.map(|what| format!("{name}: none of {seeds} seeds reached {what:?}"));
    let uncombined = tally.never_combined(scenario).into_iter();
    let unseen = unseen
        .chain(uncombined.map(|what| format!("{name}: none of {seeds} seeds reached {what}")));
    let unfired = tally.never_fired().into_iter();
    let unfired = unfired.map(|fault| {
        let why = tally.why_never(fault);
        format!("{name}: plans of {seeds} seeds had the fault {fault:?}, and it never fired: {why}")
    });
    let lines: Vec<String> = unseen.chain(unfired).collect();
    if lines.is_empty() { Ok(()) } else { Err(lines.join("\n")) }
}

fn in_words(seen: &Expected) -> String {
    let failure = seen.fingerprint.as_deref().unwrap_or("no failure");
    format!("{failure}, digest {}", seen.digest.as_deref().unwrap_or("none"))
}

fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8 text")),
    }
}

/// A time as `60s`, or `0`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
    seconds.map(Duration::from_secs).ok_or_else(|| {
        format!("{SHRINK} is {text:?}; right are seconds, as in {SHRINK}=60s, or 0 for never")
    })
}

/// Seeds as `A..B` or as a count.
fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
    let range = match text.split_once("..") {
        Some((from, to)) => number(from).zip(number(to)),
        None => number(text).map(|to| (0, to)),
    };
    match range {
        Some((from, to)) if from < to => Ok(from..to),
        _ => Err(format!(
            "{SEEDS} is {text:?}; right is a range that is not empty, as in {SEEDS}=0..5000, or a \
             number of seeds, as in {SEEDS}=5000"
        )),
    }
}

/// The name of the running test: that of its thread. With one test thread it is the main one,
/// whose command line may name the test exactly.
fn test_name() -> Option<String> {
    let thread = std::thread::current();
    if let Some(name) = thread.name().filter(|name| *name != "main") {
        return Some(name.to_owned());
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    let mut free = arguments.iter().filter(|argument| !argument.starts_with('-'));
    match (free.next(), free.next()) {
        (Some(name), None) if arguments.iter().any(|a| a == "--exact") => Some(name.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range_or_a_count_and_nothing_else() {
        assert_eq!(parse_seeds("5..10"), Ok(5..10));
        assert_eq!(parse_seeds(" 1_000 "), Ok(0..1_000));
        for wrong in ["", "..", "5..", "5..5", "6..5", "0", "-1", "1..2..3", "many"] {
            let error = parse_seeds(wrong).expect_err(wrong);
            assert!(error.contains("SQUALL_SEEDS=0..5000"), "{error}");
        }
    }

    #[test]
    fn a_test_knows_its_name() {
        let name = test_name();
        let known = name.is_none_or(|name| name.ends_with("a_test_knows_its_name"));
        assert!(known, "the thread is called otherwise");
    }
}
