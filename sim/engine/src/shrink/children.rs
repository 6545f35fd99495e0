//! Plans that are tried in other processes of the same test, so that a run that hangs or dies takes
//! only its own process with it.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "processes are started beside the world, never from within it"
)]

use super::{Oracle, Verdict, strikes};
use crate::plan::Plan;
use crate::run::{Outcome, Watch, run_plan};
use crate::scenario::Scenario;
use crate::table::TABLE;
use crate::world::Recorded;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::num::NonZero;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

/// The environment's variable that makes a test try plans for another process. It is of use to
/// nobody else.
pub(crate) const CHILD_VARIABLE: &str = "SQUALL_SHRINKER";

/// What stands before every answer, so that what user code prints is not taken for one.
const MARK: &str = "\u{1}squall shrinker ";

/// Whose runs a child does.
#[derive(Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) scenario: String,
    pub(crate) seed: u64,
}

#[derive(Serialize, Deserialize)]
struct Ask {
    plan: Plan,
    record: bool,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    verdict: Verdict,
    recorded: Option<Recorded>,
}

/// What is said of a run that ended with its process.
const DIED: &str = "abort";

/// Tries the plans that the standard input asks for, until it ends.
pub(crate) fn serve(scenario: &Scenario, seed: u64) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(ask) = serde_json::from_str::<Ask>(&line) else { return };
        let watch = Watch { record: ask.record, ..Watch::default() };
        let mut outcome = run_plan(scenario, seed, &ask.plan, watch);
        let answer =
            Answer { verdict: verdict(&ask.plan, &outcome), recorded: outcome.recorded.take() };
        let Ok(text) = serde_json::to_string(&answer) else { return };
        let mut out = std::io::stdout().lock();
        // Nobody listens any more: whoever asked has ended.
        if writeln!(out, "{MARK}{text}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// What came of a plan.
pub(super) fn verdict(plan: &Plan, outcome: &Outcome) -> Verdict {
    let fired = |name: &str| {
        let at = TABLE.iter().position(|row| row.name == name);
        at.map_or(0, |at| outcome.faults[at].fired)
    };
    Verdict {
        fingerprint: outcome.failure.as_ref().map(crate::Failure::fingerprint),
        strikes: strikes(plan, fired),
        at_ns: outcome.failure.as_ref().map_or(0, |failure| failure.at_ns),
    }
}

/// Processes of a test that try plans.
pub(crate) struct Children {
    test: String,
    subject: String,
    until: Instant,
    children: Vec<Option<Running>>,
}

struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Children {
    /// As many as there are processors, for this test, up to a time.
    pub(crate) fn new(test: &str, subject: &Subject, until: Instant) -> Children {
        let many = std::thread::available_parallelism().map_or(1, NonZero::get);
        Children {
            test: test.to_owned(),
            subject: serde_json::to_string(subject).unwrap_or_default(),
            until,
            children: std::iter::repeat_with(|| None).take(many).collect(),
        }
    }
}

impl Oracle for Children {
    fn verdicts(&mut self, plans: &[Plan]) -> Result<Vec<Verdict>, String> {
        let (many, test, subject) = (self.children.len(), &self.test, &self.subject);
        let shares = std::thread::scope(|scope| {
            let working: Vec<_> = (self.children.iter_mut().enumerate())
                .map(|(own, child)| {
                    scope.spawn(move || {
                        let mine = plans.iter().skip(own).step_by(many);
                        mine.map(|plan| ask(child, test, subject, plan, false)).collect::<Vec<_>>()
                    })
                })
                .collect();
            working.into_iter().map(|one| one.join().unwrap_or_default()).collect::<Vec<_>>()
        });
        let mut shares: Vec<_> = shares.into_iter().map(Vec::into_iter).collect();
        let ended = || Err("a thread that tried plans has ended".to_owned());
        let answers = (0..plans.len()).map(|at| shares[at % many].next().unwrap_or_else(ended));
        answers.map(|answer| answer.map(|answer| answer.verdict)).collect()
    }

    fn record(&mut self, plan: &Plan) -> Result<Recorded, String> {
        let answer = ask(&mut self.children[0], &self.test, &self.subject, plan, true)?;
        Ok(answer.recorded.unwrap_or_default())
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// Has a child try a plan, after starting it if need be.
fn ask(
    child: &mut Option<Running>,
    test: &str,
    subject: &str,
    plan: &Plan,
    record: bool,
) -> Result<Answer, String> {
    if child.is_none() {
        *child = Some(start(test, subject)?);
    }
    let Some(running) = child else { return Err("no process could be started".to_owned()) };
    let ask = Ask { plan: plan.clone(), record };
    let text = serde_json::to_string(&ask).map_err(|error| error.to_string())?;
    // If the child is dead already, it will be silent as well.
    let _ = writeln!(running.input, "{text}").and_then(|()| running.input.flush());
    if let Some(answer) = hear(&mut running.output) {
        return Ok(answer);
    }
    *child = None;
    let verdict = Verdict { fingerprint: Some(DIED.to_owned()), strikes: 0, at_ns: 0 };
    Ok(Answer { verdict, recorded: None })
}

/// The next answer; none if the process has ended.
fn hear(output: &mut impl BufRead) -> Option<Answer> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if output.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        // Other lines are what user code printed.
        if let Some((_, said)) = String::from_utf8_lossy(&line).split_once(MARK) {
            return serde_json::from_str(said).ok();
        }
    }
}

fn start(test: &str, subject: &str) -> Result<Running, String> {
    let failed = |error: std::io::Error| format!("no process could be started: {error}");
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .args(["--include-ignored", "--nocapture", "--exact", test])
        .env(CHILD_VARIABLE, subject)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    match (child.stdin.take(), child.stdout.take()) {
        (Some(input), Some(output)) => Ok(Running { child, input, output: BufReader::new(output) }),
        _ => Err("a process has no pipes".to_owned()),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
