//! Exhaustive explorations.

use super::args::ExploreArgs;
use super::output::Out;
use super::{CLEAN, FAILED, Trouble, UNDECIDED};
use crate::explore::system::Faults;
use crate::explore::{Ended, Explored, Limits, Subject};
use serde::Serialize;
use std::time::Instant;

#[derive(Serialize)]
struct ExploredJson<'a> {
    name: &'a str,
    verdict: &'static str,
    ended: &'static str,
    states: u64,
    transitions: u64,
    depth: u64,
    bytes: u64,
    seconds: f64,
    property: Option<&'a str>,
    why: Option<&'a str>,
    steps: &'a [String],
    unreached: &'a [String],
}

/// Explores one subject, or lists all.
pub(super) fn explore(
    subjects: &[Subject],
    args: &ExploreArgs,
    out: &mut Out,
) -> Result<u8, Trouble> {
    let Some(name) = &args.name else {
        let width = subjects.iter().map(|subject| subject.name().len()).max().unwrap_or_default();
        for subject in subjects {
            out.line(&format!("{:<width$}  {}", subject.name(), subject.about()))?;
        }
        return Ok(CLEAN);
    };
    let Some(subject) = subjects.iter().find(|subject| subject.name() == name) else {
        let text = format!("nothing to explore is called {name:?}: `explore` alone lists it");
        return Err(Trouble::Usage(text));
    };
    let (usual, most) = (subject.usual_faults(), Limits::default());
    let faults = Faults {
        crashes: args.crashes.unwrap_or(usual.crashes),
        losses: args.losses.unwrap_or(usual.losses),
        copies: args.copies.unwrap_or(usual.copies),
        timers: args.timers.unwrap_or(usual.timers),
    };
    let limits = Limits {
        states: args.states.unwrap_or(most.states),
        depth: args.depth.unwrap_or(most.depth),
        bytes: args.memory.map_or(most.bytes, |mib| mib << 20),
    };
    let began = Instant::now();
    let explored = subject.explore(&faults, &limits);
    let seconds = began.elapsed().as_secs_f64();
    out.line(&format!("{name}: {}", subject.about()))?;
    out.lines(&explored.lines())?;
    let (code, verdict) = verdict(&explored);
    if args.json {
        out.json(&json(name, verdict, &explored, seconds))?;
    }
    Ok(code)
}

fn verdict(explored: &Explored) -> (u8, &'static str) {
    match (explored.is_broken(), explored.is_clean()) {
        (true, _) => (FAILED, "broken"),
        (false, true) => (CLEAN, "clean"),
        (false, false) => (UNDECIDED, "undecided"),
    }
}

fn json<'a>(
    name: &'a str,
    verdict: &'static str,
    explored: &'a Explored,
    seconds: f64,
) -> ExploredJson<'a> {
    let broken = explored.broken.as_ref();
    ExploredJson {
        name,
        verdict,
        ended: match explored.ended {
            Ended::Complete => "complete",
            Ended::Broken => "broken",
            Ended::States => "states",
            Ended::Depth => "depth",
            Ended::Memory => "memory",
        },
        states: explored.states,
        transitions: explored.transitions,
        depth: explored.depth,
        bytes: explored.bytes,
        seconds,
        property: broken.map(|broken| broken.property.as_str()),
        why: broken.map(|broken| broken.why.as_str()),
        steps: broken.map_or(&[], |broken| &broken.steps),
        unreached: &explored.unreached,
    }
}
