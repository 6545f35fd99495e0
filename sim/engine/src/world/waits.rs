//! Who waits for whom: what a stuck run says.

use super::{State, World};

impl World {
    /// A line for every node that is not simply done: its state and what its tasks wait for.
    pub(crate) fn who_waits(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for node in &self.nodes {
            let name = self.roster.name(node.id);
            match node.state {
                State::Finished => continue,
                State::Down => lines.push(match (&node.gave_up, node.exits) {
                    (None, _) => format!("{name} is down"),
                    (Some(why), 1) => format!("{name} is down: it ended by itself: {why}"),
                    (Some(why), times) => {
                        format!("{name} is down: it ended by itself, {times} times: {why}")
                    }
                }),
                State::Up => {
                    let mut waits: Vec<String> =
                        node.tasks.iter().map(|slot| self.wait_of(*slot)).collect();
                    waits.sort();
                    let ready = if node.ready { "" } else { " is not ready;" };
                    lines.push(format!("{name}{ready} waits: {}", waits.join("; ")));
                }
            }
        }
        lines
    }

    fn wait_of(&self, slot: u32) -> String {
        let task = &self.tasks[slot];
        match task.waits {
            ("", _) => format!("task {:?} for something of its own", task.name),
            (kind, "") => format!("task {:?} for {kind}", task.name),
            (kind, name) => format!("task {:?} for {kind} {name:?}", task.name),
        }
    }

    /// The tasks that want to run at this instant, with their nodes.
    pub(crate) fn who_runs(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .ready
            .iter()
            .map(|id| {
                let task = &self.tasks[id.slot];
                let node = self.roster.name(self.nodes[task.node as usize].id);
                format!("task {:?} of {node}", task.name)
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }
}
