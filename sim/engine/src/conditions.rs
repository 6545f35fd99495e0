//! What befalls the run that is under way, for properties whose subject is the weather itself.

use crate::plan::{Episode, Weather};
use crate::world::{World, with};
use squall_env::NodeId;
use std::sync::Arc;

/// The weather of a run and what of it has struck so far.
///
/// A property of a system should not ask for it: what a system promises it promises whatever
/// happens. It is for the contracts of faults themselves ("nothing crosses a partition"), and for
/// properties of the ledger.
#[derive(Clone, PartialEq, Debug)]
pub struct Conditions {
    /// The time of the run in nanoseconds.
    pub now_ns: u64,
    /// When all faults end, in nanoseconds.
    pub heal_at_ns: u64,
    /// Whether they have.
    pub healed: bool,
    /// The weather as the plan has it. Once the world has healed, nothing of it strikes any more.
    pub weather: Weather,
    /// The episodes that were admitted so far, in the order of the plan.
    pub struck: Arc<[Struck]>,
    /// Every node in roster order.
    pub nodes: Vec<NodeConditions>,
}

/// An episode that the ledger admitted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Struck {
    /// The episode.
    pub episode: Episode,
    /// When it began, in nanoseconds.
    pub since_ns: u64,
    /// When it was over, in nanoseconds; `None` while it goes on. One that happens at once is over
    /// when it begins.
    pub until_ns: Option<u64>,
}

/// What holds of one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeConditions {
    /// Which node.
    pub node: NodeId,
    /// Whether a boot of it is running.
    pub up: bool,
    /// Whether the running boot has said that it is [ready](squall_env::Env::ready).
    pub ready: bool,
    /// Whether the ledger counts it as impaired.
    pub impaired: bool,
    /// How often it has booted.
    pub boots: u64,
    /// How often it has lost power.
    pub power_losses: u64,
    /// How many of its role may be impaired at once; `None` is any number.
    pub budget: Option<usize>,
}

/// The conditions of the run that is under way in this thread, or `None` if there is none.
///
/// To ask changes nothing in the run. The properties of a run that has asked are checked at every
/// strike and at every end of an episode too.
pub fn conditions() -> Option<Conditions> {
    with(World::conditions)
}

impl Struck {
    /// Whether the episode was under way at some time strictly within these two, in nanoseconds.
    /// What happens at the very instant at which it begins or ends may come before or after that.
    pub fn overlaps(&self, from_ns: u64, to_ns: u64) -> bool {
        self.since_ns < to_ns && self.until_ns.is_none_or(|until| from_ns < until)
    }

    /// Whether the episode was under way at this time, and had neither begun nor ended just then.
    pub fn holds_at(&self, at_ns: u64) -> bool {
        self.since_ns < at_ns && self.until_ns.is_none_or(|until| at_ns < until)
    }
}

impl Conditions {
    /// What holds of a node.
    pub fn node(&self, node: NodeId) -> Option<&NodeConditions> {
        self.nodes.iter().find(|found| found.node == node)
    }

    /// How many nodes of a node's role are impaired.
    pub fn impaired_beside(&self, node: NodeId) -> usize {
        let same = self.nodes.iter().filter(|other| other.node.role() == node.role());
        same.filter(|other| other.impaired).count()
    }
}
