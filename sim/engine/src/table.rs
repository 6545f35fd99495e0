//! The table of faults: everything that can go wrong in the world, by name.

use serde::{Deserialize, Serialize};

macro_rules! faults {
    ($($variant:ident, $name:literal, $group:ident, $range:literal, $what:literal;)*) => {
        /// A kind of fault. Its name is what plans, counters and the command line use.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum Fault {
            $(
                #[doc = $what]
                #[serde(rename = $name)]
                $variant,
            )*
        }

        /// Every fault there is.
        pub const TABLE: &[Row] = &[
            $(Row {
                fault: Fault::$variant,
                name: $name,
                group: Group::$group,
                range: $range,
                what: $what,
            },)*
        ];
    };
}

faults! {
    Latency, "latency", Network,
        "0.05 ms..50 ms, uniform, exponential or with a tail; slow links up to 0.5 s more",
        "Messages take their time, drawn for each.";
    Loss, "loss", Network, "0.1 %..30 % of messages", "A message is lost.";
    Duplication, "duplication", Network, "0.1 %..30 % of messages", "A message arrives twice.";
    Reordering, "reordering", Network, "0.1 %..30 % of messages, by up to 0.5 s",
        "A message is overtaken by later ones.";
    Corruption, "corruption", Network, "0.1 %..10 % of messages, 1..8 bits",
        "Bits of a message are flipped.";
    Partition, "partition", Network, "1 ms..half of the run",
        "Two groups of nodes cannot reach each other.";
    OneWay, "partition-one-way", Network, "1 ms..half of the run",
        "One group of nodes cannot reach another, which can reach it.";
    IsolateOne, "isolate-one", Network, "1 ms..half of the run",
        "One node reaches nobody and nobody reaches it.";
    Crash, "crash", Process, "down for 1 ms..half of the run, one in ten for good",
        "A node stops at once, is down for a while, and starts anew from its disk.";
    CrashInRecovery, "crash-in-recovery", Process, "at one of its first 24 I/O steps",
        "A node crashes again while it recovers.";
    Pause, "pause", Process, "1 ms..half of the run",
        "A node stands still while its clocks run on.";
    LostWrites, "lost-writes", Disk, "at every power loss",
        "What was written and not synced is kept in part: any sectors, and any length.";
    TornWrites, "torn-writes", Disk, "half of the sectors that differ",
        "A sector that was written and not synced is kept in part.";
    LostEntries, "lost-entries", Disk, "at every power loss",
        "Names made, changed or removed are kept in part until their directory is synced.";
    Eio, "eio", Disk,
        "0.01 %..2 % of operations",
        "A read or write fails; a write perhaps in part.";
    SyncFailure, "sync-failure", Disk, "0.01 %..2 % of syncs",
        "A sync fails, and what it should have written then counts as clean.";
    Stall, "stall", Disk, "1 ms..half of the run", "No disk operation of a node completes.";
    WallStep, "wall-step", Clock, "up to 300 s, forward or back", "A node's wall clock jumps.";
    WallDrift, "wall-drift", Clock, "up to 5 %", "A node's wall clock runs too fast or too slow.";
    ClockRate, "clock-rate", Clock, "up to 2 %",
        "A node's monotonic clock, and its timers with it, run too fast or too slow.";
    Buggify, "buggify", Code, "25 % of sites, 25 % of passes",
        "The code does a rare but allowed thing where it offers to.";
    Knobs, "knobs", Code, "half of the knobs, anywhere in their range",
        "A tuning constant has another value than its default.";
}

/// What a fault hits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Messages and links.
    Network,
    /// Whole nodes.
    Process,
    /// Files.
    Disk,
    /// Clocks.
    Clock,
    /// The code under test itself.
    Code,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which fault.
    pub fault: Fault,
    /// Its name.
    pub name: &'static str,
    /// What it hits.
    pub group: Group,
    /// How strong it is drawn.
    pub range: &'static str,
    /// What it does, as a sentence.
    pub what: &'static str,
}

impl Fault {
    /// How many faults there are.
    pub const COUNT: usize = TABLE.len();

    /// The fault's row.
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The fault's name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The fault with this name.
    pub fn find(name: &str) -> Option<Fault> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.fault)
    }
}

/// A set of faults.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FaultSet(u32);

impl FaultSet {
    /// Every fault.
    pub const ALL: FaultSet = FaultSet((1 << Fault::COUNT) - 1);

    /// The set with this fault too.
    #[must_use]
    pub const fn with(self, fault: Fault) -> FaultSet {
        FaultSet(self.0 | 1 << fault as u8)
    }

    /// The set without this fault.
    #[must_use]
    pub const fn without(self, fault: Fault) -> FaultSet {
        FaultSet(self.0 & !(1 << fault as u8))
    }

    /// Whether the fault is in the set.
    pub const fn has(self, fault: Fault) -> bool {
        self.0 & 1 << fault as u8 != 0
    }

    /// The faults that are in both.
    #[must_use]
    pub const fn and(self, other: FaultSet) -> FaultSet {
        FaultSet(self.0 & other.0)
    }

    /// The faults of the set in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        TABLE.iter().map(|row| row.fault).filter(move |fault| self.has(*fault))
    }
}

/// How often each fault struck, and how often it was refused because the nodes that were impaired
/// already are all that the scenario tolerates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counter {
    /// Strikes.
    pub fired: u64,
    /// Refusals.
    pub refused: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_stands_in_its_own_row_under_its_own_name() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.fault as usize, at);
            assert_eq!(Fault::find(row.name), Some(row.fault));
            assert_eq!(serde_json::to_string(&row.fault).unwrap(), format!("{:?}", row.name));
        }
        assert_eq!(FaultSet::ALL.iter().count(), Fault::COUNT);
    }
}
