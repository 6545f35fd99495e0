//! Nodes: their boots, crashes, restarts and pauses.

use super::clock::{NodeClock, Parked};
use super::disk::NodeDisk;
use super::inode::Losses;
use super::queue::{Event, Kind};
use super::spare::Room;
use super::tasks::Waiter;
use super::{Outside, Platform, TaskId, World, fresh_number};
use crate::choice::{Choices, Domain, Entity, between};
use crate::digest::Code;
use crate::plan::{Plan, Weather};
use crate::story::Unsynced;
use crate::table::Fault;
use squall_env::shown::{AuditMoment, Place};
use squall_env::{Env, NodeId};
use std::sync::Arc;

const HOUR: u64 = 3_600_000_000_000;

/// What a node is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Down,
    Up,
    /// Its role has returned without an error.
    Finished,
}

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) entity: Entity,
    pub(crate) client: bool,
    /// How many clients come before it in the roster.
    pub(crate) clients_before: u64,
    pub(crate) state: State,
    /// The number of the running boot; zero while there is none.
    pub(crate) boot: u64,
    /// Names the boot by what ended the one before.
    pub(crate) boot_entity: Entity,
    pub(crate) boots: u64,
    /// What the next boot is called.
    next_boot: u64,
    pub(crate) restart_planned: bool,
    pub(crate) ready: bool,
    pub(crate) impaired: bool,
    pub(crate) paused: u32,
    pub(crate) held: Vec<Event>,
    pub(crate) stalled: u32,
    pub(crate) stalled_operations: Vec<Event>,
    /// How often it was suspended and not woken up, and since when.
    pub(super) suspended: (u32, u64),
    /// How much longer everything takes at most.
    pub(crate) slow_ns: u64,
    /// How many times as long its disk takes.
    pub(crate) slow_disk: u32,
    pub(crate) full: bool,
    pub(crate) lying: bool,
    /// The episode that leads the next write astray.
    pub(crate) misdirect: Option<u32>,
    /// Whether its disk has forgotten or mistaken what it held.
    pub(crate) damaged: bool,
    /// In which of its boots that was, or after which.
    damaged_in: u64,
    /// How many disk operations are under way that will answer with a fault's error.
    pub(crate) failing: u32,
    /// Whether the running boot got such an answer and has not said since that it is ready.
    pub(crate) owes_ready: bool,
    pub(crate) power_losses: u64,
    /// It has the disk of this other node, and the version of that disk when it got it.
    pub(crate) swapped: Option<(u32, u64)>,
    /// Whether some boot has said that it is ready, so that its disk is no empty one.
    pub(crate) settled_in: bool,
    /// The episode by which it was asked to stop.
    pub(crate) stopping: Option<u64>,
    /// Who waits to be asked.
    pub(crate) stop_waiters: Vec<Waiter>,
    pub(crate) tasks: Vec<u32>,
    /// Bound ports and their sockets, sorted.
    pub(crate) ports: Vec<(u32, u32)>,
    pub(crate) next_ephemeral: u32,
    pub(crate) clock: NodeClock,
    pub(crate) timer_count: u64,
    pub(crate) parked: Parked,
    pub(crate) disk: NodeDisk,
    /// Episodes that strike at one of the node's I/O steps.
    pub(crate) triggers: Vec<super::fault::Trigger>,
    /// How many operations the client has begun.
    pub(crate) operations: u64,
    /// How many of its sleeps have been found to be over.
    pub(crate) slept: u64,
    pub(crate) processes: u64,
    pub(super) exits: u64,
    /// With which error it ended by itself, if that is why it is down.
    pub(super) gave_up: Option<String>,
}

/// What a role is started with.
pub(crate) struct Boot {
    pub(crate) env: Env,
    pub(crate) node: u32,
    pub(crate) token: u64,
}

/// Blocking work that is on its way.
pub(crate) struct Work {
    node: u32,
    token: u64,
    work: Box<dyn FnOnce() + Send>,
}

