//! Linearizability: every operation seems to take effect at one instant between its invocation and
//! its return.
//!
//! The definition is Herlihy and Wing's (1990). The search is that of Wing and Gong, "Testing and
//! verifying concurrent objects" (1993), with the memory of visited configurations that Lowe added
//! in "Testing for linearizability" (2017), laid out over a linked list of events as in Horn and
//! Kroening, "Faster linearizability checking via P-compositionality" (2015).

use std::time::{Duration, Instant};

use crate::history::History;
use crate::model::Model;

mod entries;
mod limit;
mod machine;
mod memo;
mod minimise;
mod parts;
mod progress;
mod search;
mod subject;
mod timeline;
mod violation;
mod wanted;
mod why;

use parts::{Outcomes, Parts};
pub use violation::Violation;

/// How much work a check may do.
///
/// Without a bound on time the verdict is the same on every machine. It never depends on the
/// number of cores, since each part of a history has bounds of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many steps of the model the search of a part may try.
    pub steps: u64,
    /// How much memory the search of a part may take, roughly, in bytes.
    pub memory: usize,
    /// How many more steps may go into making a violation smaller.
    pub minimise_steps: u64,
    /// How long the search may take; `None` is without end.
    pub time: Option<Duration>,
    /// On how many cores parts are searched at a time; 0 is as many as there are.
    pub cores: usize,
}

/// What a checker says of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict<I, O> {
    /// The history is allowed.
    Ok,
    /// The history is not allowed, and this part of it shows why.
    Violation(Violation<I, O>),
    /// The limits came before the answer.
    Undecided {
        /// Which limit it was.
        reason: Reason,
        /// How many steps were made.
        explored: u64,
        /// The most operations of an undecided part that were put into a legal order.
        ordered: usize,
        /// How many completed operations that part has.
        operations: usize,
    },
}

/// The limit that ended an undecided check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// [`Limits::steps`].
    Steps,
    /// [`Limits::memory`].
    Memory,
    /// [`Limits::time`].
    Time,
}

impl Limits {
    /// As much work as somebody waits for who asks about one file: a minute.
    pub fn unhurried() -> Self {
        Self {
            steps: u64::MAX,
            memory: 2 << 30,
            time: Some(Duration::from_secs(60)),
            cores: 0,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let (steps, memory) = (10_000_000, 256 << 20);
        Self { steps, memory, minimise_steps: 2_000_000, time: None, cores: 1 }
    }
}

impl<I, O> Verdict<I, O> {
    /// Whether the history is allowed.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }

    /// The violation, if there is one.
    pub fn violation(&self) -> Option<&Violation<I, O>> {
        match self {
            Self::Violation(violation) => Some(violation),
            Self::Ok | Self::Undecided { .. } => None,
        }
    }
}

/// Decides whether the history is linearizable.
///
/// An operation that failed had no effect and is left out. One with an unknown outcome may take
/// effect at any time after its invocation, or never. Operations are ordered by the index of their
/// events; times only appear in the report.
///
/// The problem is NP-complete: the work may grow exponentially with the number of operations open
/// at once, which is why it has limits. It is undecided, never a guess, when they are reached.
///
/// # Panics
///
/// Only if the model does.
pub fn linearizable<M: Model>(
    model: &M,
    history: &History<M::Input, M::Output>,
    limits: &Limits,
) -> Verdict<M::Input, M::Output> {
    decide(model, history, limits).verdict(model, limits)
}

/// What the search found, before a violation is made small and put into words.
pub(crate) struct Decision<'a, M: Model> {
    parts: Parts<'a, M>,
    outcomes: Outcomes,
}

/// Searches the history.
pub(crate) fn decide<'a, M: Model>(
    model: &'a M,
    history: &'a History<M::Input, M::Output>,
    limits: &Limits,
) -> Decision<'a, M> {
    let deadline = limits.time.and_then(|time| Instant::now().checked_add(time));
    let parts = Parts::new(model, history);
    let outcomes = parts.search(model, limits, deadline);
    Decision { parts, outcomes }
}

impl<'a, M: Model> Decision<'a, M> {
    /// The verdict, with the violation made small.
    pub(crate) fn verdict(&self, model: &'a M, limits: &Limits) -> Verdict<M::Input, M::Output> {
        let Outcomes { wrong, undecided, explored } = self.outcomes;
        if let Some(wrong) = wrong {
            let witness = minimise::minimise(model, &self.parts, wrong, limits);
            return Verdict::Violation(Violation::new(model, &witness));
        }
        match undecided {
            Some((reason, ordered, operations)) => {
                Verdict::Undecided { reason, explored, ordered, operations }
            }
            None => Verdict::Ok,
        }
    }
}

/// Whether the history is linearizable, as [`linearizable`] decides it, without saying why not.
///
/// `None` if the limits came before the answer.
///
/// # Panics
///
/// Only if the model does.
pub fn is_linearizable<M: Model>(
    model: &M,
    history: &History<M::Input, M::Output>,
    limits: &Limits,
) -> Option<bool> {
    let Decision { outcomes, .. } = decide(model, history, limits);
    match (outcomes.wrong, outcomes.undecided) {
        (Some(_), _) => Some(false),
        (None, Some(_)) => None,
        (None, None) => Some(true),
    }
}
