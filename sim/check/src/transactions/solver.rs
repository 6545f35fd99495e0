//! Chooses between edges so that a graph has no cycle, or proves that no choice does.
//!
//! Conflict-driven search as in satisfiability solvers, where a conflict is a cycle: the edges of
//! a cycle that were chosen may never be chosen together again. Cycles are found as edges come, by
//! the topological order of Pearce and Kelly, "A dynamic topological sort algorithm for directed
//! acyclic graphs" (2006). Deciding histories by such a search is after Tan et al., "Cobra: making
//! transactional key-value stores verifiably serializable" (2020).

use std::collections::BTreeSet;
use std::time::Instant;

/// A choice with its answer: twice the number of the choice, plus one for its second answer.
type Literal = u32;

/// The literal of edges that are there whatever is chosen.
const ALWAYS: Literal = u32::MAX;

/// The edges that come with an answer.
pub(super) type Edges = Vec<(u32, u32)>;

/// What the search found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Solved {
    /// Some choice leaves no cycle.
    Possible,
    /// None does; the nodes of the cycles that show it.
    Impossible(BTreeSet<u32>),
    /// The limits came first.
    Undecided,
}

pub(super) struct Solver {
    order: Topology,
    /// The edges of the first and the second answer of each choice.
    choices: Vec<[Edges; 2]>,
    values: Vec<Option<bool>>,
    levels: Vec<u32>,
    reasons: Vec<Option<u32>>,
    clauses: Vec<Vec<Literal>>,
    /// For each literal the clauses that watch it.
    watches: Vec<Vec<u32>>,
    trail: Vec<Literal>,
    /// How many edges were in the graph before each literal of the trail.
    marks: Vec<usize>,
    /// How much of the trail is in the graph.
    head: usize,
    /// The length of the trail before each decision.
    decisions: Vec<usize>,
    /// Open choices, those of recent conflicts first.
    queue: BTreeSet<(u64, u32)>,
    ranks: Vec<u64>,
    next_rank: u64,
    met: BTreeSet<u32>,
}

impl Solver {
    /// A graph whose nodes are given in a topological order of these edges.
    pub(super) fn new(order: &[u32], edges: impl Iterator<Item = (u32, u32)>) -> Self {
        Self {
            order: Topology::new(order, edges),
            choices: Vec::new(),
            values: Vec::new(),
            levels: Vec::new(),
            reasons: Vec::new(),
            clauses: Vec::new(),
            watches: Vec::new(),
            trail: Vec::new(),
            marks: Vec::new(),
            head: 0,
            decisions: Vec::new(),
            queue: BTreeSet::new(),
            ranks: Vec::new(),
            next_rank: u64::MAX / 2,
            met: BTreeSet::new(),
        }
    }

    /// Adds a choice between two sets of edges.
    pub(super) fn add(&mut self, first: Edges, second: Edges) {
        let choice = self.choices.len() as u32;
        self.choices.push([first, second]);
        self.values.push(None);
        self.levels.push(0);
        self.reasons.push(None);
        self.watches.extend([Vec::new(), Vec::new()]);
        let rank = u64::MAX / 2 + u64::from(choice);
        self.ranks.push(rank);
        self.queue.insert((rank, choice));
    }

    /// How many nodes, edges and literals were looked at.
    pub(super) fn steps(&self) -> u64 {
        self.order.steps
    }

    /// Searches, looking at no more than this many nodes, edges and literals.
    pub(super) fn solve(&mut self, steps: u64, room: usize, deadline: Option<Instant>) -> Solved {
        let mut stored = 0;
        let mut turn = 0_u32;
        loop {
            let conflict = self.propagate();
            turn = turn.wrapping_add(1);
            let is_late =
                turn.is_multiple_of(64) && deadline.is_some_and(|end| Instant::now() > end);
            if self.order.steps > steps || stored > room || is_late {
                return Solved::Undecided;
            }
            if let Some(conflict) = conflict {
                let highest = conflict.iter().map(|&one| self.levels[one as usize / 2]).max();
                if highest.unwrap_or(0) == 0 {
                    return Solved::Impossible(std::mem::take(&mut self.met));
                }
                stored += self.learn(conflict);
                continue;
            }
            let Some(&(_, choice)) = self.queue.first() else { return Solved::Possible };
            self.decisions.push(self.trail.len());
            let literal = self.lean(choice);
            self.assign(literal, None);
        }
    }

