//! The graph of dependencies, with processes and real time, and its cycles.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::{EdgeFiltered, EdgeRef};

use super::clocks::{Chaining, Clocks};
use super::dependencies::{Dependencies, Dependency, Hub, Order, Tie};
use super::history::Transactions;

/// A set of ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ties(u8);

impl Ties {
    pub(super) const WRITES: Self = Self(1 << Tie::Ww as u8);
    pub(super) const FLOW: Self = Self(Self::WRITES.0 | 1 << Tie::Wr as u8);
    pub(super) const NOTHING: Self = Self(0);
    pub(super) const DATA: Self = Self(Self::FLOW.0 | 1 << Tie::Rw as u8);
    pub(super) const PROCESS: Self = Self(1 << Tie::Process as u8);
    pub(super) const TIME: Self = Self(Self::PROCESS.0 | 1 << Tie::RealTime as u8);

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn has(self, tie: Tie) -> bool {
        self.0 & (1 << tie as u8) != 0
    }
}

/// How transactions stand in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A transaction is one node, so a cycle is one of any dependencies.
    Plain,
    /// A transaction is two nodes: a dependency but Rw leads from the second to the first, and Rw
    /// from the first to the second. So a cycle has no two Rw in a row, and there is one exactly
    /// if the history is not one of snapshot isolation (Cerone and Gotsman 2016, theorem 9).
    Snapshot,
}

const NONE: u32 = u32::MAX;

/// What an edge of the graph stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// `None` if the edge only goes on with the one before.
    pub(super) tie: Option<Tie>,
    from: u32,
    to: u32,
    /// The dependency; or the hub, and when leaving it the writer.
    reason: u32,
}

/// A link that goes on with the one before.
const ON: Link = Link { tie: None, from: NONE, to: NONE, reason: NONE };

pub(super) struct Graph<'a> {
    history: &'a Transactions,
    dependencies: &'a Dependencies,
    pub(super) graph: DiGraph<(), Link>,
    shape: Shape,
    /// Dependencies that were added later.
    forced: Vec<Dependency>,
    /// The first node of an instant of real time.
    instants: usize,
    /// The next transaction of the same process, where the graph heeds processes.
    next: Vec<u32>,
}

/// Which nodes reach each other.
pub(super) struct Components {
    of: Vec<u32>,
    sizes: Vec<u32>,
}

impl Components {
    pub(super) fn has_cycle(&self) -> bool {
        self.sizes.iter().any(|&size| size > 1)
    }

    pub(super) fn are_together(&self, one: NodeIndex, other: NodeIndex) -> bool {
        self.of[one.index()] == self.of[other.index()]
    }
}

impl<'a> Graph<'a> {
    /// The graph of all dependencies and of those ties that the extra ones have.
    pub(super) fn new(
        history: &'a Transactions,
        dependencies: &'a Dependencies,
        shape: Shape,
        extra: Ties,
    ) -> Self {
        let mut graph = Self {
            history,
            dependencies,
            graph: DiGraph::new(),
            shape,
            forced: Vec::new(),
            instants: 0,
            next: vec![NONE; history.len()],
        };
        for txn in 0..history.len() as u32 {
            let first = graph.graph.add_node(());
            if shape == Shape::Snapshot {
                let second = graph.graph.add_node(());
                graph.graph.add_edge(first, second, ON);
                debug_assert_eq!(second, graph.leave(txn), "two nodes for each transaction");
            }
        }
        for (reason, edge) in (0..).zip(&dependencies.edges) {
            let link = Link { tie: Some(edge.tie), from: edge.from, to: edge.to, reason };
            graph.link(link);
        }
        for (at, hub) in (0..).zip(&dependencies.hubs) {
            graph.add_hub(at, hub);
        }
        if extra.has(Tie::Process) {
            graph.add_processes();
        }
        graph.instants = graph.graph.node_count();
        if extra.has(Tie::RealTime) {
            graph.add_time();
        }
        graph
    }

    /// The node at which a transaction is entered by a dependency other than Rw.
    pub(super) fn enter(&self, txn: u32) -> NodeIndex {
        match self.shape {
            Shape::Plain => NodeIndex::new(txn as usize),
            Shape::Snapshot => NodeIndex::new(2 * txn as usize),
        }
    }

