//! What one transaction owes to another: Adya's three kinds of dependency, each with its reason.

use super::anomaly::Findings;
use super::history::{Fate, Op, Transactions};

/// How one transaction depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Tie {
    /// The second writes the version after the first one's.
    Ww,
    /// The second reads what the first wrote.
    Wr,
    /// The first reads a version and the second writes the next one.
    Rw,
    /// One process ran them in this order.
    Process,
    /// The first had returned before the second was invoked.
    RealTime,
}

/// Why one version is known to come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// A read of the list shows both.
    Observed,
    /// The longest read of the list lacks the second.
    Unobserved,
    /// The first is the initial version.
    Initial,
    /// A transaction read the first and wrote the second.
    WritesFollowReads(u32),
    /// A process met one after the other, and keys are taken to be sequentially consistent.
    SequentialKey,
    /// One was met in real time before the other, and keys are taken to be linearizable.
    LinearizableKey,
    /// The order of commits was given.
    Commits,
    /// The other order would close a cycle.
    Forced,
    /// A transaction read the second although it sees what the writer of the first did.
    Visible(u32),
}

/// A dependency of `to` on `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) tie: Tie,
    pub(super) key: u32,
    /// The version that the first wrote or read; `None` for the initial one.
    pub(super) before: Option<u32>,
    /// The version that the second wrote or read.
    pub(super) after: Option<u32>,
    pub(super) order: Order,
}

/// Readers of one version that all depend in the same way on writers of later ones.
///
/// Written out, the dependencies would be as many as the product. No reader is a writer here.
#[derive(Clone, Debug)]
pub(super) struct Hub {
    pub(super) key: u32,
    pub(super) before: Option<u32>,
    pub(super) readers: Vec<u32>,
    /// Each writer with the version it wrote.
    pub(super) writers: Vec<(u32, u32)>,
    pub(super) order: Order,
}

/// Versions of a key of which nobody knows the order.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) key: u32,
    pub(super) versions: Vec<Version>,
}

#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) value: u32,
    pub(super) writer: u32,
    /// Who read it, but its writer.
    pub(super) readers: Vec<u32>,
}

/// A read that shows another transaction's version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) reader: u32,
    pub(super) key: u32,
    /// Whose version; `None` for the initial one.
    pub(super) writer: Option<u32>,
}

/// All that a history says about the order of its transactions.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    pub(super) edges: Vec<Dependency>,
    pub(super) hubs: Vec<Hub>,
    pub(super) open: Vec<Open>,
    pub(super) seen: Vec<Seen>,
    /// Whether each transaction took effect as far as the history shows.
    pub(super) present: Vec<bool>,
    pub(super) findings: Findings,
    /// Why the dependencies do not tell everything, if they do not.
    pub(super) gap: Option<String>,
}

impl Dependencies {
    /// Every committed transaction, and of the others those in `observed`.
    pub(super) fn new(history: &Transactions, observed: &[bool]) -> Self {
        let takes_part = |txn: u32| match history.txn(txn).fate {
            Fate::Committed => true,
            Fate::Indeterminate => observed[txn as usize],
            Fate::Aborted => false,
        };
        let present = (0..history.len() as u32).map(takes_part).collect();
        Self { present, ..Self::default() }
    }

    pub(super) fn is_present(&self, txn: u32) -> bool {
        self.present[txn as usize]
    }

    /// Adds a dependency, unless it would be one on itself or on a transaction without effect.
    pub(super) fn add(&mut self, dependency: Dependency) {
        let Dependency { from, to, .. } = dependency;
        if from != to && self.is_present(from) && self.is_present(to) {
            self.edges.push(dependency);
        }
    }

    /// Adds the dependencies of readers of a version on all writers of later ones.
    ///
    /// A transaction that reads the version and writes a later one depends on every other writer.
    /// One such is written out; a second is a lost update, which needs no cycle to be found.
    pub(super) fn add_hub(&mut self, hub: Hub) {
        let Hub { key, before, order, mut readers, mut writers } = hub;
        readers.sort_unstable();
        readers.dedup();
        writers.retain(|&(writer, _)| self.is_present(writer));
        writers.sort_unstable();
        writers.dedup_by_key(|(writer, _)| *writer);
        let writes = |reader: u32| writers.binary_search_by_key(&reader, |&(one, _)| one).is_ok();
        let (both, only): (Vec<u32>, Vec<u32>) =
            readers.into_iter().partition(|&reader| writes(reader));
        for reader in both.into_iter().take(2) {
            for &(to, after) in &writers {
                let (tie, after) = (Tie::Rw, Some(after));
                self.add(Dependency { from: reader, to, tie, key, before, after, order });
            }
        }
        if !only.is_empty() && !writers.is_empty() {
            self.hubs.push(Hub { key, before, readers: only, writers, order });
        }
    }

    /// Sorts the dependencies and drops those that say the same.
    pub(super) fn tidy(&mut self) {
        let place = |edge: &Dependency| (edge.from, edge.to, edge.tie);
        self.edges.sort_by_key(place);
        self.edges.dedup_by_key(|edge| place(edge));
        self.seen.sort_unstable();
        self.seen.dedup();
    }
}

/// The last write of each key in a transaction, in the order of the keys.
pub(super) fn final_writes(history: &Transactions, txn: u32) -> Vec<(u32, u32)> {
    let writes = history.ops(txn).iter().enumerate().filter_map(|(at, op)| match *op {
        Op::Write { key, value } => Some((key, std::cmp::Reverse(at), value)),
        Op::Read { .. } | Op::ReadList { .. } => None,
    });
    let mut writes: Vec<_> = writes.collect();
    writes.sort_unstable();
    writes.dedup_by_key(|(key, ..)| *key);
    writes.into_iter().map(|(key, _, value)| (key, value)).collect()
}