    /// The answer that the present order of the graph already agrees with, if one does.
    fn lean(&self, choice: u32) -> Literal {
        let [first, second] = &self.choices[choice as usize];
        let against = |edges: &Edges| {
            edges.iter().filter(|&&(from, to)| !self.order.is_before(from, to)).count()
        };
        2 * choice + u32::from(against(second) < against(first))
    }

    fn assign(&mut self, literal: Literal, reason: Option<u32>) {
        let choice = literal as usize / 2;
        self.values[choice] = Some(literal.is_multiple_of(2));
        self.levels[choice] = self.decisions.len() as u32;
        self.reasons[choice] = reason;
        self.queue.remove(&(self.ranks[choice], choice as u32));
        self.trail.push(literal);
    }

    fn is_true(&self, literal: Literal) -> Option<bool> {
        self.values[literal as usize / 2].map(|value| value == literal.is_multiple_of(2))
    }

    /// Follows from what is chosen; a conflict is literals that cannot all be false.
    fn propagate(&mut self) -> Option<Vec<Literal>> {
        while self.head < self.trail.len() {
            let literal = self.trail[self.head];
            self.head += 1;
            self.marks.push(self.order.inserted.len());
            let edges =
                std::mem::take(&mut self.choices[literal as usize / 2][literal as usize % 2]);
            let cycle = edges.iter().find_map(|&(from, to)| self.order.insert(from, to, literal));
            self.choices[literal as usize / 2][literal as usize % 2] = edges;
            if let Some(cycle) = cycle {
                self.met.extend(cycle.nodes);
                let mut conflict: Vec<Literal> = cycle.literals.iter().map(|one| one ^ 1).collect();
                conflict.sort_unstable();
                conflict.dedup();
                return Some(conflict);
            }
            if let Some(conflict) = self.propagate_clauses(literal ^ 1) {
                return Some(conflict);
            }
        }
        None
    }

    /// Looks at the clauses that watch a literal which became false.
    fn propagate_clauses(&mut self, literal: Literal) -> Option<Vec<Literal>> {
        let mut watching = std::mem::take(&mut self.watches[literal as usize]);
        let mut conflict = None;
        let mut at = 0;
        while at < watching.len() && conflict.is_none() {
            let number = watching[at] as usize;
            self.order.steps += 1;
            if self.clauses[number][0] == literal {
                self.clauses[number].swap(0, 1);
            }
            let first = self.clauses[number][0];
            if self.is_true(first) == Some(true) {
                at += 1;
                continue;
            }
            let others = 2..self.clauses[number].len();
            let free = others
                .into_iter()
                .find(|&other| self.is_true(self.clauses[number][other]) != Some(false));
            if let Some(free) = free {
                self.clauses[number].swap(1, free);
                let watched = self.clauses[number][1];
                self.watches[watched as usize].push(number as u32);
                watching.swap_remove(at);
                continue;
            }
            at += 1;
            if self.is_true(first) == Some(false) {
                conflict = Some(self.clauses[number].clone());
            } else {
                self.assign(first, Some(number as u32));
            }
        }
        self.watches[literal as usize].append(&mut watching);
        conflict
    }

    /// Goes back to where the conflict would have decided something, and decides it; returns how
    /// much was stored.
    fn learn(&mut self, conflict: Vec<Literal>) -> usize {
        let level = |solver: &Self, literal: Literal| solver.levels[literal as usize / 2];
        let highest = conflict.iter().map(|&one| level(self, one)).max().unwrap_or(0);
        self.back_to(highest);
        let mut learnt: Vec<Literal> = Vec::new();
        let mut is_met: BTreeSet<u32> = BTreeSet::new();
        let mut pending = 0;
        let mut clause = conflict;
        let mut at = self.trail.len();
        let asserted = loop {
            for literal in std::mem::take(&mut clause) {
                let choice = literal / 2;
                if level(self, literal) == 0 || !is_met.insert(choice) {
                    continue;
                }
                self.bump(choice);
                if level(self, literal) == highest {
                    pending += 1;
                } else {
                    learnt.push(literal);
                }
            }
            loop {
                at -= 1;
                if is_met.contains(&(self.trail[at] / 2)) {
                    break;
                }
            }
            let literal = self.trail[at];
            pending -= 1;
            if pending == 0 {
                break literal ^ 1;
            }
            if let Some(reason) = self.reasons[literal as usize / 2] {
                clause = self.clauses[reason as usize].clone();
                clause.retain(|&one| one != literal);
            }
        };
        learnt.sort_by_key(|&one| std::cmp::Reverse(level(self, one)));
        let target = learnt.first().map_or(0, |&one| level(self, one));
        self.back_to(target);
        learnt.insert(0, asserted);
        let stored = learnt.len();
        if stored == 1 {
            self.assign(asserted, None);
        } else {
            let number = self.clauses.len() as u32;
            self.watches[learnt[0] as usize].push(number);
            self.watches[learnt[1] as usize].push(number);
            self.clauses.push(learnt);
            self.assign(asserted, Some(number));
        }
        stored
    }

