//! What the world tells about its own weather.

use super::World;
use crate::conditions::{Conditions, NodeConditions, Struck};
use crate::plan::Weather;

/// What is kept for those who ask.
pub(super) struct Observed {
    /// The weather as it was drawn.
    drawn: Weather,
    /// Whether anybody has asked.
    asked: bool,
}

impl Observed {
    pub(super) fn new(drawn: &Weather) -> Observed {
        Observed { drawn: drawn.clone(), asked: false }
    }
}

impl World {
    /// The weather and what of it has struck so far.
    pub(crate) fn conditions(&mut self) -> Conditions {
        self.observed.asked = true;
        let struck = self.episodes.iter().filter_map(|state| {
            let since_ns = state.since?;
            let (episode, until_ns) = (state.episode.clone(), state.ended);
            Some(Struck { episode, since_ns, until_ns })
        });
        let struck = struck.collect();
        let nodes = self.nodes.iter().map(|node| NodeConditions {
            node: node.id,
            up: node.is_up(),
            ready: node.ready,
            impaired: node.impaired,
            boots: node.boots,
            power_losses: node.power_losses,
            budget: match self.budget.0.get(usize::from(node.id.role())) {
                Some(allowance) => allowance.most,
                None => Some(0),
            },
        });
        Conditions {
            now_ns: self.now,
            healed: self.healed,
            weather: self.observed.drawn.clone(),
            struck,
            nodes: nodes.collect(),
        }
    }

    /// Lets the properties look again, if one of them has asked for the conditions.
    pub(super) fn conditions_changed(&mut self) {
        if self.observed.asked {
            self.dirty = u64::MAX;
        }
    }
}
