//! The sums of many runs. None of them hangs on the order in which runs are added.

use crate::run::Outcome;
use crate::scenario::{Each, Scenario};
use crate::table::{Fault, TABLE};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The sums of runs of one scenario.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tally {
    pub(crate) seeds: u64,
    pub(crate) events: u64,
    pub(crate) messages: u64,
    pub(crate) ok: u64,
    pub(crate) fail: u64,
    pub(crate) unknown: u64,
    pub(crate) sim_ns: u64,
    /// By fault name: how often it fired, how often it was refused, and how many plans had it.
    pub(crate) faults: BTreeMap<String, [u64; 3]>,
    /// By situation: how many seeds reached it.
    pub(crate) sometimes: BTreeMap<String, u64>,
    /// By situation and its values: how many seeds reached it so.
    pub(crate) combined: BTreeMap<String, BTreeMap<String, u64>>,
    /// By watermark: how high it came, and in which seed.
    pub(crate) watermarks: BTreeMap<String, Watermark>,
}

/// How high something came at most, and the first seed that brought it there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watermark {
    pub(crate) max: u64,
    pub(crate) seed: u64,
}

impl Watermark {
    fn or_higher(&mut self, other: Watermark) {
        let higher = |mark: &Watermark| (mark.max, std::cmp::Reverse(mark.seed));
        if higher(&other) > higher(self) {
            *self = other;
        }
    }
}

/// The values of a combination as one word.
pub(crate) fn values(values: &[&str]) -> String {
    values.join(", ")
}

