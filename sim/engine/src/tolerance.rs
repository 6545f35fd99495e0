//! What a scenario promises to survive: which faults, and how many nodes at once.

use crate::table::{Fault, FaultSet, Group};

/// How many nodes of a role may be impaired at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Most {
    /// Fewer than half.
    Minority,
    /// So many.
    Nodes(u16),
    /// All of them.
    Any,
}

/// The faults that a scenario takes, and its budget of impaired nodes.
///
/// A node is impaired from the moment a fault strikes it until it is up, moving, and has said that
/// it is [ready](squall_env::Env::ready). One whose disk has forgotten or mistaken something stays
/// impaired, unless its role repairs that. Faults of the network and of clocks impair nobody. A
/// fault that would exceed the budget when it is to strike is refused and counted as refused; so
/// every red run is a real bug.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tolerance {
    faults: FaultSet,
    budgets: Vec<(String, Most)>,
    repairs: Vec<String>,
}

impl Tolerance {
    /// Tolerates nothing but latency.
    pub fn nothing() -> Tolerance {
        Tolerance { faults: FaultSet::default().with(Fault::Latency), ..Tolerance::default() }
    }

    /// Tolerates faults in fewer than half of the nodes of a role at once, such as are added.
    pub fn minority_impaired(role: &str) -> Tolerance {
        Tolerance::nothing().impaired(role, Most::Minority)
    }

    /// Lets so many nodes of a role be impaired at once.
    #[must_use]
    pub fn impaired(mut self, role: &str, most: Most) -> Tolerance {
        self.budgets.push((role.to_owned(), most));
        self
    }

    /// Tolerates this fault.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Tolerance {
        self.faults = self.faults.with(fault);
        self
    }

    /// Does not tolerate this fault.
    #[must_use]
    pub fn but_not(mut self, fault: Fault) -> Tolerance {
        self.faults = self.faults.without(fault);
        self
    }

    /// Tolerates these faults.
    #[must_use]
    pub fn faults_of(mut self, faults: FaultSet) -> Tolerance {
        self.faults = self.faults.or(faults);
        self
    }

    /// Tolerates everything that happens to datagrams and links.
    #[must_use]
    pub fn any_network(self) -> Tolerance {
        self.faults_of(FaultSet::of(Group::Network))
    }

    /// Tolerates everything that happens to connections. What happens to the links below them is
    /// asked for apart: of the network's faults, a stream meets latency, loss and partitions.
    #[must_use]
    pub fn any_stream(self) -> Tolerance {
        self.faults_of(FaultSet::of(Group::Stream))
    }

    /// Tolerates clocks that are off, drift and jump, and late timers.
    #[must_use]
    pub fn any_clock(self) -> Tolerance {
        self.faults_of(FaultSet::of(Group::Clock))
    }

    /// Tolerates nodes that crash, also again and again and during recovery, stop, stand still and
    /// are slow. Their disks keep what was synced.
    #[must_use]
    pub fn crashes(self) -> Tolerance {
        self.fault(Fault::Crash)
            .fault(Fault::CrashInRecovery)
            .fault(Fault::CrashLoop)
            .fault(Fault::GracefulStop)
            .fault(Fault::Pause)
            .fault(Fault::Suspend)
            .fault(Fault::SlowNode)
    }

    /// Tolerates that a power loss takes what was not synced, and leaves anything in its place.
    #[must_use]
    pub fn lost_unsynced_writes(self) -> Tolerance {
        self.fault(Fault::LostWrites)
            .fault(Fault::TornWrites)
            .fault(Fault::Garbage)
            .fault(Fault::LengthWithoutData)
            .fault(Fault::LostEntries)
    }

    /// Tolerates disks that answer with errors, too little, late or not at all.
    #[must_use]
    pub fn failing_disks(self) -> Tolerance {
        self.fault(Fault::Eio)
            .fault(Fault::SyncFailure)
            .fault(Fault::ShortIo)
            .fault(Fault::DiskFull)
            .fault(Fault::Stall)
            .fault(Fault::SlowDisk)
    }

    /// Tolerates nodes that start with the disk of another node.
    #[must_use]
    pub fn swapped_disks(self) -> Tolerance {
        self.fault(Fault::SwappedDisks)
    }

    /// Tolerates disks that forget what was synced: empty ones, old copies, and syncs that lie.
    #[must_use]
    pub fn forgetful_disks(self) -> Tolerance {
        self.fault(Fault::Wipe).fault(Fault::OldDisk).fault(Fault::LyingSync)
    }

    /// Tolerates disks that hold other than what was written: rotten bits and stray writes.
    #[must_use]
    pub fn corrupt_disks(self) -> Tolerance {
        self.fault(Fault::BitRot).fault(Fault::MisdirectedWrite)
    }

    /// A node of this role that says it is [ready](squall_env::Env::ready) has repaired what its
    /// disk had forgotten or mistaken. Without this such a node stays impaired for ever.
    #[must_use]
    pub fn repairs_disks(mut self, role: &str) -> Tolerance {
        self.repairs.push(role.to_owned());
        self
    }

    /// Offers `buggify!` sites and knobs to be used.
    #[must_use]
    pub fn rare_paths(self) -> Tolerance {
        self.faults_of(FaultSet::of(Group::Code))
    }

    /// The tolerated faults.
    pub fn faults(&self) -> FaultSet {
        self.faults
    }

    /// The roles of which nodes may be impaired.
    pub(crate) fn roles(&self) -> Vec<String> {
        self.budgets.iter().map(|(role, _)| role.clone()).collect()
    }

    /// Whether nodes of a role repair their disks.
    pub(crate) fn repairs(&self, role: &str) -> bool {
        self.repairs.iter().any(|name| name == role)
    }

    /// How many nodes of a role of this size may be impaired at once.
    pub(crate) fn budget(&self, role: &str, nodes: u16) -> Option<usize> {
        match self.budgets.iter().find(|(name, _)| name == role) {
            None => Some(0),
            Some((_, Most::Any)) => None,
            Some((_, Most::Minority)) => Some(usize::from(nodes.saturating_sub(1) / 2)),
            Some((_, Most::Nodes(most))) => Some(usize::from(*most)),
        }
    }
}