    /// The node at which it is left by one.
    pub(super) fn leave(&self, txn: u32) -> NodeIndex {
        match self.shape {
            Shape::Plain => NodeIndex::new(txn as usize),
            Shape::Snapshot => NodeIndex::new(2 * txn as usize + 1),
        }
    }

    fn link(&mut self, link: Link) {
        let (from, to) = self.ends(link.tie, link.from, link.to);
        self.graph.add_edge(from, to, link);
    }

    pub(super) fn ends(&self, tie: Option<Tie>, from: u32, to: u32) -> (NodeIndex, NodeIndex) {
        match tie {
            Some(Tie::Rw) => (self.enter(from), self.leave(to)),
            _ => (self.leave(from), self.enter(to)),
        }
    }

    /// Adds a dependency that the history does not show.
    pub(super) fn add_forced(&mut self, dependency: Dependency) {
        let reason = (self.dependencies.edges.len() + self.forced.len()) as u32;
        let Dependency { from, to, tie, .. } = dependency;
        self.forced.push(dependency);
        self.link(Link { tie: Some(tie), from, to, reason });
    }

    /// Which of the dependencies that were added later an edge is.
    pub(super) fn forced_by(&self, edge: EdgeIndex) -> Option<usize> {
        let link = self.graph[edge];
        let is_data = matches!(link.tie, Some(Tie::Ww | Tie::Wr | Tie::Rw)) && link.to != NONE;
        (link.reason as usize).checked_sub(self.dependencies.edges.len()).filter(|_| is_data)
    }

    /// The transaction that a node belongs to, if it is one of a transaction.
    pub(super) fn txn(&self, node: u32) -> Option<u32> {
        let txn = match self.shape {
            Shape::Plain => node,
            Shape::Snapshot => node / 2,
        };
        (txn < self.history.len() as u32).then_some(txn)
    }

    pub(super) fn writer(&self, key: u32, value: u32) -> Option<u32> {
        self.history.writer(key, value).map(|writer| writer.txn)
    }

    fn add_hub(&mut self, at: u32, hub: &Hub) {
        let node = self.graph.add_node(());
        for &from in &hub.readers {
            let link = Link { tie: Some(Tie::Rw), from, to: NONE, reason: at };
            let reader = self.enter(from);
            self.graph.add_edge(reader, node, link);
        }
        for (reason, &(to, _)) in (0..).zip(&hub.writers) {
            let link = Link { tie: None, from: NONE, to, reason };
            let writer = self.leave(to);
            self.graph.add_edge(node, writer, link);
        }
    }

    fn add_processes(&mut self) {
        let mut last = vec![NONE; self.history.sessions.len()];
        for to in 0..self.history.len() as u32 {
            let process = self.history.txn(to).process;
            let Some(session) = process.and_then(|process| self.history.sessions.get(&process))
            else {
                continue;
            };
            if !self.dependencies.is_present(to) {
                continue;
            }
            let from = std::mem::replace(&mut last[*session as usize], to);
            if from != NONE {
                self.next[from as usize] = to;
                self.link(Link { tie: Some(Tie::Process), from, to, reason: NONE });
            }
        }
    }

    /// Chains one node for each time at which transactions returned before others were invoked, so
    /// that there are not as many edges as pairs of transactions.
    fn add_time(&mut self) {
        let mut events: Vec<(u64, bool, u32)> = Vec::new();
        for txn in (0..self.history.len() as u32).filter(|&txn| self.dependencies.is_present(txn)) {
            let span = self.history.txn(txn);
            events.extend(span.invoked.map(|index| (index, false, txn)));
            if self.history.is_committed(txn) {
                events.extend(span.returned.map(|index| (index, true, txn)));
            }
        }
        events.sort_unstable();
        let mut instant: Option<NodeIndex> = None;
        let mut is_fresh = false;
        for (_, is_return, txn) in events {
            if !is_return {
                if let Some(instant) = instant {
                    let node = self.enter(txn);
                    self.graph.add_edge(instant, node, Link { to: txn, ..ON });
                    is_fresh = false;
                }
                continue;
            }
            if !is_fresh {
                let next = self.graph.add_node(());
                if let Some(before) = instant.replace(next) {
                    self.graph.add_edge(before, next, ON);
                }
                is_fresh = true;
            }
            if let Some(instant) = instant {
                let node = self.leave(txn);
                let link = Link { tie: Some(Tie::RealTime), from: txn, ..ON };
                self.graph.add_edge(node, instant, link);
            }
        }
    }

