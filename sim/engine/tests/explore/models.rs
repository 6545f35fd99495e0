//! Plain models: the explorer against the simplest thing that could do its work, at random.

use proptest::prelude::*;
use squall::explore::{
    Bag, Ended, Explored, Limits, Model, Property, breadth_first, depth_first, walk,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A graph of few nodes.
#[derive(Clone, Debug)]
struct Graph {
    initial: Vec<u8>,
    /// The node behind each edge, by node.
    edges: Vec<Vec<u8>>,
    bad: BTreeSet<u8>,
    good: BTreeSet<u8>,
    /// Not to be entered.
    outside: BTreeSet<u8>,
}

impl Model for Graph {
    type State = u8;
    type Action = u8;

    fn initial(&self) -> Vec<u8> {
        self.initial.clone()
    }

    fn actions(&self, at: &u8, actions: &mut Vec<u8>) {
        actions.extend(&self.edges[usize::from(*at)]);
    }

    fn step(&self, at: &mut u8, to: &u8) -> bool {
        *at = *to;
        // An edge to node 0 is one that cannot be taken after all.
        *to != 0
    }

    fn within(&self, at: &u8) -> bool {
        !self.outside.contains(at)
    }

    fn properties(&self) -> Vec<Property<Graph>> {
        let mut properties = vec![Property::always("not bad", |graph: &Graph, at: &u8| {
            if graph.bad.contains(at) { Err(format!("{at} is bad")) } else { Ok(()) }
        })];
        if !self.good.is_empty() {
            properties.push(Property::sometimes("good", |graph: &Graph, at: &u8| {
                graph.good.contains(at)
            }));
            properties.push(Property::eventually("good at last", |graph: &Graph, at: &u8| {
                graph.good.contains(at)
            }));
        }
        properties
    }
}

fn graphs() -> impl Strategy<Value = Graph> {
    let node = 0..12u8;
    let some = |most: usize| prop::collection::btree_set(node.clone(), 0..=most);
    let edges = prop::collection::vec(prop::collection::vec(node.clone(), 0..4), 12);
    let initial = prop::collection::vec(node.clone(), 1..3);
    (initial, edges, some(2), some(4), some(2)).prop_map(|(initial, edges, bad, good, outside)| {
        Graph { initial, edges, bad, good, outside }
    })
}

/// What a graph's explorer must find, by sets of whole states.
struct Naive {
    /// How many steps it takes to each node.
    depths: BTreeMap<u8, u64>,
    transitions: u64,
    outside: u64,
}

fn naive(graph: &Graph) -> Naive {
    let (mut depths, mut queue) = (BTreeMap::new(), VecDeque::new());
    let (mut transitions, mut outside) = (0, 0);
    for at in &graph.initial {
        if graph.outside.contains(at) {
            outside += 1;
        } else if depths.insert(*at, 0).is_none() {
            queue.push_back(*at);
        }
    }
    while let Some(at) = queue.pop_front() {
        for to in graph.edges[usize::from(at)].iter().filter(|to| **to != 0) {
            if graph.outside.contains(to) {
                outside += 1;
                continue;
            }
            transitions += 1;
            if !depths.contains_key(to) {
                depths.insert(*to, depths[&at] + 1);
                queue.push_back(*to);
            }
        }
    }
    Naive { depths, transitions, outside }
}

/// Whether every way from every initial node comes to a good one: the least set of nodes that are
/// good, or that something happens in and that cannot be left but into the set.
fn always_comes_to_good(graph: &Graph) -> bool {
    let mut sure = graph.good.clone();
    loop {
        let before = sure.len();
        for at in 0..12u8 {
            let edges = &graph.edges[usize::from(at)];
            let mut leave = edges.iter().filter(|to| **to != 0 && **to != at).peekable();
            if leave.peek().is_some() && leave.all(|to| sure.contains(to)) {
                sure.insert(at);
            }
        }
        if sure.len() == before {
            return graph.initial.iter().all(|at| sure.contains(at));
        }
    }
}

/// The nodes of a counterexample.
fn nodes(graph: &Graph, path: &[u32]) -> Vec<u8> {
    (1..=path.len()).map(|upto| walk(graph, &path[..upto]).expect("it can be walked").1).collect()
}

fn counts(explored: &Explored) -> (u64, u64, u64) {
    (explored.states, explored.transitions, explored.outside)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 2_000, ..Default::default()
    })]

    #[test]
    fn every_state_is_visited_once(graph in graphs()) {
        let graph = Graph { bad: BTreeSet::new(), good: BTreeSet::new(), ..graph };
        let naive = naive(&graph);
        let all = (naive.depths.len() as u64, naive.transitions, naive.outside);
        let breadth = breadth_first(&graph, &Limits::default());
        prop_assert_eq!(counts(&breadth), all);
        prop_assert_eq!(breadth.depth, naive.depths.values().copied().max().unwrap_or(0));
        prop_assert!(breadth.is_clean());
        let depth = depth_first(&graph, &Limits::default());
        prop_assert_eq!(counts(&depth), all);
        prop_assert!(depth.is_clean());
    }

    #[test]
    fn a_counterexample_is_real_and_none_is_shorter(graph in graphs()) {
        let graph = Graph { good: BTreeSet::new(), ..graph };
        let depths = naive(&graph).depths;
        let nearest = graph.bad.iter().filter_map(|at| depths.get(at)).min();
        let breadth = breadth_first(&graph, &Limits::default());
        let depth = depth_first(&graph, &Limits::default());
        prop_assert_eq!(breadth.is_broken(), nearest.is_some());
        prop_assert_eq!(depth.is_broken(), nearest.is_some());
        let Some(nearest) = nearest else { return Ok(()) };
        prop_assert_eq!(breadth.depth, *nearest);
        for (explored, shortest) in [(breadth, true), (depth, false)] {
            let broken = explored.broken.expect("something is broken");
            prop_assert!(!shortest || broken.steps.len() as u64 == *nearest);
            let way = nodes(&graph, &broken.path);
            prop_assert!(graph.bad.contains(way.last().expect("it has a beginning")));
            prop_assert!(way.iter().all(|at| !graph.outside.contains(at)));
        }
    }

    #[test]
    fn what_is_never_reached_is_told(graph in graphs()) {
        let graph = Graph { bad: BTreeSet::new(), ..graph };
        prop_assume!(!graph.good.is_empty());
        let depths = naive(&graph).depths;
        let reached = graph.good.iter().any(|at| depths.contains_key(at));
        let explored = breadth_first(&graph, &Limits::default());
        prop_assert_eq!(explored.unreached.contains(&"good".to_owned()), !reached);
    }

    #[test]
    fn a_way_that_never_comes_to_good_is_found(graph in graphs()) {
        let graph = Graph { bad: BTreeSet::new(), outside: BTreeSet::new(), ..graph };
        prop_assume!(!graph.good.is_empty());
        let explored = breadth_first(&graph, &Limits::default());
        prop_assert_eq!(explored.broken.is_none(), always_comes_to_good(&graph));
        let Some(broken) = explored.broken else { return Ok(()) };
        let way = nodes(&graph, &broken.path);
        prop_assert!(way.iter().all(|at| !graph.good.contains(at)));
        let (last, before) = way.split_last().expect("it has a beginning");
        let goes_round = before.contains(last);
        let ends = graph.edges[usize::from(*last)].iter().all(|to| *to == 0 || to == last);
        prop_assert!(goes_round || ends);
    }

    #[test]
    fn a_limit_never_ends_an_exploration_silently(graph in graphs(), states in 1..14u64) {
        let graph = Graph { bad: BTreeSet::new(), good: BTreeSet::new(), ..graph };
        let all = naive(&graph).depths.len() as u64;
        let limits = Limits { states, ..Limits::default() };
        for explored in [breadth_first(&graph, &limits), depth_first(&graph, &limits)] {
            let complete = explored.ended == Ended::Complete;
            prop_assert_eq!(complete, all <= states);
            prop_assert!(complete || explored.ended == Ended::States);
            prop_assert_eq!(explored.states, all.min(states));
        }
    }
}

