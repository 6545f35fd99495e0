//! Values of histories that come from files, where no type says what they are.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::edn;

/// A value as a file shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// No value: `nil` or `null`.
    #[default]
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// A text, or anything else as it is written.
    Text(Box<str>),
    /// Several values.
    List(Vec<Self>),
}

impl Value {
    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(elements) => Some(elements),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<&edn::Form> for Value {
    /// Keywords, symbols and strings become texts; a set becomes a list in the order of the file.
    fn from(form: &edn::Form) -> Self {
        match &form.value {
            edn::Value::Nil => Self::Nil,
            edn::Value::Bool(bool) => Self::Bool(*bool),
            edn::Value::Int(int) => Self::Int(*int),
            edn::Value::String(text) | edn::Value::Keyword(text) | edn::Value::Symbol(text) => {
                Self::Text(text.as_str().into())
            }
            edn::Value::List(forms) | edn::Value::Vector(forms) | edn::Value::Set(forms) => {
                Self::List(forms.iter().map(Self::from).collect())
            }
            other => Self::Text(other.to_string().into()),
        }
    }
}

/// As in EDN, so that a text of digits and a number look different.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(bool) => bool.fmt(f),
            Self::Int(int) => int.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(elements) => {
                f.write_str("[")?;
                for (position, element) in elements.iter().enumerate() {
                    let blank = if position == 0 { "" } else { " " };
                    write!(f, "{blank}{element}")?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
