//! The table of faults: everything that can go wrong in the world, by name.

use serde::{Deserialize, Serialize};

macro_rules! faults {
    ($($group:ident {
        $($variant:ident, $name:literal, $range:literal, $what:literal;)*
    })*) => {
        /// A kind of fault. Its name is what plans, counters and the command line use.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum Fault {
            $($(
                #[doc = $what]
                #[serde(rename = $name)]
                $variant,
            )*)*
        }

        /// Every fault there is.
        pub const TABLE: &[Row] = &[
            $($(Row {
                fault: Fault::$variant,
                name: $name,
                group: Group::$group,
                range: $range,
                what: $what,
            },)*)*
        ];
    };
}

faults! {
    Network {
        Latency, "latency",
            "0.05 ms..50 ms, uniform, exponential or with a tail; slow links up to 0.5 s more",
            "Messages take their time, drawn for each.";
        Loss, "loss", "0.1 %..30 % of messages", "A message is lost.";
        Duplication, "duplication", "0.1 %..30 % of messages", "A message arrives twice.";
        Reordering, "reordering", "0.1 %..30 % of messages, by up to 0.5 s",
            "A message is overtaken by later ones.";
        Corruption, "corruption", "0.1 %..10 % of messages, 1..8 bits",
            "Bits of a message are flipped.";
        QueueOverflow, "queue-overflow", "sockets hold 1..64 messages",
            "A message that finds its socket full is dropped.";
        Bandwidth, "bandwidth", "10 kB/s..10 MB/s for each link and direction",
            "Messages of one link wait for each other.";
        Partition, "partition", "1 ms..half of the run",
            "Two groups of nodes cannot reach each other.";
        OneWay, "partition-one-way", "1 ms..half of the run",
            "One group of nodes cannot reach another, which can reach it.";
        IsolateOne, "isolate-one", "1 ms..half of the run",
            "One node reaches nobody and nobody reaches it.";
        IsolateLeader, "isolate-leader", "1 ms..half of the run",
            "The node that leads at that time reaches nobody and nobody reaches it.";
        MajoritiesRing, "majorities-ring", "1 ms..half of the run",
            "Every node hears a majority, and no two nodes the same.";
        Bridge, "bridge", "1 ms..half of the run",
            "Two groups of nodes are connected by one node alone.";
        ClogLink, "clog-link", "1 ms..half of the run",
            "What one node sends to another arrives only when the clog is over.";
        ClogNode, "clog-node", "1 ms..half of the run",
            "What a node sends and what is sent to it arrives only when the clog is over.";
        SwizzleClog, "swizzle-clog", "1 ms..half of the run",
            "Nodes are clogged one after the other, and freed in another order.";
    }
    Stream {
        StreamReset, "stream-reset", "0.01 %..2 % of segments",
            "A connection breaks in the middle, and both ends learn of it.";
        HalfOpen, "half-open", "0.01 %..1 % of segments",
            "A connection carries nothing any more, and nobody is told.";
        ConnectRefused, "connect-refused", "0.1 %..30 % of connects",
            "An attempt to connect is refused.";
        ConnectHang, "connect-hang", "0.1 %..10 % of connects, for 1 s..20 s",
            "An attempt to connect gets no answer for long.";
        ConnectReset, "connect-reset", "0.1 %..30 % of connects",
            "A connection breaks as soon as it stands.";
        BackPressure, "back-pressure", "windows and buffers of 1 byte..64 KiB",
            "A write has to wait until the reader has made room.";
        StreamShortIo, "stream-short-io", "1 %..50 % of reads and writes",
            "A read gives or a write takes less than it could.";
    }
    Process {
        Crash, "crash", "down for 1 ms..half of the run, one in ten for good",
            "A node stops at once, is down for a while, and starts anew from its disk.";
        CrashInRecovery, "crash-in-recovery", "at one of its first 24 I/O steps",
            "A node crashes again while it recovers.";
        CrashLoop, "crash-loop", "2..8 crashes in 1 ms..half of the run",
            "A node crashes, comes back for a while, and crashes again, several times.";
        GracefulStop, "graceful-stop", "1 ms..1 s of grace, down for up to half of the run",
            "A node is asked to stop, is stopped after a while, and starts anew.";
        Pause, "pause", "1 ms..half of the run",
            "A node stands still while its clocks run on.";
        Suspend, "suspend", "1 ms..half of the run",
            "A node stands still, and its monotonic clock too.";
        SlowNode, "slow-node", "up to 200 ms more for everything, 1 ms..half of the run",
            "What happens to a node takes longer: messages, timers, disk.";
        Wipe, "wipe", "down for 1 ms..half of the run",
            "A node stops and starts anew with an empty disk.";
        SwappedDisks, "swapped-disks", "1 ms..half of the run",
            "Two nodes stop and start anew, each with the disk of the other.";
    }
    Disk {
        LostWrites, "lost-writes", "at every power loss",
            "What was written and not synced is kept in part: of every sector any version.";
        TornWrites, "torn-writes", "half of the sectors that differ",
            "A sector that was written and not synced is kept in part.";
        Garbage, "garbage", "a quarter of the sectors that differ",
            "A sector that was written and not synced holds garbage after a power loss.";
        LengthWithoutData, "length-without-data", "at every power loss",
            "A file that grew keeps its new length without the data.";
        LostEntries, "lost-entries", "at every power loss",
            "Names made, changed or removed are kept in part until their directory is synced.";
        Eio, "eio", "0.01 %..2 % of operations", "A read or write fails; a write perhaps in part.";
        SyncFailure, "sync-failure", "0.01 %..2 % of syncs",
            "A sync fails, and what it should have written then counts as clean.";
        LyingSync, "lying-sync", "1 ms..half of the run",
            "Syncs answer well and have not written anything yet.";
        ShortIo, "short-io", "0.1 %..30 % of reads", "A read gives fewer bytes than there are.";
        DiskFull, "disk-full", "1 ms..half of the run",
            "Files cannot be made and cannot grow.";
        Stall, "stall", "1 ms..half of the run", "No disk operation of a node completes.";
        SlowDisk, "slow-disk", "2..200 times as long, 5 s at most, 1 ms..half of the run",
            "The disk operations of a node take longer.";
        BitRot, "bit-rot", "1..8 bits of one sector", "Bits of what is on a disk flip.";
        MisdirectedWrite, "misdirected-write", "one write",
            "A write goes to another place of the disk than it should.";
        OldDisk, "old-disk", "a copy that is 1 ms..half of the run old",
            "A node stops and starts anew with an old copy of its disk.";
    }
    Clock {
        ClockRate, "clock-rate", "up to 2 %",
            "A node's monotonic clock, and its timers with it, run too fast or too slow.";
        LateTimers, "late-timers", "0.1 %..30 % of timers, by up to 0.5 s",
            "A timer fires late.";
        WallOffset, "wall-offset", "up to a day", "Wall clocks are wrong from the beginning.";
        WallDrift, "wall-drift", "up to 5 %", "A node's wall clock runs too fast or too slow.";
        WallForward, "wall-forward", "up to 300 s", "A node's wall clock jumps forward.";
        WallBack, "wall-back", "up to 300 s", "A node's wall clock jumps back.";
        WallStrobe, "wall-strobe", "by up to 300 s every 1 ms..1 s, 1 ms..half of the run",
            "A node's wall clock jumps to and fro.";
    }
    Code {
        Buggify, "buggify", "25 % of sites, 25 % of passes",
            "The code does a rare but allowed thing where it offers to.";
        Knobs, "knobs", "half of the knobs, anywhere in their range",
            "A tuning constant has another value than its default.";
    }
}

