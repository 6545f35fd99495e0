//! Specifications (Evans and Fowler, "Specifications", 1997): which rows a rule is about, said as
//! data, so that the same rule is evaluated in memory, sent to another node, and compiled to SQL.
//!
//! *Promises* that memory and SQL agree on every row, with missing values too: they follow the
//! three truth values of SQL, so that of something missing neither a comparison nor its negation
//! holds. Values never become part of the text of a statement. *Needs* a table whose description
//! fits what it holds. *Breaks* if the database compares texts other than by their bytes. A
//! property test compares both on a real SQLite; the scenario `unit_of_work/transfers` finds rows
//! by a specification.
//!
//! The rule of a shop: premium customers, and those who have bought for much and recently.
//!
//! ```
//! use squall_protocols::specification::{Field, Table, Value, field};
//!
//! const CUSTOMERS: Table = Table {
//!     name: "customers",
//!     fields: &[Field::text("tier"), Field::integer("total"), Field::integer("days")],
//! };
//! let premium = field("tier").is("premium");
//! let (high_value, recent) = (field("total").at_least(100), field("days").at_most(30));
//! let rule = premium.or(high_value.and(recent)).bind(&CUSTOMERS)?;
//!
//! let customer = |tier: &str, total: i64, days: i64| -> Vec<Option<Value>> {
//!     vec![Some(tier.into()), Some(total.into()), Some(days.into())]
//! };
//! assert!(rule.is_satisfied_by(&customer("premium", 50, 90)));
//! assert!(rule.is_satisfied_by(&customer("standard", 150, 15)));
//! assert!(!rule.is_satisfied_by(&customer("standard", 80, 10)));
//! let sql = rule.to_sql();
//! assert_eq!(sql.condition, r#"("tier"=?) OR (("total">=?) AND ("days"<=?))"#);
//! assert_eq!(sql.parameters, ["premium".into(), 100.into(), 30.into()]);
//! # Ok::<(), squall_protocols::specification::SpecificationError>(())
//! ```

mod bound;
#[cfg(feature = "sqlite")]
mod sqlite;
mod table;
#[cfg(test)]
mod tests;

#[cfg(feature = "sqlite")]
pub(crate) use bound::quoted;
pub use bound::{Bound, PARTS_MAX, SpecificationError, Sql, Truth};
pub use table::{Field, Kind, Row, Table, Value};

use serde::{Deserialize, Serialize};

/// Which rows a rule is about.
///
/// Whoever takes one from somebody else takes it from few bytes: one that is nested as deep as a
/// whole datagram is long would exhaust the stack before [`Specification::bind`] refuses it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Specification {
    /// A field compares so with a value or with another field.
    Compare {
        /// The field's name.
        field: String,
        /// How they compare.
        comparison: Comparison,
        /// With what.
        operand: Operand,
    },
    /// Nothing is known of a field.
    Missing {
        /// The field's name.
        field: String,
    },
    /// A field holds one of these values.
    OneOf {
        /// The field's name.
        field: String,
        /// The values.
        values: Vec<Value>,
    },
    /// All of these hold; of none, every row does.
    All(Vec<Specification>),
    /// One of these holds at least; of none, no row does.
    Any(Vec<Specification>),
    /// This does not hold.
    Not(Box<Specification>),
}

/// How a field compares with something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// What a field is compared with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Operand {
    /// Another field of the row.
    Field(String),
    /// A value.
    Value(Value),
}

impl From<FieldName> for Operand {
    fn from(field: FieldName) -> Operand {
        Operand::Field(field.0)
    }
}

impl<V: Into<Value>> From<V> for Operand {
    fn from(value: V) -> Operand {
        Operand::Value(value.into())
    }
}

/// The name of a field, to begin a specification with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldName(String);

/// The field of this name.
pub fn field(name: impl Into<String>) -> FieldName {
    FieldName(name.into())
}

impl FieldName {
    fn compare(self, comparison: Comparison, operand: impl Into<Operand>) -> Specification {
        Specification::Compare { field: self.0, comparison, operand: operand.into() }
    }

    /// It equals this.
    pub fn is(self, operand: impl Into<Operand>) -> Specification {
        self.compare(Comparison::Equal, operand)
    }

    /// It is there and does not equal this.
    pub fn is_not(self, operand: impl Into<Operand>) -> Specification {
        self.compare(Comparison::NotEqual, operand)
    }

    /// It is less than this.
    pub fn less_than(self, operand: impl Into<Operand>) -> Specification {
        self.compare(Comparison::Less, operand)
    }

    /// It is this or less.
    pub fn at_most(self, operand: impl Into<Operand>) -> Specification {
        self.compare(Comparison::AtMost, operand)
    }

    /// It is more than this.
    pub fn more_than(self, operand: impl Into<Operand>) -> Specification {
        self.compare(Comparison::Greater, operand)
    }

    /// It is this or more.
    pub fn at_least(self, operand: impl Into<Operand>) -> Specification {
        self.compare(Comparison::AtLeast, operand)
    }

    /// Nothing is known of it.
    pub fn is_missing(self) -> Specification {
        Specification::Missing { field: self.0 }
    }

    /// It equals one of these.
    pub fn one_of(self, values: impl IntoIterator<Item = impl Into<Value>>) -> Specification {
        let values = values.into_iter().map(Into::into).collect();
        Specification::OneOf { field: self.0, values }
    }
}

impl Specification {
    /// Every row.
    pub fn everything() -> Specification {
        Specification::All(Vec::new())
    }

    /// This and the other.
    #[must_use]
    pub fn and(self, other: Specification) -> Specification {
        match self {
            Specification::All(mut parts) => {
                parts.push(other);
                Specification::All(parts)
            }
            one => Specification::All(vec![one, other]),
        }
    }

    /// This or the other.
    #[must_use]
    pub fn or(self, other: Specification) -> Specification {
        match self {
            Specification::Any(mut parts) => {
                parts.push(other);
                Specification::Any(parts)
            }
            one => Specification::Any(vec![one, other]),
        }
    }
}

impl std::ops::Not for Specification {
    type Output = Specification;

    fn not(self) -> Specification {
        Specification::Not(Box::new(self))
    }
}
