//! How connections come to stand: listeners, and attempts to connect.

use super::{CALLER, Connection, LISTENER, Listener, MS, RETRY_MIN, Stage, What};
use crate::choice::{Domain, chance, log_uniform, mix};
use crate::digest::Code;
use crate::table::Fault;
use crate::world::World;
use squall_env::platform::BindError;
use squall_env::stream::{ConnectError, StreamError};
use squall_env::{Address, Port};

/// How long an attempt to connect goes on.
const CONNECT_MAX: u64 = 3_000 * MS;

/// When a call that was not answered is repeated for the first time (RFC 6298, section 2.1); then
/// after twice as long.
const CALL_AGAIN: u64 = 1_000 * MS;

/// The most connections that wait to be taken; who calls then is not heard, and calls again.
const WAITING_MAX: usize = 128;

/// An attempt to connect, by its place among connections.
#[derive(Clone, Copy)]
pub(crate) struct Connecting(pub(super) u32);

impl World {
    pub(crate) fn listen(&mut self, node: u32, port: Port) -> Result<(u32, u32, Port), BindError> {
        let owner = &mut self.nodes[node as usize];
        let number = if port == Port::ANY {
            owner.next_ephemeral = owner.next_ephemeral.max(Port::FIRST_EPHEMERAL) + 1;
            owner.next_ephemeral
        } else {
            port.number()
        };
        if self.streams.ports.contains_key(&(node, number)) {
            return Err(BindError::InUse(port));
        }
        let slot = self.streams.listeners.take();
        self.streams.ports.insert((node, number), slot);
        let listener = &mut self.streams.listeners[slot];
        let era = listener.era;
        *listener = Listener { era, node, port: number, open: true, ..Listener::default() };
        self.note(node, Code::Listen, [u64::from(number), 0]);
        Ok((slot, era, Port::from_number(number)))
    }

    /// A port is given back. Who waits there is sent away, unless the power has gone.
    pub(super) fn unlisten(&mut self, slot: u32, power_loss: bool) {
        let listener = &mut self.streams.listeners[slot];
        listener.open = false;
        listener.era = listener.era.wrapping_add(1);
        let (node, port) = (listener.node, listener.port);
        let waiting = std::mem::take(&mut listener.waiting);
        let waiter = std::mem::take(&mut listener.waiter);
        self.forget_waiter(waiter);
        self.streams.ports.remove(&(node, port));
        self.streams.listeners.give_back(slot);
        self.note(node, Code::Unlisten, [u64::from(port), 0]);
        for (connection, era) in waiting {
            if !power_loss && self.streams.connections[connection].era == era {
                self.close_end(connection, LISTENER, true);
            }
        }
    }

    /// Begins to connect.
    pub(crate) fn connect(&mut self, node: u32, to: Address) -> Result<Connecting, ConnectError> {
        let target = u64::from(to.port.number()) << 32
            | u64::from(to.node.role()) << 16
            | u64::from(to.node.ordinal());
        let Some(to_node) = self.index_of(to.node) else {
            self.note(node, Code::Connect, [target, 0]);
            return Err(ConnectError::NoRoute);
        };
        let port = to.port.number();
        let (from, peer) = (&self.nodes[node as usize], &self.nodes[to_node as usize]);
        let client = from.client || peer.client;
        let lane = from.boot_entity.named("connect").with(peer.entity.0 ^ u64::from(port));
        let entity = lane.with(self.counts.next(lane.0));
        let slot = self.streams.connections.take();
        let connection = &mut self.streams.connections[slot];
        let (era, pipes) = (connection.era, std::mem::take(&mut connection.pipes));
        let (stage, deadline) = (Stage::Calling, self.now + CONNECT_MAX);
        let before = Connection {
            era,
            pipes,
            stage,
            entity,
            port,
            client,
            deadline,
            ..Connection::default()
        };
        *connection = before;
        connection.ends[CALLER].node = node;
        connection.ends[CALLER].held = true;
        connection.ends[LISTENER].node = to_node;
        let name = connection.name(0);
        self.note(node, Code::Connect, [target, name]);
        self.draw_bounds(slot);
        if node != to_node {
            self.draw_connect_faults(slot, node);
        }
        let occasion = self.choices.occasion(entity, 0);
        match self.travel(slot, LISTENER, occasion) {
            Some(after) => self.plan_stream(slot, LISTENER, What::Hello, self.now + after),
            None => self.plan_stream(slot, LISTENER, What::Hello, deadline),
        }
        self.strike_at_step(node);
        Ok(Connecting(slot))
    }

