//! A stack: the element pushed last is popped first.

use serde::{Deserialize, Serialize};

use super::{Data, Model};

/// The model of a stack that starts empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stack<V> {
    of: std::marker::PhantomData<fn() -> V>,
}

/// What a client asks of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackCall<V> {
    /// Put the element on top.
    Push(V),
    /// Take the element on top.
    Pop,
}

/// What a stack answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackReturn<V> {
    /// The element is on top.
    Done,
    /// The element that was on top.
    Item(V),
    /// There was none.
    Empty,
}

impl<V> Stack<V> {
    /// A stack that starts empty.
    pub fn new() -> Self {
        Self { of: std::marker::PhantomData }
    }
}

impl<V: Data> Model for Stack<V> {
    /// The top is at the end.
    type State = Vec<V>;
    type Input = StackCall<V>;
    type Output = StackReturn<V>;

    fn initial(&self) -> Vec<V> {
        Vec::new()
    }

    fn step(
        &self,
        state: &Vec<V>,
        input: &StackCall<V>,
        output: Option<&StackReturn<V>>,
    ) -> Option<Vec<V>> {
        match (input, output) {
            (StackCall::Push(item), None | Some(StackReturn::Done)) => {
                let mut state = state.clone();
                state.push(item.clone());
                Some(state)
            }
            (StackCall::Pop, None) => {
                Some(state.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default())
            }
            (StackCall::Pop, Some(StackReturn::Item(item))) => {
                let (top, rest) = state.split_last()?;
                (top == item).then(|| rest.to_vec())
            }
            (StackCall::Pop, Some(StackReturn::Empty)) => state.is_empty().then(Vec::new),
            _ => None,
        }
    }

    fn describe(&self, input: &StackCall<V>, output: Option<&StackReturn<V>>) -> String {
        match (input, output) {
            (StackCall::Push(item), None) => format!("pushes {item:?}, outcome unknown"),
            (StackCall::Push(item), Some(StackReturn::Done)) => format!("pushes {item:?}"),
            (StackCall::Pop, None) => "pops, outcome unknown".to_owned(),
            (StackCall::Pop, Some(StackReturn::Item(item))) => format!("pops {item:?}"),
            (StackCall::Pop, Some(StackReturn::Empty)) => "finds the stack empty".to_owned(),
            (input, Some(output)) => super::mismatch(input, output),
        }
    }

    fn describe_state(&self, state: &Vec<V>) -> String {
        match state.is_empty() {
            true => "is empty".to_owned(),
            false => format!("holds {state:?}, the last one on top"),
        }
    }

    /// An element may go with all who push or pop it, unless a pop might have taken anything.
    fn companions(
        &self,
        input: &StackCall<V>,
        output: Option<&StackReturn<V>>,
        others: &[(&StackCall<V>, Option<&StackReturn<V>>)],
    ) -> Option<Vec<usize>> {
        let item = item(input, output)?;
        if others.iter().any(|(input, output)| **input == StackCall::Pop && output.is_none()) {
            return None;
        }
        let same = |&at: &usize| self::item(others[at].0, others[at].1) == Some(item);
        Some((0..others.len()).filter(same).collect())
    }

    fn state_bytes(&self, state: &Vec<V>) -> usize {
        size_of_val(state) + state.len() * size_of::<V>()
    }
}

/// The element that is pushed or popped.
fn item<'a, V>(input: &'a StackCall<V>, output: Option<&'a StackReturn<V>>) -> Option<&'a V> {
    match (input, output) {
        (StackCall::Push(item), _) | (StackCall::Pop, Some(StackReturn::Item(item))) => Some(item),
        _ => None,
    }
}
