//! Values of histories: keys, elements, and what reads return.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasherDefault, DefaultHasher};

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A key, a value or an element of a list, as histories spell them.
///
/// It reads and writes as the JSON value of the same kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Nothing: the value of a read that is not known yet, of an empty list, or of a register that
    /// nobody wrote.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A text. Keywords, symbols and numbers with a fraction are texts as well.
    Text(String),
    /// A list.
    List(Vec<Value>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(text) if is_plain(text) => f.write_str(text),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(values) => write_list(f, values),
        }
    }
}

/// Whether a text reads well without quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|one| one.is_alphanumeric() || "_-:./".contains(one))
        && !text.starts_with(|one: char| one.is_ascii_digit())
}

/// How many elements of a list are shown at each end.
const LIST_SHOWN: usize = 6;

/// A list in brackets; a long one without its middle.
fn write_list(f: &mut fmt::Formatter<'_>, values: &[Value]) -> fmt::Result {
    let gap = LIST_SHOWN..values.len().saturating_sub(LIST_SHOWN);
    f.write_str("[")?;
    for (at, value) in values.iter().enumerate() {
        if gap.contains(&at) && gap.len() > 1 {
            if at == gap.start {
                f.write_str(" …")?;
            }
            continue;
        }
        let blank = if at == 0 { "" } else { " " };
        write!(f, "{blank}{value}")?;
    }
    f.write_str("]")
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => values.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a boolean, a number, a text or a list of them")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map(Value::Integer).map_err(|_| E::custom("a number beyond 64 bits"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        if u32::try_from(values.len()).is_err() {
            return Err(A::Error::custom("a list with more than 2^32 elements"));
        }
        Ok(Value::List(values))
    }
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

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}
