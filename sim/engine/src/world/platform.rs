//! The environment's traits over the world. A platform holds numbers only; whatever a boot asks
//! after its end has no effect and no answer.

use super::disk::Way;
use super::slot::BootSlot;
use super::streams::{Attempt, Holder, ListeningPort};
use super::{World, clock, halt, receive, with};
use crate::choice::{Domain, Entity, chance, hash_text};
use crate::digest::{Code, hash_bytes};
use crate::table::Fault;
use crate::trace::Log;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use squall_env::disk::{Completion, Operation};
use squall_env::platform::{
    BindError, BoxFuture, ByteStream, Clock, Closed, Datagrams, Disk, DiskSlot, Listening, Network,
    Observer, Random, Spawner, Wait,
};
use squall_env::shown::{AuditMoment, Exhibit, Place};
use squall_env::stream::ConnectError;
use squall_env::{Address, Instant, NodeId, Port, Roster, WallTime};
use std::sync::Arc;
use std::task::{Context, Poll};

/// What the environment of one boot of a node stands on.
pub(crate) struct Platform {
    node: u32,
    token: u64,
    id: NodeId,
    roster: Arc<Roster>,
    /// Whether somebody is told in words what happens.
    told: bool,
    /// Whether some deliberate bug is switched on.
    mutated: bool,
}

impl Platform {
    pub(super) fn new(world: &World, node: u32, token: u64) -> Platform {
        let (id, roster) = (world.nodes[node as usize].id, Arc::clone(&world.roster));
        let (told, mutated) = (world.is_told(), world.mutant.is_some());
        Platform { node, token, id, roster, told, mutated }
    }

    /// Does something in the world, if this boot is the running one.
    #[inline]
    fn enter<R>(&self, f: impl FnOnce(&mut World, u32) -> R) -> Option<R> {
        with(|world| world.alive(self.node, self.token).then(|| f(world, self.node))).flatten()
    }
}

impl Clock for Platform {
    fn now(&self) -> Instant {
        let now = self.enter(|world, node| world.nodes[node as usize].clock.local(world.now));
        Instant::from_nanos(now.unwrap_or_default())
    }

    fn wall(&self) -> WallTime {
        let wall = self.enter(|world, node| {
            let clock = world.nodes[node as usize].clock;
            if clock.wall_drift_ppb != 0 {
                world.fired(Fault::WallDrift);
            }
            let wall = clock.wall(world.now);
            world.note(node, Code::ReadWall, [wall as u64, 0]);
            wall
        });
        WallTime::from_unix_nanos(wall.unwrap_or_default())
    }

    fn slept(&self) -> u64 {
        let (node, token) = (self.node, self.token);
        let slept = |world: &mut World| world.alive(node, token).then(|| world.slept(node));
        with(slept).flatten().unwrap_or(0)
    }

    fn poll_sleep(&self, until: Instant, wait: &mut Wait, cx: &mut Context<'_>) -> Poll<()> {
        clock::poll_sleep(self.node, self.token, until, wait, cx)
    }

    fn cancel(&self, wait: &mut Wait) {
        self.enter(|world, node| world.cancel_timer(node, wait));
    }
}

struct BoundPort {
    node: u32,
    token: u64,
    slot: u32,
    era: u32,
    port: Port,
}

impl Datagrams for BoundPort {
    fn port(&self) -> Port {
        self.port
    }

    fn poll_receive(
        &mut self,
        into: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Address, Closed>> {
        receive::poll_receive((self.node, self.token), (self.slot, self.era), into, cx)
    }
}

impl Drop for BoundPort {
    fn drop(&mut self) {
        with(|world| {
            if world.alive(self.node, self.token) {
                world.unbind(self.slot, self.era);
            }
        });
    }
}

impl Network for Platform {
    fn bind(&self, port: Port) -> Result<Box<dyn Datagrams>, BindError> {
        let bound = self.enter(|world, node| world.bind(node, port));
        let (slot, era, port) = bound.unwrap_or(Err(BindError::Stopped))?;
        Ok(Box::new(BoundPort { node: self.node, token: self.token, slot, era, port }))
    }

    fn send(&self, from: Port, to: Address, kind: u8, payload: &[u8]) {
        self.enter(|world, node| world.send(node, from, to, kind, payload));
    }

    fn listen(&self, port: Port) -> Result<Box<dyn Listening>, BindError> {
        let opened = self.enter(|world, node| world.listen(node, port));
        let (slot, era, port) = opened.unwrap_or(Err(BindError::Stopped))?;
        let holder = Holder { node: self.node, token: self.token };
        Ok(Box::new(ListeningPort { holder, slot, era, port }))
    }