    /// Moves a choice to the front of the queue, or to where it will be once it is open again.
    fn bump(&mut self, choice: u32) {
        self.next_rank -= 1;
        let old = std::mem::replace(&mut self.ranks[choice as usize], self.next_rank);
        if self.queue.remove(&(old, choice)) {
            self.queue.insert((self.next_rank, choice));
        }
    }

    /// Takes back every decision above a level.
    fn back_to(&mut self, level: u32) {
        let Some(&length) = self.decisions.get(level as usize) else { return };
        self.decisions.truncate(level as usize);
        for literal in self.trail.split_off(length) {
            let choice = literal / 2;
            self.values[choice as usize] = None;
            self.queue.insert((self.ranks[choice as usize], choice));
        }
        if self.head > length {
            self.order.remove_from(self.marks[length]);
            self.marks.truncate(length);
            self.head = length;
        }
    }
}

/// A cycle: its nodes, and the literals that brought its edges.
struct Cycle {
    nodes: Vec<u32>,
    literals: Vec<Literal>,
}

/// A graph that keeps a topological order while edges come.
struct Topology {
    places: Vec<u32>,
    out: Vec<Vec<(u32, Literal)>>,
    into: Vec<Vec<(u32, Literal)>>,
    inserted: Vec<(u32, u32)>,
    /// The last walk that met each node, and the edge it came by.
    met: Vec<(u32, u32, Literal)>,
    walk: u32,
    steps: u64,
}

impl Topology {
    fn new(order: &[u32], edges: impl Iterator<Item = (u32, u32)>) -> Self {
        let nodes = order.len();
        let mut places = vec![0; nodes];
        for (place, &node) in (0..).zip(order) {
            places[node as usize] = place;
        }
        let (mut out, mut into) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
        for (from, to) in edges {
            out[from as usize].push((to, ALWAYS));
            into[to as usize].push((from, ALWAYS));
        }
        let met = vec![(0, 0, ALWAYS); nodes];
        Self { places, out, into, inserted: Vec::new(), met, walk: 0, steps: 0 }
    }

    fn is_before(&self, one: u32, other: u32) -> bool {
        self.places[one as usize] < self.places[other as usize]
    }

    /// Adds an edge, unless it closes a cycle.
    fn insert(&mut self, from: u32, to: u32, literal: Literal) -> Option<Cycle> {
        self.steps += 1;
        if !self.is_before(from, to)
            && let Some(cycle) = self.reorder(from, to, literal)
        {
            return Some(cycle);
        }
        self.out[from as usize].push((to, literal));
        self.into[to as usize].push((from, literal));
        self.inserted.push((from, to));
        None
    }

    /// Takes out all edges but the first that were inserted.
    fn remove_from(&mut self, count: usize) {
        for (from, to) in self.inserted.split_off(count).into_iter().rev() {
            self.out[from as usize].pop();
            self.into[to as usize].pop();
        }
    }

    /// Moves what `to` leads to behind what leads to `from`.
    fn reorder(&mut self, from: u32, to: u32, literal: Literal) -> Option<Cycle> {
        let (lowest, highest) = (self.places[to as usize], self.places[from as usize]);
        let ahead = self.reach(to, |topology| &topology.out, |place| place <= highest);
        if from == to || self.met[from as usize].0 == self.walk {
            return Some(self.cycle(from, to, literal));
        }
        let behind = self.reach(from, |topology| &topology.into, |place| place >= lowest);
        let mut nodes = behind;
        nodes.sort_by_key(|&node| self.places[node as usize]);
        let mut later = ahead;
        later.sort_by_key(|&node| self.places[node as usize]);
        nodes.append(&mut later);
        let mut free: Vec<u32> = nodes.iter().map(|&node| self.places[node as usize]).collect();
        free.sort_unstable();
        for (node, place) in nodes.into_iter().zip(free) {
            self.places[node as usize] = place;
        }
        None
    }

