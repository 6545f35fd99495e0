//! The properties of one run: checked when what they look at has changed.

use crate::choice::Entity;
use crate::failure::{Class, Failure};
use crate::scenario::{AuditFn, AuditView, CheckFn, GoalFn, Scenario};
use crate::world::{State, World, with};
use squall_env::View;
use squall_env::shown::{Image, Place};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) struct Properties {
    always: Vec<Always>,
    audits: Vec<(&'static str, AuditFn)>,
    goals: Vec<Goal>,
    healed: bool,
}

struct Always {
    name: &'static str,
    check: CheckFn,
    /// What it looked at when it last ran.
    read: u64,
}

struct Goal {
    name: &'static str,
    check: GoalFn,
    reached: bool,
}

/// The engine's own audit.
const RECOVERY: &str = "recovery equals the live state";

/// A node's files as a crash could leave them.
struct Files(BTreeMap<String, Vec<u8>>);

impl Image for Files {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).cloned()
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let name = |path: &String| {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            (parent == directory).then(|| name.to_owned())
        };
        self.0.keys().filter_map(name).collect()
    }
}

impl Properties {
    pub(crate) fn new(scenario: &Scenario) -> Properties {
        let always = scenario.always.iter();
        let goals = scenario.goals.iter();
        Properties {
            always: always
                .map(|(name, make)| Always { name, check: make(), read: u64::MAX })
                .collect(),
            audits: scenario.audits.iter().map(|(name, make)| (*name, make())).collect(),
            goals: goals
                .map(|(name, _, make)| Goal { name, check: make(), reached: false })
                .collect(),
            healed: false,
        }
    }

    /// From here on goals count.
    pub(crate) fn healed(&mut self) {
        self.healed = true;
        with(|world| world.dirty = u64::MAX);
    }

    pub(crate) fn reached(&self, name: &str) -> bool {
        self.goals.iter().any(|goal| goal.name == name && goal.reached)
    }

    pub(crate) fn all_reached(&self) -> bool {
        self.goals.iter().all(|goal| goal.reached)
    }

    /// Runs every check whose view may have changed.
    pub(crate) fn check(&mut self) {
        let Some((dirty, now)) = with(|world| (std::mem::take(&mut world.dirty), world.now)) else {
            return;
        };
        if self.always.is_empty() && self.goals.is_empty() {
            return;
        }
        borrow_places(|places| {
            for property in &mut self.always {
                if dirty & property.read == 0 && dirty != u64::MAX {
                    continue;
                }
                let view = View::new(places, now);
                let checked = catch_unwind(AssertUnwindSafe(|| (property.check)(&view)));
                property.read = view.read_bits();
                fail_unless(property.name, checked);
            }
            for goal in self.goals.iter_mut().filter(|goal| self.healed && !goal.reached) {
                goal.reached = (goal.check)(&View::new(places, now));
            }
        });
    }

    /// Runs the expensive checks, and the engine's own for every machine that is up.
    pub(crate) fn audit(&mut self) {
        let Some((disks, now)) = with(|world| (world.worst_disks(), world.now)) else { return };
        borrow_places(|places| {
            for place in places {
                let Some(audit) = place.exhibit.audit() else { continue };
                let Some((_, disk)) = disks.iter().find(|(node, _)| *node == place.node) else {
                    continue;
                };
                let checked = catch_unwind(AssertUnwindSafe(|| audit.audit(disk)));
                fail_unless(RECOVERY, checked);
            }
            let disks: Vec<_> = disks
                .into_iter()
                .map(|(node, files)| (node, Box::new(files) as Box<dyn Image>))
                .collect();
            let view = View::new(places, now);
            for (name, audit) in &mut self.audits {
                let seen = AuditView { view: &view, disks: &disks };
                let checked = catch_unwind(AssertUnwindSafe(|| audit(&seen)));
                fail_unless(name, checked);
            }
        });
    }
}

/// Compares what a crashed node had on show with what its disk now holds.
pub(crate) fn audit_remains(node: u32, places: &[Place]) {
    let Some(disk) = with(|world| Files(world.disk_now(node))) else { return };
    for place in places {
        if let Some(audit) = place.exhibit.audit() {
            let checked = catch_unwind(AssertUnwindSafe(|| audit.audit(&disk)));
            fail_unless(RECOVERY, checked);
        }
    }
}

/// Takes the exhibits out of the world while user code looks at them.
fn borrow_places(look: impl FnOnce(&[Place])) {
    let Some(places) = with(|world| std::mem::take(&mut world.places)) else { return };
    look(&places);
    with(|world| world.places = places);
}

fn fail_unless(name: &str, checked: std::thread::Result<Result<(), String>>) {
    let story = match checked {
        Ok(Ok(())) => return,
        Ok(Err(story)) => story,
        Err(_) => {
            let panic = super::panics::take();
            format!("the check itself panicked at {}: {}", panic.place, panic.message)
        }
    };
    with(|world| {
        let failure = Failure {
            class: Class::Property,
            property: name.to_owned(),
            place: String::new(),
            story: vec![story],
            at_ns: world.now,
        };
        world.fail(failure);
    });
}

impl World {
    /// Every node's disk as a power loss at this moment could leave it.
    fn worst_disks(&mut self) -> Vec<(squall_env::NodeId, Files)> {
        self.audits += 1;
        let losses = self.losses();
        let audit = self.entity("audit").with(self.audits);
        let choices = self.choices;
        let nodes = self.nodes.iter().filter(|node| node.state != State::Finished);
        nodes
            .map(|node| {
                let crash = Entity(node.entity.0 ^ audit.0);
                let (left, _) = node.disk.files.after_power_loss(&choices, crash, losses);
                let files = left.into_iter().map(|(path, (_, content))| (path, content));
                (node.id, Files(files.collect()))
            })
            .collect()
    }

    fn disk_now(&self, node: u32) -> BTreeMap<String, Vec<u8>> {
        self.nodes[node as usize].disk.files.now()
    }
}
