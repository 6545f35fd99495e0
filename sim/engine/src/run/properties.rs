//! The properties of one run: checked when what they look at has changed.

use super::Watch;
use super::shown::Shows;
use crate::choice::{Choices, Entity};
use crate::failure::{Class, Failure};
use crate::scenario::{AbstractionFn, AuditFn, CheckFn, GoalFn, LeaderFn, RECOVERY, Scenario};
use crate::world::{self, World, with};
use squall_env::shown::{AuditMoment, AuditView, Image, Place};
use squall_env::{NodeId, Roster, View};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub(crate) struct Properties {
    always: Vec<Always>,
    /// What the scenario wants to be told apart, if somebody wants to know.
    abstractions: Vec<Abstraction>,
    audits: Vec<(&'static str, AuditFn)>,
    goals: Vec<Goal>,
    leader: Option<LeaderFn>,
    shows: Shows,
    healed: bool,
    /// Whether invariants and audits are checked at all.
    checked: bool,
    /// What the world was told of the exhibits that somebody looks at.
    interest: u64,
}

struct Always {
    name: &'static str,
    check: CheckFn,
    /// What it looked at when it last ran.
    read: u64,
}

struct Abstraction {
    name: &'static str,
    look: Arc<AbstractionFn>,
    /// What it looked at when it last ran.
    read: u64,
}

struct Goal {
    name: &'static str,
    check: GoalFn,
    reached: bool,
}

/// A node's files as a crash could leave them, sorted by path.
struct Files<'a>(Vec<world::Left<'a>>);

impl Image for Files<'_> {
    fn file(&self, path: &str) -> Option<&[u8]> {
        let found = self.0.binary_search_by(|left| (*left.path).cmp(path)).ok()?;
        Some(&self.0[found].content)
    }

    fn each<'a>(&'a self, directory: &str, show: &mut dyn FnMut(&'a str, &'a [u8])) {
        for left in &self.0 {
            let (parent, name) = left.path.rsplit_once('/').unwrap_or(("", &left.path));
            if parent == directory {
                show(name, &left.content);
            }
        }
    }
}

impl Abstraction {
    /// Looks again, if something that it looked at has changed.
    fn look(&mut self, places: &[Place], (now, dirty): (u64, u64)) {
        if dirty & self.read == 0 && dirty != u64::MAX {
            return;
        }
        let view = View::new(places, now);
        match catch_unwind(AssertUnwindSafe(|| (self.look)(&view))) {
            Ok(value) => {
                with(|world| world.abstracted(self.name, value));
            }
            Err(panic) => fail_unless(self.name, Err(panic)),
        }
        self.read = view.read_bits();
    }
}

impl Properties {
    pub(crate) fn new(scenario: &Scenario, watch: Watch) -> Properties {
        let abstractions = scenario.abstractions.iter().filter(|_| watch.reach);
        let checked = watch.properties;
        let always = scenario.always.iter().filter(|_| checked);
        let audits = scenario.audits.iter().filter(|_| checked);
        let goals = scenario.goals.iter();
        Properties {
            always: always
                .map(|(name, make)| Always { name, check: make(), read: u64::MAX })
                .collect(),
            abstractions: abstractions
                .map(|(name, look)| Abstraction { name, look: Arc::clone(look), read: u64::MAX })
                .collect(),
            audits: audits.map(|(name, make)| (*name, make())).collect(),
            goals: goals
                .map(|(name, _, make)| Goal { name, check: make(), reached: false })
                .collect(),
            leader: scenario.leader.as_ref().map(|make| make()),
            shows: Shows::new(scenario),
            healed: false,
            checked,
            interest: u64::MAX,
        }
    }

    /// Who leads now, by what the scenario says.
    pub(crate) fn leader(&mut self) -> Option<NodeId> {
        let leader = self.leader.as_mut()?;
        let mut found = None;
        borrow_places(|places| {
            let view = View::new(places, with(|world| world.now).unwrap_or_default());
            match catch_unwind(AssertUnwindSafe(|| leader(&view))) {
                Ok(leader) => found = leader,
                Err(panic) => fail_unless("who leads", Err(panic)),
            }
        });
        found
    }

    /// From here on goals count.
    pub(crate) fn healed(&mut self) {
        self.healed = true;
        with(|world| world.dirty = u64::MAX);
    }

    pub(crate) fn reached(&self, name: &str) -> bool {
        self.goals.iter().any(|goal| goal.name == name && goal.reached)
    }

