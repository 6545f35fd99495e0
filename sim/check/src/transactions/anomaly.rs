//! The names of what can be wrong, and which levels each rules out.

use std::collections::BTreeMap;
use std::fmt;

use super::level::Level;

/// A kind of anomaly.
///
/// The cycles are Adya's G0, G1 and G2, with G-single and G-nonadjacent after Elle (Kingsbury and
/// Alvaro, 2020), each in three extents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AnomalyKind {
    /// A list was read with an element twice.
    DuplicateElements,
    /// The options give a key an order of versions that contradicts itself.
    CyclicVersions,
    /// A read returned what nobody wrote.
    GarbageRead,
    /// A cycle of writes that overwrite each other.
    G0(Extent),
    /// A read of what an aborted transaction wrote.
    G1a,
    /// A read of what its writer overwrote in the same transaction.
    G1b,
    /// A cycle of writes and reads from each other.
    G1c(Extent),
    /// A write on top of what an aborted transaction wrote.
    DirtyUpdate,
    /// Two reads of a list of which neither is the beginning of the other.
    IncompatibleOrder,
    /// A read of what its own transaction wrote only later.
    FutureRead,
    /// A read that contradicts what its own transaction read or wrote before.
    Internal,
    /// A transaction of which another saw one write and missed another.
    FracturedRead,
    /// A transaction that misses what its own causal past wrote.
    CausalViolation,
    /// Two transactions that read the same version and both wrote the next.
    LostUpdate,
    /// A cycle with one read of an outdated version.
    GSingle(Extent),
    /// A cycle with several reads of outdated versions, no two in a row.
    GNonadjacent(Extent),
    /// A cycle with two reads of outdated versions in a row.
    G2Item(Extent),
    /// Transactions of which no order of their writes satisfies the level.
    NoVersionOrder(Level),
}

/// What the edges of a cycle may be besides dependencies on data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extent {
    /// Nothing else.
    Data,
    /// The order in which one process ran its transactions.
    Process,
    /// That one transaction had returned before another was invoked.
    RealTime,
}

impl AnomalyKind {
    /// The weakest levels that forbid it, where `sessions` says whether the order of each process
    /// is part of every level.
    pub fn rules_out(self, sessions: bool) -> &'static [Level] {
        use AnomalyKind as Kind;
        let extent = match self {
            Kind::G0(extent)
            | Kind::G1c(extent)
            | Kind::GSingle(extent)
            | Kind::GNonadjacent(extent)
            | Kind::G2Item(extent) => extent,
            _ => Extent::Data,
        };
        if extent == Extent::RealTime || (extent == Extent::Process && !sessions) {
            return match self {
                Kind::G2Item(_) => &[Level::StrictSerializable],
                _ => &[Level::StrongSnapshotIsolation],
            };
        }
        match self {
            Kind::DuplicateElements | Kind::CyclicVersions | Kind::GarbageRead => {
                &[Level::ReadUncommitted]
            }
            Kind::G0(Extent::Data) => &[Level::ReadUncommitted],
            Kind::G0(_) => &[Level::ReadCommitted],
            Kind::G1a | Kind::G1b | Kind::G1c(_) => &[Level::ReadCommitted],
            Kind::DirtyUpdate | Kind::IncompatibleOrder | Kind::FutureRead => {
                &[Level::ReadCommitted]
            }
            Kind::Internal => &[Level::ReadAtomic, Level::RepeatableRead],
            Kind::FracturedRead => &[Level::ReadAtomic],
            Kind::CausalViolation => &[Level::Causal],
            Kind::LostUpdate | Kind::GSingle(_) | Kind::GNonadjacent(_) => {
                &[Level::RepeatableRead, Level::SnapshotIsolation]
            }
            Kind::G2Item(_) => &[Level::RepeatableRead],
            Kind::NoVersionOrder(level) => alone(level),
        }
    }

    fn base(self) -> (&'static str, Extent) {
        match self {
            Self::DuplicateElements => ("duplicate-elements", Extent::Data),
            Self::CyclicVersions => ("cyclic-versions", Extent::Data),
            Self::GarbageRead => ("garbage-read", Extent::Data),
            Self::G0(extent) => ("G0", extent),
            Self::G1a => ("G1a", Extent::Data),
            Self::G1b => ("G1b", Extent::Data),
            Self::G1c(extent) => ("G1c", extent),
            Self::DirtyUpdate => ("dirty-update", Extent::Data),
            Self::IncompatibleOrder => ("incompatible-order", Extent::Data),
            Self::FutureRead => ("future-read", Extent::Data),
            Self::Internal => ("internal", Extent::Data),
            Self::FracturedRead => ("fractured-read", Extent::Data),
            Self::CausalViolation => ("causal-violation", Extent::Data),
            Self::LostUpdate => ("lost-update", Extent::Data),
            Self::GSingle(extent) => ("G-single", extent),
            Self::GNonadjacent(extent) => ("G-nonadjacent", extent),
            Self::G2Item(extent) => ("G2-item", extent),
            Self::NoVersionOrder(_) => ("no-version-order", Extent::Data),
        }
    }
}

/// The level as a list of one.
fn alone(level: Level) -> &'static [Level] {
    let at = Level::ALL.iter().position(|&other| other == level).unwrap_or(0);
    &Level::ALL[at..=at]
}

/// As Elle writes it, such as `G-single-realtime`.
impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, extent) = self.base();
        let extent = match extent {
            Extent::Data => "",
            Extent::Process => "-process",
            Extent::RealTime => "-realtime",
        };
        write!(f, "{name}{extent}")
    }
}

/// One kind of anomaly in a history, with one example in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// What kind.
    pub kind: AnomalyKind,
    /// How many were met. Of cycles only one of each kind is looked for.
    pub count: usize,
    /// The example: what is wrong, then one line for each step that shows it.
    pub lines: Vec<String>,
    /// The transactions of the example, by their position in the history.
    pub transactions: Vec<usize>,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.count > 1 {
            write!(f, " ({} times)", self.count)?;
        }
        let mut separator = ": ";
        for line in &self.lines {
            write!(f, "{separator}{line}")?;
            separator = "\n  ";
        }
        Ok(())
    }
}

/// The anomalies found so far, one example of each kind.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: BTreeMap<AnomalyKind, Anomaly>,
}

impl Findings {
    /// Counts an anomaly; `lines` and `transactions` describe it if it is the first of its kind.
    pub(super) fn add<F>(&mut self, kind: AnomalyKind, transactions: &[u32], lines: F)
    where
        F: FnOnce() -> Vec<String>,
    {
        let anomaly = self.found.entry(kind).or_insert_with(|| Anomaly {
            kind,
            count: 0,
            lines: lines(),
            transactions: transactions.iter().map(|&txn| txn as usize).collect(),
        });
        anomaly.count += 1;
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = AnomalyKind> {
        self.found.keys().copied()
    }

    pub(super) fn into_anomalies(self) -> Vec<Anomaly> {
        self.found.into_values().collect()
    }
}
