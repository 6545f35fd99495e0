//! Accounts of a set that is only added to, by its last read.

use std::collections::BTreeSet;
use std::fmt;

use super::{Status, values};
use crate::history::{History, Outcome};
use crate::model::set::{SetCall, SetReturn};

/// What the last read of a set shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetReport<V> {
    /// How many elements somebody tried to add.
    pub attempted: usize,
    /// How many were acknowledged.
    pub acknowledged: usize,
    /// Elements that somebody tried to add and that are there.
    pub ok: BTreeSet<V>,
    /// Elements that were acknowledged and are not there.
    pub lost: BTreeSet<V>,
    /// Elements that are there although nobody tried to add them.
    pub unexpected: BTreeSet<V>,
    /// Elements that are there although nobody heard that they were added; even those whose
    /// addition is said to have failed.
    pub recovered: BTreeSet<V>,
    /// Whether there was a read at all.
    pub was_read: bool,
}

/// Accounts for all elements of a set by the last read that returned. Nothing may be removed.
pub fn set<V: Ord + Clone>(history: &History<SetCall<V>, SetReturn<V>>) -> SetReport<V> {
    let (mut attempts, mut acknowledged) = (BTreeSet::new(), BTreeSet::new());
    let mut last: Option<(u64, &BTreeSet<V>)> = None;
    for operation in history.operations() {
        match (&operation.input, &operation.outcome) {
            (SetCall::Add(element), outcome) => {
                attempts.insert(element.clone());
                if matches!(outcome, Outcome::Ok(_)) {
                    acknowledged.insert(element.clone());
                }
            }
            (SetCall::Read, Outcome::Ok(SetReturn::Elements(elements))) => {
                let returned = operation.returned.map_or(u64::MAX, |moment| moment.index);
                if last.is_none_or(|(before, _)| before < returned) {
                    last = Some((returned, elements));
                }
            }
            _ => {}
        }
    }
    let was_read = last.is_some();
    let none = BTreeSet::new();
    let read = last.map_or(&none, |(_, elements)| elements);
    let ok: BTreeSet<V> = read.intersection(&attempts).cloned().collect();
    let lost = if was_read { &acknowledged - read } else { BTreeSet::new() };
    SetReport {
        attempted: attempts.len(),
        acknowledged: acknowledged.len(),
        lost,
        unexpected: read - &attempts,
        recovered: &ok - &acknowledged,
        ok,
        was_read,
    }
}

impl<V> SetReport<V> {
    /// Violated if an element was lost or came from nowhere; undecided if nobody read the set.
    pub fn status(&self) -> Status {
        if !self.was_read {
            return Status::Undecided("the set was never read".to_owned());
        }
        let is_right = self.lost.is_empty() && self.unexpected.is_empty();
        if is_right { Status::Holds } else { Status::Violated }
    }
}

impl<V: fmt::Debug> fmt::Display for SetReport<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let acknowledged = self.acknowledged;
        if !self.was_read {
            return f.write_str("the set was never read");
        }
        let mut parts = Vec::new();
        if !self.lost.is_empty() {
            let (count, lost) = (self.lost.len(), values(self.lost.iter()));
            parts.push(format!("{count} of {acknowledged} acknowledged elements lost: {lost}"));
        }
        if !self.unexpected.is_empty() {
            parts.push(format!("never added, but there: {}", values(self.unexpected.iter())));
        }
        if !self.recovered.is_empty() {
            let recovered = values(self.recovered.iter());
            parts.push(format!("there without having been acknowledged: {recovered}"));
        }
        if parts.is_empty() {
            return write!(f, "all {acknowledged} acknowledged elements are there");
        }
        f.write_str(&parts.join("; "))
    }
}
