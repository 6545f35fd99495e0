//! The network: lanes, the fate of each message, partitions, sockets.

pub(crate) use super::cuts::draw_latency;
use super::queue::{Event, Kind};
use super::tasks::Waiter;
use super::{Outside, World};
use crate::choice::{Domain, Entity, Occasion, below, chance};
use crate::digest::{Code, hash_bytes};
use crate::plan::Fate;
use crate::table::Fault;
use squall_env::platform::{BindError, DATAGRAM_MAX};
use squall_env::{Address, Port};

/// The most datagrams that wait in one socket; more are dropped and counted.
const MAILBOX_MAX: u32 = 16_384;

/// Payloads up to this size need no buffer of their own.
const INLINE: usize = 64;

pub(super) const NONE: u32 = u32::MAX;

/// A datagram on its way or in a mailbox.
pub(crate) struct Message {
    pub(super) from: Address,
    from_node: u32,
    to_node: u32,
    to_port: u32,
    pub(super) hash: u64,
    inline: [u8; INLINE],
    length: u32,
    /// The next one in the same mailbox.
    pub(super) next: u32,
    large: Vec<u8>,
}

impl Default for Message {
    fn default() -> Message {
        let nowhere = Address::new(squall_env::NodeId::guest(0), Port::ANY);
        Message {
            from: nowhere,
            from_node: 0,
            to_node: 0,
            to_port: 0,
            hash: 0,
            inline: [0; INLINE],
            length: 0,
            next: NONE,
            large: Vec::new(),
        }
    }
}

impl Message {
    /// To which node it goes, and the hash of its payload.
    pub(super) fn receiver(&self) -> (u32, u64) {
        (self.to_node, self.hash)
    }

    #[inline]
    pub(super) fn payload(&self) -> &[u8] {
        let length = self.length as usize;
        if length <= INLINE { &self.inline[..length] } else { &self.large }
    }

    /// Copies the payload, which replaces what `into` held.
    #[inline]
    pub(super) fn copy_to(&self, into: &mut Vec<u8>) {
        into.clear();
        let length = self.length as usize;
        if length <= INLINE {
            // To copy some bytes more costs less than to copy as many as there happen to be.
            into.extend_from_slice(&self.inline);
            into.truncate(length);
        } else {
            into.extend_from_slice(&self.large);
        }
    }

    #[inline]
    fn set_payload(&mut self, payload: &[u8]) {
        self.length = payload.len() as u32;
        if payload.len() <= INLINE {
            self.inline[..payload.len()].copy_from_slice(payload);
        } else {
            self.large.clear();
            self.large.extend_from_slice(payload);
        }
    }
}

/// A bound port.
pub(crate) struct Socket {
    pub(super) era: u32,
    node: u32,
    port: u32,
    pub(super) head: u32,
    pub(super) tail: u32,
    pub(super) length: u32,
    pub(super) open: bool,
    pub(super) waiter: Waiter,
}

impl Default for Socket {
    fn default() -> Socket {
        let waiter = Waiter::Nobody;
        Socket { era: 0, node: 0, port: 0, head: NONE, tail: NONE, length: 0, open: false, waiter }
    }
}

/// The way that a message takes, and what of its ends matters to its fate.
struct Lane {
    way: (u32, u32, u32, u8),
    entity: Entity,
    /// Whether one of its ends is a client.
    client: bool,
    /// How much longer everything takes at its end at most.
    slow_ns: u64,
}

/// What was decided about one message.
pub(super) struct Fated {
    hash: u64,
    pub(super) lost: bool,
    pub(super) corrupt: Option<u64>,
    pub(super) after: u64,
    pub(super) copy_after: Option<u64>,
    tie: u32,
    /// How long the message is.
    bytes: usize,
}

