//! Read atomicity and causal consistency: what a transaction sees says which writes came first.
//!
//! After Biswas and Enea, "On the complexity of checking transactional consistency" (2019): both
//! levels ask for an order of transactions in which whoever wrote a key that a reader sees came
//! before whose version the reader met. No such order depends on another, so it is enough to add
//! them all and look for a cycle.

use std::collections::BTreeMap;

use petgraph::algo::toposort;
use petgraph::graph::NodeIndex;

use super::anomaly::{AnomalyKind, Findings};
use super::clocks::Clocks;
use super::cycles;
use super::dependencies::{Dependencies, Dependency, Order, Seen, Tie};
use super::graph::{Graph, Shape, Ties};
use super::history::Transactions;
use super::names::Map;
use super::words::{name, title};

/// What a check of a weak level found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weak {
    Holds,
    Violated,
    /// The memory did not suffice.
    Undecided,
}

struct Derivation<'a> {
    history: &'a Transactions,
    kind: AnomalyKind,
    /// The dependencies of data flow, and those derived from what readers see.
    flow: Dependencies,
    is_violated: bool,
}

/// Whether every transaction is seen wholly or not at all.
pub(super) fn read_atomic(
    history: &Transactions,
    dependencies: &Dependencies,
    sessions: bool,
    findings: &mut Findings,
) -> Weak {
    let mut derivation = Derivation::new(history, dependencies, AnomalyKind::FracturedRead);
    let mut latest: Map<(u64, u32), u32> = Map::default();
    let seen = by_reader(dependencies);
    for reader in (0..history.len() as u32).filter(|&txn| dependencies.is_present(txn)) {
        let reads = seen.get(&reader).copied().unwrap_or_default();
        let process = history.txn(reader).process.filter(|_| sessions);
        for read in reads {
            if let Some(&writer) = process.and_then(|process| latest.get(&(process, read.key))) {
                derivation.derive(read, writer, findings);
            }
        }
        let mut writers: Vec<u32> = reads.iter().filter_map(|read| read.writer).collect();
        writers.sort_unstable();
        writers.dedup();
        for &writer in &writers {
            derivation.derive_all(reads, writer, findings);
        }
        if let Some(process) = process {
            for (key, _) in super::dependencies::final_writes(history, reader) {
                latest.insert((process, key), reader);
            }
        }
    }
    let extra = if sessions { Ties::PROCESS } else { Ties::NOTHING };
    derivation.conclude(extra, findings)
}

/// Whether everyone who sees a transaction sees what that one had seen.
pub(super) fn causal(
    history: &Transactions,
    dependencies: &Dependencies,
    room: usize,
    findings: &mut Findings,
) -> Weak {
    let mut derivation = Derivation::new(history, dependencies, AnomalyKind::CausalViolation);
    // What flows from one transaction to another, but not in which order they write.
    let mut past = derivation.flow.edges.clone();
    past.retain(|edge| edge.tie == Tie::Wr);
    let present = dependencies.present.clone();
    let past = Dependencies { edges: past, present, ..Dependencies::default() };
    let graph = Graph::new(history, &past, Shape::Plain, Ties::PROCESS);
    let Ok(order) = toposort(&graph.graph, None) else {
        return derivation.conclude(Ties::PROCESS, findings);
    };
    let Some(clocks) = graph.clocks(&order, room) else { return Weak::Undecided };
    let writes = writes_by_chain(history, dependencies, &clocks);
    for read in &dependencies.seen {
        let node = NodeIndex::new(read.reader as usize);
        for (&(_, chain), writers) in writes.range((read.key, 0)..=(read.key, u32::MAX)) {
            let before = clocks.before(node, chain);
            let count = writers.partition_point(|&(place, _)| place < before);
            if let Some(&(_, writer)) = count.checked_sub(1).and_then(|last| writers.get(last)) {
                derivation.derive(read, writer, findings);
            }
        }
    }
    derivation.conclude(Ties::PROCESS, findings)
}