impl Node {
    pub(crate) fn new(
        id: NodeId,
        entity: Entity,
        client: bool,
        choices: &Choices,
        weather: &Weather,
    ) -> Node {
        let draw = |n| choices.draw(Domain::Clock, entity, n);
        let rate = |n, ppm: u32| {
            let most = i64::from(ppm) * 1_000;
            between(draw(n), 0, 2 * most as u64) as i64 - most
        };
        let clock = NodeClock {
            origin: between(draw(0), 0, HOUR),
            rate_ppb: rate(1, weather.clock_rate_ppm),
            wall_offset: wall_offset(draw(2), weather.wall_offset_ns),
            wall_drift_ppb: rate(3, weather.wall_drift_ppm),
        };
        Node {
            id,
            entity,
            client,
            clients_before: 0,
            state: State::Down,
            boot: 0,
            boot_entity: entity,
            boots: 0,
            next_boot: 0,
            restart_planned: false,
            ready: false,
            impaired: false,
            paused: 0,
            held: Vec::new(),
            stalled: 0,
            stalled_operations: Vec::new(),
            suspended: (0, 0),
            slow_ns: 0,
            slow_disk: 1,
            full: false,
            lying: false,
            misdirect: None,
            damaged: false,
            damaged_in: 0,
            failing: 0,
            owes_ready: false,
            power_losses: 0,
            swapped: None,
            settled_in: false,
            stopping: None,
            stop_waiters: Vec::new(),
            tasks: Vec::new(),
            ports: Vec::new(),
            next_ephemeral: 0,
            clock,
            timer_count: 0,
            parked: Parked::default(),
            disk: NodeDisk::default(),
            triggers: Vec::new(),
            operations: 0,
            slept: 0,
            processes: 0,
            exits: 0,
            gave_up: None,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.boot != 0
    }

    /// Whether nothing holds it back.
    pub(crate) fn is_free(&self) -> bool {
        let slow = self.slow_ns > 0 || self.slow_disk > 1;
        let held = self.paused > 0 || self.stalled > 0 || self.stopping.is_some();
        let failing = self.failing > 0 || self.owes_ready;
        !(slow || held || failing || self.full || self.lying || !self.vouches())
    }

    /// Its disk has forgotten or mistaken something.
    pub(crate) fn damage(&mut self) {
        self.damaged = true;
        self.damaged_in = self.boots;
    }

    /// The running boot has repaired what it found damaged. What was damaged since it began, it
    /// may not have seen.
    pub(super) fn repaired(&mut self) {
        self.damaged &= self.damaged_in == self.boots;
    }

    /// Whether its disk is its own and holds what it was told to.
    pub(crate) fn vouches(&self) -> bool {
        !self.damaged && self.swapped.is_none() && !self.disk.files.has_lied()
    }

    /// Whether this is not the node's first boot.
    pub(crate) fn is_restarted(&self) -> bool {
        self.boots > 1
    }

    /// What ended the last boot.
    pub(crate) fn next_boot(&self) -> u64 {
        self.next_boot
    }
}

/// Adds the nodes of a plan, and says at which of them each role starts.
pub(super) fn draw_nodes(
    plan: &Plan,
    clients: &[&str],
    choices: &Choices,
    nodes: &mut Vec<Node>,
) -> Vec<u32> {
    let mut role_starts = Vec::with_capacity(plan.nodes.len());
    for role in &plan.nodes {
        role_starts.push(nodes.len() as u32);
        let entity = choices.root().named(&role.role);
        let client = clients.contains(&role.role.as_str());
        for ordinal in 1..=role.nodes {
            let id = NodeId::new(role_starts.len() as u16 - 1, ordinal);
            let entity = entity.with(u64::from(ordinal));
            nodes.push(Node::new(id, entity, client, choices, &plan.weather));
        }
    }
    role_starts
}

/// Gives nodes the room that others have left, numbers the clients and says how many there are.
pub(super) fn settle(nodes: &mut [Node], mut rooms: Vec<Room>) -> u64 {
    let mut clients = 0;
    for node in nodes {
        if let Some(room) = rooms.pop() {
            (node.tasks, node.ports, node.disk.handles) = (room.tasks, room.ports, room.handles);
        }
        node.clients_before = clients;
        clients += u64::from(node.client);
    }
    clients
}

/// Calm wall clocks differ by up to a second.
fn wall_offset(bits: u64, most: u64) -> i64 {
    if most == 0 {
        return between(bits, 0, 1_000_000_000) as i64;
    }
    between(bits, 0, 2 * most) as i64 - most as i64
}

impl World {
    /// Prepares a boot of a node that is down. The role itself is started outside.
    pub(crate) fn boot(&mut self, index: u32) -> Boot {
        let token = fresh_number();
        let node = &mut self.nodes[index as usize];
        node.boot = token;
        node.state = State::Up;
        node.ready = false;
        node.restart_planned = false;
        node.boots += 1;
        node.boot_entity = node.entity.with(node.next_boot);
        node.timer_count = 0;
        node.next_ephemeral = 0;
        node.stopping = None;
        let (boots, rate) = (node.boots, node.clock.rate_ppb);
        if rate != 0 {
            self.fired(Fault::ClockRate);
        }
        if self.weather.wall_offset_ns > 0 {
            self.fired(Fault::WallOffset);
        }
        self.start_streams(index);
        self.note(index, Code::Boot, [boots, 0]);
        let platform = Platform::new(self, index, token);
        Boot { env: Env::new(Arc::new(platform)), node: index, token }
    }

