//! Keys and values of a history as numbers, and how they are shown.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasherDefault, DefaultHasher};

use crate::value::Value;

/// How many elements of a list are shown at each end.
const LIST_SHOWN: usize = 6;

/// A value in a sentence: plain words without quotes, long lists without their middle.
pub(super) struct Shown<'a>(pub(super) &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Text(text) if is_plain(text) => f.write_str(text),
            Value::List(values) => {
                let gap = LIST_SHOWN..values.len().saturating_sub(LIST_SHOWN);
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    let blank = if at == 0 { "" } else { " " };
                    match gap.contains(&at) && gap.len() > 1 {
                        true if at == gap.start => f.write_str(" …")?,
                        true => {}
                        false => write!(f, "{blank}{}", Self(value))?,
                    }
                }
                f.write_str("]")
            }
            other => other.fmt(f),
        }
    }
}

/// Whether a text reads well without quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|one| one.is_alphanumeric() || "_-:./".contains(one))
        && !text.starts_with(|one: char| one.is_ascii_digit())
}

/// A map that hashes in the same way in every run.
pub(super) type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// Numbers values, so that the checkers compare and store small numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    values: Vec<Value>,
    numbers: Map<Value, u32>,
}

impl Names {
    /// The number of the value, a new one if it was not seen before.
    pub(super) fn number(&mut self, value: Value) -> u32 {
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        match self.numbers.entry(value) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                self.values.push(entry.key().clone());
                *entry.insert(next)
            }
        }
    }

    pub(super) fn find(&self, value: &Value) -> Option<u32> {
        self.numbers.get(value).copied()
    }

    pub(super) fn value(&self, number: u32) -> &Value {
        &self.values[number as usize]
    }

    pub(super) fn shown(&self, number: u32) -> Shown<'_> {
        Shown(self.value(number))
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}