    fn connect(
        &self,
        to: Address,
    ) -> BoxFuture<'static, Result<Box<dyn ByteStream>, ConnectError>> {
        let holder = Holder { node: self.node, token: self.token };
        Box::pin(Attempt { holder, to, begun: None })
    }
}

impl Disk for Platform {
    fn submit(&self, mut operation: Operation, done: Completion) {
        // Outside of the world, the completion of a dead boot is dropped and answers by itself.
        let mut done = Some(done);
        self.enter(|world, node| {
            if let Some(done) = done.take() {
                world.submit(node, &mut operation, Way::Given(done));
            }
        });
    }

    fn disk_slot(&self) -> Option<Box<dyn DiskSlot>> {
        Some(Box::new(BootSlot::new(self.node, self.token)))
    }
}

impl Spawner for Platform {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let mut given = Some(task);
        self.enter(|world, node| {
            if let Some(task) = given.take() {
                world.spawn(node, name, task);
            }
        });
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        let mut given = Some(work);
        self.enter(|world, node| {
            if let Some(work) = given.take() {
                world.block(node, work);
            }
        });
    }

    fn poll_stop(&self, cx: &mut Context<'_>) -> Poll<()> {
        halt::poll_stop((self.node, self.token), cx)
    }

    fn waits_for(&self, kind: &'static str, name: &'static str) {
        self.enter(|world, _| world.waits(kind, name));
    }
}

impl Random for Platform {
    fn next_u64(&self) -> u64 {
        self.enter(|world, node| world.random(node)).unwrap_or_default()
    }
}

impl Observer for Platform {
    fn ready(&self) {
        self.enter(|world, node| {
            world.note(node, Code::Ready, [0, 0]);
            if world.nodes[node as usize].is_restarted() {
                let moment = AuditMoment::Restart(world.nodes[node as usize].id);
                world.outside.push(super::Outside::Audit(moment));
            }
            world.is_ready(node);
            world.play_if_due();
        });
    }

    fn show(&self, exhibit: Exhibit) {
        let mut given = Some(exhibit);
        self.enter(|world, node| {
            if let Some(exhibit) = given.take() {
                world.show(node, exhibit);
            }
        });
    }

    fn touched(&self, exhibit: u64) {
        self.enter(|world, _| world.dirty |= 1 << (exhibit % 64) & world.interest);
    }

    fn sometimes(&self, name: &'static str) {
        self.enter(|world, node| {
            world.note(node, Code::Sometimes, [hash_text(name), 0]);
            let times = world.observed.sometimes(name);
            world.reached(name, &[], times);
            world.play_if_due();
        });
    }

    fn sometimes_each(&self, name: &'static str, values: &[&'static str]) {
        self.enter(|world, node| {
            let hash = values.iter().fold(Entity(0), |hash, value| hash.named(value)).0;
            world.note(node, Code::Sometimes, [hash_text(name), hash]);
            world.observed.combined(name, values);
            world.reached(name, values, 1);
            world.play_if_due();
        });
    }

    fn watermark(&self, name: &'static str, height: u64) {
        self.enter(|world, _| {
            world.observed.watermark(name, height);
            world.reached(name, &["height"], height);
        });
    }

    fn buggify(&self, name: &'static str) -> bool {
        self.enter(|world, node| world.buggify(node, name)).unwrap_or_default()
    }

    fn knob(&self, name: &'static str, default: u64, low: u64, high: u64) -> u64 {
        self.enter(|world, node| world.knob(node, name, default, low, high)).unwrap_or(default)
    }

    fn mutant(&self, name: &'static str) -> bool {
        let is_on = |world: &mut World, _| world.mutant.as_deref() == Some(name);
        self.mutated && self.enter(is_on).unwrap_or_default()
    }

    fn is_told(&self) -> bool {
        self.told
    }

    fn trace(&self, text: &dyn Fn() -> String) {
        if self.told && self.enter(|world, _| world.is_traced()).unwrap_or_default() {
            let text = text();
            self.enter(|world, node| world.trace(node, || text));
        }
    }

    fn names(&self, payload: &[u8], name: &dyn Fn() -> String) {
        if !self.told {
            return;
        }
        let mut hash = 0;
        let mut own = |world: &mut World, node| {
            world.wants_name(node, || {
                hash = hash_bytes(payload);
                hash
            })
        };
        // What the name is made of is user code's.
        if self.enter(|world, node| own(world, node)).unwrap_or_default() {
            let name = name();
            self.enter(|world, node| world.name(node, hash, name));
        }
    }

    fn rejected(&self, from: Address, why: &'static str) {
        self.enter(|world, node| {
            world.counters.rejected += 1;
            let from = u64::from(from.node.role()) << 16 | u64::from(from.node.ordinal());
            world.note(node, Code::Rejected, [from, hash_text(why)]);
        });
    }
}

