//! What went wrong in a run.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The kinds of failures; each is its own, and none is ever booked as passed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Something that must hold did not.
    Property,
    /// A node panicked.
    Panic,
    /// A million polls without time moving.
    Livelock,
    /// So much to do that the run would not end: more events than it may have, or more that wait.
    Runaway,
    /// Nothing left to happen, and goals unmet.
    Deadlock,
    /// A poll that does not return.
    Hang,
    /// The process that ran the seed ended.
    Abort,
    /// A checker reached its bounds.
    Undecided,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Property => "property",
            Class::Panic => "panic",
            Class::Livelock => "livelock",
            Class::Runaway => "runaway",
            Class::Deadlock => "deadlock",
            Class::Hang => "hang",
            Class::Abort => "abort",
            Class::Undecided => "undecided",
        })
    }
}

/// The first thing that went wrong in a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of thing.
    pub class: Class,
    /// Which property it broke: its name, without values.
    pub property: String,
    /// Where or in which role, if that tells two failures of one property apart.
    pub place: String,
    /// What happened, with values, in sentences.
    pub story: Vec<String>,
    /// When, in nanoseconds from the start of the run.
    pub at_ns: u64,
}

impl Failure {
    /// What two failures have in common if they are the same bug: class, property and place.
    pub fn fingerprint(&self) -> String {
        format!("{}/{}/{}", self.class, self.property, self.place)
    }

    pub(crate) fn fingerprint_hash(&self) -> u64 {
        crate::choice::hash_text(&self.fingerprint())
    }
}
