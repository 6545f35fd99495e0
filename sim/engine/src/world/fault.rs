//! Episodes: when they begin, whether they may, and when they end. What each does is in `strike`.

use super::World;
use super::files::Files;
use super::queue::{Event, Kind as EventKind};
use crate::digest::Code;
use crate::plan::{Episode, Kind, When};
use crate::table::Fault;
use squall_env::shown::AuditMoment;

/// An episode of the plan.
pub(super) struct State {
    pub(super) episode: Episode,
    pub(super) nodes: Vec<u32>,
    pub(super) active: bool,
    pub(super) over: bool,
    pub(super) fired: bool,
    /// When it was admitted, and when it was over.
    pub(super) since: Option<u64>,
    pub(super) ended: Option<u64>,
    /// How often it has gone on since it began.
    pub(super) stage: u32,
    /// A copy of a disk, to be put in place later.
    pub(super) copy: Option<Files>,
    /// When it ends, if that is known.
    pub(super) until: u64,
}

/// An episode that waits for one of its node's I/O steps.
#[derive(Clone, Copy)]
pub(crate) struct Trigger {
    episode: u32,
    after: u64,
    left: u32,
}

impl Trigger {
    /// The next step of the script is due at the node's very next I/O step.
    pub(super) const SCRIPT: Trigger = Trigger { episode: u32::MAX, after: 0, left: 1 };

    /// Nothing is ever due; but the node's steps are counted.
    pub(super) const COUNT: Trigger = Trigger { episode: u32::MAX - 1, after: 0, left: u32::MAX };
}

impl World {
    /// Adds an episode, which then waits for its beginning. One that names a node that is not
    /// there does nothing.
    pub(super) fn add_episode(&mut self, episode: &Episode) -> u32 {
        let found = episode.kind.nodes().iter().map(|name| self.roster.find(name));
        let nodes: Option<Vec<u32>> =
            found.map(|node| node.and_then(|node| self.index_of(node))).collect();
        let known = nodes.is_some();
        self.episodes.push(State {
            episode: episode.clone(),
            nodes: nodes.unwrap_or_default(),
            active: false,
            over: !known,
            fired: false,
            since: None,
            ended: None,
            stage: 0,
            copy: None,
            until: u64::MAX,
        });
        self.episodes.len() as u32 - 1
    }

