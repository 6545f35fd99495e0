//! A register with compare-and-set besides reads and writes.

use serde::{Deserialize, Serialize};

use super::{Data, Effect, Model};

/// The model of one register with compare-and-set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CasRegister<V> {
    /// What it holds before the first operation.
    pub initial: V,
}

/// What a client asks of the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CasCall<V> {
    /// Return the value.
    Read,
    /// Replace the value.
    Write(V),
    /// Replace the value if it equals the first one, by the second.
    Cas(V, V),
}

/// What the register answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CasReturn<V> {
    /// The value, in answer to a read.
    Value(V),
    /// The write is done.
    Written,
    /// The value was the expected one and is replaced, or it was another and is not.
    ///
    /// Only who knows that the comparison came out unequal may record `Swapped(false)`; a client
    /// that knows no more than that nothing was replaced records a failure.
    Swapped(bool),
}

impl<V> CasRegister<V> {
    /// A register that holds `initial` before the first operation.
    pub fn new(initial: V) -> Self {
        Self { initial }
    }
}

impl<V: Data> Model for CasRegister<V> {
    type State = V;
    type Input = CasCall<V>;
    type Output = CasReturn<V>;

    fn initial(&self) -> V {
        self.initial.clone()
    }

    fn step(&self, state: &V, input: &CasCall<V>, output: Option<&CasReturn<V>>) -> Option<V> {
        match (input, output) {
            (CasCall::Read, None) => Some(state.clone()),
            (CasCall::Read, Some(CasReturn::Value(value))) if value == state => Some(state.clone()),
            (CasCall::Write(value), None | Some(CasReturn::Written)) => Some(value.clone()),
            (CasCall::Cas(old, new), None | Some(CasReturn::Swapped(true))) if old == state => {
                Some(new.clone())
            }
            (CasCall::Cas(old, _), None | Some(CasReturn::Swapped(false))) if old != state => {
                Some(state.clone())
            }
            _ => None,
        }
    }

    fn describe(&self, input: &CasCall<V>, output: Option<&CasReturn<V>>) -> String {
        match (input, output) {
            (CasCall::Read, None) => "reads, outcome unknown".to_owned(),
            (CasCall::Read, Some(CasReturn::Value(value))) => format!("reads {value:?}"),
            (CasCall::Write(value), None) => format!("writes {value:?}, outcome unknown"),
            (CasCall::Write(value), Some(CasReturn::Written)) => format!("writes {value:?}"),
            (CasCall::Cas(old, new), None) => {
                format!("replaces {old:?} by {new:?}, outcome unknown")
            }
            (CasCall::Cas(old, new), Some(CasReturn::Swapped(true))) => {
                format!("replaces {old:?} by {new:?}")
            }
            (CasCall::Cas(old, new), Some(CasReturn::Swapped(false))) => {
                format!("does not replace {old:?} by {new:?}, since it finds another value")
            }
            (input, Some(output)) => super::mismatch(input, output),
        }
    }

    fn describe_state(&self, state: &V) -> String {
        format!("holds {state:?}")
    }

    fn is_read_only(&self, input: &CasCall<V>) -> bool {
        match input {
            CasCall::Read => true,
            CasCall::Write(_) => false,
            CasCall::Cas(old, new) => old == new,
        }
    }

    fn effect(&self, input: &CasCall<V>, output: Option<&CasReturn<V>>) -> Option<Effect<V>> {
        match (input, output) {
            (CasCall::Read, None) => Some(Effect { needs: None, sets: None }),
            (CasCall::Read, Some(CasReturn::Value(value))) => {
                Some(Effect { needs: Some(value.clone()), sets: None })
            }
            (CasCall::Write(value), None | Some(CasReturn::Written)) => {
                Some(Effect { needs: None, sets: Some(value.clone()) })
            }
            (CasCall::Cas(old, new), None | Some(CasReturn::Swapped(true))) => {
                let sets = (old != new).then(|| new.clone());
                Some(Effect { needs: Some(old.clone()), sets })
            }
            _ => None,
        }
    }
}
