//! A model as an automaton over numbers: each state and each step is computed once.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::memo::WordHasher;
use crate::model::Model;

type Hashed = BuildHasherDefault<WordHasher>;

/// The states that were met and the steps between them.
pub(super) struct Machine<'m, M: Model> {
    model: &'m M,
    states: Vec<M::State>,
    numbers: HashMap<M::State, u32, Hashed>,
    /// The state after a step from a state by a class of operations, or [`NONE`].
    steps: HashMap<(u32, u32), u32, Hashed>,
    bytes: usize,
}

/// No state.
pub(super) const NONE: u32 = u32::MAX;

/// In place of the state that an operation needs: its effect is in a table.
pub(super) const VARIES: u32 = u32::MAX - 1;

impl<'m, M: Model> Machine<'m, M> {
    pub(super) fn new(model: &'m M) -> Self {
        let numbers = HashMap::default();
        let mut machine =
            Self { model, states: Vec::new(), numbers, steps: HashMap::default(), bytes: 0 };
        machine.number(model.initial());
        machine
    }

    /// The number of a state; that of the initial one is 0.
    pub(super) fn number(&mut self, state: M::State) -> u32 {
        if let Some(&number) = self.numbers.get(&state) {
            return number;
        }
        let number = self.states.len() as u32;
        // A state is kept twice, once to be found and once to go on from.
        self.bytes += 2 * self.model.state_bytes(&state) + 32;
        self.states.push(state.clone());
        self.numbers.insert(state, number);
        number
    }

    /// The state after an operation of a class, or [`NONE`] if it does not fit.
    pub(super) fn step(
        &mut self,
        state: u32,
        class: u32,
        input: &M::Input,
        output: Option<&M::Output>,
    ) -> u32 {
        if let Some(&after) = self.steps.get(&(state, class)) {
            return after;
        }
        let after = match self.model.step(&self.states[state as usize], input, output) {
            Some(after) if after == self.states[state as usize] => state,
            Some(after) => self.number(after),
            None => NONE,
        };
        self.steps.insert((state, class), after);
        self.bytes += 32;
        after
    }

    /// How many states were met.
    pub(super) fn count(&self) -> usize {
        self.states.len()
    }

    /// Roughly how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
