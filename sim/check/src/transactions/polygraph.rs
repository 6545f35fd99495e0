//! Whether some order of the writes that nobody saw leaves the graph of dependencies acyclic.
//!
//! A graph with such choices is a polygraph, after Papadimitriou, "The serializability of
//! concurrent database updates" (1979). First every choice is made that reachability forces, as
//! Huang et al. do in "Efficient black-box checking of snapshot isolation in databases" (PolySI,
//! 2023); a search decides what is left.

use std::collections::BTreeSet;
use std::time::Instant;

use petgraph::algo::toposort;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use super::clocks::Clocks;
use super::dependencies::{Dependencies, Dependency, Order, Tie, Version};
use super::forced::{self, Forced, Proof};
use super::graph::{Graph, Shape, Ties};
use super::history::Transactions;
use super::options::TransactionLimits;
use super::solver::{Edges, Solved, Solver};

/// After how many pairs the limits are looked at.
const PAIRS_AT_ONCE: usize = 10_000;

/// What is asked of the order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) shape: Shape,
    /// The ties besides those of data.
    pub(super) extra: Ties,
    pub(super) limits: TransactionLimits,
    /// When to give up.
    pub(super) deadline: Option<Instant>,
}

/// What came out.
#[derive(Debug)]
pub(super) enum Answer {
    Possible,
    Impossible(Proof),
    Undecided(String),
}

/// Two versions of a key of which nobody knows which came first.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// The key, by its position among the open ones.
    open: u32,
    one: u32,
    other: u32,
}

/// What forbids that one version comes before another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Obstacle {
    /// The path that such an order would close.
    pub(super) from: NodeIndex,
    pub(super) to: NodeIndex,
    /// Whether it goes through a reader of the one.
    pub(super) reader: Option<u32>,
}

pub(super) struct Polygraph<'a> {
    dependencies: &'a Dependencies,
    question: Question,
    pub(super) graph: Graph<'a>,
    pub(super) forced: Vec<Forced>,
    pairs: Vec<Pair>,
    round: u32,
    steps: u64,
}

/// Answers the question for a history.
pub(super) fn decide(
    history: &Transactions,
    dependencies: &Dependencies,
    question: Question,
) -> Answer {
    let graph = Graph::new(history, dependencies, question.shape, question.extra);
    // Writes that nobody read only have to follow each other, in any order that the rest allows.
    let versions = || dependencies.open.iter().flat_map(|open| &open.versions);
    if question.shape == Shape::Plain && versions().all(|version| version.readers.is_empty()) {
        return match toposort(&graph.graph, None) {
            Ok(_) => Answer::Possible,
            Err(_) => Answer::Impossible(Proof::default()),
        };
    }
    let polygraph = Polygraph {
        dependencies,
        question,
        graph,
        forced: Vec::new(),
        pairs: Vec::new(),
        round: 0,
        steps: 0,
    };
    polygraph.decide()
}

impl<'a> Polygraph<'a> {
    fn decide(mut self) -> Answer {
        let edges = self.graph.graph.edge_count();
        if edges > self.question.limits.memory {
            return Answer::Undecided(format!("{edges} dependencies are more than may be stored"));
        }
        loop {
            let Ok(order) = toposort(&self.graph.graph, None) else {
                return Answer::Impossible(forced::prove(&self));
            };
            let room = self.question.limits.memory;
            let Some(clocks) = self.graph.clocks(&order, room) else {
                return Answer::Undecided(format!(
                    "the order of {} transactions in so many processes takes too much memory",
                    self.dependencies.present.len()
                ));
            };
            let first = self.round == 0;
            self.round += 1;
            let before = self.forced.len();
            let done = if first { self.first_round(&order, &clocks) } else { self.again(&clocks) };
            if let Err(reason) = done {
                return Answer::Undecided(reason);
            }
            self.steps += (self.graph.graph.edge_count() as u64) * 8;
            if before == self.forced.len() {
                return self.search();
            }
        }
    }

    fn versions(&self, pair: Pair) -> (u32, &'a Version, &'a Version) {
        let open = &self.dependencies.open[pair.open as usize];
        (open.key, &open.versions[pair.one as usize], &open.versions[pair.other as usize])
    }

