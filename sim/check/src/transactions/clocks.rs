//! Who comes before whom in a graph without cycles, answered at once.

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};

/// The place of a node that is in no chain. Nobody asks what it leads to.
const NOWHERE: (u32, u32) = (u32::MAX, u32::MAX);

/// Whether a node may follow another in a chain. Of a node and itself, whether it is in any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chaining {
    /// It should, if it can.
    First,
    /// It may, if nothing better is to be had.
    Possible,
    Never,
}

/// For each node, how much of each chain comes before it.
///
/// The nodes are cut into chains in which each leads to the next, as vector clocks cut the events
/// of a system into processes. A history of few sessions has few chains.
pub(super) struct Clocks {
    chains: usize,
    /// For each node its chain and its place in it.
    places: Vec<(u32, u32)>,
    /// For each node and chain, how many of the chain come before the node.
    counts: Vec<u32>,
}

impl Clocks {
    /// The clocks of a graph whose nodes are given in topological order; `None` if they would take
    /// more memory than this many numbers.
    pub(super) fn new<E>(
        graph: &DiGraph<(), E>,
        order: &[NodeIndex],
        links: impl Fn(NodeIndex, NodeIndex) -> Chaining,
        room: usize,
    ) -> Option<Self> {
        let nodes = graph.node_count();
        let mut places = vec![(0, 0); nodes];
        let mut ends: Vec<NodeIndex> = Vec::new();
        for &node in order {
            if links(node, node) == Chaining::Never {
                places[node.index()] = NOWHERE;
                continue;
            }
            let mut best: Option<u32> = None;
            for before in graph.neighbors_directed(node, Direction::Incoming) {
                let (chain, _) = places[before.index()];
                let is_end = ends.get(chain as usize) == Some(&before);
                match links(before, node) {
                    Chaining::First if is_end => {
                        best = Some(chain);
                        break;
                    }
                    Chaining::Possible if is_end => best = best.or(Some(chain)),
                    _ => {}
                }
            }
            places[node.index()] = match best {
                Some(chain) => {
                    let (_, last) = places[ends[chain as usize].index()];
                    ends[chain as usize] = node;
                    (chain, last + 1)
                }
                None => {
                    ends.push(node);
                    (ends.len() as u32 - 1, 0)
                }
            };
        }
        let chains = ends.len();
        if nodes.checked_mul(chains)? > room {
            return None;
        }
        let mut clocks = Self { chains, places, counts: vec![0; nodes * chains] };
        let mut row = vec![0; chains];
        for &node in order {
            row.fill(0);
            for before in graph.neighbors_directed(node, Direction::Incoming) {
                let start = before.index() * chains;
                let known = &clocks.counts[start..start + chains];
                for (count, &more) in row.iter_mut().zip(known) {
                    *count = (*count).max(more);
                }
                let (chain, place) = clocks.places[before.index()];
                if let Some(count) = row.get_mut(chain as usize) {
                    *count = (*count).max(place + 1);
                }
            }
            let start = node.index() * chains;
            clocks.counts[start..start + chains].copy_from_slice(&row);
        }
        Some(clocks)
    }

    /// Whether one node leads to another; not to itself.
    pub(super) fn leads(&self, from: NodeIndex, to: NodeIndex) -> bool {
        let (chain, place) = self.places[from.index()];
        self.before(to, chain) > place
    }

    /// How many nodes of a chain lead to this one.
    pub(super) fn before(&self, node: NodeIndex, chain: u32) -> u32 {
        self.counts[node.index() * self.chains + chain as usize]
    }

    /// The chain of a node and its place in it.
    pub(super) fn place(&self, node: NodeIndex) -> (u32, u32) {
        self.places[node.index()]
    }
}