impl World {
    pub(crate) fn bind(&mut self, node: u32, port: Port) -> Result<(u32, u32, Port), BindError> {
        let owner = &mut self.nodes[node as usize];
        let number = if port == Port::ANY {
            owner.next_ephemeral = owner.next_ephemeral.max(Port::FIRST_EPHEMERAL) + 1;
            owner.next_ephemeral
        } else {
            port.number()
        };
        let Err(place) = owner.ports.binary_search_by_key(&number, |(port, _)| *port) else {
            return Err(BindError::InUse(port));
        };
        let slot = self.sockets.take();
        self.nodes[node as usize].ports.insert(place, (number, slot));
        let socket = &mut self.sockets[slot];
        let era = socket.era;
        *socket = Socket { era, node, port: number, open: true, ..Socket::default() };
        self.note(node, Code::Bind, [u64::from(number), 0]);
        Ok((slot, era, Port::from_number(number)))
    }

    pub(crate) fn unbind(&mut self, slot: u32, era: u32) {
        let Some(socket) = self.sockets.get_mut(slot) else { return };
        if socket.era != era || !socket.open {
            return;
        }
        let (node, port, mut next) = (socket.node, socket.port, socket.head);
        socket.era = socket.era.wrapping_add(1);
        socket.open = false;
        let waiter = std::mem::take(&mut socket.waiter);
        if let Waiter::Foreign(waker) = waiter {
            self.outside.push(Outside::DropWaker(waker));
        }
        while next != NONE {
            let after = self.messages[next].next;
            self.gone(next, "nobody has received it");
            self.free_message(next);
            next = after;
        }
        self.sockets.give_back(slot);
        let owner = &mut self.nodes[node as usize];
        if let Ok(place) = owner.ports.binary_search_by_key(&port, |(port, _)| *port) {
            owner.ports.remove(place);
        }
        self.note(node, Code::Unbind, [u64::from(port), 0]);
    }

    pub(crate) fn socket_era(&self, slot: u32) -> u32 {
        self.sockets[slot].era
    }

    pub(crate) fn free_message(&mut self, slot: u32) {
        let large = &mut self.messages[slot].large;
        if large.capacity() > 16 * 1024 {
            *large = Vec::new();
        }
        self.messages.give_back(slot);
    }

    pub(crate) fn send(&mut self, node: u32, from: Port, to: Address, kind: u8, payload: &[u8]) {
        let hash = hash_bytes(payload);
        let target = u64::from(to.port.number()) << 32
            | u64::from(to.node.role()) << 16
            | u64::from(to.node.ordinal());
        if self.heeded {
            self.heed_kind(node, to.port.number(), kind);
        }
        self.note(node, Code::Send, [target, hash]);
        self.counters.messages += 1;
        let Some(to_node) = self.index_of(to.node) else { return };
        if payload.len() > DATAGRAM_MAX {
            self.note(node, Code::Rejected, [payload.len() as u64, 0]);
            return;
        }
        let (sender, target) = (&self.nodes[node as usize], &self.nodes[to_node as usize]);
        let (from_address, port) = (Address::new(sender.id, from), to.port.number());
        let name = target.entity.0 ^ u64::from(port) << 8 ^ u64::from(kind);
        let lane = Lane {
            way: (node, to_node, port, kind),
            entity: sender.boot_entity.with(name),
            client: sender.client || target.client,
            slow_ns: target.slow_ns,
        };
        let fated = self.decide(&lane, hash, payload.len());
        if !fated.lost {
            self.queue_message(node, to_node, (from_address, port), payload, fated);
        }
        self.strike_at_step(node);
    }

