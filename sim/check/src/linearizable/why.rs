//! Why a small history has no legal order, in words.

use crate::history::{Operation, Outcome};
use crate::model::{Effect, Model};

use super::violation::describe;

/// How far a legal order comes, and what stops it.
#[derive(Debug, Default)]
pub(super) struct Why {
    /// The positions of the operations in the order that comes furthest.
    pub(super) order: Vec<usize>,
    /// Those that could come next by their time, and do not fit.
    pub(super) blocked: Vec<usize>,
    pub(super) reasons: Vec<String>,
}

/// How many steps may go into finding the order.
const STEPS_MAX: u32 = 20_000;

struct Explorer<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Input, M::Output>],
    /// The order that is tried, with the state after each operation.
    order: Vec<(usize, M::State)>,
    /// How many completed operations it has, and the most that one ever had.
    completed: usize,
    best_completed: usize,
    best: Vec<(usize, M::State)>,
    steps: u32,
}

/// Finds the order that places the most completed operations, and words for what stops it.
pub(super) fn why<M: Model>(model: &M, operations: &[Operation<M::Input, M::Output>]) -> Why {
    let mut explorer = Explorer {
        model,
        operations,
        order: Vec::new(),
        completed: 0,
        best_completed: 0,
        best: Vec::new(),
        steps: 0,
    };
    explorer.explore();
    let best = explorer.best;
    let order: Vec<usize> = best.iter().map(|(at, _)| *at).collect();
    let left = (0..operations.len()).filter(|at| !order.contains(at));
    let blocked: Vec<usize> = left
        .filter(|&at| is_completed(&operations[at]) && may_come_next(operations, &order, at))
        .collect();
    let mut reasons = Vec::new();
    let name = |at: usize| {
        let operation = &operations[at];
        format!("process {} {}", operation.process, describe(model, operation))
    };
    let placed: Vec<String> = order.iter().map(|&at| name(at)).collect();
    let initial = model.initial();
    let state = best.last().map_or(&initial, |(_, state)| state);
    let state_words = model.describe_state(state);
    reasons.push(match placed.is_empty() {
        true => format!("why: at first, the system {state_words}"),
        false => {
            format!(
                "why: the furthest order is {}; then the system {state_words}",
                placed.join(", ")
            )
        }
    });
    for &at in &blocked {
        let between = between(model, operations, &best, at).unwrap_or_default();
        reasons.push(format!("{} does not fit{between}", name(at)));
    }
    Why { order, blocked, reasons }
}

fn is_completed<I, O>(operation: &Operation<I, O>) -> bool {
    matches!(operation.outcome, Outcome::Ok(_)) && operation.returned.is_some()
}

/// Whether everything that returned before the operation was invoked has its place.
fn may_come_next<I, O>(operations: &[Operation<I, O>], order: &[usize], at: usize) -> bool {
    let invoked = operations[at].invoked.index;
    (0..operations.len()).all(|other| {
        let is_before = is_completed(&operations[other])
            && operations[other].returned.is_some_and(|returned| returned.index < invoked);
        !is_before || order.contains(&other)
    })
}

impl<M: Model> Explorer<'_, M> {
    fn explore(&mut self) {
        if self.completed > self.best_completed
            || (self.completed == self.best_completed && self.order.len() < self.best.len())
        {
            self.best_completed = self.completed;
            self.best = self.order.clone();
        }
        let order: Vec<usize> = self.order.iter().map(|(at, _)| *at).collect();
        // Completed operations first: the shortest order is the easiest to follow.
        for wants_completed in [true, false] {
            for (at, operation) in self.operations.iter().enumerate() {
                if self.steps >= STEPS_MAX {
                    return;
                }
                if is_completed(operation) != wants_completed
                    || order.contains(&at)
                    || !may_come_next(self.operations, &order, at)
                {
                    continue;
                }
                self.steps += 1;
                let output = match &operation.outcome {
                    Outcome::Ok(output) if wants_completed => Some(output),
                    _ => None,
                };
                let initial = self.model.initial();
                let state = self.order.last().map_or(&initial, |(_, state)| state);
                if let Some(after) = self.model.step(state, &operation.input, output) {
                    self.order.push((at, after));
                    self.completed += usize::from(wants_completed);
                    self.explore();
                    self.completed -= usize::from(wants_completed);
                    self.order.pop();
                }
            }
        }
    }
}

/// What would have to come between for a blocked operation to fit, if the model says what it needs.
fn between<M: Model>(
    model: &M,
    operations: &[Operation<M::Input, M::Output>],
    order: &[(usize, M::State)],
    blocked: usize,
) -> Option<String> {
    let effect = |at: usize| -> Option<Effect<M::State>> {
        let operation = &operations[at];
        let output = match &operation.outcome {
            Outcome::Ok(output) if is_completed(operation) => Some(output),
            _ => None,
        };
        model.effect(&operation.input, output)
    };
    let needed = effect(blocked)?.needs?;
    let words = model.describe_state(&needed);
    let name = |at: usize| {
        let operation = &operations[at];
        format!("process {} {}", operation.process, describe(model, operation))
    };
    let source = order.iter().rposition(|(_, state)| *state == needed);
    let was_first = model.initial() == needed;
    let change = match (source, was_first) {
        (Some(source), _) => order.get(source + 1).map(|(at, _)| *at),
        (None, true) => order.first().map(|(at, _)| *at),
        (None, false) => None,
    };
    Some(match change {
        Some(change) => format!(
            ": it needs a system that {words}, which ended with \"{}\"; an operation that brings \
             this back would have to come between the two",
            name(change)
        ),
        None => format!(
            ": it needs a system that {words}, and nothing that has taken place or may take place \
             before it leads there"
        ),
    })
}
