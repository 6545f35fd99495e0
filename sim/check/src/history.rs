//! A history is what clients asked, what they were told, and in which order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use thiserror::Error;

mod jsonl;
mod merge;
mod recorder;

pub use jsonl::{FORMAT_VERSION, ReadError};
pub use merge::MergeError;
pub use recorder::{OperationId, Recorder};

/// The operations of a run, in the order they were invoked.
///
/// Each process has at most one operation open at a time, and none after one whose outcome it
/// never learnt: that operation may still take effect, so it stays open for ever, and a client
/// that goes on does so under a new process number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<I, O> {
    operations: Vec<Operation<I, O>>,
}

/// One operation of one process, from its invocation to its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<I, O> {
    /// Who asked.
    pub process: u64,
    /// When it was asked.
    pub invoked: Moment,
    /// When the client got its answer or gave up; `None` if it was still waiting at the end.
    pub returned: Option<Moment>,
    /// What was asked.
    pub input: I,
    /// What the client learnt.
    pub outcome: Outcome<O>,
}

/// A place in the history and the time on the clock there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The number of the event. Checkers order events by this and never by time.
    pub index: u64,
    /// The time of the event in nanoseconds, on whatever clock the recorder was given.
    pub time_ns: u64,
}

/// What a client learnt about its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<O> {
    /// It took effect, with this answer.
    Ok(O),
    /// It did not take effect and never will.
    Fail,
    /// It may have taken effect, may do so later, or may never.
    Unknown,
}

/// How many operations had which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations that took effect.
    pub ok: usize,
    /// Operations that did not.
    pub fail: usize,
    /// Operations that may have, with those still open at the end.
    pub unknown: usize,
}

/// An event that cannot follow the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IllFormed {
    /// The events are not in ascending order of their index.
    #[error("event {index} comes after event {previous}")]
    IndexOutOfOrder {
        /// The index of the event.
        index: u64,
        /// The index of the one before.
        previous: u64,
    },
    /// An operation ends that is not open.
    #[error("process {process} has no open operation that could end")]
    ReturnWithoutInvoke {
        /// Whose operation ends.
        process: u64,
    },
    /// A process asks again while it still waits.
    #[error("process {process} invokes while its operation of event {open} is open")]
    ConcurrentOperations {
        /// Who asks again.
        process: u64,
        /// The event that invoked the open operation.
        open: u64,
    },
    /// A process asks again after an operation whose outcome it never learnt.
    #[error(
        "process {process} invokes after the unknown outcome of its operation of event {unknown}; \
         a client that goes on needs a new process number"
    )]
    ReusedAfterUnknown {
        /// Who asks again.
        process: u64,
        /// The event that invoked the operation with the unknown outcome.
        unknown: u64,
    },
}

impl<I, O> History<I, O> {
    /// The operations, in the order they were invoked.
    pub fn operations(&self) -> &[Operation<I, O>] {
        &self.operations
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nobody asked anything.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// How many operations had which outcome.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for operation in &self.operations {
            match operation.outcome {
                Outcome::Ok(_) => counts.ok += 1,
                Outcome::Fail => counts.fail += 1,
                Outcome::Unknown => counts.unknown += 1,
            }
        }
        counts
    }

    /// A history that a reader has put together, in the order of the invocations.
    pub(crate) fn from_operations(operations: Vec<Operation<I, O>>) -> Self {
        Self { operations }
    }

    /// Every invocation and every return, in order of their index.
    ///
    /// Only the operations that are open at a time are remembered, since a list of all events
    /// would take as much memory as the history.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Moment, Edge, &Operation<I, O>)> {
        let mut invocations = self.operations.iter().enumerate().peekable();
        let mut open: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
        std::iter::from_fn(move || {
            let returns = open.peek().map(|&Reverse((index, _))| index);
            let is_return_next = match (returns, invocations.peek()) {
                (Some(index), Some((_, next))) => index < next.invoked.index,
                (returns, _) => returns.is_some(),
            };
            if is_return_next {
                let Reverse((_, at)) = open.pop()?;
                let operation = &self.operations[at];
                return operation.returned.map(|returned| (returned, Edge::Return, operation));
            }
            let (at, operation) = invocations.next()?;
            open.extend(operation.returned.map(|returned| Reverse((returned.index, at))));
            Some((operation.invoked, Edge::Invoke, operation))
        })
    }
}

impl<I, O> Default for History<I, O> {
    fn default() -> Self {
        Self { operations: Vec::new() }
    }
}

/// Which end of an operation an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    Invoke,
    Return,
}

/// Builds a history event by event and refuses one that does not fit.
///
/// The recorder, the reader and the merge all go through here, so every history that exists keeps
/// the rule of one open operation for each process.
#[derive(Debug)]
struct Builder<I, O> {
    operations: Vec<Operation<I, O>>,
    latest: BTreeMap<u64, usize>,
    previous: Option<u64>,
}

impl<I, O> Builder<I, O> {
    fn new() -> Self {
        Self { operations: Vec::new(), latest: BTreeMap::new(), previous: None }
    }

    fn invoke(&mut self, process: u64, at: Moment, input: I) -> Result<usize, IllFormed> {
        self.check_order(at)?;
        if let Some(&latest) = self.latest.get(&process) {
            let before = &self.operations[latest];
            let event = before.invoked.index;
            if before.returned.is_none() {
                return Err(IllFormed::ConcurrentOperations { process, open: event });
            }
            if matches!(before.outcome, Outcome::Unknown) {
                return Err(IllFormed::ReusedAfterUnknown { process, unknown: event });
            }
        }
        let id = self.operations.len();
        self.latest.insert(process, id);
        self.previous = Some(at.index);
        self.operations.push(Operation {
            process,
            invoked: at,
            returned: None,
            input,
            outcome: Outcome::Unknown,
        });
        Ok(id)
    }

    /// Ends the operation that the process has open.
    fn end(&mut self, process: u64, at: Moment, outcome: Outcome<O>) -> Result<(), IllFormed> {
        self.check_order(at)?;
        let open = self.latest.get(&process).copied();
        match open.filter(|&id| self.operations[id].returned.is_none()) {
            Some(id) => {
                self.close(id, at, outcome);
                Ok(())
            }
            None => Err(IllFormed::ReturnWithoutInvoke { process }),
        }
    }

    fn close(&mut self, id: usize, at: Moment, outcome: Outcome<O>) {
        let operation = &mut self.operations[id];
        operation.returned = Some(at);
        operation.outcome = outcome;
        self.previous = Some(at.index);
    }

    fn finish(self) -> History<I, O> {
        History { operations: self.operations }
    }

    fn check_order(&self, at: Moment) -> Result<(), IllFormed> {
        match self.previous {
            Some(previous) if at.index <= previous => {
                Err(IllFormed::IndexOutOfOrder { index: at.index, previous })
            }
            _ => Ok(()),
        }
    }
}