    /// A node stops at once: first nothing it does has any effect, then its tasks go.
    /// `episode` names the boot that follows.
    pub(crate) fn crash(&mut self, index: u32, episode: u64, power_loss: bool) {
        if self.nodes[index as usize].boot == 0 {
            return;
        }
        self.note(index, Code::Crash, [episode, u64::from(power_loss)]);
        self.stop(index, episode, power_loss, State::Down);
        let moment = AuditMoment::Crash(self.nodes[index as usize].id);
        self.outside.push(Outside::Audit(moment));
    }

    fn stop(&mut self, index: u32, episode: u64, power_loss: bool, state: State) {
        let node = &mut self.nodes[index as usize];
        node.boot = 0;
        node.gave_up = None;
        node.state = state;
        node.next_boot = episode;
        node.ready = false;
        (node.failing, node.owes_ready) = (0, false);
        // What the client had begun has an unknown outcome, so it goes on as another process.
        node.processes += 1;
        for waiter in std::mem::take(&mut node.stop_waiters) {
            if let Waiter::Foreign(waker) = waiter {
                self.outside.push(Outside::DropWaker(waker));
            }
        }
        let node = &mut self.nodes[index as usize];
        let held = std::mem::take(&mut node.held);
        let stalled = std::mem::take(&mut node.stalled_operations);
        while let Some(slot) = self.nodes[index as usize].tasks.last().copied() {
            let id = TaskId { slot, era: self.tasks[slot].era };
            self.kill_task(id);
        }
        while let Some((_, slot)) = self.nodes[index as usize].ports.last().copied() {
            self.unbind(slot, self.socket_era(slot));
        }
        self.stop_streams(index, power_loss);
        self.drop_timers(index);
        // What was held back goes through the queue once more and finds nobody.
        for event in held.into_iter().chain(stalled) {
            self.queue.push(event.at(self.now));
        }
        self.stop_disk(index, episode, power_loss);
        // Who is up has changed, which every property may have looked at.
        self.dirty = u64::MAX;
        let id = self.nodes[index as usize].id;
        let first = self.places.partition_point(|place| place.node < id);
        let last = self.places.partition_point(|place| place.node <= id);
        let gone = |place: &mut Place| !place.exhibit.is_lasting();
        let places: Vec<Place> = self.places.extract_if(first..last, gone).collect();
        if !places.is_empty() {
            let audit = power_loss && self.nodes[index as usize].vouches();
            self.outside.push(Outside::Remains { node: index, places, audit });
        }
    }

    fn stop_disk(&mut self, index: u32, episode: u64, power_loss: bool) {
        let losses = self.losses();
        let node = &mut self.nodes[index as usize];
        node.disk.handles.clear();
        if !power_loss {
            node.disk.files.close_all();
            return;
        }
        let crash = node.entity.with(episode);
        // What was reported durable and is not is lost for good.
        if node.disk.files.has_lied() {
            node.damage();
        }
        node.power_losses += 1;
        let unsynced = self.recorder.is_some().then(|| node.disk.files.unsynced());
        let (lost, hash) = node.disk.files.lose_power(&self.choices, crash, losses);
        if let Some((recorder, files)) = self.recorder.as_mut().zip(unsynced) {
            let (torn, names) = (lost.torn + lost.garbage + lost.lengths, lost.entries);
            let unsynced = Unsynced { files, lost: lost.writes, torn, names };
            recorder.notes.power_loss(self.now, index, unsynced);
        }
        self.fired_times(Fault::LostWrites, lost.writes);
        self.fired_times(Fault::TornWrites, lost.torn);
        self.fired_times(Fault::Garbage, lost.garbage);
        self.fired_times(Fault::LengthWithoutData, lost.lengths);
        self.fired_times(Fault::LostEntries, lost.entries);
        self.note(index, Code::CrashKept, [hash, 0]);
    }

