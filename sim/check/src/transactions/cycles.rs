//! Which kinds of cycle the graph of dependencies has, with a short one of each kind.

use petgraph::graph::EdgeIndex;
use petgraph::visit::EdgeRef;

use super::anomaly::{AnomalyKind, Extent, Findings};
use super::dependencies::{Dependency, Tie};
use super::graph::{Components, Graph, Search, Sought, Ties};
use super::history::Transactions;
use super::words::{name, sentence, title};

/// How many edges may be looked at in search of a short cycle of one kind, when one was found.
const STEPS_SHORT: u64 = 2_000_000;

/// How many edges may be looked at in search of the first cycle of one kind.
const STEPS_FIRST: u64 = 100_000_000;

/// A kind of cycle without its extent, in the order of the levels they rule out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    G0,
    G1c,
    GSingle,
    GNonadjacent,
    G2Item,
}

impl Class {
    const ALL: [Self; 5] = [Self::G0, Self::G1c, Self::GSingle, Self::GNonadjacent, Self::G2Item];

    fn kind(self, extent: Extent) -> AnomalyKind {
        match self {
            Self::G0 => AnomalyKind::G0(extent),
            Self::G1c => AnomalyKind::G1c(extent),
            Self::GSingle => AnomalyKind::GSingle(extent),
            Self::GNonadjacent => AnomalyKind::GNonadjacent(extent),
            Self::G2Item => AnomalyKind::G2Item(extent),
        }
    }
}

/// Looks for a cycle of each kind and reports those it finds.
///
/// A kind is looked for among data alone first, then with the order of processes, then with real
/// time; and with more than data only if nothing at least as bad was found with less.
pub(super) fn find(
    history: &Transactions,
    plain: &Graph<'_>,
    snapshot: &Graph<'_>,
    findings: &mut Findings,
) {
    let mut search = Search::default();
    let mut worst: Option<Class> = None;
    let extents = [
        (Extent::Data, Ties::DATA),
        (Extent::Process, Ties::DATA.with(Ties::PROCESS)),
        (Extent::RealTime, Ties::DATA.with(Ties::TIME)),
    ];
    for (extent, ties) in extents {
        if !plain.components(ties).has_cycle() {
            continue;
        }
        let mut found = Vec::new();
        for class in Class::ALL {
            if extent != Extent::Data && worst.is_some_and(|worst| worst <= class) {
                break;
            }
            let graph = if class == Class::GNonadjacent { snapshot } else { plain };
            let Some(cycle) = short_cycle(graph, &mut search, class, ties) else { continue };
            if classify(&cycle) == class.kind(extent) {
                report(history, &cycle, findings);
                found.push(class);
            }
        }
        worst = worst.into_iter().chain(found).min();
    }
}

/// Reports a cycle under its name.
pub(super) fn report(history: &Transactions, cycle: &[Dependency], findings: &mut Findings) {
    let involved: Vec<u32> = cycle.iter().map(|dependency| dependency.from).collect();
    findings.add(classify(cycle), &involved, || describe(history, cycle));
}

/// The cycle in words: each dependency, then each transaction.
pub(super) fn describe(history: &Transactions, cycle: &[Dependency]) -> Vec<String> {
    let mut involved: Vec<u32> = cycle.iter().map(|dependency| dependency.from).collect();
    involved.sort_unstable();
    involved.dedup();
    describe_with(history, cycle, &involved)
}

/// The cycle in words, and these transactions.
pub(super) fn describe_with(
    history: &Transactions,
    cycle: &[Dependency],
    involved: &[u32],
) -> Vec<String> {
    let mut names: Vec<String> = cycle.iter().map(|dependency| name(dependency.from)).collect();
    names.extend(names.first().cloned());
    let mut lines = vec![format!("{}, a cycle", names.join(" before "))];
    for dependency in cycle {
        let (from, to) = (name(dependency.from), name(dependency.to));
        lines.push(format!("{from} before {to}: {}", sentence(history, dependency)));
    }
    lines.extend(involved.iter().map(|&txn| title(history, txn)));
    lines
}

/// A short cycle of these ties, whatever its kind.
pub(super) fn any_cycle(graph: &Graph<'_>, ties: Ties) -> Option<Vec<Dependency>> {
    let components = graph.components(ties);
    let mut search = Search::default();
    let mut hunt =
        Hunt { graph, search: &mut search, components: &components, back: ties, best: None };
    for tie in [Tie::Rw, Tie::Ww, Tie::Wr] {
        for edge in graph.edges_inside(tie, &components) {
            let limit = if hunt.best.is_some() { STEPS_SHORT } else { STEPS_FIRST };
            if hunt.search.steps > limit {
                break;
            }
            hunt.try_edge(edge, Class::G0);
        }
    }
    hunt.best
}

