//! Counters whose reads must lie between what was certainly and what was possibly added.

use std::collections::BTreeMap;
use std::fmt;

use super::Status;
use crate::history::{Edge, History, Outcome};
use crate::model::counter::{CounterCall, CounterReturn};

/// A read of a counter with its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterRead {
    /// Who read.
    pub process: u64,
    /// The event that began the read.
    pub invoked: u64,
    /// The least that it may show: what had been added before it began.
    pub lower: i64,
    /// What it shows.
    pub value: i64,
    /// The most that it may show: what somebody had tried to add before it ended.
    pub upper: i64,
}

/// The reads of a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterReport {
    /// Every read, in the order of their end.
    pub reads: Vec<CounterRead>,
}

/// Whether every read of a counter shows a possible sum.
///
/// The least is what had been added before the read began, less all that somebody tried to take
/// away before it ended; the most is the other way round. Sums saturate at the ends of 64 bits.
pub fn counter(initial: i64, history: &History<CounterCall, CounterReturn>) -> CounterReport {
    // What was added and taken away, as far as somebody tried to and as far as it is certain.
    let (mut tried, mut done) = (Sums::default(), Sums::default());
    // For each read that is open, what was certain when it began.
    let mut open: BTreeMap<u64, Sums> = BTreeMap::new();
    let mut reads = Vec::new();
    for (_, edge, operation) in history.events() {
        if matches!(operation.outcome, Outcome::Fail) {
            continue;
        }
        match (operation.input, edge) {
            (CounterCall::Add(amount), Edge::Invoke) => tried.add(amount),
            (CounterCall::Add(amount), Edge::Return) => {
                if matches!(operation.outcome, Outcome::Ok(_)) {
                    done.add(amount);
                }
            }
            (CounterCall::Read, Edge::Invoke) => {
                open.insert(operation.process, done);
            }
            (CounterCall::Read, Edge::Return) => {
                let begun = open.remove(&operation.process).unwrap_or(done);
                let Outcome::Ok(CounterReturn::Value(value)) = operation.outcome else { continue };
                reads.push(CounterRead {
                    process: operation.process,
                    invoked: operation.invoked.index,
                    lower: initial.saturating_add(begun.up).saturating_add(tried.down),
                    value,
                    upper: initial.saturating_add(tried.up).saturating_add(begun.down),
                });
            }
        }
    }
    CounterReport { reads }
}

/// Positive and negative amounts, each summed up.
#[derive(Clone, Copy, Default)]
struct Sums {
    up: i64,
    down: i64,
}

impl Sums {
    fn add(&mut self, amount: i64) {
        let sum = if amount >= 0 { &mut self.up } else { &mut self.down };
        *sum = sum.saturating_add(amount);
    }
}

impl CounterRead {
    /// Whether the read shows a possible sum.
    pub fn is_possible(&self) -> bool {
        (self.lower..=self.upper).contains(&self.value)
    }
}

impl CounterReport {
    /// The reads that show an impossible sum.
    pub fn errors(&self) -> impl Iterator<Item = &CounterRead> {
        self.reads.iter().filter(|read| !read.is_possible())
    }

    /// Violated if a read shows an impossible sum.
    pub fn status(&self) -> Status {
        if self.errors().next().is_none() { Status::Holds } else { Status::Violated }
    }
}

impl fmt::Display for CounterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.errors().count();
        if count == 0 {
            return write!(f, "all {} reads show a possible count", self.reads.len());
        }
        write!(f, "{count} of {} reads show an impossible count", self.reads.len())?;
        for read in self.errors().take(super::SHOWN) {
            let CounterRead { process, invoked, lower, value, upper } = read;
            write!(
                f,
                "\n  process {process} read {value} (event {invoked}), \
                 which must lie between {lower} and {upper}"
            )?;
        }
        Ok(())
    }
}
