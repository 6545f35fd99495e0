//! A history in parts that have nothing to do with each other, searched on several cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::limit::Bounds;
use super::search::{Found, Search};
use super::subject::{Relevant, SpanOf, Subject, relevant, renumber};
use super::{Limits, Reason};
use crate::history::History;
use crate::model::Model;

/// The operations of each part, in the order of their invocation, and whether each only reads.
pub(super) struct Parts<'a, M: Model> {
    parts: Vec<Vec<Relevant<'a, M>>>,
}

/// What the search of all parts found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcomes {
    /// The first part that is not linearizable.
    pub(super) wrong: Option<usize>,
    /// Of the first undecided part: why, how many operations it ordered at most, and of how many.
    pub(super) undecided: Option<(Reason, usize, usize)>,
    pub(super) explored: u64,
}

/// What the search of one part found.
struct Outcome {
    part: usize,
    found: Found,
    steps: u64,
    deepest: usize,
    operations: usize,
}

/// With fewer operations, starting threads takes longer than the search.
const OPERATIONS_PER_CORE: usize = 1_000;

impl<'a, M: Model> Parts<'a, M> {
    pub(super) fn new(model: &M, history: &'a History<M::Input, M::Output>) -> Self {
        let operations = relevant(model, history);
        let inputs: Vec<_> = operations.iter().map(|(operation, _)| &operation.input).collect();
        let mut numbers = model.parts(&inputs);
        let count = renumber(&mut numbers);
        let mut parts: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
        for (operation, part) in operations.into_iter().zip(numbers) {
            parts[part].push(operation);
        }
        Self { parts }
    }

    /// The operations of a part as the search sees them.
    pub(super) fn spans(&self, part: usize, subject: &mut Subject<'a, M>) -> Vec<SpanOf<'a, M>> {
        let part = self.parts[part].iter();
        part.map(|&(operation, is_read_only)| subject.span(operation, is_read_only)).collect()
    }

    /// Searches each part; those behind one that is wrong are left out.
    pub(super) fn search(
        &self,
        model: &'a M,
        limits: &Limits,
        deadline: Option<Instant>,
    ) -> Outcomes {
        let next = AtomicUsize::new(0);
        let wrong = AtomicUsize::new(usize::MAX);
        let outcomes = Mutex::new(Vec::new());
        let work = || {
            let mut search = Search::default();
            loop {
                let part = next.fetch_add(1, Ordering::Relaxed);
                if part >= self.parts.len() || wrong.load(Ordering::Relaxed) < part {
                    return;
                }
                let bounds = Bounds {
                    steps: limits.steps,
                    memory: limits.memory,
                    deadline,
                    part: Some((&wrong, part)),
                };
                let outcome = self.search_part(&mut search, model, part, bounds);
                if outcome.found == Found::Impossible {
                    wrong.fetch_min(part, Ordering::Relaxed);
                }
                if let Ok(mut outcomes) = outcomes.lock() {
                    outcomes.push(outcome);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.cores(limits) {
                scope.spawn(work);
            }
            work();
        });
        combine(outcomes.into_inner().unwrap_or_default(), wrong.into_inner())
    }

    fn search_part(
        &self,
        search: &mut Search,
        model: &'a M,
        part: usize,
        bounds: Bounds<'_>,
    ) -> Outcome {
        let mut subject = Subject::new(model);
        let spans = self.spans(part, &mut subject);
        let found = search.run(&mut subject, &spans, bounds);
        let operations = spans.iter().filter(|span| span.completed.is_some()).count();
        Outcome { part, found, steps: search.steps(), deepest: search.deepest(), operations }
    }

    /// How many cores are worth using.
    fn cores(&self, limits: &Limits) -> usize {
        let operations: usize = self.parts.iter().map(Vec::len).sum();
        let useful = self.parts.len().min(operations / OPERATIONS_PER_CORE);
        if useful <= 1 {
            return 1;
        }
        let available = match limits.cores {
            0 => thread::available_parallelism().map_or(1, usize::from),
            cores => cores,
        };
        useful.min(available)
    }
}

/// The first part that is wrong, if any is, and otherwise the first that is undecided.
fn combine(mut outcomes: Vec<Outcome>, wrong: usize) -> Outcomes {
    outcomes.sort_by_key(|outcome| outcome.part);
    let mut combined = Outcomes::default();
    for Outcome { part, found, steps, deepest, operations } in outcomes {
        combined.explored = combined.explored.saturating_add(steps);
        match found {
            Found::Limit(reason) if part < wrong => {
                combined.undecided.get_or_insert((reason, deepest, operations));
            }
            Found::Impossible => {
                combined.wrong.get_or_insert(part);
            }
            Found::Limit(_) | Found::Order => {}
        }
    }
    combined
}
