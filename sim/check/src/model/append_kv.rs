//! A map from keys to strings, each key of which is read, replaced and appended to by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Interval, Model, PartEffects, number_by_key};

mod pieces;

/// The model of the map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendKv {
    /// What every key holds before the first operation on it.
    pub initial: String,
}

/// What a client asks of the map, always of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppendKvCall {
    /// Return the string of the key.
    Get(String),
    /// Replace the string of the key.
    Put(String, String),
    /// Add to the end of the string of the key.
    Append(String, String),
}

/// What the map answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppendKvReturn {
    /// The string of the key, in answer to a get.
    Value(String),
    /// The put or the append is done.
    Done,
}

impl AppendKv {
    /// A map in which every key holds `initial` at first.
    pub fn new(initial: impl Into<String>) -> Self {
        Self { initial: initial.into() }
    }
}

impl AppendKvCall {
    /// The key that is asked about.
    pub fn key(&self) -> &str {
        match self {
            Self::Get(key) | Self::Put(key, _) | Self::Append(key, _) => key,
        }
    }
}

impl Model for AppendKv {
    type State = BTreeMap<String, String>;
    type Input = AppendKvCall;
    type Output = AppendKvReturn;

    fn initial(&self) -> Self::State {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &Self::State,
        input: &AppendKvCall,
        output: Option<&AppendKvReturn>,
    ) -> Option<Self::State> {
        let held = state.get(input.key()).unwrap_or(&self.initial);
        match (input, output) {
            (AppendKvCall::Get(_), None) => Some(state.clone()),
            (AppendKvCall::Get(_), Some(AppendKvReturn::Value(value))) => {
                (value == held).then(|| state.clone())
            }
            (AppendKvCall::Put(key, value), None | Some(AppendKvReturn::Done)) => {
                let mut state = state.clone();
                state.insert(key.clone(), value.clone());
                Some(state)
            }
            (AppendKvCall::Append(key, value), None | Some(AppendKvReturn::Done)) => {
                let longer = [held.as_str(), value].concat();
                let mut state = state.clone();
                state.insert(key.clone(), longer);
                Some(state)
            }
            _ => None,
        }
    }

    fn describe(&self, input: &AppendKvCall, output: Option<&AppendKvReturn>) -> String {
        match (input, output) {
            (AppendKvCall::Get(key), None) => format!("gets {key:?}, outcome unknown"),
            (AppendKvCall::Get(key), Some(AppendKvReturn::Value(value))) => {
                format!("gets {key:?} and finds {value:?}")
            }
            (AppendKvCall::Put(key, value), Some(AppendKvReturn::Done)) => {
                format!("puts {value:?} at {key:?}")
            }
            (AppendKvCall::Put(key, value), None) => {
                format!("puts {value:?} at {key:?}, outcome unknown")
            }
            (AppendKvCall::Append(key, value), Some(AppendKvReturn::Done)) => {
                format!("appends {value:?} to {key:?}")
            }
            (AppendKvCall::Append(key, value), None) => {
                format!("appends {value:?} to {key:?}, outcome unknown")
            }
            (input, Some(output)) => super::mismatch(input, output),
        }
    }

    fn describe_state(&self, state: &Self::State) -> String {
        let entries: Vec<_> =
            state.iter().map(|(key, value)| format!("{value:?} at {key:?}")).collect();
        match entries.is_empty() {
            true => format!("holds {:?} everywhere", self.initial),
            false => format!("holds {}", entries.join(", ")),
        }
    }

    fn is_read_only(&self, input: &AppendKvCall) -> bool {
        matches!(input, AppendKvCall::Get(_))
    }

    fn parts(&self, inputs: &[&AppendKvCall]) -> Vec<usize> {
        number_by_key(inputs.iter().map(|input| input.key()))
    }

    fn effects(&self, part: &[Interval<'_, AppendKvCall, AppendKvReturn>]) -> Option<PartEffects> {
        pieces::effects(&self.initial, part)
    }

    fn state_bytes(&self, state: &Self::State) -> usize {
        let strings = state.iter().map(|(key, value)| key.len() + value.len() + 64);
        size_of_val(state) + strings.sum::<usize>()
    }
}
