//! Merging turns the histories of several recorders that share a clock into one.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::{Builder, Edge, History, IllFormed, Moment, Operation, Outcome};

/// Why histories cannot be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MergeError {
    /// Two events of a process have times that contradict their order.
    #[error("the clock of process {process} goes back at event {index} of history {history}")]
    ClockWentBack {
        /// The position of the history among those to merge.
        history: usize,
        /// Whose clock it was.
        process: u64,
        /// The later event, which has the earlier time.
        index: u64,
    },
    /// Two processes each end an operation and start another at one and the same time.
    ///
    /// No order of these events leaves both new operations concurrent with both old ones, and any
    /// other order could make a violation out of nothing.
    #[error("processes {first} and {second} both return and invoke again at {time_ns} ns")]
    ClockTooCoarse {
        /// One of the processes.
        first: u64,
        /// The other.
        second: u64,
        /// The time that they share.
        time_ns: u64,
    },
    /// A process number occurs in several histories in a way that one process could not.
    #[error("in the merged history, {0}")]
    IllFormed(#[from] IllFormed),
}

/// An event on its way into the merged history.
struct Merging {
    time_ns: u64,
    process: u64,
    edge: Edge,
    history: usize,
    /// The event's index in its own history.
    index: u64,
    /// The operation's position in the list of all operations.
    operation: usize,
}

impl<I, O> History<I, O> {
    /// Puts histories recorded apart, with times of the same clock, into one ordered by time.
    ///
    /// At equal times, invocations come before returns, so operations that only touch count as
    /// concurrent: the clock cannot tell which came first, and a checker must not assume it. Only
    /// a process that returns and invokes again at one time keeps its own order. The events are
    /// numbered anew.
    ///
    /// # Errors
    ///
    /// If the clock of a process goes back, is too coarse to order two processes, or two histories
    /// use one process number at once.
    pub fn merge(histories: Vec<Self>) -> Result<Self, MergeError> {
        let mut events = Vec::new();
        let mut first_operation = 0;
        for (history, recorded) in histories.iter().enumerate() {
            collect(history, recorded, first_operation, &mut events)?;
            first_operation += recorded.len();
        }
        events.sort_by_key(|event| (event.time_ns, event.history, event.index));
        for tied in events.chunk_by_mut(|one, other| one.time_ns == other.time_ns) {
            order_tied(tied)?;
        }
        let mut operations: Vec<Option<Operation<I, O>>> =
            histories.into_iter().flat_map(|history| history.operations).map(Some).collect();
        let mut outcomes: Vec<Option<Outcome<O>>> = operations.iter().map(|_| None).collect();
        let mut builder = Builder::new();
        for (index, event) in (0..).zip(&events) {
            let at = Moment { index, time_ns: event.time_ns };
            match event.edge {
                Edge::Invoke => {
                    if let Some(operation) = operations[event.operation].take() {
                        builder.invoke(event.process, at, operation.input)?;
                        outcomes[event.operation] = Some(operation.outcome);
                    }
                }
                Edge::Return => {
                    let outcome = outcomes[event.operation].take().unwrap_or(Outcome::Unknown);
                    builder.end(event.process, at, outcome)?;
                }
            }
        }
        Ok(builder.finish())
    }
}

fn collect<I, O>(
    history: usize,
    recorded: &History<I, O>,
    first_operation: usize,
    events: &mut Vec<Merging>,
) -> Result<(), MergeError> {
    let start = events.len();
    for (position, operation) in recorded.operations.iter().enumerate() {
        let ends = [Some((operation.invoked, Edge::Invoke)), operation.returned.map(returning)];
        events.extend(ends.into_iter().flatten().map(|(moment, edge)| Merging {
            time_ns: moment.time_ns,
            process: operation.process,
            edge,
            history,
            index: moment.index,
            operation: first_operation + position,
        }));
    }
    let own = &mut events[start..];
    own.sort_by_key(|event| event.index);
    let mut clocks: BTreeMap<u64, u64> = BTreeMap::new();
    for event in own {
        let &mut Merging { process, index, time_ns, .. } = event;
        if clocks.insert(process, time_ns).is_some_and(|before| before > time_ns) {
            return Err(MergeError::ClockWentBack { history, process, index });
        }
    }
    Ok(())
}

fn returning(moment: Moment) -> (Moment, Edge) {
    (moment, Edge::Return)
}

/// Orders events of one time: invocations, then the process that turns around, then returns.
fn order_tied(tied: &mut [Merging]) -> Result<(), MergeError> {
    let mut returned = BTreeSet::new();
    let mut turning: Option<u64> = None;
    for event in tied.iter() {
        match event.edge {
            Edge::Return => {
                returned.insert(event.process);
            }
            Edge::Invoke if returned.contains(&event.process) => {
                let (first, second) = (turning.unwrap_or(event.process), event.process);
                if first != second {
                    let time_ns = event.time_ns;
                    return Err(MergeError::ClockTooCoarse { first, second, time_ns });
                }
                turning = Some(event.process);
            }
            Edge::Invoke => {}
        }
    }
    // The sort is stable, so the process that turns around keeps its own order in the middle.
    tied.sort_by_key(|event| match event.edge {
        _ if Some(event.process) == turning => 1,
        Edge::Invoke => 0,
        Edge::Return => 2,
    });
    Ok(())
}
