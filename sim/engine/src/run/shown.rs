//! What nodes have on show, in words, for a trace with causes.

use crate::scenario::{InspectFn, Scenario};
use crate::world::with;
use squall_env::{NodeId, View};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Says what has changed of what the scenario inspects.
pub(super) struct Shows {
    inspects: Vec<(&'static str, InspectFn)>,
    last: BTreeMap<(&'static str, NodeId), String>,
    /// Whether anybody reads it.
    wanted: bool,
}

impl Shows {
    /// What the scenario inspects, in the world that is installed.
    pub(super) fn new(scenario: &Scenario) -> Shows {
        let inspects = scenario.inspects.clone();
        let read = with(|world| world.has_causes()).unwrap_or_default();
        Shows { wanted: read && !inspects.is_empty(), inspects, last: BTreeMap::new() }
    }

    /// Whether anybody reads it.
    pub(super) fn are_wanted(&self) -> bool {
        self.wanted
    }

    /// Adds what is new in this view to the trace.
    pub(super) fn tell(&mut self, view: &View<'_>) {
        for (name, tell) in &self.inspects {
            // A value that cannot be shown must not end a run that goes well when nobody looks.
            let told = catch_unwind(AssertUnwindSafe(|| tell(view))).unwrap_or_else(|_| {
                super::panics::take();
                Vec::new()
            });
            for (node, text) in told {
                if self.last.get(&(*name, node)) == Some(&text) {
                    continue;
                }
                with(|world| {
                    if let Some(index) = world.index_of(node) {
                        world.remark(index, "shown", None, || format!("{name}: {text}"));
                    }
                });
                self.last.insert((*name, node), text);
            }
        }
    }
}
