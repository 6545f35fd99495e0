//! A recorder writes down what clients ask and are told while it happens.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Builder, History, Moment, Outcome};

/// A handle that every client of a run writes to; clones write to the same history.
///
/// Each call is one event, and events are numbered in the order of the calls. That order is what
/// the checkers go by, so a client must call [`invoke`](Recorder::invoke) before the system can
/// see the request, and report the outcome only after it has the answer.
///
/// An outcome for an operation that already has one changes nothing: a client that gave up and
/// then hears a late answer has already said that it does not know. Nothing is recorded any more
/// once the history was taken by [`finish`](Recorder::finish).
pub struct Recorder<I, O> {
    shared: Arc<Mutex<State<I, O>>>,
}

/// An operation of the recorder that handed this out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OperationId(usize);

struct State<I, O> {
    /// `None` once the history was taken.
    builder: Option<Builder<I, O>>,
    next_event: u64,
}

impl<I, O> Recorder<I, O> {
    /// A recorder with an empty history.
    pub fn new() -> Self {
        let state = State { builder: Some(Builder::new()), next_event: 0 };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// A process asks something.
    ///
    /// # Panics
    ///
    /// If the process still has an operation open, or its last one had an unknown outcome. Both
    /// are mistakes of the caller; see [`History`] for the rule.
    pub fn invoke(&self, process: u64, input: I, at_ns: u64) -> OperationId {
        let mut state = self.lock();
        let at = state.next(at_ns);
        let Some(builder) = &mut state.builder else { return OperationId(usize::MAX) };
        let invoked = builder.invoke(process, at, input);
        // Another thread that records must not find the lock poisoned by this one's mistake.
        drop(state);
        match invoked {
            Ok(id) => OperationId(id),
            Err(error) => panic!("{error}"),
        }
    }

    /// The operation took effect and this is the answer.
    pub fn ok(&self, id: OperationId, output: O, at_ns: u64) {
        self.close(id, Outcome::Ok(output), at_ns);
    }

    /// The operation certainly did not take effect and never will.
    pub fn fail(&self, id: OperationId, at_ns: u64) {
        self.close(id, Outcome::Fail, at_ns);
    }

    /// The client gave up without learning what happened.
    pub fn unknown(&self, id: OperationId, at_ns: u64) {
        self.close(id, Outcome::Unknown, at_ns);
    }

    /// Takes the history; operations still open have an unknown outcome.
    ///
    /// A second call returns an empty history.
    pub fn finish(&self) -> History<I, O> {
        self.lock().builder.take().map(Builder::finish).unwrap_or_default()
    }

    fn close(&self, id: OperationId, outcome: Outcome<O>, at_ns: u64) {
        let mut state = self.lock();
        let open = state.builder.as_ref().and_then(|builder| builder.operations.get(id.0));
        if open.is_none_or(|operation| operation.returned.is_some()) {
            return;
        }
        let at = state.next(at_ns);
        if let Some(builder) = &mut state.builder {
            builder.close(id.0, at, outcome);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<I, O>> {
        // Nothing panics between two halves of a change, so a poisoned state is still whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I, O> State<I, O> {
    fn next(&mut self, time_ns: u64) -> Moment {
        let index = self.next_event;
        self.next_event += 1;
        Moment { index, time_ns }
    }
}

impl<I, O> Clone for Recorder<I, O> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<I, O> Default for Recorder<I, O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I, O> fmt::Debug for Recorder<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("events", &self.lock().next_event).finish_non_exhaustive()
    }
}
