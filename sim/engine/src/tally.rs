//! The sums of many runs. None of them hangs on the order in which runs are added.

use crate::run::Outcome;
use crate::scenario::Scenario;
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
}

impl Tally {
    /// Takes in a run.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
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
    fn only_declared_situations_can_be_missed() {
        let scenario = Scenario::new("test/tally").sometimes("loss").sometimes("rare");
        assert_eq!(tally("loss", [1, 0, 1]).never_seen(&scenario), ["rare"]);
    }
}