    pub(crate) fn first_unreached(&self) -> Option<&'static str> {
        self.goals.iter().find(|goal| !goal.reached).map(|goal| goal.name)
    }

    /// Whether the world has healed.
    pub(crate) fn has_healed(&self) -> bool {
        self.healed
    }

    pub(crate) fn all_reached(&self) -> bool {
        self.goals.iter().all(|goal| goal.reached)
    }

    /// Runs every check whose view may have changed.
    pub(crate) fn check(&mut self) {
        let Some((dirty, now)) = with(|world| (std::mem::take(&mut world.dirty), world.now)) else {
            return;
        };
        if self.shows.are_wanted() {
            borrow_places(|places| self.shows.tell(&View::new(places, now)));
        }
        borrow_places(|places| {
            for property in &mut self.always {
                if dirty & property.read == 0 && dirty != u64::MAX {
                    continue;
                }
                let view = View::new(places, now).since(dirty);
                let checked = catch_unwind(AssertUnwindSafe(|| (property.check)(&view)));
                // What it did not look at this time has not changed since it did.
                let before = if dirty == u64::MAX { 0 } else { property.read };
                property.read = before | view.read_bits();
                fail_unless(property.name, checked);
            }
            for abstraction in &mut self.abstractions {
                abstraction.look(places, (now, dirty));
            }
            for goal in self.goals.iter_mut().filter(|goal| self.healed && !goal.reached) {
                goal.reached = (goal.check)(&View::new(places, now));
            }
        });
        let interest = self.interest();
        if interest != self.interest {
            self.interest = interest;
            with(|world| world.interest = interest);
        }
    }

    /// The exhibits that somebody looks at. Changes of other ones are no reason to check again.
    fn interest(&self) -> u64 {
        let waits = self.healed && self.goals.iter().any(|goal| !goal.reached);
        if waits || self.shows.are_wanted() {
            return u64::MAX;
        }
        let always = self.always.iter().map(|property| property.read);
        let abstractions = self.abstractions.iter().map(|abstraction| abstraction.read);
        always.chain(abstractions).fold(0, |all, read| all | read)
    }

    /// Runs the engine's own audit for the machines of one node or of all, and the expensive
    /// checks.
    pub(crate) fn audit(&mut self, moment: AuditMoment) {
        let only = match moment {
            _ if !self.checked => return,
            // What the crashed node had on show is compared apart.
            AuditMoment::Crash(_) if self.audits.is_empty() => return,
            AuditMoment::Crash(node) | AuditMoment::Restart(node) => Some(node),
            AuditMoment::Heal | AuditMoment::End => None,
        };
        let Some((taken, now)) = with(|world| (world.take_files(), world.now)) else { return };
        let disks: Vec<(NodeId, Files<'_>)> = taken
            .nodes
            .iter()
            .filter(|(id, ..)| only.is_none_or(|only| only == *id) || !self.audits.is_empty())
            .map(|(id, crash, files, _)| {
                let (left, _) = files.after_power_loss(&taken.choices, *crash, taken.losses);
                (*id, Files(left))
            })
            .collect();
        borrow_places(|places| {
            for place in places {
                let Some(audit) = place.exhibit.audit() else { continue };
                if only.is_some_and(|only| only != place.node) {
                    continue;
                }
                let Some((_, disk)) = disks.iter().find(|(node, _)| *node == place.node) else {
                    continue;
                };
                // A disk that has forgotten or mistaken something cannot give the live state.
                if taken.nodes.iter().any(|(id, _, _, vouches)| *id == place.node && !vouches) {
                    continue;
                }
                let checked = catch_unwind(AssertUnwindSafe(|| audit.audit(disk)));
                fail_unless(RECOVERY, checked);
            }
            let view = View::new(places, now);
            for (name, audit) in &mut self.audits {
                let images = as_images(&disks);
                let seen = AuditView::new(&view, &taken.roster, &images, moment);
                let checked = catch_unwind(AssertUnwindSafe(|| audit(&seen)));
                fail_unless(name, checked);
            }
        });
        drop(disks);
        with(|world| world.give_back_files(taken));
    }

    /// Compares what a crashed node had on show with what its disk now holds.
    pub(crate) fn audit_remains(&self, node: u32, places: &[Place]) {
        if !self.checked {
            return;
        }
        let Some(taken) = with(World::take_files) else { return };
        let files = taken.nodes.get(node as usize).map(|(_, _, files, _)| Files(files.now()));
        for place in places {
            if let (Some(audit), Some(disk)) = (place.exhibit.audit(), &files) {
                let checked = catch_unwind(AssertUnwindSafe(|| audit.audit(disk)));
                fail_unless(RECOVERY, checked);
            }
        }
        drop(files);
        with(|world| world.give_back_files(taken));
    }
}

fn as_images<'a>(disks: &'a [(NodeId, Files<'a>)]) -> Vec<(NodeId, &'a dyn Image)> {
    disks.iter().map(|(node, files)| (*node, files as &dyn Image)).collect()
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

/// All nodes' files, out of the world while user code looks at them: with what a power loss now is
/// called, and what it may take.
struct Taken {
    /// Each with its name for the loss, its files, and whether they are what they should be.
    nodes: Vec<(NodeId, Entity, world::Files, bool)>,
    choices: Choices,
    losses: world::Losses,
    roster: Arc<Roster>,
}

impl World {
    fn take_files(&mut self) -> Taken {
        self.audits += 1;
        let (losses, choices) = (self.losses(), self.choices);
        let audit = self.entity("audit").with(self.audits);
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let (id, entity, vouches) = (node.id, node.entity, node.vouches());
            let place = self.disk_of(index);
            let files = std::mem::take(&mut self.nodes[place].disk.files);
            nodes.push((id, Entity(entity.0 ^ audit.0), files, vouches));
        }
        Taken { nodes, choices, losses, roster: Arc::clone(&self.roster) }
    }

    fn give_back_files(&mut self, taken: Taken) {
        for (index, (_, _, files, _)) in taken.nodes.into_iter().enumerate() {
            let place = self.disk_of(index);
            self.nodes[place].disk.files = files;
        }
    }

    /// Which node has the disk that is this node's.
    pub(crate) fn disk_of(&self, index: usize) -> usize {
        self.nodes[index].swapped.map_or(index, |(partner, _)| partner as usize)
    }
}