    /// Looks at all pairs of versions that are not known to be ordered through a third.
    fn first_round(&mut self, order: &[NodeIndex], clocks: &Clocks) -> Result<(), String> {
        let mut places = vec![0; order.len()];
        for (place, node) in order.iter().enumerate() {
            places[node.index()] = place;
        }
        for at in 0..self.dependencies.open.len() {
            let dependencies = self.dependencies;
            let open = &dependencies.open[at];
            let mut sorted: Vec<u32> = (0..open.versions.len() as u32).collect();
            let enter = |version: u32| self.graph.enter(open.versions[version as usize].writer);
            let leave = |version: u32| self.graph.leave(open.versions[version as usize].writer);
            sorted.sort_by_key(|&version| places[enter(version).index()]);
            let leads =
                |one: usize, other: usize| clocks.leads(leave(sorted[one]), enter(sorted[other]));
            let windows = windows(sorted.len(), leads, &mut self.steps);
            let count: usize = windows.iter().enumerate().map(|(one, end)| end - one).sum();
            self.check_limits(count)?;
            let mut pairs = Vec::new();
            for (one, &end) in windows.iter().enumerate() {
                for other in one + 1..end {
                    let (one, other) = (sorted[one], sorted[other]);
                    pairs.push(Pair { open: at as u32, one, other });
                }
            }
            for some in pairs.chunks(PAIRS_AT_ONCE) {
                some.iter().for_each(|&pair| self.examine(pair, clocks));
                self.check_limits(0)?;
            }
        }
        Ok(())
    }

    /// Looks again at the pairs that were left.
    fn again(&mut self, clocks: &Clocks) -> Result<(), String> {
        for some in std::mem::take(&mut self.pairs).chunks(PAIRS_AT_ONCE) {
            some.iter().for_each(|&pair| self.examine(pair, clocks));
            self.check_limits(0)?;
        }
        Ok(())
    }

    /// Whether so many pairs more still fit.
    fn check_limits(&self, more: usize) -> Result<(), String> {
        let limits = self.question.limits;
        let (pairs, edges) = (self.pairs.len() + more, self.graph.graph.edge_count());
        // What a pair, an edge and a forced order take, in numbers of 32 bits.
        let stored = 3 * pairs + 10 * edges + 24 * self.forced.len();
        if stored > limits.memory {
            return Err(format!(
                "{pairs} pairs of versions without an order are too many to store"
            ));
        }
        let is_late = self.question.deadline.is_some_and(|deadline| Instant::now() > deadline);
        if self.steps > limits.steps || is_late {
            return Err(format!(
                "after {} steps, {pairs} pairs of versions still have no order",
                self.steps
            ));
        }
        Ok(())
    }

    fn examine(&mut self, pair: Pair, clocks: &Clocks) {
        let (key, one, other) = self.versions(pair);
        let readers = one.readers.len() + other.readers.len();
        let forward = self.obstacle(one, other, clocks);
        let backward = self.obstacle(other, one, clocks);
        self.steps += 2 + readers as u64;
        let (one, other) = (pair.one, pair.other);
        match (forward, backward) {
            (None, None) => self.pairs.push(pair),
            (None, Some(obstacle)) => self.force(pair.open, key, one, other, obstacle, clocks),
            (Some(obstacle), None) => self.force(pair.open, key, other, one, obstacle, clocks),
            (Some(forward), Some(backward)) => {
                // Neither order is possible. Take the one whose opposite fails without a reader.
                if forward.reader.is_none() {
                    self.force(pair.open, key, other, one, forward, clocks);
                } else {
                    self.force(pair.open, key, one, other, backward, clocks);
                }
            }
        }
    }

    /// What would become a cycle if the first version came before the second.
    fn obstacle(&self, first: &Version, second: &Version, clocks: &Clocks) -> Option<Obstacle> {
        let graph = &self.graph;
        let (from, to) = (graph.enter(second.writer), graph.leave(first.writer));
        if clocks.leads(from, to) {
            return Some(Obstacle { from, to, reader: None });
        }
        let from = graph.leave(second.writer);
        first.readers.iter().find_map(|&reader| {
            let to = graph.enter(reader);
            let is_closed = reader != second.writer && (from == to || clocks.leads(from, to));
            is_closed.then_some(Obstacle { from, to, reader: Some(reader) })
        })
    }