    /// The clocks of the graph, whose nodes are given in topological order; `None` if they would
    /// take more memory than this many numbers. Processes and real time are the chains.
    pub(super) fn clocks(&self, order: &[NodeIndex], room: usize) -> Option<Clocks> {
        let chaining = |from: NodeIndex, to: NodeIndex| match (
            self.txn(from.index() as u32),
            self.txn(to.index() as u32),
        ) {
            (Some(txn), _) if !self.dependencies.is_present(txn) => Chaining::Never,
            (Some(before), Some(after)) if before == after => Chaining::First,
            (Some(before), Some(after)) => {
                let is_whole = from == self.leave(before) && to == self.enter(after);
                match self.next[before as usize] {
                    NONE if is_whole => Chaining::Possible,
                    next if next == after && is_whole => Chaining::First,
                    _ => Chaining::Never,
                }
            }
            (None, None) if from.index() >= self.instants => Chaining::First,
            _ => Chaining::Never,
        };
        Clocks::new(&self.graph, order, chaining, room)
    }

    /// A topological order of the nodes that follows the order of the history where it can, since
    /// that is likely to be near the one in which the transactions took effect.
    pub(super) fn early_order(&self) -> Vec<u32> {
        let nodes = self.graph.node_count();
        let mut missing = vec![0_u32; nodes];
        for edge in self.graph.edge_references() {
            missing[edge.target().index()] += 1;
        }
        let rank = |node: usize| Reverse((self.txn(node as u32), node));
        let free = (0..nodes).filter(|&node| missing[node] == 0);
        let mut free: BinaryHeap<_> = free.map(rank).collect();
        let mut order = Vec::with_capacity(nodes);
        while let Some(Reverse((_, node))) = free.pop() {
            order.push(node as u32);
            for next in self.graph.neighbors(NodeIndex::new(node)) {
                missing[next.index()] -= 1;
                if missing[next.index()] == 0 {
                    free.push(rank(next.index()));
                }
            }
        }
        order
    }

    /// The strongly connected components of the part with these ties.
    pub(super) fn components(&self, ties: Ties) -> Components {
        let part = EdgeFiltered::from_fn(&self.graph, |edge| {
            edge.weight().tie.is_none_or(|tie| ties.has(tie))
        });
        let mut of = vec![0; self.graph.node_count()];
        let mut sizes = Vec::new();
        for (number, component) in (0..).zip(kosaraju_scc(&part)) {
            sizes.push(component.len() as u32);
            for node in component {
                of[node.index()] = number;
            }
        }
        Components { of, sizes }
    }

    /// The edges with this tie inside of components, of small components first.
    pub(super) fn edges_inside(&self, tie: Tie, components: &Components) -> Vec<EdgeIndex> {
        let mut edges: Vec<(u32, EdgeIndex)> = Vec::new();
        for edge in self.graph.edge_references() {
            let is_inside = components.are_together(edge.source(), edge.target());
            if edge.weight().tie == Some(tie) && is_inside {
                let component = components.of[edge.source().index()];
                edges.push((components.sizes[component as usize], edge.id()));
            }
        }
        edges.sort_unstable();
        edges.into_iter().map(|(_, edge)| edge).collect()
    }

    /// Components as if every node reached every other.
    pub(super) fn whole(&self) -> Components {
        let nodes = self.graph.node_count();
        Components { of: vec![0; nodes], sizes: vec![nodes as u32] }
    }

    /// A shortest path of at most `longest` ties, counted without the links that only go on.
    pub(super) fn path(&self, search: &mut Search, sought: Sought<'_>) -> Option<Vec<EdgeIndex>> {
        self.path_by(search, sought, |_| true)
    }

