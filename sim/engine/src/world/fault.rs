//! Episodes: when they begin, whom they strike, and how they end.

use super::net::Cut;
use super::queue::{Event, Kind as EventKind};
use super::{Outside, World};
use crate::digest::Code;
use crate::plan::{Episode, Kind, When};
use crate::table::Fault;

/// An episode under way.
pub(crate) struct State {
    episode: Episode,
    nodes: Vec<u32>,
    active: bool,
    over: bool,
    fired: bool,
}

/// An episode that waits for one of its node's I/O steps.
#[derive(Clone, Copy)]
pub(crate) struct Trigger {
    episode: u32,
    after: u64,
    left: u32,
}

impl World {
    /// Queues the plan's episodes. One that names a node that is not there does nothing.
    pub(crate) fn plan_episodes(&mut self, episodes: &[Episode]) {
        for (at, episode) in episodes.iter().enumerate() {
            let found = episode.kind.nodes().iter().map(|name| self.roster.find(name));
            let nodes: Option<Vec<u32>> =
                found.map(|node| node.and_then(|node| self.index_of(node))).collect();
            let slot = at as u32;
            let known = nodes.is_some();
            self.episodes.push(State {
                episode: episode.clone(),
                nodes: nodes.unwrap_or_default(),
                active: false,
                over: !known,
                fired: false,
            });
            match episode.from {
                When::AtNs(time) => {
                    let event = Event::new(time, episode.id, EventKind::EpisodeBegins, slot);
                    self.queue.push(event);
                }
                When::Step { after_ns, number } => {
                    let trigger = Trigger { episode: slot, after: after_ns, left: number.max(1) };
                    if let Some(node) = self.episodes[at].nodes.first() {
                        self.nodes[*node as usize].triggers.push(trigger);
                    }
                }
            }
        }
    }

    pub(crate) fn episode_begins(&mut self, event: Event) {
        if !self.healed {
            self.advance(event.time());
            self.strike(event.slot());
        }
    }

    /// A node has taken an I/O step: episodes that wait for it strike now.
    #[inline]
    pub(crate) fn strike_at_step(&mut self, node: u32) {
        if !self.nodes[node as usize].triggers.is_empty() && !self.healed {
            self.count_step(node);
        }
    }

    fn count_step(&mut self, node: u32) {
        let now = self.now;
        let mut due = Vec::new();
        self.nodes[node as usize].triggers.retain_mut(|trigger| {
            if now >= trigger.after {
                trigger.left -= 1;
                if trigger.left == 0 {
                    due.push(trigger.episode);
                }
            }
            trigger.left > 0
        });
        for episode in due {
            self.strike(episode);
        }
    }

    fn strike(&mut self, slot: u32) {
        let state = &self.episodes[slot as usize];
        if state.over || state.active {
            return;
        }
        let (kind, id) = (state.episode.kind.clone(), state.episode.id);
        let target = state.nodes.first().copied();
        if !self.tolerated.has(kind.fault()) || !self.admit_episode(&kind, target) {
            self.episodes[slot as usize].over = true;
            return;
        }
        let state = &mut self.episodes[slot as usize];
        state.active = true;
        let (for_ns, nodes) = (state.episode.for_ns, state.nodes.clone());
        self.note(self.itself(), Code::FaultStrikes, [u64::from(id), kind.fault() as u64]);
        self.begin(slot, &kind, &nodes);
        if let Some(length) = for_ns {
            let at = self.now + length.max(1);
            self.queue.push(Event::new(at, id, EventKind::EpisodeEnds, slot));
        }
    }

    /// Faults that impair a node ask the ledger. A fault of the network counts as fired only once
    /// it has stopped a message.
    fn admit_episode(&mut self, kind: &Kind, target: Option<u32>) -> bool {
        match (kind, target) {
            (
                Kind::Partition { .. } | Kind::PartitionOneWay { .. } | Kind::IsolateOne { .. },
                _,
            ) => true,
            (Kind::WallStep { .. }, Some(_)) => {
                self.fired(Fault::WallStep);
                true
            }
            (Kind::Crash { .. }, Some(node)) => {
                self.nodes[node as usize].boot != 0 && self.admit(node, Fault::Crash)
            }
            (Kind::CrashInRecovery { .. }, Some(node)) => {
                let recovering = !self.nodes[node as usize].ready;
                let fault = if recovering { Fault::CrashInRecovery } else { Fault::Crash };
                self.nodes[node as usize].boot != 0 && self.admit(node, fault)
            }
            (_, Some(node)) => self.admit(node, kind.fault()),
            (_, None) => false,
        }
    }

