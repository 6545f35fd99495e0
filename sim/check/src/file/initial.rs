//! The state before the first operation, as a word of the command line.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::str::FromStr;

use super::FileError;
use crate::value::Value;

/// A state before the first operation.
///
/// It is written as `nil`, `true`, `false`, a number, a text (with or without quotes), the empty
/// text or the words `empty string` for the empty string, or `x=0 y=0` for several keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Initial {
    /// One value.
    One(Value),
    /// A value for each key.
    Keys(BTreeMap<Value, Value>),
}

impl FromStr for Initial {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let pairs: Option<BTreeMap<_, _>> = text
            .split_whitespace()
            .map(|word| word.split_once('=').map(|(key, value)| (one(key), one(value))))
            .collect();
        match pairs {
            Some(pairs) if !pairs.is_empty() => Ok(Self::Keys(pairs)),
            _ => Ok(Self::One(one(text))),
        }
    }
}

fn one(text: &str) -> Value {
    match text {
        "nil" | "null" => Value::Nil,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "empty string" => Value::Text("".into()),
        _ => match text.parse() {
            Ok(int) => Value::Int(int),
            Err(_) => {
                let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                Value::Text(quoted.unwrap_or(text).into())
            }
        },
    }
}

impl Initial {
    /// One value, or the default.
    pub(super) fn one(given: Option<&Self>, default: Value) -> Result<Value, FileError> {
        match given {
            None => Ok(default),
            Some(Self::One(value)) => Ok(value.clone()),
            Some(Self::Keys(_)) => {
                Err(FileError::Request("this model starts from one value".to_owned()))
            }
        }
    }

    /// A whole number, or the default.
    pub(super) fn number<N: TryFrom<i64>>(
        given: Option<&Self>,
        default: N,
    ) -> Result<N, FileError> {
        let Some(given) = given else { return Ok(default) };
        let number = match given {
            Self::One(value) => value.int().and_then(|int| N::try_from(int).ok()),
            Self::Keys(_) => None,
        };
        number.ok_or_else(|| FileError::Request("this model starts from a number".to_owned()))
    }

    /// Refuses a state that a model does not have.
    pub(super) fn none(given: Option<&Self>, model: &str) -> Result<(), FileError> {
        match given {
            None => Ok(()),
            Some(_) => Err(FileError::Request(format!("{model} has no other initial state"))),
        }
    }
}
