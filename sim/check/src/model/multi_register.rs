//! Several registers, read and written together by transactions that are atomic.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Data, Model};

/// The model of the registers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MultiRegister<K: Ord, V> {
    /// What each register holds before the first write to it.
    pub initial: BTreeMap<K, V>,
    /// What every other register holds before the first write to it.
    pub otherwise: V,
}

/// A part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access<K, V> {
    /// Return the value of a register.
    Read(K),
    /// Replace the value of a register.
    Write(K, V),
}

/// The answers to the reads of a transaction in their order; `None` for one that is not known.
pub type Observed<V> = Vec<Option<V>>;

impl<K: Ord, V> MultiRegister<K, V> {
    /// Registers that all hold `otherwise` at first, but for those in `initial`.
    pub fn new(initial: BTreeMap<K, V>, otherwise: V) -> Self {
        Self { initial, otherwise }
    }
}

impl<K: Data, V: Data> Model for MultiRegister<K, V> {
    type State = BTreeMap<K, V>;
    type Input = Vec<Access<K, V>>;
    type Output = Observed<V>;

    fn initial(&self) -> Self::State {
        self.initial.clone()
    }

    fn step(
        &self,
        state: &Self::State,
        input: &Vec<Access<K, V>>,
        output: Option<&Observed<V>>,
    ) -> Option<Self::State> {
        let mut state = state.clone();
        let mut observed = output.map(|output| output.iter());
        for access in input {
            match access {
                Access::Write(key, value) => {
                    state.insert(key.clone(), value.clone());
                }
                Access::Read(key) => {
                    let Some(observed) = &mut observed else { continue };
                    let value = observed.next()?;
                    let held = state.get(key).unwrap_or(&self.otherwise);
                    if value.as_ref().is_some_and(|value| value != held) {
                        return None;
                    }
                }
            }
        }
        let is_answered = observed.is_none_or(|mut left| left.next().is_none());
        is_answered.then_some(state)
    }

    fn describe(&self, input: &Vec<Access<K, V>>, output: Option<&Observed<V>>) -> String {
        let mut observed = output.map(|output| output.iter());
        let mut words = Vec::with_capacity(input.len());
        for access in input {
            words.push(match access {
                Access::Write(key, value) => format!("writes {value:?} to {key:?}"),
                Access::Read(key) => match observed.as_mut().and_then(Iterator::next) {
                    Some(Some(value)) => format!("reads {value:?} from {key:?}"),
                    _ => format!("reads {key:?}"),
                },
            });
        }
        let unknown = if output.is_none() { ", outcome unknown" } else { "" };
        match words.is_empty() {
            true => format!("does nothing{unknown}"),
            false => format!("{}{unknown}", words.join(" and ")),
        }
    }

    fn describe_state(&self, state: &Self::State) -> String {
        let entries: Vec<_> =
            state.iter().map(|(key, value)| format!("{value:?} at {key:?}")).collect();
        match entries.is_empty() {
            true => format!("holds {:?} everywhere", self.otherwise),
            false => format!("holds {}", entries.join(", ")),
        }
    }

    fn is_read_only(&self, input: &Vec<Access<K, V>>) -> bool {
        input.iter().all(|access| matches!(access, Access::Read(_)))
    }

    /// Registers belong together if some transaction accesses both.
    fn parts(&self, inputs: &[&Vec<Access<K, V>>]) -> Vec<usize> {
        let mut numbers: BTreeMap<&K, usize> = BTreeMap::new();
        let mut leaders: Vec<usize> = Vec::new();
        for input in inputs {
            let mut first = None;
            for access in *input {
                let next = leaders.len();
                let number = *numbers.entry(access.key()).or_insert(next);
                if number == next {
                    leaders.push(next);
                }
                let leader = leader(&mut leaders, number);
                leaders[leader] = *first.get_or_insert(leader);
            }
        }
        let mut part = |input: &Vec<Access<K, V>>| {
            let number = input.first().and_then(|access| numbers.get(access.key()))?;
            Some(leader(&mut leaders, *number))
        };
        inputs.iter().map(|input| part(input).unwrap_or(0)).collect()
    }

    fn state_bytes(&self, state: &Self::State) -> usize {
        size_of_val(state) + state.len() * (size_of::<K>() + size_of::<V>() + 32)
    }
}

impl<K, V> Access<K, V> {
    /// The register that is accessed.
    pub fn key(&self) -> &K {
        match self {
            Self::Read(key) | Self::Write(key, _) => key,
        }
    }
}

/// The register that stands for all those that belong together with one.
fn leader(leaders: &mut [usize], mut number: usize) -> usize {
    while leaders[number] != number {
        leaders[number] = leaders[leaders[number]];
        number = leaders[number];
    }
    number
}
