//! Why a history with unseen orders of writes is impossible, in few transactions.

use std::collections::BTreeSet;

use petgraph::graph::{EdgeIndex, NodeIndex};

use super::cycles;
use super::dependencies::{Dependency, Order};
use super::graph::{Search, Sought, Ties};
use super::polygraph::{Obstacle, Polygraph};

/// An order of two versions that the graph leaves no choice about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forced {
    pub(super) dependency: Dependency,
    /// What would become a cycle otherwise.
    pub(super) obstacle: Obstacle,
    /// In which round it was found; its reasons are older.
    pub(super) round: u32,
}

/// That no order exists.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// The transactions without which the proof would not hold.
    pub(super) involved: BTreeSet<u32>,
    /// A cycle that closes whatever the order, if it is as simple as that.
    pub(super) cycle: Option<Vec<Dependency>>,
    /// For orders in the cycle that are not seen, the cycle that the opposite would close.
    pub(super) otherwise: Vec<(Dependency, Vec<Dependency>)>,
}

/// The proof of a graph that has a cycle already.
pub(super) fn prove(polygraph: &Polygraph<'_>) -> Proof {
    let graph = &polygraph.graph;
    let ties = Ties::DATA.with(Ties::TIME);
    let Some(cycle) = cycles::any_cycle(graph, ties) else { return Proof::default() };
    let mut proof = Proof::default();
    explain(polygraph, &cycle, u32::MAX, &mut proof);
    proof.cycle = Some(cycle);
    proof
}

/// The proof of a graph of which a search met these transactions.
pub(super) fn prove_by_search(polygraph: &Polygraph<'_>, met: BTreeSet<u32>) -> Proof {
    let mut proof = Proof { involved: met, ..Proof::default() };
    for forced in &polygraph.forced {
        let Dependency { from, to, .. } = forced.dependency;
        if proof.involved.contains(&from) && proof.involved.contains(&to) {
            explain(polygraph, &[forced.dependency], u32::MAX, &mut proof);
        }
    }
    proof.otherwise.clear();
    proof
}

/// Follows the orders that are not seen back to what is.
fn explain(polygraph: &Polygraph<'_>, cycle: &[Dependency], round: u32, proof: &mut Proof) {
    let mut pending: Vec<(Dependency, u32)> =
        cycle.iter().map(|dependency| (*dependency, round)).collect();
    let mut known: BTreeSet<(u32, u32, u32)> = BTreeSet::new();
    let mut search = Search::default();
    while let Some((dependency, round)) = pending.pop() {
        let Dependency { from, to, key, .. } = dependency;
        proof.involved.extend([from, to]);
        if dependency.order != Order::Forced || !known.insert((from, to, key)) {
            continue;
        }
        let is_reason = |forced: &&Forced| {
            let other = forced.dependency;
            forced.round < round && (other.from, other.to, other.key) == (from, to, key)
        };
        let Some(forced) = polygraph.forced.iter().find(is_reason) else { continue };
        let Some(path) = path(polygraph, &mut search, forced) else { continue };
        let along = polygraph.graph.dependencies_along(&path);
        proof.involved.extend(forced.obstacle.reader);
        // The writers are the ends of the path, or are read by them.
        for version in [forced.dependency.before, forced.dependency.after] {
            let writer = version.and_then(|version| polygraph.graph.writer(key, version));
            proof.involved.extend(writer);
        }
        pending.extend(along.iter().map(|dependency| (*dependency, forced.round)));
        proof.otherwise.push((forced.dependency, along));
    }
}

/// The path that the opposite order would close, by older edges.
fn path(polygraph: &Polygraph<'_>, search: &mut Search, forced: &Forced) -> Option<Vec<EdgeIndex>> {
    let Obstacle { from, to, .. } = forced.obstacle;
    let components = polygraph.graph.whole();
    let ties = Ties::DATA.with(Ties::TIME);
    let rounds = |edge: EdgeIndex| {
        let reason = polygraph.graph.forced_by(edge);
        reason.is_none_or(|reason| polygraph.forced[reason].round < forced.round)
    };
    let (from, to): (NodeIndex, NodeIndex) = (from, to);
    let sought = Sought { from, to, ties, components: &components, longest: u32::MAX - 1 };
    polygraph.graph.path_by(search, sought, rounds)
}