/// For each key and chain, the places of those who write the key, in order.
fn writes_by_chain(
    history: &Transactions,
    dependencies: &Dependencies,
    clocks: &Clocks,
) -> BTreeMap<(u32, u32), Vec<(u32, u32)>> {
    let mut writes: BTreeMap<(u32, u32), Vec<(u32, u32)>> = BTreeMap::new();
    for txn in (0..history.len() as u32).filter(|&txn| dependencies.is_present(txn)) {
        let (chain, place) = clocks.place(NodeIndex::new(txn as usize));
        for (key, _) in super::dependencies::final_writes(history, txn) {
            writes.entry((key, chain)).or_default().push((place, txn));
        }
    }
    writes.values_mut().for_each(|writers| writers.sort_unstable());
    writes
}

/// The reads of each reader. They are sorted by it.
fn by_reader(dependencies: &Dependencies) -> Map<u32, &[Seen]> {
    let chunks = dependencies.seen.chunk_by(|one, other| one.reader == other.reader);
    chunks.map(|reads| (reads[0].reader, reads)).collect()
}

impl<'a> Derivation<'a> {
    fn new(history: &'a Transactions, dependencies: &Dependencies, kind: AnomalyKind) -> Self {
        let mut edges = dependencies.edges.clone();
        edges.retain(|edge| edge.tie != Tie::Rw);
        let present = dependencies.present.clone();
        let flow = Dependencies { edges, present, ..Dependencies::default() };
        Self { history, kind, flow, is_violated: false }
    }

    /// All reads of a transaction that sees this writer.
    fn derive_all(&mut self, reads: &[Seen], writer: u32, findings: &mut Findings) {
        if reads.len() < self.history.ops(writer).len() {
            reads.iter().for_each(|read| self.derive(read, writer, findings));
            return;
        }
        for (key, _) in super::dependencies::final_writes(self.history, writer) {
            let start = reads.partition_point(|read| read.key < key);
            for read in reads[start..].iter().take_while(|read| read.key == key) {
                self.derive(read, writer, findings);
            }
        }
    }

    /// The reader sees this transaction; if it writes the key, it came before whose version was
    /// read.
    fn derive(&mut self, read: &Seen, from: u32, findings: &mut Findings) {
        let Seen { reader, key, writer } = *read;
        if Some(from) == writer || from == reader {
            return;
        }
        let Some(before) = self.history.last_write(from, key) else { return };
        let Some(to) = writer else {
            self.is_violated = true;
            self.report_missed(reader, key, from, findings);
            return;
        };
        let (tie, before, after) = (Tie::Ww, Some(before), self.history.last_write(to, key));
        let order = Order::Visible(reader);
        self.flow.add(Dependency { from, to, tie, key, before, after, order });
    }

    fn report_missed(&self, reader: u32, key: u32, writer: u32, findings: &mut Findings) {
        let history = self.history;
        findings.add(self.kind, &[writer, reader], || {
            let key = history.keys.shown(key);
            let (seer, writer_name) = (name(reader), name(writer));
            let what = format!(
                "{seer} read {key} as it was at first, although it sees {writer_name}, \
                 which wrote it"
            );
            vec![what, title(history, writer), title(history, reader)]
        });
    }

    fn conclude(mut self, extra: Ties, findings: &mut Findings) -> Weak {
        self.flow.tidy();
        let graph = Graph::new(self.history, &self.flow, Shape::Plain, extra);
        let ties = Ties::FLOW.with(extra);
        if graph.components(ties).has_cycle() {
            self.is_violated = true;
            if let Some(cycle) = cycles::any_cycle(&graph, ties) {
                let mut involved: Vec<u32> = cycle.iter().map(|edge| edge.from).collect();
                involved.extend(cycle.iter().filter_map(|edge| match edge.order {
                    Order::Visible(reader) => Some(reader),
                    _ => None,
                }));
                involved.sort_unstable();
                involved.dedup();
                findings.add(self.kind, &involved, || {
                    cycles::describe_with(self.history, &cycle, &involved)
                });
            }
        }
        if self.is_violated { Weak::Violated } else { Weak::Holds }
    }
}
