//! A register holds one value: a write replaces it and a read returns it.

use serde::{Deserialize, Serialize};

use super::{Data, Effect, Model};

/// The model of one register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Register<V> {
    /// What a read returns before the first write.
    pub initial: V,
}

/// What a client asks of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegisterCall<V> {
    /// Return the value.
    Read,
    /// Replace the value.
    Write(V),
}

/// What a register answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegisterReturn<V> {
    /// The value, in answer to a read.
    Value(V),
    /// The write is done.
    Written,
}

impl<V> Register<V> {
    /// A register that holds `initial` before the first write.
    pub fn new(initial: V) -> Self {
        Self { initial }
    }
}

impl<V: Data> Model for Register<V> {
    type State = V;
    type Input = RegisterCall<V>;
    type Output = RegisterReturn<V>;

    fn initial(&self) -> V {
        self.initial.clone()
    }

    fn step(
        &self,
        state: &V,
        input: &RegisterCall<V>,
        output: Option<&RegisterReturn<V>>,
    ) -> Option<V> {
        match (input, output) {
            (RegisterCall::Read, None) => Some(state.clone()),
            (RegisterCall::Read, Some(RegisterReturn::Value(value))) if value == state => {
                Some(state.clone())
            }
            (RegisterCall::Write(value), None | Some(RegisterReturn::Written)) => {
                Some(value.clone())
            }
            (RegisterCall::Read | RegisterCall::Write(_), Some(_)) => None,
        }
    }

    fn describe(&self, input: &RegisterCall<V>, output: Option<&RegisterReturn<V>>) -> String {
        match (input, output) {
            (RegisterCall::Read, None) => "reads, outcome unknown".to_owned(),
            (RegisterCall::Read, Some(RegisterReturn::Value(value))) => format!("reads {value:?}"),
            (RegisterCall::Write(value), None) => format!("writes {value:?}, outcome unknown"),
            (RegisterCall::Write(value), Some(RegisterReturn::Written)) => {
                format!("writes {value:?}")
            }
            (input, Some(output)) => super::mismatch(input, output),
        }
    }

    fn describe_state(&self, state: &V) -> String {
        format!("holds {state:?}")
    }

    fn is_read_only(&self, input: &RegisterCall<V>) -> bool {
        matches!(input, RegisterCall::Read)
    }

    fn effect(
        &self,
        input: &RegisterCall<V>,
        output: Option<&RegisterReturn<V>>,
    ) -> Option<Effect<V>> {
        match (input, output) {
            (RegisterCall::Read, None) => Some(Effect { needs: None, sets: None }),
            (RegisterCall::Read, Some(RegisterReturn::Value(value))) => {
                Some(Effect { needs: Some(value.clone()), sets: None })
            }
            (RegisterCall::Write(value), None | Some(RegisterReturn::Written)) => {
                Some(Effect { needs: None, sets: Some(value.clone()) })
            }
            _ => None,
        }
    }
}