    /// The same, of some edges only.
    pub(super) fn path_by(
        &self,
        search: &mut Search,
        sought: Sought<'_>,
        is_usable: impl Fn(EdgeIndex) -> bool,
    ) -> Option<Vec<EdgeIndex>> {
        let Sought { from, to, ties, components, longest } = sought;
        search.begin(self.graph.node_count());
        search.reach(from, 0, None);
        let mut queue = VecDeque::from([(from, 0)]);
        while let Some((node, distance)) = queue.pop_front() {
            if node == to {
                return Some(search.path_to(to, &self.graph));
            }
            if search.distance(node) != Some(distance) {
                continue;
            }
            for edge in self.graph.edges(node) {
                search.steps += 1;
                let link = edge.weight();
                let (next, is_allowed) = (edge.target(), link.tie.is_none_or(|tie| ties.has(tie)));
                if !is_allowed || !components.are_together(node, next) || !is_usable(edge.id()) {
                    continue;
                }
                let further = distance + u32::from(link.tie.is_some());
                let is_better = search.distance(next).is_none_or(|known| further < known);
                if further > longest || !is_better {
                    continue;
                }
                search.reach(next, further, Some(edge.id()));
                if further == distance {
                    queue.push_front((next, further));
                } else {
                    queue.push_back((next, further));
                }
            }
        }
        None
    }

    /// The dependencies along a path that starts with one.
    pub(super) fn dependencies_along(&self, path: &[EdgeIndex]) -> Vec<Dependency> {
        let mut along: Vec<Dependency> = Vec::new();
        let mut hub: Option<&Hub> = None;
        for &edge in path {
            let link = self.graph[edge];
            match (link.tie, along.last_mut()) {
                (Some(tie), _) => {
                    let is_whole = link.to != NONE;
                    hub = (tie == Tie::Rw && !is_whole)
                        .then(|| &self.dependencies.hubs[link.reason as usize]);
                    along.push(self.dependency(tie, &link, hub));
                }
                (None, Some(last)) if link.to != NONE => {
                    last.to = link.to;
                    if let Some(hub) = hub {
                        last.after = Some(hub.writers[link.reason as usize].1);
                    }
                }
                (None, _) => {}
            }
        }
        along
    }

    fn dependency(&self, tie: Tie, link: &Link, hub: Option<&Hub>) -> Dependency {
        let Link { from, to, reason, .. } = *link;
        let plain = Dependency {
            from,
            to,
            tie,
            key: NONE,
            before: None,
            after: None,
            order: Order::Observed,
        };
        match (tie, hub) {
            (Tie::Process | Tie::RealTime, _) => plain,
            (_, Some(hub)) => {
                Dependency { key: hub.key, before: hub.before, order: hub.order, ..plain }
            }
            (_, None) => {
                let known = &self.dependencies.edges;
                let reason = reason as usize;
                *known.get(reason).unwrap_or_else(|| &self.forced[reason - known.len()])
            }
        }
    }
}

/// What path is sought.
#[derive(Clone, Copy)]
pub(super) struct Sought<'a> {
    pub(super) from: NodeIndex,
    pub(super) to: NodeIndex,
    pub(super) ties: Ties,
    pub(super) components: &'a Components,
    pub(super) longest: u32,
}

/// Memory of one search after the other, without clearing it in between.
#[derive(Default)]
pub(super) struct Search {
    /// For each node the search that reached it last, how far it was, and over which edge.
    reached: Vec<(u32, u32, Option<EdgeIndex>)>,
    number: u32,
    /// How many edges all searches looked at.
    pub(super) steps: u64,
}

impl Search {
    fn begin(&mut self, nodes: usize) {
        self.number += 1;
        self.reached.resize(nodes, (0, 0, None));
    }

    fn reach(&mut self, node: NodeIndex, distance: u32, over: Option<EdgeIndex>) {
        self.reached[node.index()] = (self.number, distance, over);
    }

    fn distance(&self, node: NodeIndex) -> Option<u32> {
        let (number, distance, _) = self.reached[node.index()];
        (number == self.number).then_some(distance)
    }

    fn path_to(&self, to: NodeIndex, graph: &DiGraph<(), Link>) -> Vec<EdgeIndex> {
        let mut path = Vec::new();
        let mut node = to;
        while let (_, _, Some(edge)) = self.reached[node.index()] {
            path.push(edge);
            let Some((source, _)) = graph.edge_endpoints(edge) else { break };
            node = source;
        }
        path.reverse();
        path
    }
}