impl squall_env::platform::Platform for Platform {
    fn me(&self) -> NodeId {
        self.id
    }

    fn roster(&self) -> &Roster {
        &self.roster
    }
}

impl World {
    #[inline]
    fn random(&mut self, node: u32) -> u64 {
        let value = match self.current {
            Some(id) => {
                let task = &mut self.tasks[id.slot];
                match &mut task.rng {
                    Some(rng) => rng.next_u64(),
                    None => {
                        let seed = self.choices.draw(Domain::User, task.entity, 0);
                        let rng = Box::new(ChaCha8Rng::seed_from_u64(seed));
                        task.rng.insert(rng).next_u64()
                    }
                }
            }
            None => {
                // A role draws while it is being started.
                let entity = self.nodes[node as usize].boot_entity;
                let n = self.counts.next(entity.0);
                self.choices.draw(Domain::User, entity, n)
            }
        };
        self.note(node, Code::Random, [value, 0]);
        value
    }

    pub(crate) fn show(&mut self, node: u32, exhibit: Exhibit) {
        self.note(node, Code::Show, [hash_text(exhibit.name()), 0]);
        let number = self.exhibits;
        self.exhibits += 1;
        exhibit.set_number(number);
        let id = self.nodes[node as usize].id;
        // A machine that is opened anew takes the place of the one that was shown before it.
        let same = |place: &Place| place.node == id && place.exhibit.name() == exhibit.name();
        if let Some(before) = self.places.iter().position(same) {
            let places = vec![self.places.remove(before)];
            self.outside.push(super::Outside::Remains { node, places, audit: false });
        }
        let at = self.places.partition_point(|place| place.node <= id);
        self.places.insert(at, Place { node: id, number, exhibit });
        // Something new can be seen, so every property looks again.
        self.dirty = u64::MAX;
    }

    fn buggify(&mut self, node: u32, name: &'static str) -> bool {
        if !self.weather.buggify {
            return false;
        }
        let entity = self.nodes[node as usize].entity.named(name);
        if !chance(self.choices.draw_lasting(Domain::BuggifySite, entity, 0), 250_000) {
            return false;
        }
        let pass = self.counts.next(entity.0);
        let fires = chance(self.choices.draw(Domain::BuggifyPass, entity, pass), 250_000);
        if fires {
            self.fired(Fault::Buggify);
            let hash = hash_text(name);
            if self.wants_name(node, || hash) {
                self.name(node, hash, name.to_owned());
            }
            self.note(node, Code::Buggify, [hash, pass]);
        }
        fires
    }

    fn knob(&mut self, node: u32, name: &'static str, default: u64, low: u64, high: u64) -> u64 {
        if !self.weather.knobs {
            return default;
        }
        let entity = self.nodes[node as usize].entity.named(name);
        let bits = self.choices.draw_lasting(Domain::Knob, entity, 0);
        if bits & 1 == 0 {
            return default;
        }
        let value = crate::choice::between(crate::choice::mix(bits), low, high);
        if value != default {
            self.fired(Fault::Knobs);
        }
        self.note(node, Code::Knob, [hash_text(name), value]);
        value
    }

    /// Whether anybody reads a trace of this run.
    pub(crate) fn is_traced(&self) -> bool {
        self.log.as_ref().is_some_and(Log::is_read)
    }

    /// Adds an event of `tracing` to the trace: that of the task that runs, if one does.
    pub(crate) fn emitted(&mut self, text: String) {
        let node = self.current.map_or(self.itself(), |task| self.tasks[task.slot].node);
        let boot = self.nodes.get(node as usize).map_or(0, |node| node.boots);
        self.add_line(super::Line::Event { time: self.now, node: node as u16, boot, text });
    }

    /// Adds a line to the trace, if there is one.
    pub(crate) fn trace(&mut self, node: u32, text: impl FnOnce() -> String) {
        if self.log.is_some() {
            let (time, node, text) = (self.now, node as u16, text());
            self.add_line(super::Line::Text { time, node, text });
        }
    }
}
