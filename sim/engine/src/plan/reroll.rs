//! Another future with the same past.

use crate::words::seconds;
use serde::{Deserialize, Serialize};

/// From a time on every choice is another: how long things take, what goes first, what is lost,
/// what a crash keeps, which operations clients do and what they draw. Up to that time the run is
/// the same. What holds for a whole run stays: the rates of the weather, clocks, which links are
/// slow, knobs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reroll {
    /// The time, in nanoseconds.
    pub from_ns: u64,
    /// Which future it is.
    pub salt: u64,
}

impl Reroll {
    /// In words.
    pub(super) fn line(self) -> String {
        format!("from {} on everything is drawn anew: salt {}", seconds(self.from_ns), self.salt)
    }
}
