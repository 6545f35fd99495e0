//! How many I/O steps each node takes, counted as plans count them.

use super::World;
use super::fault::Trigger;
use serde::{Deserialize, Serialize};

/// The I/O steps of a node before the world heals.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Steps {
    /// All of them.
    pub all: u64,
    /// Those of boots after the first, before the node said that it was ready.
    pub recovering: u64,
}

impl World {
    /// From here on steps are counted.
    pub(crate) fn count_steps(&mut self) {
        self.noted.steps = vec![Steps::default(); self.nodes.len()];
        for node in &mut self.nodes {
            node.triggers.push(Trigger::COUNT);
        }
    }

    /// A node that somebody waits for has taken a step.
    pub(super) fn counted_step(&mut self, node: u32) {
        let taker = &self.nodes[node as usize];
        let recovering = taker.is_restarted() && !taker.ready;
        if let Some(steps) = self.noted.steps.get_mut(node as usize) {
            steps.all += 1;
            steps.recovering += u64::from(recovering);
        }
    }
}
