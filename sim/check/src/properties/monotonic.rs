//! Values that may only grow: counters that are read, numbers that are handed out in sequence.

use std::collections::BTreeSet;
use std::fmt;

use super::{SHOWN, Status};
use crate::history::{Edge, History, Outcome};

/// Two operations, the first of which was over before the second began, and their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<V> {
    /// Who met the first value, and the event at which that was over.
    pub before: (u64, u64, V),
    /// Who met the second value, and the event at which that began.
    pub after: (u64, u64, V),
}

/// Where values did not grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonotonicReport<V> {
    /// How many values there were.
    pub values: usize,
    /// Each value that is smaller than one before it, with the largest of these; where values must
    /// differ, also each that is equal.
    pub errors: Vec<Step<V>>,
    /// Whether values must differ.
    pub is_strict: bool,
    /// Of values that must differ, those that occur twice.
    pub repeated: BTreeSet<V>,
}

/// Whether no operation meets a smaller value than one that was over before it began.
///
/// `value` tells the value of an operation that took effect, if it has one.
pub fn monotonic<I, O, V: Ord + Clone>(
    history: &History<I, O>,
    value: impl Fn(&I, &O) -> Option<V>,
) -> MonotonicReport<V> {
    judge(history, value, false)
}

/// Whether every operation has a larger value than all that were over before it began, and no two
/// have the same: the numbers of a log, or fencing tokens.
pub fn strictly_monotonic<I, O, V: Ord + Clone>(
    history: &History<I, O>,
    value: impl Fn(&I, &O) -> Option<V>,
) -> MonotonicReport<V> {
    judge(history, value, true)
}

fn judge<I, O, V: Ord + Clone>(
    history: &History<I, O>,
    value: impl Fn(&I, &O) -> Option<V>,
    is_strict: bool,
) -> MonotonicReport<V> {
    let mut report =
        MonotonicReport { values: 0, errors: Vec::new(), is_strict, repeated: BTreeSet::new() };
    let mut largest: Option<(u64, u64, V)> = None;
    let mut met: BTreeSet<V> = BTreeSet::new();
    for (moment, edge, operation) in history.events() {
        let Outcome::Ok(output) = &operation.outcome else { continue };
        let Some(value) = value(&operation.input, output) else { continue };
        let process = operation.process;
        if edge == Edge::Return {
            if largest.as_ref().is_none_or(|(.., before)| *before < value) {
                largest = Some((process, moment.index, value));
            }
            continue;
        }
        report.values += 1;
        if is_strict && !met.insert(value.clone()) {
            report.repeated.insert(value.clone());
        }
        let Some(before) = &largest else { continue };
        if value < before.2 || (is_strict && value == before.2) {
            let after = (process, moment.index, value);
            report.errors.push(Step { before: before.clone(), after });
        }
    }
    report
}

impl<V> MonotonicReport<V> {
    /// Violated if a value did not grow, or occurs twice where values must differ.
    pub fn status(&self) -> Status {
        let is_right = self.errors.is_empty() && self.repeated.is_empty();
        if is_right { Status::Holds } else { Status::Violated }
    }
}

impl<V: fmt::Debug> fmt::Display for MonotonicReport<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errors.is_empty() && self.repeated.is_empty() {
            return write!(f, "none of {} values goes back", self.values);
        }
        write!(f, "{} of {} values go back", self.errors.len(), self.values)?;
        if !self.repeated.is_empty() {
            write!(f, "; more than once: {}", super::values(self.repeated.iter()))?;
        }
        for Step { before, after } in self.errors.iter().take(SHOWN) {
            let ((first, ended, larger), (second, began, smaller)) = (before, after);
            write!(
                f,
                "\n  process {second} met {smaller:?} (from event {began}) after process {first} \
                 had met {larger:?} (until event {ended})"
            )?;
        }
        Ok(())
    }
}
