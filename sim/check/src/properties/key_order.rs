//! Whoever sees a write sees all that were over before it began.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{SHOWN, Status, values};
use crate::history::{Edge, History, Outcome};
use crate::model::set::{SetCall, SetReturn};

/// A read that shows a write and misses earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing<V> {
    /// Who read.
    pub process: u64,
    /// The event that began the read.
    pub invoked: u64,
    /// A write that it shows.
    pub seen: V,
    /// Writes that came before that one, and that it misses.
    pub missing: BTreeSet<V>,
}

/// The reads that show writes out of order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOrderReport<V> {
    /// How many reads there were.
    pub reads: usize,
    /// Those that are wrong.
    pub errors: Vec<Missing<V>>,
}

/// Whether every read that shows a write shows all that were acknowledged before it was invoked.
///
/// A write is the addition of an element that nobody else adds. The opposite is causal reversal,
/// which snapshots without real time allow.
pub fn causal_reverse<V: Ord + Clone>(
    history: &History<SetCall<V>, SetReturn<V>>,
) -> KeyOrderReport<V> {
    judge(history, |_| 0)
}

/// Whether every read that shows a write shows all that the same process had acknowledged before.
pub fn sequential_keys<V: Ord + Clone>(
    history: &History<SetCall<V>, SetReturn<V>>,
) -> KeyOrderReport<V> {
    judge(history, |process| process)
}

/// Only writes of one line, which the process tells, have an order.
fn judge<V: Ord + Clone>(
    history: &History<SetCall<V>, SetReturn<V>>,
    line: impl Fn(u64) -> u64,
) -> KeyOrderReport<V> {
    // The acknowledged writes of each line, and how many of them each write must come after.
    let mut done: BTreeMap<u64, Vec<&V>> = BTreeMap::new();
    let mut after: BTreeMap<&V, (u64, usize)> = BTreeMap::new();
    for (_, edge, operation) in history.events() {
        let SetCall::Add(element) = &operation.input else { continue };
        let line = line(operation.process);
        match (edge, &operation.outcome) {
            (Edge::Invoke, _) => {
                let before = done.get(&line).map_or(0, Vec::len);
                after.entry(element).or_insert((line, before));
            }
            (Edge::Return, Outcome::Ok(_)) => done.entry(line).or_default().push(element),
            (Edge::Return, _) => {}
        }
    }
    let mut report = KeyOrderReport { reads: 0, errors: Vec::new() };
    for operation in history.operations() {
        let Outcome::Ok(SetReturn::Elements(elements)) = &operation.outcome else { continue };
        report.reads += 1;
        let mut latest: BTreeMap<u64, (usize, &V)> = BTreeMap::new();
        for element in elements {
            let Some(&(line, before)) = after.get(element) else { continue };
            let entry = latest.entry(line).or_insert((before, element));
            if entry.0 < before {
                *entry = (before, element);
            }
        }
        for (line, (before, seen)) in latest {
            let expected = done.get(&line).map_or(&[][..], |done| &done[..before]);
            let missed = expected.iter().filter(|element| !elements.contains(**element));
            let missing: BTreeSet<V> = missed.map(|element| (*element).clone()).collect();
            if !missing.is_empty() {
                let (process, invoked) = (operation.process, operation.invoked.index);
                report.errors.push(Missing { process, invoked, seen: seen.clone(), missing });
            }
        }
    }
    report
}

impl<V> KeyOrderReport<V> {
    /// Violated if a read is wrong.
    pub fn status(&self) -> Status {
        if self.errors.is_empty() { Status::Holds } else { Status::Violated }
    }
}

impl<V: fmt::Debug> fmt::Display for KeyOrderReport<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errors.is_empty() {
            return write!(f, "all {} reads show writes in their order", self.reads);
        }
        let count = self.errors.len();
        write!(f, "{count} of {} reads show a write without an earlier one", self.reads)?;
        for Missing { process, invoked, seen, missing } in self.errors.iter().take(SHOWN) {
            let missing = values(missing.iter());
            write!(
                f,
                "\n  process {process} read {seen:?} (event {invoked}), \
                 but not what came before it: {missing}"
            )?;
        }
        Ok(())
    }
}
