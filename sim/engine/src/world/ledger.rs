//! The tolerance ledger: which nodes are impaired, and whether one more may be.

use super::{State, World};
use crate::digest::Code;
use crate::table::Fault;

/// What is allowed to the nodes of each role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget(pub(crate) Vec<Allowance>);

/// What is allowed to the nodes of one role.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    /// How many may be impaired at once; `None` is any number.
    pub(crate) most: Option<usize>,
    /// Whether a node that says it is ready has repaired what its disk had forgotten.
    pub(crate) repairs: bool,
}

impl World {
    /// Asks whether a fault may strike these nodes now, all of them or none. A node that is
    /// impaired already may be struck again; others only as far as their role's budget allows.
    /// Counts the answer.
    pub(crate) fn admit(&mut self, nodes: &[u32], fault: Fault) -> bool {
        if self.healed || !self.may_impair(nodes) {
            self.faults[fault as usize].refused += 1;
            for node in nodes {
                self.note(*node, Code::FaultRefused, [fault as u64, 0]);
            }
            return false;
        }
        for node in nodes {
            self.nodes[*node as usize].impaired = true;
        }
        self.fired(fault);
        self.conditions_changed();
        true
    }

    fn may_impair(&self, nodes: &[u32]) -> bool {
        let whole = |node: &&u32| !self.nodes[**node as usize].impaired;
        nodes.iter().filter(whole).all(|node| {
            let role = self.nodes[*node as usize].id.role();
            let same = |other: &&u32| self.nodes[**other as usize].id.role() == role;
            let more = nodes.iter().filter(whole).filter(same).count();
            match self.budget.0.get(usize::from(role)) {
                None => false,
                Some(allowance) => {
                    allowance.most.is_none_or(|most| self.impaired(role) + more <= most)
                }
            }
        })
    }

    /// Whether the node has to come back in the end: its role serves, and may fail as a whole.
    pub(crate) fn is_needed(&self, node: u32) -> bool {
        let node = &self.nodes[node as usize];
        let allowed = self.budget.0.get(usize::from(node.id.role()));
        !node.client && allowed.is_some_and(|allowed| allowed.most.is_none())
    }

    /// How many nodes of a role are impaired.
    pub(crate) fn impaired(&self, role: u16) -> usize {
        self.nodes.iter().filter(|node| node.id.role() == role && node.impaired).count()
    }

    /// A node says that it is ready. If its role repairs what it finds damaged, it has.
    pub(crate) fn is_ready(&mut self, node: u32) {
        let role = usize::from(self.nodes[node as usize].id.role());
        let repairs = self.budget.0.get(role).is_some_and(|allowance| allowance.repairs);
        let ready = &mut self.nodes[node as usize];
        ready.ready = true;
        ready.settled_in = true;
        ready.owes_ready = false;
        // It cannot have repaired a disk that is not its own.
        if repairs && ready.swapped.is_none() {
            ready.repaired();
        }
        self.settle(node);
    }

    /// A node is whole again once nothing holds it, its disk has forgotten nothing, and it has said
    /// that it is ready: in this boot, and since the last error that its disk answered.
    pub(crate) fn settle(&mut self, node: u32) {
        let node = &mut self.nodes[node as usize];
        if node.state == State::Up && node.ready && node.is_free() {
            node.impaired = false;
        }
    }
}
