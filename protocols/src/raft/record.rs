//! What a member persists.

use super::applied::Image;
use super::configuration::Configuration;
use super::log::{Entry, Index, Term};
use super::state_machine::StateMachine;
use serde::{Deserialize, Serialize};
use squall_env::NodeId;

/// What a member remembers of elections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term that it has seen.
    pub term: Term,
    /// For whom it voted in that term.
    pub vote: Option<NodeId>,
}

/// A durable change. Journals hold the numbers of the variants: new ones come last.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Record<S: StateMachine> {
    /// Another term, or a vote in it.
    HardState(HardState),
    /// Entries behind `previous`; what stood there before goes.
    Entries {
        /// The index of the entry before them.
        previous: Index,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// A snapshot takes the place of the entries up to this one (section 5.1). It is not in the
    /// record: whoever has the snapshot before it makes it of those entries.
    Compacted {
        /// The last entry that the snapshot stands for.
        last_index: Index,
    },
    /// A leader's snapshot. The entries behind it stay if the log has its last one.
    Installed {
        /// The last entry that the snapshot stands for.
        last_index: Index,
        /// The term of that entry.
        last_term: Term,
        /// Who was a member there.
        configuration: Configuration,
        /// The snapshot.
        image: Image<S>,
    },
    /// The members of a new cluster, before anything else is known.
    Founded(Configuration),
}

/// The durable state as a whole.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Snapshot<S: StateMachine> {
    pub(super) hard: HardState,
    pub(super) base: (Index, Term),
    pub(super) configuration: Option<Configuration>,
    pub(super) image: Image<S>,
    pub(super) entries: Vec<Entry>,
}
