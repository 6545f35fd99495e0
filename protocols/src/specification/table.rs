//! What rows are made of, and how a table of them is described.

use serde::{Deserialize, Serialize};

/// What stands in a field. Amounts of money are integers of the smallest unit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// Text, ordered by its bytes in UTF-8.
    Text(String),
}

/// The fields of a row in the order of its table; `None` stands where nothing is known.
pub type Row = Vec<Option<Value>>;

/// What may stand in a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// [`Value::Integer`].
    Integer,
    /// [`Value::Text`].
    Text,
}

/// A field of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its name, unlike that of all other fields of the table.
    pub name: &'static str,
    /// What may stand in it.
    pub kind: Kind,
}

/// A table: its name and its fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// Its name, unlike that of all other tables of the store.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

impl Field {
    /// A field of whole numbers.
    pub const fn integer(name: &'static str) -> Field {
        Field { name, kind: Kind::Integer }
    }

    /// A field of texts.
    pub const fn text(name: &'static str) -> Field {
        Field { name, kind: Kind::Text }
    }
}

impl Table {
    /// Whether a row has what this table's rows have: as many fields, each of its kind.
    pub fn fits(&self, row: &Row) -> bool {
        let fits = |(value, field): (&Option<Value>, &Field)| {
            value.as_ref().is_none_or(|value| value.kind() == field.kind)
        };
        row.len() == self.fields.len() && row.iter().zip(self.fields).all(fits)
    }
}

impl Value {
    /// What kind of field it may stand in.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Integer(_) => Kind::Integer,
            Value::Text(_) => Kind::Text,
        }
    }

    /// The number, if it is one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            Value::Text(_) => None,
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Integer(_) => None,
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}