/// Counts up for ever, in two counters.
struct Counters {
    alike: bool,
}

impl Model for Counters {
    type State = [u32; 2];
    type Action = usize;

    fn initial(&self) -> Vec<[u32; 2]> {
        vec![[0, 0]]
    }

    fn actions(&self, _: &[u32; 2], actions: &mut Vec<usize>) {
        actions.extend([0, 1]);
    }

    fn step(&self, counters: &mut [u32; 2], which: &usize) -> bool {
        counters[*which] += 1;
        true
    }

    fn representative(&self, counters: &[u32; 2]) -> Option<[u32; 2]> {
        let [one, other] = *counters;
        self.alike.then_some([one.min(other), one.max(other)])
    }

    fn properties(&self) -> Vec<Property<Counters>> {
        vec![Property::sometimes("one counts to a hundred", |_, counters: &[u32; 2]| {
            counters.contains(&100)
        })]
    }
}

#[test]
fn depth_and_memory_have_limits_that_are_told() {
    let limits = Limits { depth: 9, ..Limits::default() };
    for explore in [breadth_first::<Counters>, depth_first::<Counters>] {
        let shallow = explore(&Counters { alike: false }, &limits);
        assert_eq!((shallow.states, shallow.ended), (55, Ended::Depth));
        assert!(!shallow.is_clean() && !shallow.is_broken());
        assert_eq!(shallow.unreached, ["one counts to a hundred"]);
        assert!(shallow.lines().concat().contains("not complete, the limit of depth"));
    }
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    for explore in [breadth_first::<Counters>, depth_first::<Counters>] {
        let small = explore(&Counters { alike: false }, &limits);
        assert_eq!(small.ended, Ended::Memory);
        assert!(small.states > 10_000 && small.bytes <= 1 << 20, "{small:?}");
        assert!(small.unreached.is_empty());
    }
}

#[test]
fn states_that_stand_for_each_other_are_visited_once() {
    let limits = Limits { depth: 9, ..Limits::default() };
    let explored = breadth_first(&Counters { alike: true }, &limits);
    // Of 0 to 9 the pairs with these sums, whichever is the greater.
    let pairs = (0..=9u64).map(|sum| sum / 2 + 1).sum::<u64>();
    assert_eq!(explored.states, pairs);
}

/// A state with more actions than sixteen bits count.
struct Wide;

impl Model for Wide {
    type State = Bag<u32>;
    type Action = u32;

    fn initial(&self) -> Vec<Bag<u32>> {
        vec![Bag::default()]
    }

    fn actions(&self, bag: &Bag<u32>, actions: &mut Vec<u32>) {
        if bag.is_empty() {
            actions.extend(0..70_000);
        }
    }

    fn step(&self, bag: &mut Bag<u32>, one: &u32) -> bool {
        bag.insert(*one);
        true
    }

    fn properties(&self) -> Vec<Property<Wide>> {
        vec![Property::always("not the last", |_, bag: &Bag<u32>| {
            if bag.iter().any(|one| *one == 69_999) { Err("it is".to_owned()) } else { Ok(()) }
        })]
    }
}

#[test]
fn ways_remember_the_largest_choices() {
    let explored = breadth_first(&Wide, &Limits::default());
    let broken = explored.broken.expect("the last is there");
    assert_eq!((broken.path, broken.steps), (vec![0, 69_999], vec!["69999".to_owned()]));
}
