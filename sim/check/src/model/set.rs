//! A set of elements.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Data, Model, number_by_key};

/// The model of a set that starts empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set<V> {
    of: std::marker::PhantomData<fn() -> V>,
}

/// What a client asks of a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetCall<V> {
    /// Put the element in.
    Add(V),
    /// Take the element out.
    Remove(V),
    /// Whether the element is in.
    Contains(V),
    /// All elements.
    Read,
}

/// What a set answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[serde(bound(deserialize = "V: Deserialize<'de> + Ord"))]
pub enum SetReturn<V> {
    /// The element was added or removed, whether or not it had been there.
    Done,
    /// Whether the set was changed by adding or removing, or whether it has the element.
    Bool(bool),
    /// All elements.
    Elements(BTreeSet<V>),
}

impl<V> Set<V> {
    /// A set that starts empty.
    pub fn new() -> Self {
        Self { of: std::marker::PhantomData }
    }
}

impl<V> SetCall<V> {
    /// The element that is asked about.
    pub fn element(&self) -> Option<&V> {
        match self {
            Self::Add(element) | Self::Remove(element) | Self::Contains(element) => Some(element),
            Self::Read => None,
        }
    }
}

impl<V: Data> Model for Set<V> {
    type State = BTreeSet<V>;
    type Input = SetCall<V>;
    type Output = SetReturn<V>;

    fn initial(&self) -> BTreeSet<V> {
        BTreeSet::new()
    }

    fn step(
        &self,
        state: &BTreeSet<V>,
        input: &SetCall<V>,
        output: Option<&SetReturn<V>>,
    ) -> Option<BTreeSet<V>> {
        let has = input.element().is_some_and(|element| state.contains(element));
        let is_allowed = match (input, output) {
            (_, None) => true,
            (SetCall::Add(_) | SetCall::Remove(_), Some(SetReturn::Done)) => true,
            (SetCall::Add(_), Some(SetReturn::Bool(is_new))) => *is_new != has,
            (SetCall::Remove(_) | SetCall::Contains(_), Some(SetReturn::Bool(was_there))) => {
                *was_there == has
            }
            (SetCall::Read, Some(SetReturn::Elements(elements))) => elements == state,
            _ => false,
        };
        if !is_allowed {
            return None;
        }
        let mut state = state.clone();
        match input {
            SetCall::Add(element) => {
                state.insert(element.clone());
            }
            SetCall::Remove(element) => {
                state.remove(element);
            }
            SetCall::Contains(_) | SetCall::Read => {}
        }
        Some(state)
    }

    fn describe(&self, input: &SetCall<V>, output: Option<&SetReturn<V>>) -> String {
        let asked = match input {
            SetCall::Add(element) => format!("adds {element:?}"),
            SetCall::Remove(element) => format!("removes {element:?}"),
            SetCall::Contains(element) => format!("looks for {element:?}"),
            SetCall::Read => "reads the set".to_owned(),
        };
        match (input, output) {
            (_, None) => format!("{asked}, outcome unknown"),
            (SetCall::Add(_) | SetCall::Remove(_), Some(SetReturn::Done)) => asked,
            (SetCall::Add(_), Some(SetReturn::Bool(true))) => format!("{asked}, which is new"),
            (SetCall::Add(_), Some(SetReturn::Bool(false))) => {
                format!("{asked}, which is there already")
            }
            (SetCall::Remove(_) | SetCall::Contains(_), Some(SetReturn::Bool(true))) => {
                format!("{asked}, which is there")
            }
            (SetCall::Remove(_) | SetCall::Contains(_), Some(SetReturn::Bool(false))) => {
                format!("{asked}, which is not there")
            }
            (SetCall::Read, Some(SetReturn::Elements(elements))) => {
                format!("reads the set as {elements:?}")
            }
            (input, Some(output)) => super::mismatch(input, output),
        }
    }

    fn describe_state(&self, state: &BTreeSet<V>) -> String {
        format!("holds {state:?}")
    }

    fn is_read_only(&self, input: &SetCall<V>) -> bool {
        matches!(input, SetCall::Contains(_) | SetCall::Read)
    }

    /// Each element by itself, unless somebody asks for all of them at once.
    fn parts(&self, inputs: &[&SetCall<V>]) -> Vec<usize> {
        if inputs.iter().any(|input| input.element().is_none()) {
            return vec![0; inputs.len()];
        }
        number_by_key(inputs.iter().map(|input| input.element()))
    }

    /// Everything about one element may go if nobody reads the whole set.
    fn companions(
        &self,
        input: &SetCall<V>,
        _output: Option<&SetReturn<V>>,
        others: &[(&SetCall<V>, Option<&SetReturn<V>>)],
    ) -> Option<Vec<usize>> {
        let element = input.element()?;
        if others.iter().any(|(other, _)| other.element().is_none()) {
            return None;
        }
        let about = |&at: &usize| others[at].0.element() == Some(element);
        Some((0..others.len()).filter(about).collect())
    }

    fn state_bytes(&self, state: &BTreeSet<V>) -> usize {
        size_of_val(state) + state.len() * (size_of::<V>() + 16)
    }
}