    /// The nodes that can be reached by edges of one direction through allowed places.
    fn reach(
        &mut self,
        start: u32,
        edges: impl Fn(&Self) -> &Vec<Vec<(u32, Literal)>>,
        is_allowed: impl Fn(u32) -> bool,
    ) -> Vec<u32> {
        self.walk += 1;
        self.met[start as usize] = (self.walk, start, ALWAYS);
        let mut nodes = vec![start];
        let mut at = 0;
        while at < nodes.len() {
            let node = nodes[at];
            at += 1;
            for next in 0..edges(self)[node as usize].len() {
                let (next, literal) = edges(self)[node as usize][next];
                self.steps += 1;
                let is_new = self.met[next as usize].0 != self.walk;
                if is_new && is_allowed(self.places[next as usize]) {
                    self.met[next as usize] = (self.walk, node, literal);
                    nodes.push(next);
                }
            }
        }
        nodes
    }

    /// The cycle that an edge closes, whose target the last walk started from.
    fn cycle(&self, from: u32, to: u32, literal: Literal) -> Cycle {
        let (mut nodes, mut literals) = (vec![from], vec![literal]);
        let mut node = from;
        while node != to {
            let (_, before, literal) = self.met[node as usize];
            literals.push(literal);
            nodes.push(before);
            node = before;
        }
        literals.retain(|&literal| literal != ALWAYS);
        Cycle { nodes, literals }
    }
}

#[cfg(test)]
mod tests {
    use super::{Edges, Solved, Solver};
    use proptest::prelude::*;

    const NODES: u32 = 7;

    /// Whether edges leave a graph without a cycle: nodes that nothing leads to are taken away.
    fn is_acyclic(edges: &[(u32, u32)]) -> bool {
        let mut left: Vec<u32> = (0..NODES).collect();
        loop {
            let before = left.len();
            let is_led_to = |node: u32, left: &[u32]| {
                edges.iter().any(|&(from, to)| to == node && left.contains(&from))
            };
            let kept = left.iter().copied().filter(|&node| is_led_to(node, &left)).collect();
            left = kept;
            if left.len() == before {
                return left.is_empty();
            }
        }
    }

    fn is_possible(known: &[(u32, u32)], choices: &[[Edges; 2]]) -> bool {
        let Some(([first, second], rest)) = choices.split_first() else { return is_acyclic(known) };
        [first, second].into_iter().any(|edges| is_possible(&[known, edges].concat(), rest))
    }

    fn edges(most: usize) -> impl Strategy<Value = Edges> {
        proptest::collection::vec((0..NODES, 0..NODES), 1..most)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn a_choice_is_found_exactly_if_there_is_one(
            // The known edges follow the numbers of the nodes, so those are an order of them.
            known in edges(6),
            choices in proptest::collection::vec((edges(4), edges(4)), 0..9),
        ) {
            let known: Edges = known.into_iter().filter(|(from, to)| from < to).collect();
            let choices: Vec<[Edges; 2]> =
                choices.into_iter().map(|(first, second)| [first, second]).collect();
            let order: Vec<u32> = (0..NODES).collect();
            let mut solver = Solver::new(&order, known.iter().copied());
            for [first, second] in choices.clone() {
                solver.add(first, second);
            }
            let solved = solver.solve(u64::MAX, usize::MAX, None);
            if is_possible(&known, &choices) {
                prop_assert_eq!(solved, Solved::Possible);
            } else {
                prop_assert!(matches!(solved, Solved::Impossible(_)), "{:?}", solved);
            }
        }
    }

    #[test]
    fn a_search_ends_at_its_limits() {
        let order: Vec<u32> = (0..NODES).collect();
        let mut solver = Solver::new(&order, std::iter::empty());
        for node in 1..NODES {
            solver.add(vec![(node - 1, node)], vec![(node, node - 1)]);
        }
        assert_eq!(solver.solve(2, usize::MAX, None), Solved::Undecided);
        let over = std::time::Instant::now();
        let mut solver = Solver::new(&order, std::iter::empty());
        (0..100).for_each(|_| solver.add(vec![(0, 1)], vec![(0, 1)]));
        assert_eq!(solver.solve(u64::MAX, usize::MAX, Some(over)), Solved::Undecided);
    }
}
