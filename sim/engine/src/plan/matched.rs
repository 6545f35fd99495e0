//! What an override names a message by, and which of a plan's overrides matched.
//!
//! A message can be named in three ways, the surest first: by what is in it, by how many went
//! before it on its lane, and by when it was sent. After a change of the code, or of another part
//! of the plan, a lane may carry other messages; then the next name has its turn. Whether a name
//! matches nothing is known only at the end of a run, so a run whose overrides missed is run again
//! with the next names of those that did, until each has matched or has no other name. All of that
//! is a function of the seed and the plan, and what is reported is the last of these runs.

use super::{Override, Plan};
use serde::{Deserialize, Serialize};

/// What a message is named by. The order is that of trust.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Name {
    /// The hash of its bytes, and how many with that hash went before it on its lane.
    Hash { payload: u64, nth: u64 },
    /// How many messages went before it on its lane since the start of the run.
    Count(u64),
    /// It is the first that was sent at this time or later, in nanoseconds.
    Time(u64),
}

impl Name {
    /// None goes before it.
    pub(crate) const LEAST: Name = Name::Hash { payload: 0, nth: 0 };
}

/// How many overrides of a plan matched, by what they matched.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Matched {
    /// Messages that were found by the hash of what is in them.
    pub by_hash: u64,
    /// Messages that were found by their count on their lane.
    pub by_count: u64,
    /// Messages that were found by the time at which they were sent.
    pub by_time: u64,
    /// Operations that were left out.
    pub operations: u64,
    /// Overrides that matched nothing.
    pub not_at_all: u64,
}

impl Matched {
    /// How many overrides there are.
    pub fn all(&self) -> u64 {
        self.by_hash + self.by_count + self.by_time + self.operations + self.not_at_all
    }

    /// In a sentence; `None` if there are no overrides.
    pub fn line(&self) -> Option<String> {
        let Matched { by_hash, by_count, by_time, operations, not_at_all } = self;
        (self.all() > 0).then(|| {
            format!(
                "of {} overrides of the plan {by_hash} matched a message by hash, {by_count} by \
                 count, {by_time} by time, {operations} an operation, {not_at_all} nothing at all",
                self.all()
            )
        })
    }
}

impl Override {
    /// The surest name that a message is given.
    pub(crate) fn name(&self) -> Option<Name> {
        let Override::Message { payload, nth, count, at_ns, .. } = self else { return None };
        let hash = payload.map(|payload| Name::Hash { payload, nth: *nth });
        hash.or(count.map(Name::Count)).or(at_ns.map(Name::Time))
    }

    /// The same without its surest name; `None` if it has no other.
    fn with_next_name(&self) -> Option<Override> {
        let mut next = self.clone();
        if let Override::Message { payload, count, at_ns, .. } = &mut next {
            match (&payload, &count) {
                (Some(_), _) => *payload = None,
                (None, Some(_)) => *count = None,
                (None, None) => *at_ns = None,
            }
        }
        next.name().is_some().then_some(next)
    }
}

impl Plan {
    /// Whether an override has more than one name.
    pub(crate) fn has_next_names(&self) -> bool {
        self.overrides.iter().any(|wish| wish.with_next_name().is_some())
    }

    /// The plan with the next names of those overrides that missed; `None` if none has another.
    pub(crate) fn with_next_names(&self, missed: &[usize]) -> Option<Plan> {
        let mut next = self.clone();
        let mut changed = false;
        for place in missed {
            if let Some(fallen) = self.overrides.get(*place).and_then(Override::with_next_name) {
                next.overrides[*place] = fallen;
                changed = true;
            }
        }
        changed.then_some(next)
    }
}
