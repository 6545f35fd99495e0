//! The end of a world.

use super::{Outside, World};

impl World {
    /// When the episodes that were admitted struck, by their ids.
    pub(crate) fn struck(&self) -> Vec<(u32, u64)> {
        let struck = self.episodes.iter();
        struck.filter_map(|state| Some((state.episode.id, state.since?))).collect()
    }

    /// Takes everything out whose destructors are user code.
    pub(crate) fn dismantle(&mut self) -> Vec<Outside> {
        let mut left = std::mem::take(&mut self.outside);
        for node in &mut self.nodes {
            node.boot = 0;
        }
        left.extend(self.remove_tasks());
        for operation in self.disk_operations.drain() {
            left.extend(operation.into_left());
        }
        for work in self.work.drain().flatten() {
            left.push(Outside::Work(Box::new(move || drop(work))));
        }
        let places = std::mem::take(&mut self.places);
        left.push(Outside::Remains { node: 0, places, audit: false });
        left
    }
}
