//! A specification that was checked against a table: it can be evaluated and compiled.

use super::{Comparison, Field, Kind, Operand, Row, Specification, Table, Value};
use std::cmp::Ordering;

/// The most parts that a specification may have, counting values. SQLite takes a thousand levels
/// of an expression, and each part adds one at most.
pub const PARTS_MAX: usize = 500;

/// The three truth values of SQL, in their order: `and` is the least and `or` the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Truth {
    /// It does not hold.
    False,
    /// Something that it hangs on is missing.
    Unknown,
    /// It holds.
    True,
}

/// Why a specification cannot be used with a table.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum SpecificationError {
    /// The table has no such field: a misspelt name never counts as a missing value.
    #[error("there is no field {0:?}")]
    UnknownField(String),
    /// A field is compared with something of another kind.
    #[error("{0:?} is compared with something of another kind")]
    OtherKind(String),
    /// It has more than [`PARTS_MAX`] parts.
    #[error("the specification has more than {PARTS_MAX} parts")]
    TooLarge,
}

/// A specification for the rows of one table. Nothing about it can fail any more.
#[derive(Clone, Debug)]
pub struct Bound {
    root: Node,
    fields: &'static [Field],
}

/// A condition in SQL. Values stand apart from it, in the order of its question marks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sql {
    /// What goes behind `WHERE`.
    pub condition: String,
    /// What stands for its question marks.
    pub parameters: Vec<Value>,
}

#[derive(Clone, Debug)]
enum Node {
    Compare(usize, Comparison, Side),
    Missing(usize),
    OneOf(usize, Vec<Value>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
}

#[derive(Clone, Debug)]
enum Side {
    Field(usize),
    Value(Value),
}

impl Specification {
    /// Checks the specification against a table.
    ///
    /// # Errors
    /// [`SpecificationError`] if they do not fit.
    pub fn bind(&self, table: &Table) -> Result<Bound, SpecificationError> {
        let mut binder = Binder { fields: table.fields, parts: 0 };
        Ok(Bound { root: binder.node(self)?, fields: table.fields })
    }
}

struct Binder {
    fields: &'static [Field],
    parts: usize,
}

impl Binder {
    fn part(&mut self) -> Result<(), SpecificationError> {
        self.parts += 1;
        if self.parts > PARTS_MAX { Err(SpecificationError::TooLarge) } else { Ok(()) }
    }

    fn field(&self, name: &str) -> Result<(usize, Kind), SpecificationError> {
        let place = self.fields.iter().position(|field| field.name == name);
        let place = place.ok_or_else(|| SpecificationError::UnknownField(name.to_owned()))?;
        Ok((place, self.fields[place].kind))
    }

    fn node(&mut self, of: &Specification) -> Result<Node, SpecificationError> {
        self.part()?;
        match of {
            Specification::Compare { field, comparison, operand } => {
                let (place, kind) = self.field(field)?;
                let (side, other) = match operand {
                    Operand::Field(other) => {
                        let (place, kind) = self.field(other)?;
                        (Side::Field(place), kind)
                    }
                    Operand::Value(value) => (Side::Value(value.clone()), value.kind()),
                };
                if kind != other {
                    return Err(SpecificationError::OtherKind(field.clone()));
                }
                Ok(Node::Compare(place, *comparison, side))
            }
            Specification::Missing { field } => Ok(Node::Missing(self.field(field)?.0)),
            Specification::OneOf { field, values } => {
                let (place, kind) = self.field(field)?;
                for value in values {
                    self.part()?;
                    if value.kind() != kind {
                        return Err(SpecificationError::OtherKind(field.clone()));
                    }
                }
                Ok(Node::OneOf(place, values.clone()))
            }
            Specification::All(parts) => Ok(Node::All(self.nodes(parts)?)),
            Specification::Any(parts) => Ok(Node::Any(self.nodes(parts)?)),
            Specification::Not(part) => Ok(Node::Not(Box::new(self.node(part)?))),
        }
    }