    fn queue_message(
        &mut self,
        node: u32,
        to_node: u32,
        way: (Address, u32),
        payload: &[u8],
        fated: Fated,
    ) {
        if self.guard.is_full(self.queue.len()) {
            // One poll may send without end, and nothing else would stop it.
            return self.too_much_pending();
        }
        let slot = self.put_message(node, to_node, way, payload, fated.hash);
        if let Some(bits) = fated.corrupt {
            self.corrupt(node, slot, bits);
        }
        let at = self.now + fated.after;
        self.queue.push(Event::new(at, fated.tie, Kind::Message, slot));
        if let Some(after) = fated.copy_after {
            let copy = self.put_message(node, to_node, way, payload, fated.hash);
            self.queue.push(Event::new(self.now + after, fated.tie ^ 1, Kind::Message, copy));
        }
    }

    #[inline]
    fn put_message(
        &mut self,
        from_node: u32,
        to_node: u32,
        (from, to_port): (Address, u32),
        payload: &[u8],
        hash: u64,
    ) -> u32 {
        let slot = self.messages.take();
        let message = &mut self.messages[slot];
        message.from = from;
        message.from_node = from_node;
        message.to_node = to_node;
        message.to_port = to_port;
        message.hash = hash;
        message.set_payload(payload);
        slot
    }

    /// Every decision about one message, each keyed by its lane and its count on that lane since
    /// the sender's boot. A fault that is off draws nothing.
    fn decide(&mut self, lane: &Lane, hash: u64, bytes: usize) -> Fated {
        let (node, to_node, port, kind) = lane.way;
        let n = self.counts.next(lane.entity.0);
        let occasion = self.choices.occasion(lane.entity, n);
        let tie = (occasion.draw(Domain::EventOrder) >> 32) as u32;
        let (after, copy_after) = (1, None);
        let mut fated = Fated { hash, lost: false, corrupt: None, after, copy_after, tie, bytes };
        if let Some(recorder) = &mut self.recorder {
            recorder.sent((node, to_node, port, kind), self.now, hash);
        }
        if !self.overrides.is_empty()
            && let Some(fate) = self.overrides.message((node, to_node, port, kind), self.now, hash)
        {
            match fate {
                Fate::Lost => {
                    self.note(node, Code::Lost, [hash, 1]);
                    fated.lost = true;
                }
                Fate::DeliveredAfterNs(after) => {
                    fated.after = after.max(1);
                    self.note_takes(node, after);
                }
                Fate::Delivered { after_ns, copy_after_ns, damage } => {
                    fated.after = after_ns.max(1);
                    fated.copy_after = copy_after_ns.map(|after| after.max(1));
                    fated.corrupt = damage;
                }
            }
            return fated;
        }
        if node == to_node {
            // What a node tells itself does not cross the network.
            fated.after = 1_000;
            return fated;
        }
        if self.is_cut(node, to_node) {
            self.note(node, Code::Cut, [u64::from(to_node), hash]);
            fated.lost = true;
            return fated;
        }
        let is_late = self.draw_fate(lane, occasion, &mut fated);
        if let Some(recorder) = self.recorder.as_mut().filter(|_| !self.healed) {
            let is_struck = is_late || fated.lost || fated.copy_after.is_some();
            recorder.fated(&fated, is_struck || fated.corrupt.is_some());
        }
        fated
    }