    /// Queues the plan's episodes.
    pub(crate) fn plan_episodes(&mut self, episodes: &[Episode]) {
        for (at, episode) in episodes.iter().enumerate() {
            let slot = self.add_episode(episode);
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

    /// An episode begins, or goes on.
    pub(crate) fn episode_begins(&mut self, event: Event) {
        if self.healed {
            return;
        }
        self.advance(event.time());
        if self.episodes[event.slot() as usize].active {
            self.go_on(event.slot());
        } else {
            self.strike(event.slot());
        }
    }

    /// Calls an episode again after a while.
    pub(super) fn again_after(&mut self, slot: u32, after: u64) {
        let state = &mut self.episodes[slot as usize];
        state.stage += 1;
        let id = state.episode.id;
        let at = self.now + after.max(1);
        self.queue.push(Event::new(at, id, EventKind::EpisodeBegins, slot));
    }

    /// A node has taken an I/O step: episodes that wait for it strike now.
    #[inline(always)]
    pub(crate) fn strike_at_step(&mut self, node: u32) {
        if !self.nodes[node as usize].triggers.is_empty() {
            self.count_step(node);
        }
    }

    #[cold]
    fn count_step(&mut self, node: u32) {
        if self.healed {
            return;
        }
        self.counted_step(node);
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
            if episode == Trigger::SCRIPT.episode {
                self.play_on();
            } else {
                self.strike(episode);
            }
        }
    }

    pub(super) fn strike(&mut self, slot: u32) {
        let state = &self.episodes[slot as usize];
        if state.over || state.active {
            return;
        }
        let (kind, id, nodes) = (state.episode.kind.clone(), state.episode.id, state.nodes.clone());
        if !self.tolerated.has(kind.fault()) {
            self.episodes[slot as usize].over = true;
            return;
        }
        if let (Kind::OldDisk { age_ns, .. }, 0, Some(node)) = (&kind, state.stage, nodes.first()) {
            let own = self.disk_of(*node as usize);
            let copy = self.nodes[own].disk.files.copy();
            self.episodes[slot as usize].copy = Some(copy);
            self.again_after(slot, *age_ns);
            return;
        }
        if !self.admit_episode(&kind, &nodes) {
            self.episodes[slot as usize].over = true;
            return;
        }
        let state = &mut self.episodes[slot as usize];
        state.active = true;
        // A write goes astray when there is one.
        let waits = matches!(kind, Kind::MisdirectedWrite { .. });
        state.since = (!waits).then_some(self.now);
        let ends = state.episode.for_ns.map(|length| self.now + length.max(1));
        state.until = ends.unwrap_or(u64::MAX).min(self.heal_at);
        self.note(self.itself(), Code::FaultStrikes, [u64::from(id), kind.fault() as u64]);
        if let Some(at) = ends {
            self.queue.push(Event::new(at, id, EventKind::EpisodeEnds, slot));
        }
        self.begin(slot, &kind, &nodes);
        let state = &mut self.episodes[slot as usize];
        if !state.active {
            state.ended = Some(self.now);
        }
        self.conditions_changed();
    }

    /// Faults that impair a node ask the ledger. A fault of links counts as fired only once it has
    /// stopped or held a message, and a write that goes astray only when there is one.
    fn admit_episode(&mut self, kind: &Kind, nodes: &[u32]) -> bool {
        let is_up = |world: &World, node: u32| world.nodes[node as usize].boot != 0;
        match (kind, nodes) {
            (Kind::WallStep { .. } | Kind::WallStrobe { .. }, _) => {
                self.fired(kind.fault());
                true
            }
            (Kind::MisdirectedWrite { .. }, _) => true,
            _ if kind.is_network() => true,
            (Kind::CrashInRecovery { .. }, [node]) => {
                let recovering = !self.nodes[*node as usize].ready;
                let fault = if recovering { Fault::CrashInRecovery } else { Fault::Crash };
                let strikes = is_up(self, *node) && self.tolerated.has(fault);
                strikes && self.admit(&[*node], fault)
            }
            (Kind::SwappedDisks { .. }, _) => {
                // An empty disk in the place of a full one would be another fault.
                let fit = nodes.iter().all(|node| {
                    let node = &self.nodes[*node as usize];
                    let full = node.settled_in && node.disk.files.holds_something();
                    full && node.swapped.is_none()
                });
                fit && self.admit(nodes, Fault::SwappedDisks)
            }
            (Kind::BitRot { .. }, [node]) => {
                let holds = self.nodes[*node as usize].disk.files.holds_something();
                holds && self.admit(&[*node], Fault::BitRot)
            }
            (Kind::Wipe { .. } | Kind::OldDisk { .. }, [node]) => {
                // The disk of another node is not this one's to lose.
                let own = self.nodes[*node as usize].swapped.is_none();
                own && is_up(self, *node) && self.admit(nodes, kind.fault())
            }
            (_, [node]) if kind.is_crash() => is_up(self, *node) && self.admit(nodes, kind.fault()),
            (_, []) => false,
            _ => self.admit(nodes, kind.fault()),
        }
    }

    /// An episode has had an effect that counts once.
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

    pub(super) fn end(&mut self, slot: u32) {
        let state = &mut self.episodes[slot as usize];
        if !state.active {
            return;
        }
        state.active = false;
        state.over = true;
        state.ended = Some(self.now);
        let (kind, id, nodes) = (state.episode.kind.clone(), state.episode.id, state.nodes.clone());
        self.note(self.itself(), Code::FaultEnds, [u64::from(id), kind.fault() as u64]);
        self.undo(slot, &kind, &nodes);
        self.conditions_changed();
    }

    /// All faults end: episodes under way do now, those to come never begin, rates go to zero,
    /// and nodes that are down start anew, unless they are down for good. For good are none of a
    /// role that may fail as a whole: nobody would be left to serve.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.priorities = None;
        self.note(self.itself(), Code::Heal, [0, 0]);
        for slot in 0..self.episodes.len() as u32 {
            let state = &self.episodes[slot as usize];
            let for_good = state.episode.kind.is_crash() && state.episode.for_ns.is_none();
            if !for_good || state.nodes.iter().any(|node| self.is_needed(*node)) {
                self.end(slot);
            }
            self.episodes[slot as usize].over = true;
        }
        for node in &mut self.nodes {
            node.misdirect = None;
        }
        let weather = &mut self.weather;
        weather.loss_ppm = 0;
        weather.duplication_ppm = 0;
        weather.reordering_ppm = 0;
        weather.corruption_ppm = 0;
        weather.mailbox_max = 0;
        weather.bandwidth = 0;
        weather.eio_ppm = 0;
        weather.sync_failure_ppm = 0;
        weather.short_io_ppm = 0;
        weather.late_timers_ppm = 0;
        weather.buggify = false;
        self.heal_streams();
        self.end_script();
        self.outside.push(super::Outside::Audit(AuditMoment::Heal));
    }
}
