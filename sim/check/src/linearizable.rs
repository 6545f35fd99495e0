//! Linearizability: every operation seems to take effect at one instant between its invocation and
//! its return.
//!
//! The definition is Herlihy and Wing's (1990). The search is that of Wing and Gong, "Testing and
//! verifying concurrent objects" (1993), with the memory of visited configurations that Lowe added
//! in "Testing for linearizability" (2017), laid out over a linked list of events as in Horn and
//! Kroening, "Faster linearizability checking via P-compositionality" (2015).

use std::time::Duration;

use crate::history::History;
use crate::model::Model;

mod entries;
mod memo;
mod minimise;
mod progress;
mod search;
mod violation;

use search::{Bounds, Found, Search, Span};
pub use violation::Violation;

/// How much work a check may do.
///
/// The bounds count work and not time, so the verdict is the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many times the search may call [`Model::step`].
    pub steps: u64,
    /// How many configurations, each a set of operations and a state, it may remember.
    pub memory: usize,
    /// How many more calls of [`Model::step`] may go into making a violation smaller.
    pub minimise_steps: u64,
    /// How long the search may take; a bound on time makes a verdict depend on the machine.
    pub time: Option<Duration>,
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
    },
}

/// The limit that ended an undecided check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// [`Limits::steps`].
    Steps,
    /// [`Limits::memory`].
    Memory,
}

impl Limits {
    /// As much work as somebody waits for who asks about one file: a minute.
    pub fn unhurried() -> Self {
        Self {
            steps: u64::MAX,
            memory: 40_000_000,
            time: Some(Duration::from_secs(60)),
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 10_000_000, memory: 2_000_000, minimise_steps: 2_000_000, time: None }
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
    let spans = Span::all(model, history);
    let mut search = Search::new(model);
    let bounds = Bounds { steps: limits.steps, memory: limits.memory };
    match search.run(&spans, bounds) {
        Found::Order => Verdict::Ok,
        Found::Limit(reason) => Verdict::Undecided { reason, explored: search.steps() },
        Found::Impossible => {
            let witness = minimise::minimise(model, &mut search, spans, limits);
            Verdict::Violation(Violation::new(model, &witness))
        }
    }
}