    fn begin(&mut self, slot: u32, kind: &Kind, nodes: &[u32]) {
        let id = self.episodes[slot as usize].episode.id;
        let side = || {
            let mut side = vec![false; self.nodes.len()];
            nodes.iter().for_each(|node| side[*node as usize] = true);
            side
        };
        match kind {
            Kind::Crash { power_loss, .. } | Kind::CrashInRecovery { power_loss, .. } => {
                // A restart that was planned for the boot before is not this one's.
                self.nodes[nodes[0] as usize].restart_planned = false;
                self.crash(nodes[0], u64::from(id), *power_loss);
            }
            Kind::Pause { .. } => self.pause(nodes[0]),
            Kind::Stall { .. } => self.stall(nodes[0]),
            Kind::Partition { .. } | Kind::IsolateOne { .. } => {
                let cut = Cut { episode: slot, side: side(), both: true };
                self.cuts.push(cut);
            }
            Kind::PartitionOneWay { .. } => {
                let cut = Cut { episode: slot, side: side(), both: false };
                self.cuts.push(cut);
            }
            Kind::WallStep { by_ns, .. } => {
                self.nodes[nodes[0] as usize].clock.wall_offset += by_ns;
                self.episodes[slot as usize].over = true;
            }
        }
    }

    /// A cut has stopped a message.
    pub(crate) fn episode_fired(&mut self, slot: u32) {
        let state = &mut self.episodes[slot as usize];
        if !state.fired {
            state.fired = true;
            let fault = state.episode.kind.fault();
            self.fired(fault);
        }
    }

    pub(crate) fn episode_ends(&mut self, event: Event) {
        if self.episodes[event.slot() as usize].active {
            self.advance(event.time());
            self.end(event.slot());
        }
    }

    fn end(&mut self, slot: u32) {
        let state = &mut self.episodes[slot as usize];
        if !state.active {
            return;
        }
        state.active = false;
        state.over = true;
        let (kind, id) = (state.episode.kind.clone(), state.episode.id);
        let target = state.nodes.first().copied();
        self.note(self.itself(), Code::FaultEnds, [u64::from(id), kind.fault() as u64]);
        match (kind, target) {
            (Kind::Crash { .. } | Kind::CrashInRecovery { .. }, Some(node)) => {
                // A later crash of the same node has an end of its own.
                let next = self.nodes[node as usize].next_boot();
                if next == u64::from(id) {
                    self.restart_after(node, 0);
                }
            }
            (Kind::Pause { .. }, Some(node)) => self.resume(node),
            (Kind::Stall { .. }, Some(node)) => self.unstall(node),
            _ => self.cuts.retain(|cut| cut.episode != slot),
        }
    }

    /// All faults end: episodes under way do now, those to come never begin, rates go to zero,
    /// and nodes that are down start anew, unless they are down for good.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.note(self.itself(), Code::Heal, [0, 0]);
        for slot in 0..self.episodes.len() as u32 {
            let state = &mut self.episodes[slot as usize];
            let crash = matches!(state.episode.kind.fault(), Fault::Crash | Fault::CrashInRecovery);
            if crash && state.episode.for_ns.is_none() {
                continue;
            }
            self.end(slot);
            self.episodes[slot as usize].over = true;
        }
        let weather = &mut self.weather;
        weather.loss_ppm = 0;
        weather.duplication_ppm = 0;
        weather.reordering_ppm = 0;
        weather.corruption_ppm = 0;
        weather.eio_ppm = 0;
        weather.sync_failure_ppm = 0;
        weather.buggify = false;
        self.outside.push(Outside::Audit(None));
    }
}
