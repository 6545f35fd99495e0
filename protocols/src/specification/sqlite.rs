//! Values as SQLite takes and gives them.

use super::Value;
use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Value::Integer(number) => number.to_sql(),
            Value::Text(text) => text.to_sql(),
        }
    }
}

impl FromSql for Value {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Value> {
        match value {
            ValueRef::Integer(number) => Ok(Value::Integer(number)),
            ValueRef::Text(_) => Ok(Value::from(value.as_str()?)),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}