    /// Puts one version before another, because the other order is impossible.
    fn force(
        &mut self,
        open: u32,
        key: u32,
        first: u32,
        second: u32,
        obstacle: Obstacle,
        clocks: &Clocks,
    ) {
        let dependencies = self.dependencies;
        let versions = &dependencies.open[open as usize].versions;
        let (first, second) = (&versions[first as usize], &versions[second as usize]);
        let (before, after) = (Some(first.value), Some(second.value));
        let order = Order::Forced;
        let (from, to) = (first.writer, second.writer);
        let writes = Dependency { from, to, tie: Tie::Ww, key, before, after, order };
        let readers = first.readers.iter().filter(|&&reader| reader != to);
        let reads = readers.map(|&from| Dependency { from, tie: Tie::Rw, ..writes });
        for dependency in std::iter::once(writes).chain(reads) {
            let (from, to) = self.graph.ends(Some(dependency.tie), dependency.from, dependency.to);
            if !clocks.leads(from, to) {
                self.graph.add_forced(dependency);
                let round = self.round;
                self.forced.push(Forced { dependency, obstacle, round });
            }
        }
    }

    /// Decides the pairs that nothing forces.
    fn search(mut self) -> Answer {
        if self.pairs.is_empty() {
            return Answer::Possible;
        }
        let limits = self.question.limits;
        let pairs = self.pairs.len();
        if self.solver_room() > limits.memory {
            return Answer::Undecided(format!(
                "{pairs} pairs of versions without an order are too many to search"
            ));
        }
        let order = self.graph.early_order();
        let edges = self.graph.graph.edge_references();
        let ends = edges.map(|edge| (edge.source().index() as u32, edge.target().index() as u32));
        let mut solver = Solver::new(&order, ends);
        for pair in std::mem::take(&mut self.pairs) {
            let (_, one, other) = self.versions(pair);
            solver.add(self.edges(one, other), self.edges(other, one));
        }
        let steps = limits.steps.saturating_sub(self.steps);
        match solver.solve(steps, limits.memory, self.question.deadline) {
            Solved::Possible => Answer::Possible,
            Solved::Impossible(nodes) => {
                let met: BTreeSet<u32> =
                    nodes.into_iter().filter_map(|node| self.graph.txn(node)).collect();
                Answer::Impossible(forced::prove_by_search(&self, met))
            }
            Solved::Undecided => Answer::Undecided(format!(
                "the search for an order of the writes ended after {} steps",
                self.steps + solver.steps()
            )),
        }
    }

    /// About how much the search would store, in numbers of 32 bits.
    fn solver_room(&self) -> usize {
        let room = |pair: &Pair| {
            let (_, one, other) = self.versions(*pair);
            32 + 2 * (one.readers.len() + other.readers.len())
        };
        self.pairs.iter().map(room).sum()
    }

    /// The edges that come with one version before another.
    fn edges(&self, first: &Version, second: &Version) -> Edges {
        let plain = |(from, to): (NodeIndex, NodeIndex)| (from.index() as u32, to.index() as u32);
        let mut edges = vec![plain(self.graph.ends(Some(Tie::Ww), first.writer, second.writer))];
        for &reader in first.readers.iter().filter(|&&reader| reader != second.writer) {
            edges.push(plain(self.graph.ends(Some(Tie::Rw), reader, second.writer)));
        }
        edges
    }
}

/// For each version, in topological order, where those begin that need no look: a third version
/// comes after this one and before them.
fn windows(count: usize, leads: impl Fn(usize, usize) -> bool, steps: &mut u64) -> Vec<usize> {
    // From `ends` on a version leads to all; from `windows` on it does so through another.
    let mut ends = vec![count; count];
    let mut windows = vec![count; count];
    for one in (0..count).rev() {
        let next = (one + 1..count).find(|&other| {
            *steps += 1;
            leads(one, other)
        });
        let Some(next) = next else { continue };
        windows[one] = ends[next].max(next + 1);
        ends[one] = ends[next].max(next);
        while ends[one] > one + 1 && leads(one, ends[one] - 1) {
            *steps += 1;
            ends[one] -= 1;
        }
    }
    windows
}
