//! The forms that EDN is made of.

use std::fmt;

use crate::read::{ParseError, Position};

/// A value and where it starts in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// A value of EDN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    /// A number that is no integer of 64 bits, as it is written.
    Number(String),
    Character(char),
    String(String),
    /// Without the colon.
    Keyword(String),
    Symbol(String),
    List(Vec<Form>),
    Vector(Vec<Form>),
    Map(Vec<(Form, Form)>),
    Set(Vec<Form>),
    /// The tag without its number sign, and what it stands before.
    Tagged(String, Box<Form>),
}

impl Form {
    /// The value of a key of a map, whether the key is written as keyword, symbol or string.
    ///
    /// A tag before the map, as in `#jepsen.history.Op{:index 0}`, is looked through. If the key
    /// occurs twice, the last one counts.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let mut entries = self.entries()?.iter().rev();
        entries.find(|(key, _)| key.name() == Some(name)).map(|(_, value)| value)
    }

    /// The entries of a map.
    pub(crate) fn entries(&self) -> Option<&[(Self, Self)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Tagged(_, form) => form.entries(),
            _ => None,
        }
    }

    /// The elements of a vector or a list.
    #[allow(dead_code, reason = "readers of transactions take micro-operations apart")]
    pub(crate) fn elements(&self) -> Option<&[Self]> {
        match &self.value {
            Value::Vector(elements) | Value::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The text of a keyword, symbol or string.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.value {
            Value::Keyword(name) | Value::Symbol(name) | Value::String(name) => Some(name),
            _ => None,
        }
    }

    pub(crate) fn int(&self) -> Option<i64> {
        match self.value {
            Value::Int(int) => Some(int),
            _ => None,
        }
    }

    #[allow(dead_code, reason = "readers of transactions tell reads that found nothing")]
    pub(crate) fn is_nil(&self) -> bool {
        self.value == Value::Nil
    }

    /// The error that something else was expected here.
    pub(crate) fn unexpected(&self, expected: &str) -> ParseError {
        ParseError::malformed(self.at, format!("{} where {expected} should be", self.value.kind()))
    }
}

impl Value {
    /// What kind of value it is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Number(_) => "a number",
            Self::Character(_) => "a character",
            Self::String(_) => "a string",
            Self::Keyword(_) => "a keyword",
            Self::Symbol(_) => "a symbol",
            Self::List(_) => "a list",
            Self::Vector(_) => "a vector",
            Self::Map(_) => "a map",
            Self::Set(_) => "a set",
            Self::Tagged(..) => "a tagged value",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// As it would be written in a file; depth is bounded by the reader.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(bool) => bool.fmt(f),
            Self::Int(int) => int.fmt(f),
            Self::Number(text) | Self::Symbol(text) => f.write_str(text),
            Self::Character(character) => write!(f, "\\{character}"),
            Self::String(text) => write!(f, "{text:?}"),
            Self::Keyword(name) => write!(f, ":{name}"),
            Self::List(elements) => sequence(f, "(", elements, ")"),
            Self::Vector(elements) => sequence(f, "[", elements, "]"),
            Self::Set(elements) => sequence(f, "#{", elements, "}"),
            Self::Map(entries) => {
                f.write_str("{")?;
                for (position, (key, value)) in entries.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(f, "{comma}{key} {value}")?;
                }
                f.write_str("}")
            }
            Self::Tagged(tag, form) => write!(f, "#{tag} {form}"),
        }
    }
}

fn sequence(f: &mut fmt::Formatter<'_>, open: &str, elements: &[Form], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (position, element) in elements.iter().enumerate() {
        let blank = if position == 0 { "" } else { " " };
        write!(f, "{blank}{element}")?;
    }
    f.write_str(close)
}
