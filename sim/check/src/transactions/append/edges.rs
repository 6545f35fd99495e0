//! What the reads of lists say about which transaction came before which.

use super::super::dependencies::{Dependency, Hub, Open, Order, Seen, Tie, Version, final_writes};
use super::Analysis;

impl Analysis<'_> {
    pub(super) fn relate_writes(&mut self) {
        let history = self.history;
        for key in 0..self.keys.len() as u32 {
            let versions = std::mem::take(&mut self.keys[key as usize].versions);
            let mut writers = versions
                .iter()
                .filter_map(|&value| history.writer(key, value).map(|writer| (writer.txn, value)));
            let mut before = writers.next();
            for (to, after) in writers {
                if let Some((from, version)) = before {
                    let (before, after) = (Some(version), Some(after));
                    let (tie, order) = (Tie::Ww, Order::Observed);
                    self.found.add(Dependency { from, to, tie, key, before, after, order });
                }
                before = Some((to, after));
            }
            self.keys[key as usize].versions = versions;
        }
        self.relate_unobserved();
    }

    /// What no read shows came after what the longest read shows, in an order nobody knows.
    fn relate_unobserved(&mut self) {
        let history = self.history;
        let mut hidden: Vec<Vec<(u32, u32)>> = vec![Vec::new(); self.keys.len()];
        for txn in (0..history.len() as u32).filter(|&txn| self.found.is_present(txn)) {
            for (key, value) in final_writes(history, txn) {
                if !self.places.contains_key(&(key, value)) {
                    hidden[key as usize].push((txn, value));
                }
            }
        }
        let readers = self.last_readers();
        for ((key, hidden), readers) in (0..).zip(hidden).zip(readers) {
            let last = self.keys[key as usize].versions.last().copied();
            if let Some(from) = last.and_then(|last| history.writer(key, last)) {
                for &(to, after) in &hidden {
                    let (tie, order, after) = (Tie::Ww, Order::Unobserved, Some(after));
                    let from = from.txn;
                    self.found.add(Dependency { from, to, tie, key, before: last, after, order });
                }
            }
            let version =
                |&(writer, value): &(u32, u32)| Version { value, writer, readers: Vec::new() };
            if hidden.len() > 1 {
                let versions = hidden.iter().map(version).collect();
                self.found.open.push(Open { key, versions });
            }
            let (before, writers, order) = (last, hidden, Order::Unobserved);
            self.found.add_hub(Hub { key, before, readers, writers, order });
        }
    }

    /// For each key, who read the last version that any read shows.
    fn last_readers(&self) -> Vec<Vec<u32>> {
        let mut readers = vec![Vec::new(); self.keys.len()];
        for read in self.reads.iter().filter(|read| !read.is_internal) {
            let (first, end) = self.keys[read.key as usize].longest;
            // A read of another list of the same length says nothing about this order.
            if self.history.list(read.first, read.end) == self.history.list(first, end) {
                readers[read.key as usize].push(read.txn);
            }
        }
        readers
    }

    pub(super) fn relate_reads(&mut self) {
        let history = self.history;
        for read in std::mem::take(&mut self.reads) {
            let key = read.key;
            let reader = read.txn;
            let seen = history.list(read.first, read.end);
            let has_effect = |&&value: &&u32| {
                let writer = history.writer(key, value);
                writer.is_some_and(|writer| self.found.is_present(writer.txn))
            };
            let last = seen.iter().rev().find(has_effect).copied();
            let writer = last.and_then(|last| history.writer(key, last)).map(|one| one.txn);
            if let Some(from) = writer {
                let (tie, order) = (Tie::Wr, Order::Observed);
                let (before, after) = (last, last);
                self.found.add(Dependency { from, to: reader, tie, key, before, after, order });
            }
            if read.is_internal {
                continue;
            }
            if writer != Some(reader) {
                self.found.seen.push(Seen { reader, key, writer });
            }
            let order = &self.keys[key as usize];
            if !history.list(order.longest.0, order.longest.1).starts_with(seen) {
                continue;
            }
            let next = last.map_or(0, |last| self.places[&(key, last)] as usize + 1);
            let Some(&after) = order.versions.get(next) else { continue };
            if let Some(to) = history.writer(key, after) {
                let (tie, order) = (Tie::Rw, Order::Observed);
                let (from, to, after) = (reader, to.txn, Some(after));
                self.found.add(Dependency { from, to, tie, key, before: last, after, order });
            }
        }
    }
}