/// The kind of a cycle, by its edges.
pub(super) fn classify(cycle: &[Dependency]) -> AnomalyKind {
    let has = |tie: Tie| cycle.iter().any(|dependency| dependency.tie == tie);
    let extent = if has(Tie::RealTime) {
        Extent::RealTime
    } else if has(Tie::Process) {
        Extent::Process
    } else {
        Extent::Data
    };
    let outdated = cycle.iter().filter(|dependency| dependency.tie == Tie::Rw).count();
    let is_rw = |at: usize| cycle[at % cycle.len()].tie == Tie::Rw;
    let has_adjacent = (0..cycle.len()).any(|at| is_rw(at) && is_rw(at + 1));
    match outdated {
        0 if has(Tie::Wr) => AnomalyKind::G1c(extent),
        0 => AnomalyKind::G0(extent),
        1 => AnomalyKind::GSingle(extent),
        _ if has_adjacent => AnomalyKind::G2Item(extent),
        _ => AnomalyKind::GNonadjacent(extent),
    }
}

fn short_cycle(
    graph: &Graph<'_>,
    search: &mut Search,
    class: Class,
    ties: Ties,
) -> Option<Vec<Dependency>> {
    let extra = Ties::TIME.and(ties);
    let (tie, inside, back) = match class {
        Class::G0 => (Tie::Ww, Ties::WRITES.with(extra), Ties::WRITES.with(extra)),
        Class::G1c => (Tie::Wr, Ties::FLOW.with(extra), Ties::FLOW.with(extra)),
        Class::GSingle => (Tie::Rw, ties, Ties::FLOW.with(extra)),
        Class::GNonadjacent | Class::G2Item => (Tie::Rw, ties, ties),
    };
    let components = graph.components(inside);
    if !components.has_cycle() {
        return None;
    }
    let mut hunt = Hunt { graph, search, components: &components, back, best: None };
    let begun = hunt.search.steps;
    for edge in graph.edges_inside(tie, &components) {
        let spent = hunt.search.steps - begun;
        let limit = if hunt.best.is_some() { STEPS_SHORT } else { STEPS_FIRST };
        if spent > limit {
            break;
        }
        if class == Class::G2Item { hunt.try_pairs(edge) } else { hunt.try_edge(edge, class) }
    }
    hunt.best
}

/// A hunt for the shortest cycle of a kind.
struct Hunt<'a, 'b> {
    graph: &'a Graph<'b>,
    search: &'a mut Search,
    components: &'a Components,
    /// The ties of the way back.
    back: Ties,
    best: Option<Vec<Dependency>>,
}

impl Hunt<'_, '_> {
    /// How many ties a way back may have, beside those that the cycle begins with.
    fn longest(&self, begun: u32) -> Option<u32> {
        match &self.best {
            Some(best) => (best.len() as u32 - 1).checked_sub(begun),
            None => Some(u32::MAX - 1),
        }
    }

    fn try_edge(&mut self, edge: EdgeIndex, class: Class) {
        let Some(longest) = self.longest(1) else { return };
        if let Some(cycle) = self.close(&[edge], longest) {
            let is_right = match class {
                Class::GNonadjacent => matches!(classify(&cycle), AnomalyKind::GNonadjacent(_)),
                _ => true,
            };
            if is_right {
                self.best = Some(cycle);
            }
        }
    }

    /// Tries cycles that begin with two outdated reads in a row.
    fn try_pairs(&mut self, edge: EdgeIndex) {
        let graph = &self.graph.graph;
        let Some((_, middle)) = graph.edge_endpoints(edge) else { return };
        // Behind a hub there are several writers, each with reads of its own.
        let mut begins: Vec<Vec<EdgeIndex>> = Vec::new();
        if self.graph.dependencies_along(&[edge])[0].to == u32::MAX {
            begins.extend(graph.edges(middle).map(|on| vec![edge, on.id()]));
        } else {
            begins.push(vec![edge]);
        }
        for begin in begins {
            let Some((_, writer)) = begin.last().and_then(|&last| graph.edge_endpoints(last))
            else {
                continue;
            };
            let is_rw = |next: &EdgeIndex| graph[*next].tie == Some(Tie::Rw);
            let next: Vec<EdgeIndex> =
                graph.edges(writer).map(|next| next.id()).filter(is_rw).collect();
            for next in next {
                let Some(longest) = self.longest(2) else { return };
                let mut begin = begin.clone();
                begin.push(next);
                if let Some(cycle) = self.close(&begin, longest).filter(|cycle| is_simple(cycle)) {
                    self.best = Some(cycle);
                }
            }
        }
    }

    /// Closes a path to a cycle.
    fn close(&mut self, begin: &[EdgeIndex], longest: u32) -> Option<Vec<Dependency>> {
        let graph = self.graph;
        let ends = |edge: &EdgeIndex| graph.graph.edge_endpoints(*edge);
        let (to, _) = begin.first().and_then(ends)?;
        let (_, from) = begin.last().and_then(ends)?;
        if !self.components.are_together(from, to) {
            return None;
        }
        let sought = Sought { from, to, ties: self.back, components: self.components, longest };
        let back = graph.path(self.search, sought)?;
        let path: Vec<EdgeIndex> = begin.iter().copied().chain(back).collect();
        Some(graph.dependencies_along(&path))
    }
}

/// Whether a cycle meets every transaction once.
fn is_simple(cycle: &[Dependency]) -> bool {
    let mut met: Vec<u32> = cycle.iter().map(|dependency| dependency.from).collect();
    met.sort_unstable();
    met.windows(2).all(|pair| pair[0] != pair[1])
}