impl Tally {
    /// Takes in a run.
    pub(crate) fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        self.messages += outcome.messages;
        self.ok += outcome.operations.ok;
        self.fail += outcome.operations.fail;
        self.unknown += outcome.operations.unknown;
        self.sim_ns += outcome.end_ns;
        for (row, counter) in TABLE.iter().zip(&outcome.faults) {
            let configured = u64::from(outcome.configured.has(row.fault));
            self.add_fault(row.name, [counter.fired, counter.refused, configured]);
        }
        for (name, _) in &outcome.sometimes {
            *self.sometimes.entry((*name).to_owned()).or_default() += 1;
        }
        for reached in &outcome.combined {
            let situation = self.combined.entry(reached.name.to_owned()).or_default();
            *situation.entry(values(&reached.values)).or_default() += 1;
        }
        for (name, max) in &outcome.watermarks {
            self.add_watermark(name, Watermark { max: *max, seed });
        }
    }

    /// Takes in the sums of other runs.
    #[cfg(any(feature = "cli", test))]
    pub(crate) fn merge(&mut self, other: &Tally) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.messages += other.messages;
        self.ok += other.ok;
        self.fail += other.fail;
        self.unknown += other.unknown;
        self.sim_ns += other.sim_ns;
        for (name, counts) in &other.faults {
            self.add_fault(name, *counts);
        }
        for (name, seeds) in &other.sometimes {
            *self.sometimes.entry(name.clone()).or_default() += seeds;
        }
        for (name, reached) in &other.combined {
            let situation = self.combined.entry(name.clone()).or_default();
            for (values, seeds) in reached {
                *situation.entry(values.clone()).or_default() += seeds;
            }
        }
        for (name, mark) in &other.watermarks {
            self.add_watermark(name, *mark);
        }
    }

    fn add_watermark(&mut self, name: &str, mark: Watermark) {
        match self.watermarks.get_mut(name) {
            Some(known) => known.or_higher(mark),
            None => {
                self.watermarks.insert(name.to_owned(), mark);
            }
        }
    }

    fn add_fault(&mut self, name: &str, counts: [u64; 3]) {
        if counts == [0; 3] {
            return;
        }
        let sums = self.faults.entry(name.to_owned()).or_default();
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
    }

    /// Faults that some plan had and that fired in no run. Latency is not among them: every plan
    /// has it, and a system that sends nothing meets none.
    pub(crate) fn never_fired(&self) -> Vec<&'static str> {
        let never = |row: &&crate::table::Row| {
            let [fired, _, plans] = self.faults.get(row.name).copied().unwrap_or_default();
            row.fault != Fault::Latency && plans > 0 && fired == 0
        };
        TABLE.iter().filter(never).map(|row| row.name).collect()
    }

    /// Why a fault never fired, and what to do if that is as it should be.
    pub(crate) fn why_never(&self, fault: &str) -> String {
        let [_, refused, _] = self.faults.get(fault).copied().unwrap_or_default();
        let why = match refused {
            0 => "it found nothing to hit".to_owned(),
            _ => format!("the ledger refused it {refused} times"),
        };
        format!("{why}; if that is right, Tolerance::but_not takes it out")
    }

    /// The scenario's situations that no run reached.
    pub(crate) fn never_seen(&self, scenario: &Scenario) -> Vec<&'static str> {
        let never = |name: &&&'static str| !self.sometimes.contains_key(**name);
        scenario.sometimes.iter().filter(never).copied().collect()
    }

    /// How many seeds reached each combination of a situation.
    pub(crate) fn seen(&self, each: &Each) -> Vec<(Vec<&'static str>, u64)> {
        let reached = self.combined.get(each.name);
        let all = each.combinations().into_iter();
        all.map(|combination| {
            let seeds = reached.and_then(|reached| reached.get(&values(&combination)));
            (combination, seeds.copied().unwrap_or_default())
        })
        .collect()
    }

    /// The combinations of the scenario's situations that no run reached, in words.
    pub(crate) fn never_combined(&self, scenario: &Scenario) -> Vec<String> {
        let of = |each: &Each| {
            let unseen = self.seen(each).into_iter().filter(|(_, seeds)| *seeds == 0);
            let (name, facets) = (each.name, each.facets.clone());
            unseen.map(move |(values, _)| {
                let pairs = facets.iter().zip(values);
                let pairs: Vec<_> =
                    pairs.map(|(facet, value)| format!("{facet}: {value}")).collect();
                format!("{name:?} with {}", pairs.join(", "))
            })
        };
        scenario.each.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(name: &str, counts: [u64; 3]) -> Tally {
        let faults = [(name.to_owned(), counts)].into();
        let sometimes = [(name.to_owned(), 1)].into();
        Tally { seeds: 1, events: 5, faults, sometimes, ..Tally::default() }
    }

    #[test]
    fn sums_do_not_hang_on_their_order() {
        let parts = [tally("loss", [1, 0, 1]), tally("crash", [0, 2, 1]), tally("loss", [3, 0, 1])];
        let (mut one, mut other) = (Tally::default(), Tally::default());
        parts.iter().for_each(|part| one.merge(part));
        parts.iter().rev().for_each(|part| other.merge(part));
        assert_eq!(one, other);
        assert_eq!((one.seeds, one.events, one.faults["loss"]), (3, 15, [4, 0, 2]));
        assert_eq!(one.never_fired(), ["crash"]);
        assert!(one.why_never("crash").starts_with("the ledger refused it 2 times"));
        assert!(one.why_never("pause").starts_with("it found nothing to hit"));
    }

    #[test]
    fn the_higher_watermark_stays_with_the_first_seed_that_came_so_high() {
        let of = |seed, max| {
            let watermarks = [("gap".to_owned(), Watermark { max, seed })].into();
            Tally { watermarks, ..Tally::default() }
        };
        let parts = [of(4, 9), of(7, 17), of(5, 17), of(6, 3)];
        let (mut one, mut other) = (Tally::default(), Tally::default());
        parts.iter().for_each(|part| one.merge(part));
        parts.iter().rev().for_each(|part| other.merge(part));
        assert_eq!(one.watermarks, other.watermarks);
        assert_eq!(one.watermarks["gap"], Watermark { max: 17, seed: 5 });
    }

    #[test]
    fn combinations_that_nobody_declared_are_not_missed() {
        let scenario =
            Scenario::new("test/tally").sometimes_each::<(bool, bool)>("a day", ["wet", "cold"]);
        let reached = |values: &str| [(values.to_owned(), 2)].into();
        let mut tally = Tally::default();
        tally.combined.insert("a day".to_owned(), reached("yes, no"));
        tally.combined.insert("another".to_owned(), reached("no, no"));
        let mut both = tally.clone();
        both.merge(&tally);
        assert_eq!(both.seen(&scenario.each[0])[2], (vec!["yes", "no"], 4));
        let unseen = both.never_combined(&scenario);
        assert_eq!(unseen.len(), 3);
        assert_eq!(unseen[0], "\"a day\" with wet: no, cold: no");
    }

    #[test]
    fn only_declared_situations_can_be_missed() {
        let scenario = Scenario::new("test/tally").sometimes("loss").sometimes("rare");
        assert_eq!(tally("loss", [1, 0, 1]).never_seen(&scenario), ["rare"]);
    }
}