/// What a fault hits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Messages and links.
    Network,
    /// Connections that carry bytes.
    Stream,
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

/// What a strike takes of a tolerance's budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Impairs {
    /// Nothing: no node is impaired.
    Nobody,
    /// The node, until the fault is over and the node has said that it is ready.
    Node,
    /// The node, and unless its role repairs its disk, for ever.
    Disk,
}

impl Row {
    /// What a strike takes of the budget.
    pub fn impairs(&self) -> Impairs {
        match self.fault {
            Fault::Wipe
            | Fault::SwappedDisks
            | Fault::BitRot
            | Fault::MisdirectedWrite
            | Fault::OldDisk => Impairs::Disk,
            Fault::Eio
            | Fault::SyncFailure
            | Fault::LyingSync
            | Fault::DiskFull
            | Fault::Stall
            | Fault::SlowDisk => Impairs::Node,
            _ if self.group == Group::Process => Impairs::Node,
            // What a power loss does is part of the crash, which has asked.
            _ => Impairs::Nobody,
        }
    }

    /// What holds in a run without the fault.
    pub fn default(&self) -> &'static str {
        match self.fault {
            Fault::Latency => "it is in every run",
            Fault::QueueOverflow => "sockets hold 16384 messages",
            Fault::Bandwidth => "links carry any amount",
            Fault::BackPressure => "windows and buffers of 64 KiB",
            Fault::LostWrites => "a power loss takes nothing that was written",
            Fault::LostEntries => "a power loss takes no names",
            Fault::Knobs => "the defaults in the code",
            _ => "off",
        }
    }
}

impl Group {
    /// All groups, in the order of the table.
    pub const ALL: [Group; 6] =
        [Group::Network, Group::Stream, Group::Process, Group::Disk, Group::Clock, Group::Code];

    /// The name of the preset that switches on the group's faults alone.
    pub fn preset(self) -> &'static str {
        match self {
            Group::Network => "network",
            Group::Stream => "streams",
            Group::Process => "process",
            Group::Disk => "storage",
            Group::Clock => "clocks",
            Group::Code => "code",
        }
    }
}

/// The faults of a preset: `calm` has none, `everything` all, and each group has one of its own.
pub fn preset(name: &str) -> Option<FaultSet> {
    match name {
        "calm" => Some(FaultSet::default()),
        "everything" => Some(FaultSet::ALL),
        _ => Group::ALL.iter().find(|group| group.preset() == name).map(|g| FaultSet::of(*g)),
    }
}

/// The names of the presets.
pub fn presets() -> Vec<&'static str> {
    let groups = Group::ALL.iter().map(|group| group.preset());
    ["calm"].into_iter().chain(groups).chain(["everything"]).collect()
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
pub struct FaultSet(u64);

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

    /// The faults of one group.
    pub fn of(group: Group) -> FaultSet {
        let rows = TABLE.iter().filter(|row| row.group == group);
        rows.fold(FaultSet::default(), |set, row| set.with(row.fault))
    }

    /// The faults that are in one of the two.
    #[must_use]
    pub const fn or(self, other: FaultSet) -> FaultSet {
        FaultSet(self.0 | other.0)
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