    fn draw_connect_faults(&mut self, slot: u32, node: u32) {
        let weather = &self.weather.streams;
        let rates = [
            (Domain::ConnectRefused, weather.connect_refused_ppm, Fault::ConnectRefused),
            (Domain::ConnectHang, weather.connect_hang_ppm, Fault::ConnectHang),
            (Domain::ConnectReset, weather.connect_reset_ppm, Fault::ConnectReset),
        ];
        let (entity, name) = {
            let connection = &self.streams.connections[slot];
            (connection.entity, connection.name(0))
        };
        let occasion = self.choices.occasion(entity, 0);
        for (domain, ppm, fault) in rates {
            let bits = if ppm > 0 { occasion.draw(domain) } else { continue };
            if !chance(bits, ppm) {
                continue;
            }
            let connection = &mut self.streams.connections[slot];
            match fault {
                Fault::ConnectRefused => connection.refused = true,
                Fault::ConnectReset => connection.breaks = true,
                _ => {
                    connection.dead = true;
                    let hangs = log_uniform(mix(bits), 1_000 * MS, 20_000 * MS);
                    connection.deadline = self.now + hangs;
                }
            }
            self.fired(fault);
            self.note(node, Code::StreamFault, [name, fault as u64]);
            return;
        }
    }

    /// A call reaches the node, or not.
    pub(super) fn hello_event(&mut self, slot: u32) {
        let connection = &self.streams.connections[slot];
        let (node, port) = (connection.ends[LISTENER].node, connection.port);
        if self.now >= connection.deadline {
            self.fail_connect(slot, ConnectError::TimedOut);
            return;
        }
        let refused = connection.refused;
        if !self.passes(slot, LISTENER) {
            self.call_again(slot);
            return;
        }
        let listener = self.streams.ports.get(&(node, port)).copied();
        let Some(listener) = listener.filter(|_| !refused) else {
            self.answer(slot, false);
            return;
        };
        let era = self.streams.connections[slot].era;
        let listener = &mut self.streams.listeners[listener];
        if listener.waiting.len() >= WAITING_MAX {
            self.call_again(slot);
            return;
        }
        listener.waiting.push_back((slot, era));
        let waiter = std::mem::take(&mut listener.waiter);
        let connection = &mut self.streams.connections[slot];
        connection.ends[LISTENER].held = true;
        let name = connection.name(0);
        self.note(node, Code::Accept, [name, 0]);
        self.tell(waiter);
        self.answer(slot, true);
    }

    fn call_again(&mut self, slot: u32) {
        let connection = &mut self.streams.connections[slot];
        let wait = CALL_AGAIN << connection.tries.min(10);
        connection.tries += 1;
        let at = (self.now + wait).min(connection.deadline);
        let (node, name) = (connection.ends[CALLER].node, connection.name(0));
        self.note(node, Code::SegmentWaits, [name, at - self.now]);
        self.plan_stream(slot, LISTENER, What::Hello, at);
    }

    fn answer(&mut self, slot: u32, taken: bool) {
        let connection = &self.streams.connections[slot];
        let occasion = self.choices.occasion(connection.entity, 1);
        let deadline = connection.deadline;
        let travel = self.travel(slot, CALLER, occasion);
        let at = travel.map_or(deadline, |after| self.now + after);
        self.plan_stream(slot, CALLER, What::Answer(taken), at);
    }

    /// The answer to a call reaches the caller, or not.
    pub(super) fn answer_event(&mut self, slot: u32, taken: bool) {
        let connection = &self.streams.connections[slot];
        let (stage, deadline) = (connection.stage, connection.deadline);
        if !self.passes(slot, CALLER) {
            if self.now < deadline {
                let at = (self.now + CALL_AGAIN).min(deadline);
                self.plan_stream(slot, CALLER, What::Answer(taken), at);
            } else {
                self.fail_connect(slot, ConnectError::TimedOut);
                self.plan_probe(slot, LISTENER);
            }
            return;
        }
        let connection = &mut self.streams.connections[slot];
        if !connection.ends[CALLER].held {
            // The caller has given up in the meantime.
            self.send_reset(slot, LISTENER);
        } else if stage != Stage::Calling {
            // The connection broke before it stood.
        } else if !taken {
            self.fail_connect(slot, ConnectError::Refused);
        } else {
            connection.stage = Stage::Standing;
            let (node, name) = (connection.ends[CALLER].node, connection.name(0));
            let breaks = connection.breaks;
            self.note(node, Code::ConnectEnd, [name, 0]);
            self.wake_end(slot, CALLER);
            if breaks {
                self.plan_stream(slot, CALLER, What::Reset, self.now + RETRY_MIN / 1_000);
                self.send_reset(slot, LISTENER);
            }
        }
    }

    fn fail_connect(&mut self, slot: u32, error: ConnectError) {
        let connection = &mut self.streams.connections[slot];
        if connection.stage != Stage::Calling {
            return;
        }
        connection.stage = Stage::Failed(error);
        // Who asks for this end later learns that it has gone.
        connection.ends[CALLER].error = Some(StreamError::Silent);
        let (node, name) = (connection.ends[CALLER].node, connection.name(0));
        let code = if error == ConnectError::Refused { 1 } else { 2 };
        self.note(node, Code::ConnectEnd, [name, code]);
        self.wake_end(slot, CALLER);
    }
}
