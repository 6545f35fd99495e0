//! How large a plan is.

use super::Verdict;
use crate::plan::{Override, Plan};
use serde::Serialize;

/// How large a plan is. What stands first counts most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub(crate) struct Size {
    /// Episodes, messages that are struck, and other strikes of the weather.
    pub(crate) faults: u64,
    /// Operations of clients.
    pub(crate) operations: u64,
    /// Nodes and clients.
    pub(crate) nodes: u64,
    /// Faults that the weather may have, whether they strike or not.
    #[serde(skip)]
    weather: u64,
    #[serde(skip)]
    salted: bool,
    /// How long all episodes last together, and the run until it heals, in milliseconds.
    #[serde(skip)]
    lasts_ms: u64,
    /// How long the plan is as text.
    #[serde(skip)]
    text: u64,
}

impl Size {
    /// The size of a plan that came to this verdict. `operations` is how many were begun if the
    /// plan does not say how many there are.
    pub(super) fn of(plan: &Plan, verdict: &Verdict, operations: u64) -> Size {
        let (mut messages, mut named, mut says) = (0, 0, false);
        for change in &plan.overrides {
            match change {
                Override::Message { .. } => messages += 1,
                Override::SkipOperation { .. } => {}
                Override::OnlyOperations { numbers, .. } => {
                    says = true;
                    named += numbers.len() as u64;
                }
            }
        }
        let lasts = plan.episodes.iter().map(|e| e.for_ns.unwrap_or_default()).sum::<u64>();
        Size {
            faults: plan.episodes.len() as u64 + messages + verdict.strikes,
            operations: if says { named } else { operations },
            nodes: plan.nodes.iter().map(|role| u64::from(role.nodes)).sum(),
            weather: super::calm::faults(plan).len() as u64,
            salted: plan.salt != 0,
            lasts_ms: lasts.saturating_add(plan.heal_at_ns) / 1_000_000,
            text: serde_json::to_string(plan).map_or(u64::MAX, |text| text.len() as u64),
        }
    }

    /// Whether there is more of anything than in the other, apart from words.
    pub(super) fn is_more_than(&self, other: &Size) -> bool {
        self.faults > other.faults
            || self.operations > other.operations
            || self.nodes > other.nodes
            || (self.salted && !other.salted)
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        let Size { faults, operations, nodes, .. } = self;
        format!("{faults} faults, {operations} operations, {nodes} nodes")
    }
}
