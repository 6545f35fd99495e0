//! The life of every element of a set that is only added to, over all reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Status, values};
use crate::history::{Edge, History, Moment, Outcome};
use crate::model::set::{SetCall, SetReturn};

/// What became of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementFate {
    /// From some read on, every read shows it. `after_ns` says how long a read after it was known
    /// to be there could still miss it; 0 if none did.
    Stable {
        /// The time in nanoseconds from when it was known to be there to the last read without it.
        after_ns: u64,
    },
    /// A read that began after it was known to be there misses it, and so do all that began later.
    Lost {
        /// The time in nanoseconds from when it was known to be there to the first of these reads
        /// that no later sighting excuses.
        after_ns: u64,
    },
    /// No read can tell.
    NeverRead,
}

/// What became of the elements of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFullReport<V> {
    /// Each element that somebody tried to add.
    pub elements: BTreeMap<V, ElementFate>,
    /// Whether a read that misses an element for a while is a violation.
    pub is_linearizable: bool,
}

/// What the reads so far say of an element.
#[derive(Default)]
struct Life {
    known: Option<Moment>,
    last_present: Option<Moment>,
    last_absent: Option<Moment>,
    /// The first read without it since the last one with it.
    first_absent: Option<Moment>,
}

/// Follows each element of a set through all reads. Nothing may be removed.
///
/// An element is known to be there from the end of its addition, or of the first read that shows
/// it. A read that began before may miss it, and proves nothing. With `is_linearizable`, a read
/// that misses for a while what was known is a violation; without, it is only stale.
pub fn set_full<V: Ord + Clone>(
    history: &History<SetCall<V>, SetReturn<V>>,
    is_linearizable: bool,
) -> SetFullReport<V> {
    let mut lives: BTreeMap<&V, Life> = BTreeMap::new();
    for (moment, edge, operation) in history.events() {
        match (&operation.input, edge, &operation.outcome) {
            (SetCall::Add(element), Edge::Invoke, _) => {
                lives.entry(element).or_default();
            }
            (SetCall::Add(element), Edge::Return, Outcome::Ok(_)) => {
                lives.entry(element).or_default().known.get_or_insert(moment);
            }
            (SetCall::Read, Edge::Return, Outcome::Ok(SetReturn::Elements(elements))) => {
                for (element, life) in &mut lives {
                    life.meet(elements.contains(*element), operation.invoked, moment);
                }
            }
            _ => {}
        }
    }
    let elements =
        lives.into_iter().map(|(element, life)| (element.clone(), life.fate())).collect();
    SetFullReport { elements, is_linearizable }
}

impl Life {
    fn meet(&mut self, is_present: bool, invoked: Moment, returned: Moment) {
        let later = |known: Option<Moment>| known.is_none_or(|known| known.index < invoked.index);
        if is_present {
            self.known.get_or_insert(returned);
            if later(self.last_present) {
                self.last_present = Some(invoked);
            }
        } else {
            if later(self.last_absent) {
                self.last_absent = Some(invoked);
            }
            let is_first = self.first_absent.is_none_or(|first| {
                self.last_present.is_some_and(|present| present.index > first.index)
            });
            if is_first {
                self.first_absent = Some(invoked);
            }
        }
    }

    fn fate(&self) -> ElementFate {
        let index = |moment: Option<Moment>| moment.map(|moment| moment.index);
        let since = |moment: Moment| {
            let known = self.known.map_or(moment.time_ns, |known| known.time_ns);
            moment.time_ns.saturating_sub(known)
        };
        match (self.last_present, self.last_absent, self.known) {
            (Some(_), None, _) => ElementFate::Stable { after_ns: 0 },
            (present @ Some(_), Some(absent), known) if index(present) > Some(absent.index) => {
                let is_stale = known.is_some_and(|known| known.index < absent.index);
                // The read was already wrong when it began.
                let after_ns = if is_stale { since(absent).max(1) } else { 0 };
                ElementFate::Stable { after_ns }
            }
            (_, Some(absent), Some(known)) if known.index < absent.index => {
                let first = self.first_absent.filter(|first| first.index > known.index);
                ElementFate::Lost { after_ns: since(first.unwrap_or(absent)) }
            }
            _ => ElementFate::NeverRead,
        }
    }
}

impl<V: Ord> SetFullReport<V> {
    fn with(&self, is_wanted: impl Fn(ElementFate) -> bool) -> BTreeSet<&V> {
        let wanted = self.elements.iter().filter(|(_, fate)| is_wanted(**fate));
        wanted.map(|(element, _)| element).collect()
    }

    /// The elements that every read shows from some time on.
    pub fn stable(&self) -> BTreeSet<&V> {
        self.with(|fate| matches!(fate, ElementFate::Stable { .. }))
    }

    /// Those of them that a read missed after they were known to be there.
    pub fn stale(&self) -> BTreeSet<&V> {
        self.with(|fate| matches!(fate, ElementFate::Stable { after_ns: 1.. }))
    }

    /// The elements that were known to be there and no longer are.
    pub fn lost(&self) -> BTreeSet<&V> {
        self.with(|fate| matches!(fate, ElementFate::Lost { .. }))
    }

    /// The elements of which no read can tell.
    pub fn never_read(&self) -> BTreeSet<&V> {
        self.with(|fate| fate == ElementFate::NeverRead)
    }

    /// Violated if an element was lost, or stale in a set that shall be linearizable; undecided if
    /// no element is stable.
    pub fn status(&self) -> Status {
        let is_stale = self.is_linearizable && !self.stale().is_empty();
        if !self.lost().is_empty() || is_stale {
            Status::Violated
        } else if self.stable().is_empty() {
            Status::Undecided("no read shows an element that stays".to_owned())
        } else {
            Status::Holds
        }
    }
}

impl<V: Ord + fmt::Debug> fmt::Display for SetFullReport<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lost, stale) = (self.lost(), self.stale());
        write!(f, "{} of {} elements stable", self.stable().len(), self.elements.len())?;
        if !lost.is_empty() {
            write!(f, "; {} lost: {}", lost.len(), values(lost.iter()))?;
        }
        if !stale.is_empty() {
            let longest = self.elements.values().filter_map(|fate| match fate {
                ElementFate::Stable { after_ns } => Some(*after_ns),
                _ => None,
            });
            let longest = longest.max().unwrap_or(0);
            let shown = values(stale.iter());
            write!(f, "; {} stale for up to {longest} ns: {shown}", stale.len())?;
        }
        let never_read = self.never_read();
        if !never_read.is_empty() {
            write!(f, "; {} never read", never_read.len())?;
        }
        Ok(())
    }
}
