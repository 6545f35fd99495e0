//! What a scenario promises to survive: which faults, and how many nodes at once.

use crate::table::{Fault, FaultSet, Group, TABLE};

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
/// it is [ready](squall_env::Env::ready). Faults of the network and of clocks impair nobody. A
/// fault that would exceed the budget when it is to strike is refused and counted as refused; so
/// every red run is a real bug.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tolerance {
    faults: FaultSet,
    budgets: Vec<(String, Most)>,
}

impl Tolerance {
    /// Tolerates nothing but latency.
    pub fn nothing() -> Tolerance {
        Tolerance { faults: FaultSet::default().with(Fault::Latency), budgets: Vec::new() }
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

    fn group(mut self, group: Group) -> Tolerance {
        for row in TABLE.iter().filter(|row| row.group == group) {
            self.faults = self.faults.with(row.fault);
        }
        self
    }

    /// Tolerates everything that happens to messages and links.
    #[must_use]
    pub fn any_network(self) -> Tolerance {
        self.group(Group::Network)
    }

    /// Tolerates clocks that are off, drift and jump.
    #[must_use]
    pub fn any_clock(self) -> Tolerance {
        self.group(Group::Clock)
    }

    /// Tolerates crashes, also during recovery, and pauses.
    #[must_use]
    pub fn crashes(self) -> Tolerance {
        self.group(Group::Process)
    }

    /// Tolerates that a power loss takes what was not synced.
    #[must_use]
    pub fn lost_unsynced_writes(self) -> Tolerance {
        self.fault(Fault::LostWrites).fault(Fault::TornWrites).fault(Fault::LostEntries)
    }

    /// Tolerates disks that answer with errors or not at all.
    #[must_use]
    pub fn failing_disks(self) -> Tolerance {
        self.fault(Fault::Eio).fault(Fault::SyncFailure).fault(Fault::Stall)
    }

    /// Offers `buggify!` sites and knobs to be used.
    #[must_use]
    pub fn rare_paths(self) -> Tolerance {
        self.group(Group::Code)
    }

    /// The tolerated faults.
    pub fn faults(&self) -> FaultSet {
        self.faults
    }

    /// The roles of which nodes may be impaired.
    pub(crate) fn roles(&self) -> Vec<String> {
        self.budgets.iter().map(|(role, _)| role.clone()).collect()
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
