//! The tolerance ledger: which nodes are impaired, and whether one more may be.

use super::{State, World};
use crate::digest::Code;
use crate::table::Fault;

/// How many nodes of each role may be impaired at once; `None` is any number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget(pub(crate) Vec<Option<usize>>);

impl World {
    /// Asks whether a fault may strike a node now. A node that is impaired already may be struck
    /// again; one more only if its role's budget allows. Counts the answer.
    pub(crate) fn admit(&mut self, node: u32, fault: Fault) -> bool {
        if self.healed || !self.may_impair(node) {
            self.faults[fault as usize].refused += 1;
            self.note(node, Code::FaultRefused, [fault as u64, 0]);
            return false;
        }
        self.nodes[node as usize].impaired = true;
        self.fired(fault);
        true
    }

    fn may_impair(&self, node: u32) -> bool {
        let struck = &self.nodes[node as usize];
        if struck.impaired {
            return true;
        }
        let role = struck.id.role();
        let Some(Some(most)) = self.budget.0.get(usize::from(role)) else {
            return self.budget.0.get(usize::from(role)).is_some();
        };
        self.impaired(role) < *most
    }

    /// How many nodes of a role are impaired.
    pub(crate) fn impaired(&self, role: u16) -> usize {
        self.nodes.iter().filter(|node| node.id.role() == role && node.impaired).count()
    }

    /// A node is whole again once nothing holds it and it has said that it is ready.
    pub(crate) fn settle(&mut self, node: u32) {
        let node = &mut self.nodes[node as usize];
        let whole = node.state == State::Up && node.ready && node.paused == 0 && node.stalled == 0;
        if whole {
            node.impaired = false;
        }
    }
}
