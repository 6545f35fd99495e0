//! Identifiers that are handed out once.

use std::fmt;

use super::{Bag, Status, add, values};
use crate::history::{History, Outcome};

/// Which identifiers were handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdReport<V> {
    /// How many were asked for.
    pub attempted: usize,
    /// How many were handed out.
    pub acknowledged: usize,
    /// Those that were handed out more than once, with how often.
    pub duplicated: Bag<V>,
    /// The smallest and the largest.
    pub range: Option<(V, V)>,
}

/// Whether no two operations returned the same identifier.
pub fn unique_ids<I, V: Ord + Clone>(history: &History<I, V>) -> IdReport<V> {
    let mut ids = Bag::new();
    let mut acknowledged = 0;
    for operation in history.operations() {
        if let Outcome::Ok(id) = &operation.outcome {
            add(&mut ids, id);
            acknowledged += 1;
        }
    }
    let smallest = ids.first_key_value().map(|(id, _)| id.clone());
    let range = smallest.zip(ids.last_key_value().map(|(id, _)| id.clone()));
    ids.retain(|_, count| *count > 1);
    IdReport { attempted: history.len(), acknowledged, duplicated: ids, range }
}

impl<V> IdReport<V> {
    /// Violated if an identifier was handed out twice.
    pub fn status(&self) -> Status {
        if self.duplicated.is_empty() { Status::Holds } else { Status::Violated }
    }
}

impl<V: fmt::Debug> fmt::Display for IdReport<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let acknowledged = self.acknowledged;
        if self.duplicated.is_empty() {
            return write!(f, "all {acknowledged} identifiers are different");
        }
        let (count, shown) = (self.duplicated.len(), values(self.duplicated.keys()));
        write!(f, "{count} of the {acknowledged} identifiers handed out more than once: {shown}")
    }
}
