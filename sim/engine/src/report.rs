//! What a reader sees of a failure.

#[cfg(feature = "cli")]
pub(crate) mod page;

use crate::failure::{Class, Failure};
use crate::plan::Plan;
use crate::story::{self, Sentence};
use crate::words::seconds;

/// The property of a failure that a fresh process does not show in the same way.
pub(crate) const NOT_REPRODUCIBLE: &str = "not reproducible: state leaks between runs";

/// The property of a seed of which two runs differ.
#[cfg(feature = "cli")]
pub(crate) const NOT_ALIKE: &str = "two runs of one seed are alike";

/// A sweep of fewer seeds says nothing of faults that never fired or situations never seen.
pub(crate) const SEEDS_FOR_COVERAGE: u64 = 200;

/// The report of a failure, line by line: what broke and when, what is known of it, what happened
/// in the run if that was written down, and the plan.
pub(crate) fn lines(
    (name, seed): (&str, u64),
    failure: &Failure,
    plan: &Plan,
    story: &[Sentence],
) -> Vec<String> {
    let what = format!("{name} breaks: {}", failure.property);
    let class = failure.class;
    let mut lines = vec![what];
    // Of a run that did not end nobody knows how far it came.
    let at = match class {
        Class::Hang | Class::Abort => String::new(),
        _ => format!("at {} of the run, ", seconds(failure.at_ns)),
    };
    lines.push(format!("  seed {seed}, {at}class {class}"));
    lines.push(String::new());
    for story in &failure.story {
        lines.extend(story.lines().map(|line| format!("  {line}")));
    }
    lines.push(String::new());
    let told = story::lines(story, failure);
    if !told.is_empty() {
        lines.extend(told);
        lines.push(String::new());
    }
    lines.push("  the plan:".to_owned());
    lines.extend(plan.lines().into_iter().map(|line| format!("    {line}")));
    lines
}
