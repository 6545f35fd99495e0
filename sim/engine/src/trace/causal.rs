//! What could have influenced what: the events of a trace as a graph.
//!
//! An edge leads from an event to each that it made happen, and from each event of a node to the
//! next one of that node: the happened-before relation (Lamport, 1978).

use super::Trace;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, EdgeRef, Reversed};

/// Why an edge is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edge {
    /// One event made the other one happen.
    Cause,
    /// One came before the other one on the same node.
    Order,
}

/// The graph of a trace. The numbers are those of events.
pub struct Graph {
    first: u64,
    graph: DiGraph<(), Edge, u32>,
}

impl Graph {
    /// The graph of this trace.
    pub fn of(trace: &Trace) -> Graph {
        let first = trace.about.left_out;
        let many = trace.events.len();
        let mut graph = DiGraph::with_capacity(many, 2 * many);
        let mut last = vec![None; trace.about.nodes.len()];
        for event in &trace.events {
            let own = graph.add_node(());
            if let Some(cause) = event.cause.and_then(|cause| cause.checked_sub(first)) {
                graph.add_edge(NodeIndex::new(cause as usize), own, Edge::Cause);
            }
            let last = last.get_mut(usize::from(event.node));
            if let Some(before) = last.and_then(|last| last.replace(own)) {
                graph.add_edge(before, own, Edge::Order);
            }
        }
        Graph { first, graph }
    }

    fn place(&self, id: u64) -> Option<NodeIndex<u32>> {
        let at = usize::try_from(id.checked_sub(self.first)?).ok()?;
        (at < self.graph.node_count()).then(|| NodeIndex::new(at))
    }

    fn id(&self, place: NodeIndex<u32>) -> u64 {
        self.first + place.index() as u64
    }

    /// The cause of an event, if it is kept.
    pub fn cause(&self, id: u64) -> Option<u64> {
        let mut edges = self.graph.edges_directed(self.place(id)?, Direction::Incoming);
        let found = edges.find(|edge| *edge.weight() == Edge::Cause)?;
        Some(self.id(found.source()))
    }

    /// The events that made each other happen up to this one, which is the last of them.
    pub fn chain(&self, id: u64) -> Vec<u64> {
        let known = self.place(id).map(|_| id);
        let mut chain: Vec<u64> = std::iter::successors(known, |id| self.cause(*id)).collect();
        chain.reverse();
        chain
    }

    /// All events that could have influenced one of these, and these, in order: their causal past.
    pub fn past(&self, of: &[u64]) -> Vec<u64> {
        let reversed = Reversed(&self.graph);
        let mut search = Dfs::empty(reversed);
        let mut past = Vec::new();
        for place in of.iter().filter_map(|id| self.place(*id)) {
            search.move_to(place);
            while let Some(found) = search.next(reversed) {
                past.push(self.id(found));
            }
        }
        past.sort_unstable();
        past
    }

    /// What an event made happen by itself, in order.
    pub fn effects(&self, id: u64) -> Vec<u64> {
        let Some(place) = self.place(id) else { return Vec::new() };
        let edges = self.graph.edges_directed(place, Direction::Outgoing);
        let caused = edges.filter(|edge| *edge.weight() == Edge::Cause);
        let mut effects: Vec<u64> = caused.map(|edge| self.id(edge.target())).collect();
        effects.sort_unstable();
        effects
    }
}