    /// Draws what the weather makes of a message; `true` if it is held back.
    fn draw_fate(&mut self, lane: &Lane, occasion: Occasion, fated: &mut Fated) -> bool {
        let mut is_late = false;
        let (hash, client, (node, to_node, ..)) = (fated.hash, lane.client, lane.way);
        let draw = |domain| occasion.draw(domain);
        fated.after = self.travel_time((node, to_node), client, occasion).max(1);
        let mut extra = self.link_extra(node, to_node, fated.bytes);
        if lane.slow_ns > 0 {
            extra += below(draw(Domain::SlowNode), lane.slow_ns);
        }
        fated.after += extra;
        self.fired(Fault::Latency);
        let weather = &self.weather;
        if weather.loss_ppm > 0 && chance(draw(Domain::Loss), weather.loss_ppm) {
            fated.lost = true;
            self.fired(Fault::Loss);
            self.note(node, Code::Lost, [hash, 0]);
            return is_late;
        }
        let weather = &self.weather;
        if weather.reordering_ppm > 0 {
            let bits = draw(Domain::Reordering);
            if chance(bits, weather.reordering_ppm) {
                fated.after += below(crate::choice::mix(bits), weather.reordering_ns);
                is_late = true;
                self.fired(Fault::Reordering);
                self.note(node, Code::Delayed, [hash, fated.after]);
            }
        }
        let weather = &self.weather;
        if weather.duplication_ppm > 0 && chance(draw(Domain::Duplication), weather.duplication_ppm)
        {
            let latency = if client { &weather.client_latency } else { &weather.latency };
            let after = draw_latency(latency, draw(Domain::CopyLatency)).max(1);
            fated.copy_after = Some(after + extra);
            self.fired(Fault::Duplication);
            self.note(node, Code::Duplicated, [hash, 0]);
        }
        let weather = &self.weather;
        if weather.corruption_ppm > 0 {
            let bits = draw(Domain::Corruption);
            if chance(bits, weather.corruption_ppm) {
                fated.corrupt = Some(crate::choice::mix(bits));
            }
        }
        is_late
    }

    fn corrupt(&mut self, node: u32, slot: u32, mut bits: u64) {
        let message = &mut self.messages[slot];
        let mut bytes = message.payload().to_vec();
        if bytes.is_empty() {
            return;
        }
        for _ in 0..=below(bits, 8) {
            bits = crate::choice::mix(bits.wrapping_add(1));
            let bit = below(bits, bytes.len() as u64 * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let hash = hash_bytes(&bytes);
        if hash == message.hash {
            // The flips undid each other.
            return;
        }
        message.set_payload(&bytes);
        message.hash = hash;
        self.fired(Fault::Corruption);
        self.note(node, Code::Corrupted, [hash, 0]);
    }

    /// A message arrives.
    pub(crate) fn message_event(&mut self, event: Event) {
        let slot = event.slot();
        let message = &self.messages[slot];
        let (from, to, port) = (message.from_node, message.to_node, message.to_port);
        let target = &mut self.nodes[to as usize];
        if target.paused > 0 {
            target.held.push(event);
            return;
        }
        if !target.is_up() {
            self.note_missed(event.time(), (from, to), message.hash);
            self.gone(slot, "its receiver is down");
            self.free_message(slot);
            return;
        }
        let hash = message.hash;
        let watched = from != to && !self.cuts.is_empty();
        if watched && self.holds_back(event, (from, to)) {
            return;
        }
        self.advance(event.time());
        // A cut holds for what is on its way as well.
        if watched && self.some_cut_stops(from, to) {
            self.note(to, Code::Cut, [u64::from(from), hash]);
            self.free_message(slot);
            return;
        }
        let target = &self.nodes[to as usize];
        let Ok(place) = target.ports.binary_search_by_key(&port, |(port, _)| *port) else {
            self.note(to, Code::NoSocket, [u64::from(port), hash]);
            self.free_message(slot);
            return;
        };
        let socket_slot = target.ports[place].1;
        let most =
            if self.weather.mailbox_max == 0 { MAILBOX_MAX } else { self.weather.mailbox_max };
        let socket = &mut self.sockets[socket_slot];
        if socket.length >= most {
            self.fired(Fault::QueueOverflow);
            self.note(to, Code::Overflow, [u64::from(port), hash]);
            self.free_message(slot);
            return;
        }
        let (tail, waiter) = (socket.tail, std::mem::take(&mut socket.waiter));
        socket.tail = slot;
        socket.length += 1;
        if tail == NONE {
            socket.head = slot;
        } else {
            self.messages[tail].next = slot;
        }
        self.messages[slot].next = NONE;
        self.note(to, Code::Deliver, [u64::from(from) << 32 | u64::from(port), hash]);
        self.tell(waiter);
    }
}
