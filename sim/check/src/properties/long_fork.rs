//! Long forks: two readers that see two writes in opposite orders.

use std::collections::BTreeMap;
use std::fmt;

use super::{SHOWN, Status};
use crate::history::{History, Outcome};

/// How many forks are reported at most.
const FORKS_MAX: usize = 1000;

/// Two reads of the same keys, each of which shows a write that the other misses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork<K> {
    /// The events that began the reads.
    pub reads: (u64, u64),
    /// The processes that read.
    pub processes: (u64, u64),
    /// A key that only the first read shows as written.
    pub first: K,
    /// A key that only the second does.
    pub second: K,
}

/// The forks of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongForkReport<K> {
    /// How many reads of several keys there were.
    pub reads: usize,
    /// The forks, between reads that show different states, but not more than a thousand.
    pub forks: Vec<Fork<K>>,
    /// A key that was read with two different values, though each is written once.
    pub rewritten: Option<K>,
}

/// A read that shows which keys of its group were written.
struct Sight {
    written: Vec<bool>,
    process: u64,
    invoked: u64,
}

/// Whether reads of the same group of keys agree on the order of writes.
///
/// `read` tells what an operation that took effect read: each key with its value, or `None` if it
/// was not written yet. Each key is written once. Parallel snapshot isolation allows long forks;
/// snapshot isolation does not.
pub fn long_fork<I, O, K: Ord + Clone, V: Ord + Clone>(
    history: &History<I, O>,
    read: impl Fn(&I, &O) -> Option<BTreeMap<K, Option<V>>>,
) -> LongForkReport<K> {
    let mut report = LongForkReport { reads: 0, forks: Vec::new(), rewritten: None };
    let mut values: BTreeMap<K, V> = BTreeMap::new();
    let mut groups: BTreeMap<Vec<K>, BTreeMap<Vec<bool>, Sight>> = BTreeMap::new();
    for operation in history.operations() {
        let Outcome::Ok(output) = &operation.outcome else { continue };
        let Some(seen) = read(&operation.input, output) else { continue };
        report.reads += 1;
        let mut written = Vec::with_capacity(seen.len());
        let mut keys = Vec::with_capacity(seen.len());
        for (key, value) in seen {
            written.push(value.is_some());
            if let Some(value) = value {
                let known = values.entry(key.clone()).or_insert_with(|| value.clone());
                if *known != value {
                    report.rewritten.get_or_insert_with(|| key.clone());
                }
            }
            keys.push(key);
        }
        let (process, invoked) = (operation.process, operation.invoked.index);
        let sight = Sight { written: written.clone(), process, invoked };
        groups.entry(keys).or_default().entry(written).or_insert(sight);
    }
    for (keys, sights) in groups {
        find(&keys, sights.into_values().collect(), &mut report.forks);
    }
    report
}

/// Finds the states of a group that do not contain each other.
fn find<K: Clone>(keys: &[K], mut sights: Vec<Sight>, forks: &mut Vec<Fork<K>>) {
    let count = |sight: &Sight| sight.written.iter().filter(|&&written| written).count();
    sights.sort_by_key(count);
    let only = |one: &Sight, other: &Sight| {
        (0..keys.len()).find(|&key| one.written[key] && !other.written[key])
    };
    // If each state is in the next one, it is in all that follow.
    if sights.windows(2).all(|pair| only(&pair[0], &pair[1]).is_none()) {
        return;
    }
    for (at, one) in sights.iter().enumerate() {
        for other in &sights[at + 1..] {
            let (Some(first), Some(second)) = (only(one, other), only(other, one)) else {
                continue;
            };
            if forks.len() == FORKS_MAX {
                return;
            }
            forks.push(Fork {
                reads: (one.invoked, other.invoked),
                processes: (one.process, other.process),
                first: keys[first].clone(),
                second: keys[second].clone(),
            });
        }
    }
}

impl<K> LongForkReport<K> {
    /// Violated if there is a fork; undecided if a key was written twice.
    pub fn status(&self) -> Status {
        if !self.forks.is_empty() {
            Status::Violated
        } else if self.rewritten.is_some() {
            Status::Undecided("a key was read with two different values".to_owned())
        } else {
            Status::Holds
        }
    }
}

impl<K: fmt::Debug> fmt::Display for LongForkReport<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.forks.is_empty() {
            return match &self.rewritten {
                Some(key) => write!(f, "{key:?} was read with two different values"),
                None => write!(f, "all {} reads agree on the order of writes", self.reads),
            };
        }
        write!(f, "{} long forks among {} reads", self.forks.len(), self.reads)?;
        for fork in self.forks.iter().take(SHOWN) {
            let Fork { reads: (one, other), processes: (reader, second_reader), first, second } =
                fork;
            write!(
                f,
                "\n  process {reader} saw {first:?} written and {second:?} not (event {one}), and \
                 process {second_reader} saw {second:?} written and {first:?} not (event {other})"
            )?;
        }
        Ok(())
    }
}