    fn nodes(&mut self, of: &[Specification]) -> Result<Vec<Node>, SpecificationError> {
        of.iter().map(|part| self.node(part)).collect()
    }
}

impl Bound {
    /// Whether it holds of a row, as far as the row says. A field that the row lacks is missing.
    pub fn truth(&self, row: &Row) -> Truth {
        self.root.truth(row)
    }

    /// Whether it certainly holds of a row: what `WHERE` lets through.
    pub fn is_satisfied_by(&self, row: &Row) -> bool {
        self.truth(row) == Truth::True
    }

    /// The same condition in SQL, in which no value stands. Texts have to be compared by their
    /// bytes, as SQLite does unless it is told otherwise; PostgreSQL does under the collation `C`.
    pub fn to_sql(&self) -> Sql {
        let mut sql = Sql { condition: String::new(), parameters: Vec::new() };
        sql.node(&self.root, self.fields);
        sql
    }
}

impl Node {
    fn truth(&self, row: &Row) -> Truth {
        let at = |place: usize| row.get(place).and_then(Option::as_ref);
        match self {
            Node::Compare(place, comparison, side) => {
                let other = match side {
                    Side::Field(place) => at(*place),
                    Side::Value(value) => Some(value),
                };
                let (Some(one), Some(other)) = (at(*place), other) else { return Truth::Unknown };
                comparison.holds(one.cmp(other)).into()
            }
            Node::Missing(place) => at(*place).is_none().into(),
            // In an empty list there is nothing to compare with, whatever is missing.
            Node::OneOf(_, values) if values.is_empty() => Truth::False,
            Node::OneOf(place, values) => {
                at(*place).map_or(Truth::Unknown, |value| values.contains(value).into())
            }
            Node::All(parts) => {
                parts.iter().map(|part| part.truth(row)).min().unwrap_or(Truth::True)
            }
            Node::Any(parts) => {
                parts.iter().map(|part| part.truth(row)).max().unwrap_or(Truth::False)
            }
            Node::Not(part) => !part.truth(row),
        }
    }
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::AtMost => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::AtLeast => ordering.is_ge(),
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::Greater => ">",
            Comparison::AtLeast => ">=",
        }
    }
}

impl Sql {
    fn node(&mut self, node: &Node, fields: &[Field]) {
        match node {
            Node::Compare(place, comparison, side) => {
                self.condition.push_str(&quoted(fields[*place].name));
                self.condition.push_str(comparison.sign());
                match side {
                    Side::Field(place) => self.condition.push_str(&quoted(fields[*place].name)),
                    Side::Value(value) => self.parameter(value),
                }
            }
            Node::Missing(place) => {
                self.condition.push_str(&quoted(fields[*place].name));
                self.condition.push_str(" IS NULL");
            }
            Node::OneOf(_, values) if values.is_empty() => self.condition.push_str("1=0"),
            Node::OneOf(place, values) => {
                self.condition.push_str(&quoted(fields[*place].name));
                self.condition.push_str(" IN (");
                for (at, value) in values.iter().enumerate() {
                    self.condition.push_str(if at > 0 { "," } else { "" });
                    self.parameter(value);
                }
                self.condition.push(')');
            }
            Node::All(parts) => self.joined(parts, fields, " AND ", "1=1"),
            Node::Any(parts) => self.joined(parts, fields, " OR ", "1=0"),
            Node::Not(part) => {
                self.condition.push_str("NOT (");
                self.node(part, fields);
                self.condition.push(')');
            }
        }
    }

    fn joined(&mut self, parts: &[Node], fields: &[Field], by: &str, of_none: &str) {
        if parts.is_empty() {
            self.condition.push_str(of_none);
        }
        for (at, part) in parts.iter().enumerate() {
            self.condition.push_str(if at > 0 { by } else { "" });
            self.condition.push('(');
            self.node(part, fields);
            self.condition.push(')');
        }
    }

    fn parameter(&mut self, value: &Value) {
        self.condition.push('?');
        self.parameters.push(value.clone());
    }
}

/// The name as SQL takes it, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Truth {
        if holds { Truth::True } else { Truth::False }
    }
}

impl std::ops::Not for Truth {
    type Output = Truth;

    fn not(self) -> Truth {
        match self {
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
            Truth::True => Truth::False,
        }
    }
}
