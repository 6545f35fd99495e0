//! What the store promises, as a model of its own: revisions, versions and comparisons included.

use serde::{Deserialize, Serialize};
use squall_check::Model;
use std::collections::BTreeMap;

/// What a client asks, of one key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Call {
    /// What is there?
    Get(u8),
    /// Put this value.
    Put(u8, u64),
    /// Put this value if the key was last put at this revision, or is not there for 0.
    CompareAndSet(u8, u64, u64),
    /// Remove it.
    Delete(u8),
}

/// What is there of a key: the value, the revisions of its creation and last put, and its version.
pub type There = (u64, u64, u64, u64);

/// What a client is told, with the revision of the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Told {
    /// This is there.
    Found(u64, Option<There>),
    /// It was done; for a comparison, it held.
    Done(u64),
    /// The comparison did not hold, and nothing was done.
    Differs(u64),
}

impl Told {
    /// The revision of the store.
    pub fn revision(&self) -> u64 {
        match self {
            Told::Found(revision, _) | Told::Done(revision) | Told::Differs(revision) => *revision,
        }
    }
}

/// The revision, and what is there.
pub type State = (u64, BTreeMap<u8, There>);

/// The model.
#[derive(Clone, Copy, Debug)]
pub struct Versioned;

impl Versioned {
    /// What the call does, and what it should be told.
    fn serve((revision, keys): &State, call: &Call) -> (State, Told) {
        let (mut next, mut keys) = (revision + 1, keys.clone());
        let told = match *call {
            Call::Get(key) => {
                next = *revision;
                Told::Found(next, keys.get(&key).copied())
            }
            Call::CompareAndSet(key, at, _) if keys.get(&key).map_or(0, |there| there.2) != at => {
                next = *revision;
                Told::Differs(next)
            }
            Call::Put(key, value) | Call::CompareAndSet(key, _, value) => {
                let (_, created, _, version) = keys.get(&key).copied().unwrap_or((0, next, 0, 0));
                keys.insert(key, (value, created, next, version + 1));
                Told::Done(next)
            }
            Call::Delete(key) => {
                if keys.remove(&key).is_none() {
                    next = *revision;
                }
                Told::Done(next)
            }
        };
        ((next, keys), told)
    }
}

impl Model for Versioned {
    type State = State;
    type Input = Call;
    type Output = Told;

    fn initial(&self) -> State {
        State::default()
    }

    fn step(&self, state: &State, call: &Call, told: Option<&Told>) -> Option<State> {
        let (state, right) = Versioned::serve(state, call);
        told.is_none_or(|told| *told == right).then_some(state)
    }

    fn describe(&self, call: &Call, told: Option<&Told>) -> String {
        let what = match call {
            Call::Get(key) => format!("looks at key {key}"),
            Call::Put(key, value) => format!("puts {value} at key {key}"),
            Call::CompareAndSet(key, at, value) => {
                format!("puts {value} at key {key} if it was put at revision {at}")
            }
            Call::Delete(key) => format!("removes key {key}"),
        };
        match told {
            None => format!("{what}, outcome unknown"),
            Some(told) => format!("{what} and is told {told:?}"),
        }
    }

    fn is_read_only(&self, call: &Call) -> bool {
        matches!(call, Call::Get(_))
    }
}