    pub(crate) fn losses(&self) -> Losses {
        let weather = &self.weather;
        Losses {
            writes: weather.lost_writes,
            torn: weather.torn_writes,
            garbage: weather.garbage,
            length_without_data: weather.length_without_data,
            entries: weather.lost_entries,
        }
    }

    /// Starts a node that is down anew after a while.
    pub(crate) fn restart_after(&mut self, index: u32, after: u64) {
        let node = &mut self.nodes[index as usize];
        if node.restart_planned || node.state != State::Down {
            return;
        }
        node.restart_planned = true;
        let tie = (node.entity.0 >> 32) as u32;
        self.queue.push(Event::new(self.now + after, tie, Kind::Restart, index));
    }

    pub(crate) fn restart_event(&mut self, event: Event) {
        let index = event.slot();
        let node = &mut self.nodes[index as usize];
        if !node.restart_planned || node.state != State::Down {
            return;
        }
        if node.paused > 0 {
            // Nothing starts on a node that stands still.
            node.held.push(event);
            return;
        }
        node.restart_planned = false;
        self.advance(event.time());
        self.outside.push(Outside::Boot(index));
    }

    /// A role has returned. With an error its process is started anew, as an init system would;
    /// what the operating system had cached is still there.
    pub(crate) fn exited(&mut self, index: u32, token: u64, error: Option<&str>) {
        if !self.alive(index, token) {
            return;
        }
        let node = &mut self.nodes[index as usize];
        node.exits += 1;
        let (exits, entity) = (node.exits, node.entity);
        self.note(index, Code::Exit, [u64::from(error.is_some()), exits]);
        if let Some(episode) = self.nodes[index as usize].stopping {
            // It does as it was asked; the episode starts it anew.
            self.stop(index, episode, false, State::Down);
            return;
        }
        match error {
            None if self.nodes[index as usize].client => {
                self.nodes[index as usize].state = State::Finished;
                self.dirty = u64::MAX;
            }
            None => self.stop(index, 0, false, State::Finished),
            Some(text) => {
                self.trace(index, || format!("stops: {text}"));
                self.nodes[index as usize].impaired = true;
                let name = Entity(exits).named("exit").0;
                self.stop(index, name, false, State::Down);
                self.nodes[index as usize].gave_up = Some(text.to_owned());
                let bits = self.choices.draw(Domain::Restart, entity, exits);
                self.restart_after(index, between(bits, 10_000_000, 500_000_000));
            }
        }
    }

    /// Takes blocking work, to be done after a drawn while.
    pub(crate) fn block(&mut self, index: u32, work: Box<dyn FnOnce() + Send>) {
        let node = &self.nodes[index as usize];
        let (entity, token) = (node.boot_entity.named("blocking"), node.boot);
        let n = self.counts.next(entity.0);
        let bits = self.choices.draw(Domain::Blocking, entity, n);
        let after = crate::choice::log_uniform(bits, 10_000, 20_000_000);
        self.note(index, Code::Blocking, [n, 0]);
        let slot = self.work.take();
        self.work[slot] = Some(Work { node: index, token, work });
        let tie = (self.choices.draw(Domain::EventOrder, entity, n) >> 32) as u32;
        self.queue.push(Event::new(self.now + after, tie, Kind::Blocking, slot));
    }

    pub(crate) fn work_event(&mut self, event: Event) {
        let slot = event.slot();
        let Some((node, token)) = self.work[slot].as_ref().map(|work| (work.node, work.token))
        else {
            return;
        };
        if self.alive(node, token) && self.nodes[node as usize].paused > 0 {
            self.nodes[node as usize].held.push(event);
            return;
        }
        let Some(work) = self.work[slot].take() else { return };
        self.work.give_back(slot);
        if self.alive(node, token) {
            self.advance(event.time());
            self.note(node, Code::Blocking, [0, 1]);
            self.outside.push(Outside::Work(work.work));
        } else {
            self.outside.push(Outside::Work(Box::new(move || drop(work))));
        }
    }

    /// Whether all clients have done what they had to do. One that is down for good has nothing
    /// to do any more.
    pub(crate) fn clients_finished(&self) -> bool {
        self.nodes.iter().filter(|node| node.client).all(|node| match node.state {
            State::Finished => true,
            State::Up => false,
            State::Down => self.healed && !node.restart_planned,
        })
    }
}
