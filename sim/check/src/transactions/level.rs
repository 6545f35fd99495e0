//! Isolation levels, and which of them promise more than others.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// What a database promises about transactions that run at once.
///
/// The levels are those of Adya, "Weak consistency: a generalized theory and optimistic
/// implementations for distributed transactions" (1999), for items without predicates, with
/// read atomicity after Bailis et al. (2014), causal consistency after Biswas and Enea, "On the
/// complexity of checking transactional consistency" (2019), and snapshot isolation after Cerone
/// and Gotsman, "Analysing snapshot isolation" (2016).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Writes of different transactions do not interleave (PL-1).
    ReadUncommitted,
    /// Besides, reads see only what was committed, and information flows one way (PL-2).
    ReadCommitted,
    /// Besides, a transaction is seen wholly or not at all.
    ReadAtomic,
    /// Besides, who sees a transaction sees all that it had seen, and a session sees its own past.
    Causal,
    /// No cycle of dependencies on items at all (PL-2.99). Without predicates, this asks as much of
    /// a history as [`Serializable`](Level::Serializable).
    RepeatableRead,
    /// Every transaction reads from a snapshot, and the first of two that write one key wins.
    SnapshotIsolation,
    /// Besides, the snapshot holds all that was committed before the transaction began.
    StrongSnapshotIsolation,
    /// Some order of the transactions, one after the other, explains everything (PL-3).
    Serializable,
    /// Besides, that order keeps to real time.
    StrictSerializable,
}

/// A name that is not one of a level.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no isolation level {0:?}; the levels are {list}", list = Level::list())]
pub struct UnknownLevel(String);

impl Level {
    /// Every level, the weaker before the stronger.
    pub const ALL: [Self; 9] = [
        Self::ReadUncommitted,
        Self::ReadCommitted,
        Self::ReadAtomic,
        Self::Causal,
        Self::RepeatableRead,
        Self::SnapshotIsolation,
        Self::StrongSnapshotIsolation,
        Self::Serializable,
        Self::StrictSerializable,
    ];

    /// The name as the command line takes it, such as `snapshot-isolation`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "read-uncommitted",
            Self::ReadCommitted => "read-committed",
            Self::ReadAtomic => "read-atomic",
            Self::Causal => "causal",
            Self::RepeatableRead => "repeatable-read",
            Self::SnapshotIsolation => "snapshot-isolation",
            Self::StrongSnapshotIsolation => "strong-snapshot-isolation",
            Self::Serializable => "serializable",
            Self::StrictSerializable => "strict-serializable",
        }
    }

    /// Whether every history of this level is also one of the other; a level implies itself.
    ///
    /// Causal consistency always takes the order of each session into account.
    /// [`Serializable`](Level::Serializable) and [`SnapshotIsolation`](Level::SnapshotIsolation)
    /// imply it only where they are told to do so too.
    pub fn implies(self, other: Self, sessions: bool) -> bool {
        self == other || self.next_weaker(sessions).iter().any(|next| next.implies(other, sessions))
    }

    fn next_weaker(self, sessions: bool) -> &'static [Self] {
        match self {
            Self::ReadUncommitted => &[],
            Self::ReadCommitted => &[Self::ReadUncommitted],
            Self::ReadAtomic | Self::RepeatableRead => &[Self::ReadCommitted],
            Self::Causal => &[Self::ReadAtomic],
            Self::SnapshotIsolation if sessions => &[Self::Causal],
            Self::SnapshotIsolation => &[Self::ReadAtomic],
            Self::StrongSnapshotIsolation => &[Self::SnapshotIsolation, Self::Causal],
            Self::Serializable => &[Self::SnapshotIsolation, Self::RepeatableRead],
            Self::StrictSerializable => &[Self::Serializable, Self::StrongSnapshotIsolation],
        }
    }

    fn list() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(name: &str) -> Result<Self, UnknownLevel> {
        let mut levels = Self::ALL.into_iter();
        levels.find(|level| level.name() == name).ok_or_else(|| UnknownLevel(name.to_owned()))
    }
}
