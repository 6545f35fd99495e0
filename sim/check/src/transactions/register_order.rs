//! In which order the versions of a register came, as far as that can be told.

use std::collections::BTreeMap;

use petgraph::algo::kosaraju_scc;
use petgraph::graphmap::DiGraphMap;

use super::dependencies::Order;
use super::history::Transactions;
use super::names::Map;
use super::options::Options;

/// Who wrote and read which version of a key. `None` stands for the initial version.
#[derive(Debug, Default)]
pub(super) struct KeyVersions {
    /// The number of the initial value, if it occurs in the history.
    pub(super) initial: Option<u32>,
    /// Each transaction with the last value it wrote.
    pub(super) writes: Vec<(u32, u32)>,
    /// Each reader with the version it met, and with which operation.
    pub(super) reads: Vec<(u32, Option<u32>, u32)>,
}

/// What is known of the order of a key's versions.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// For each version, some that come later.
    pub(super) later: BTreeMap<Option<u32>, Vec<(u32, Order)>>,
    /// Versions that would each have to come before the next, and the last before the first.
    pub(super) cycle: Option<Vec<(Option<u32>, Order)>>,
}

/// A transaction's dealings with the key: the versions it met, and when.
struct Dealing {
    txn: u32,
    versions: Vec<Option<u32>>,
}

impl KeyVersions {
    pub(super) fn new(initial: Option<u32>) -> Self {
        Self { initial, ..Self::default() }
    }

    /// The readers of each version.
    pub(super) fn readers(&self) -> Map<Option<u32>, Vec<u32>> {
        let mut readers: Map<Option<u32>, Vec<u32>> = Map::default();
        for &(txn, version, _) in &self.reads {
            readers.entry(version).or_default().push(txn);
        }
        readers
    }

    /// The order that the options allow to infer.
    pub(super) fn order(&self, history: &Transactions, options: &Options, key: u32) -> Known {
        let mut pairs: Vec<(Option<u32>, Option<u32>, Order)> = Vec::new();
        for &(_, value) in &self.writes {
            pairs.push((None, Some(value), Order::Initial));
        }
        let has_options =
            options.writes_follow_reads || options.sequential_keys || options.linearizable_keys;
        if has_options {
            let dealings = self.dealings();
            if options.writes_follow_reads {
                self.follow_reads(history, key, &mut pairs);
            }
            if options.sequential_keys {
                follow_processes(history, &dealings, &mut pairs);
            }
            if options.linearizable_keys {
                follow_time(history, dealings, &mut pairs);
            }
        }
        if !options.commit_order.is_empty() {
            self.follow_commits(options, &mut pairs);
        }
        pairs.retain(|(before, after, _)| before != after);
        pairs.sort_by_key(|&(before, after, _)| (before, after));
        pairs.dedup_by_key(|pair| (pair.0, pair.1));
        let mut known = Known::default();
        // The initial version alone, before all others, cannot close a cycle.
        if pairs.iter().any(|&(before, ..)| before.is_some()) {
            known.cycle = cycle(&pairs);
        }
        for (before, after, order) in pairs {
            let is_known = known.cycle.is_none() || order == Order::Initial;
            if let Some(after) = after.filter(|_| is_known) {
                known.later.entry(before).or_default().push((after, order));
            }
        }
        known
    }

    fn dealings(&self) -> Vec<Dealing> {
        let mut dealings: BTreeMap<u32, Vec<Option<u32>>> = BTreeMap::new();
        for &(txn, version, _) in &self.reads {
            dealings.entry(txn).or_default().push(version);
        }
        for &(txn, value) in &self.writes {
            dealings.entry(txn).or_default().push(Some(value));
        }
        dealings.into_iter().map(|(txn, versions)| Dealing { txn, versions }).collect()
    }

    fn follow_reads(
        &self,
        history: &Transactions,
        key: u32,
        pairs: &mut Vec<(Option<u32>, Option<u32>, Order)>,
    ) {
        let written: BTreeMap<u32, u32> = self.writes.iter().copied().collect();
        for &(txn, version, op) in &self.reads {
            if !history.is_overwritten(txn, op, key) {
                continue;
            }
            if let Some(&value) = written.get(&txn) {
                pairs.push((version, Some(value), Order::WritesFollowReads(txn)));
            }
        }
    }

    fn follow_commits(
        &self,
        options: &Options,
        pairs: &mut Vec<(Option<u32>, Option<u32>, Order)>,
    ) {
        let rank = |txn: u32| options.commit_order.get(&(txn as usize));
        let mut ranked: Vec<(u64, u32)> =
            self.writes.iter().filter_map(|&(txn, value)| Some((*rank(txn)?, value))).collect();
        ranked.sort_unstable();
        for pair in ranked.windows(2) {
            pairs.push((Some(pair[0].1), Some(pair[1].1), Order::Commits));
        }
    }
}

fn follow_processes(
    history: &Transactions,
    dealings: &[Dealing],
    pairs: &mut Vec<(Option<u32>, Option<u32>, Order)>,
) {
    let mut last: BTreeMap<u64, &Dealing> = BTreeMap::new();
    for dealing in dealings {
        let Some(process) = history.txn(dealing.txn).process else { continue };
        if let Some(before) = last.insert(process, dealing) {
            relate(before, dealing, Order::SequentialKey, pairs);
        }
    }
}

/// Relates each dealing with the latest ones that had ended before it began.
fn follow_time(
    history: &Transactions,
    dealings: Vec<Dealing>,
    pairs: &mut Vec<(Option<u32>, Option<u32>, Order)>,
) {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (at, dealing) in dealings.iter().enumerate() {
        let txn = history.txn(dealing.txn);
        events.extend(txn.invoked.map(|index| (index, false, at)));
        events.extend(txn.returned.map(|index| (index, true, at)));
    }
    events.sort_unstable();
    // The dealings that ended, without those that ended before another of them began.
    let mut frontier: Vec<(u64, usize)> = Vec::new();
    for (index, is_return, at) in events {
        if is_return {
            let invoked = history.txn(dealings[at].txn).invoked.unwrap_or(0);
            frontier.retain(|&(returned, _)| returned >= invoked);
            frontier.push((index, at));
        } else {
            for &(_, before) in &frontier {
                relate(&dealings[before], &dealings[at], Order::LinearizableKey, pairs);
            }
        }
    }
}

fn relate(
    before: &Dealing,
    after: &Dealing,
    order: Order,
    pairs: &mut Vec<(Option<u32>, Option<u32>, Order)>,
) {
    for &version in &before.versions {
        pairs.extend(after.versions.iter().map(|&later| (version, later, order)));
    }
}

/// Some versions of which each comes before the next, and the last before the first.
fn cycle(pairs: &[(Option<u32>, Option<u32>, Order)]) -> Option<Vec<(Option<u32>, Order)>> {
    let graph: DiGraphMap<Option<u32>, Order> = pairs.iter().copied().collect();
    let mut components = kosaraju_scc(&graph);
    components.retain(|component| component.len() > 1);
    let mut component = components.into_iter().min_by_key(Vec::len)?;
    component.sort_unstable();
    // Walk inside the component until a version comes again; what lies between is a cycle.
    let mut walk: Vec<(Option<u32>, Order)> = Vec::new();
    let mut version = component[0];
    loop {
        if let Some(start) = walk.iter().position(|&(met, _)| met == version) {
            return Some(walk.split_off(start));
        }
        let inside = |next: &Option<u32>| component.binary_search(next).is_ok();
        let next = graph.neighbors(version).find(inside)?;
        walk.push((version, *graph.edge_weight(version, next)?));
        version = next;
    }
}
