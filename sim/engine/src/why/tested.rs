//! The same for a failing test, whose futures are run by processes of that test.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it waits for processes")]

use super::{Past, SAMPLES, why};
use crate::plan::Plan;
use crate::run::{Outcome, Watch, run_logged};
use crate::scenario::Scenario;
use crate::shrink::{Children, Oracle, Subject};
use crate::trace::{Log, Wanted};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// When the failure of a run became likely, for the report of the test of this name.
pub(crate) fn tested(
    scenario: &Scenario,
    test: &str,
    (seed, plan): (u64, &Plan),
    outcome: &Outcome,
) -> Result<Vec<String>, String> {
    let Some(failure) = &outcome.failure else { return Ok(Vec::new()) };
    let subject = Subject { scenario: scenario.name().to_owned(), seed };
    let mut children = Children::new(test, &subject, Instant::now());
    let (fingerprint, struck) = (&failure.fingerprint(), &outcome.struck);
    let past = Past { scenario, plan, fingerprint, at_ns: failure.at_ns, struck };
    let mut run = |plans: &[Plan]| {
        let verdicts = children.verdicts(plans)?;
        Ok(verdicts.into_iter().map(|verdict| verdict.fingerprint).collect())
    };
    let found = Rc::new(RefCell::new(why(&past, SAMPLES, &mut run)?));
    let hearing = Rc::clone(&found);
    let wanted = Wanted { world: true, lanes: false, filter: "off".to_owned() };
    let log = Log::told(scenario, plan, &wanted, move |line| hearing.borrow_mut().hear(&line))?;
    run_logged(scenario, seed, plan, Watch::default(), Some(log));
    let lines = found.borrow().lines();
    let indented = lines.into_iter().map(|line| format!("  {line}").trim_end().to_owned());
    Ok(std::iter::once("  why:".to_owned()).chain(indented).chain([String::new()]).collect())
}
