//! What is checked: operations that have to do with each other, with a number for each kind.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::machine::{Machine, NONE, VARIES};
use super::memo::WordHasher;
use crate::history::{History, Operation, Outcome};
use crate::model::{Effect, Interval, Model, PartEffect, PartEffects, Table};

/// An operation as the search sees it.
pub(super) struct Span<'a, I, O> {
    pub(super) operation: &'a Operation<I, O>,
    /// The event of its return and its output. Without one it stays open: it may take effect at
    /// any later time or never.
    pub(super) completed: Option<(u64, &'a O)>,
    pub(super) is_read_only: bool,
    /// The number of its input and output, and of its input with an unknown output.
    pub(super) classes: [u32; 2],
}

/// An input, with or without an output; operations of one class are alike to the model.
pub(super) struct Class<'a, I, O> {
    pub(super) input: &'a I,
    pub(super) output: Option<&'a O>,
    /// The class of the same input with an unknown output.
    pub(super) unseen: u32,
    /// What it needs and what it sets, as numbers of states or [`NONE`]; `None` if the model
    /// cannot say.
    pub(super) effect: Option<(u32, u32)>,
}

/// The model with the classes and states that were met.
pub(super) struct Subject<'a, M: Model> {
    pub(super) model: &'a M,
    pub(super) machine: Machine<'a, M>,
    pub(super) classes: Vec<Class<'a, M::Input, M::Output>>,
    numbers: Numbers<'a, M::Input, M::Output>,
}

type Numbers<'a, I, O> = HashMap<(&'a I, Option<&'a O>), u32, BuildHasherDefault<WordHasher>>;

/// The spans of a model.
pub(super) type SpanOf<'a, M> = Span<'a, <M as Model>::Input, <M as Model>::Output>;

impl<I, O> Span<'_, I, O> {
    pub(super) fn class(&self) -> u32 {
        self.classes[usize::from(self.completed.is_none())]
    }
}

impl<'a, I, O> Span<'a, I, O> {
    pub(super) fn output(&self) -> Option<&'a O> {
        self.completed.map(|(_, output)| output)
    }

    pub(super) fn interval(&self) -> Interval<'a, I, O> {
        Interval {
            input: &self.operation.input,
            output: self.output(),
            invoked: self.operation.invoked.index,
            returned: self.completed.map(|(returned, _)| returned),
        }
    }
}

impl<I, O> Clone for Span<'_, I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for Span<'_, I, O> {}

/// An operation that matters, and whether it only reads.
pub(super) type Relevant<'a, M> = (&'a Operation<<M as Model>::Input, <M as Model>::Output>, bool);

/// The operations of a history that matter: not those that failed, nor reads that nobody saw.
pub(super) fn relevant<'a, M: Model>(
    model: &M,
    history: &'a History<M::Input, M::Output>,
) -> Vec<Relevant<'a, M>> {
    let mut relevant = Vec::with_capacity(history.len());
    for operation in history.operations() {
        let is_read_only = model.is_read_only(&operation.input);
        let is_completed = match (&operation.outcome, operation.returned) {
            (Outcome::Ok(_), Some(_)) => true,
            (Outcome::Fail, _) => continue,
            (Outcome::Unknown, _) | (Outcome::Ok(_), None) => false,
        };
        if is_completed || !is_read_only {
            relevant.push((operation, is_read_only));
        }
    }
    relevant
}

impl<'a, M: Model> Subject<'a, M> {
    pub(super) fn new(model: &'a M) -> Self {
        let machine = Machine::new(model);
        Self { model, machine, classes: Vec::new(), numbers: HashMap::default() }
    }

    /// The operation with the numbers of its classes.
    pub(super) fn span(
        &mut self,
        operation: &'a Operation<M::Input, M::Output>,
        is_read_only: bool,
    ) -> SpanOf<'a, M> {
        let completed = match (&operation.outcome, operation.returned) {
            (Outcome::Ok(output), Some(returned)) => Some((returned.index, output)),
            _ => None,
        };
        let unseen = self.class(&operation.input, None, NONE);
        let class = match completed {
            Some((_, output)) => self.class(&operation.input, Some(output), unseen),
            None => unseen,
        };
        Span { operation, completed, is_read_only, classes: [class, unseen] }
    }

    fn class(&mut self, input: &'a M::Input, output: Option<&'a M::Output>, unseen: u32) -> u32 {
        if let Some(&number) = self.numbers.get(&(input, output)) {
            return number;
        }
        let number = self.classes.len() as u32;
        let effect = self.model.effect(input, output).map(|Effect { needs, sets }| {
            let mut state = |state: Option<M::State>| match state {
                Some(state) => self.machine.number(state),
                None => NONE,
            };
            (state(needs), state(sets))
        });
        let unseen = if unseen == NONE { number } else { unseen };
        self.classes.push(Class { input, output, unseen, effect });
        self.numbers.insert((input, output), number);
        number
    }

    /// What each operation of a part needs and sets; `None` if the model cannot say.
    pub(super) fn effects(&self, spans: &[SpanOf<'a, M>]) -> Option<Effects> {
        let of_class = |span: &SpanOf<'a, M>| self.classes[span.class() as usize].effect;
        if let Some(pairs) = spans.iter().map(of_class).collect() {
            return Some(Effects { pairs, tables: Vec::new(), states: self.machine.count() });
        }
        let part: Vec<_> = spans.iter().map(Span::interval).collect();
        let PartEffects { operations, tables } = self.model.effects(&part)?;
        let pair = |effect: &PartEffect| match *effect {
            PartEffect::Fixed(Effect { needs, sets }) => {
                (needs.unwrap_or(NONE), sets.unwrap_or(NONE))
            }
            PartEffect::Varies(table) => (VARIES, table as u32),
        };
        let pairs: Vec<_> = operations.iter().map(pair).collect();
        let fixed = pairs.iter().filter(|pair| pair.0 != VARIES);
        let fixed = fixed.flat_map(|&(needs, sets)| [needs, sets]);
        let varying = tables.iter().flat_map(|table| {
            table.steps.iter().flat_map(|&(from, to)| [from, to]).chain([table.otherwise])
        });
        let states = fixed.chain(varying).filter(|&state| state != NONE).max().unwrap_or(0);
        Some(Effects { pairs, tables, states: states as usize + 1 })
    }
}

/// What the operations of a part do.
pub(super) struct Effects {
    /// What each needs and sets, or [`VARIES`] and the number of its table.
    pub(super) pairs: Vec<(u32, u32)>,
    pub(super) tables: Vec<Table>,
    /// How many states there are.
    pub(super) states: usize,
}

/// Numbers of parts as they are met, from 0, for what a model calls them.
pub(super) fn renumber(parts: &mut [usize]) -> usize {
    let mut numbers: HashMap<usize, usize, BuildHasherDefault<WordHasher>> = HashMap::default();
    for part in parts {
        let next = numbers.len();
        *part = *numbers.entry(*part).or_insert(next);
    }
    numbers.len()
}
