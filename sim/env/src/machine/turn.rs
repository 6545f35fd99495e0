//! What a handler may do, and the queue in which its effects wait for the disk.

use super::{Machine, Position, RequestId};
use crate::address::{Address, NodeId, Port};
use crate::codec;
use crate::journal::Journal;
use crate::named::name_of;
use crate::time::Instant;
use crate::{Combination, Env, WallTime};
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// The surroundings of one handler call.
///
/// Effects leave in the order of the turns, and none before every record that this or an earlier
/// turn persisted is durable, whether or not this turn wrote one: so nothing that leaves the node
/// shows state that a crash could take back.
pub struct Turn<M: Machine> {
    pub(super) env: Env,
    pub(super) port: Port,
    /// The time of the turn, once it was asked for.
    pub(super) now: Cell<Option<Instant>>,
    pub(super) journal: Journal,
    /// The records of the turn under way, as a [`Tail`] has them.
    records: Vec<u8>,
    effects: VecDeque<Effect<M>>,
    /// Effects of the turn under way have no position yet.
    stamped: usize,
    outbox: Vec<u8>,
    scratch: Vec<u8>,
    pub(super) timers: Vec<(Instant, M::Timer)>,
    pub(super) compact: bool,
    pub(super) settle: bool,
}

/// Records that may not be durable yet, for the audit: each as a length and its bytes.
#[derive(Default)]
pub(crate) struct Tail {
    pub(super) last: u64,
    pub(super) durable: u64,
    bytes: Vec<u8>,
}

struct Effect<M: Machine> {
    after: Position,
    what: What<M>,
}

/// An effect that was taken out of the queue, with bytes of its own.
pub(super) enum Held<R> {
    Send { to: Address, frame: Vec<u8> },
    Reply { id: RequestId, reply: R },
}

enum What<M: Machine> {
    Send { to: Address, kind: u8, frame: Range<usize> },
    Reply { id: RequestId, reply: M::Reply },
}

impl<M: Machine> Turn<M> {
    pub(super) fn new(env: &Env, port: Port, journal: Journal) -> Self {
        Turn {
            env: env.clone(),
            port,
            now: Cell::default(),
            journal,
            records: Vec::new(),
            effects: VecDeque::new(),
            stamped: 0,
            outbox: Vec::new(),
            scratch: Vec::new(),
            timers: Vec::new(),
            compact: false,
            settle: false,
        }
    }

    /// Makes a durable change: applies the record at once and queues it for the disk. The effects
    /// of this turn wait for it.
    pub fn persist(&mut self, machine: &mut M, record: M::Record) -> Position {
        machine.apply(&record);
        let records = &mut self.records;
        self.journal.append_with(|into| {
            let start = into.len();
            codec::append(&record, into).expect("a machine's records can be encoded");
            records.reserve(4 + into.len() - start);
            records.extend_from_slice(&((into.len() - start) as u32).to_le_bytes());
            records.extend_from_slice(&into[start..]);
        })
    }

    /// Sends a message when everything persisted before it is durable.
    pub fn send(&mut self, to: Address, message: M::Message) {
        let start = self.outbox.len();
        match codec::append_frame(&message, &mut self.outbox) {
            Ok(kind) => {
                self.env.names(&self.outbox[start..], || name_of(&message));
                let what = What::Send { to, kind, frame: start..self.outbox.len() };
                self.effects.push_back(Effect { after: Position(0), what });
            }
            Err(error) => self.env.platform().rejected(self.my_address(), error.reason()),
        }
    }

    /// Sends a message at once. It may claim nothing about what is durable here.
    pub fn send_early(&mut self, to: Address, message: M::Message) {
        match codec::encode(&message, &mut self.scratch) {
            Ok(kind) => {
                self.env.names(&self.scratch, || name_of(&message));
                self.env.platform().send(self.port, to, kind, &self.scratch);
            }
            Err(error) => self.env.platform().rejected(self.my_address(), error.reason()),
        }
    }

    /// Answers a request when everything persisted before is durable.
    pub fn reply(&mut self, id: RequestId, reply: M::Reply) {
        let what = What::Reply { id, reply };
        self.effects.push_back(Effect { after: Position(0), what });
    }

    /// Arms a timer; one that is equal is moved. Timers run at once and die in a crash.
    pub fn arm(&mut self, timer: M::Timer, after: Duration) {
        self.disarm(&timer);
        self.timers.push((self.now() + after, timer));
    }

    /// Takes a timer off.
    pub fn disarm(&mut self, timer: &M::Timer) {
        self.timers.retain(|(_, armed)| armed != timer);
    }

    /// Counts and drops what no correct peer sends.
    pub fn reject(&mut self, from: Address, why: &'static str) {
        self.env.platform().rejected(from, why);
    }

    /// Takes a snapshot after this turn; the records it covers go from the disk.
    pub fn compact(&mut self) {
        self.compact = true;
    }

    /// Asks for [`Machine::on_settled`] once the inputs that wait have had their turns.
    pub fn settle(&mut self) {
        self.settle = true;
    }

    /// The time of this turn on the monotonic clock.
    pub fn now(&self) -> Instant {
        let now = self.now.get().unwrap_or_else(|| self.env.now());
        self.now.set(Some(now));
        now
    }

    /// The wall clock.
    pub fn wall(&self) -> WallTime {
        self.env.wall()
    }

    /// This node.
    pub fn me(&self) -> NodeId {
        self.env.me()
    }

    /// Where this machine gets its messages.
    pub fn my_address(&self) -> Address {
        Address::new(self.env.me(), self.port)
    }

    /// Where the machines of this kind on the nodes of a role get their messages.
    pub fn peers(&self, role: &str) -> Vec<Address> {
        self.env.addresses(role, self.port)
    }

    /// The position of the last record that was persisted.
    pub fn last(&self) -> Position {
        self.journal.last()
    }

    /// Everything up to this position is durable on the own disk.
    pub fn durable(&self) -> Position {
        self.journal.durable()
    }

    /// 64 random bits.
    pub fn random(&mut self) -> u64 {
        self.env.random()
    }

    /// Says something to whoever reads the run's trace; see [`Env::trace`].
    pub fn trace(&self, text: impl Fn() -> String) {
        self.env.trace(text);
    }

    /// A situation was reached that a good test reaches now and then.
    pub fn sometimes(&self, name: &'static str) {
        self.env.sometimes(name);
    }

    /// See [`Env::sometimes_each`].
    pub fn sometimes_each<C: Combination>(&self, name: &'static str, combination: &C) {
        self.env.sometimes_each(name, combination);
    }

    /// Something has come to this height; see [`Env::watermark`].
    pub fn watermark(&self, name: &'static str, height: u64) {
        self.env.watermark(name, height);
    }

    /// One of the numbers below `count`, or zero if that is zero. Who explores all that a machine
    /// may do goes through each of them, so this says more than [`Turn::random`].
    pub fn choose(&mut self, count: u64) -> u64 {
        self.env.platform().choose(count)
    }

    /// See [`buggify!`](crate::buggify).
    pub fn buggify(&self, name: &'static str) -> bool {
        self.env.buggify(name)
    }

    /// See [`mutant!`](crate::mutant).
    pub fn mutant(&self, name: &'static str) -> bool {
        self.env.mutant(name)
    }

    /// Puts the records of the turn to those that may not be durable yet.
    pub(super) fn hand_over(&mut self, tail: &mut Tail) {
        if !self.records.is_empty() {
            if tail.bytes.is_empty() {
                std::mem::swap(&mut tail.bytes, &mut self.records);
            } else {
                tail.bytes.extend_from_slice(&self.records);
                self.records.clear();
            }
            tail.last = self.journal.last().0;
        }
    }

    /// Takes the records of the turn.
    pub(super) fn take_records(&mut self) -> Vec<Vec<u8>> {
        let records = split(&self.records).map(<[u8]>::to_vec).collect();
        self.records.clear();
        records
    }

    /// Stamps the effects of the turn with the records they wait for.
    pub(super) fn finish(&mut self) {
        let after = self.journal.last();
        for effect in self.effects.range_mut(self.stamped..) {
            effect.after = after;
        }
        self.stamped = self.effects.len();
    }

    /// Takes all effects out of the queue, whatever they wait for.
    pub(super) fn take_held(&mut self) -> Vec<Held<M::Reply>> {
        self.stamped = 0;
        let outbox = &self.outbox;
        let held = self.effects.drain(..).map(|effect| match effect.what {
            What::Send { to, frame, .. } => Held::Send { to, frame: outbox[frame].to_vec() },
            What::Reply { id, reply } => Held::Reply { id, reply },
        });
        held.collect()
    }

    /// Lets every effect go that waits for nothing any more.
    pub(super) fn release(&mut self, answer: &mut dyn FnMut(RequestId, M::Reply)) {
        let durable = self.journal.durable();
        while let Some(effect) = self.effects.front() {
            if effect.after > durable {
                return;
            }
            let Some(effect) = self.effects.pop_front() else { return };
            self.stamped -= 1;
            match effect.what {
                What::Send { to, kind, frame } => {
                    self.env.platform().send(self.port, to, kind, &self.outbox[frame]);
                }
                What::Reply { id, reply } => answer(id, reply),
            }
        }
        self.outbox.clear();
    }
}

/// The records in these bytes, each behind its length.
fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (record, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        rest = after;
        Some(record)
    })
}

impl Tail {
    /// No records, behind this one.
    pub(super) fn behind(last: u64) -> Tail {
        Tail { last, durable: last, bytes: Vec::new() }
    }

    /// The records.
    pub(super) fn records(&self) -> impl Iterator<Item = &[u8]> {
        split(&self.bytes)
    }

    /// Drops the records up to this one, which need no watching any more.
    pub(super) fn durable(&mut self, upto: u64) {
        while self.durable < upto {
            let length = self.bytes.first_chunk::<4>().map_or(0, |l| u32::from_le_bytes(*l));
            self.bytes.drain(..(4 + length as usize).min(self.bytes.len()));
            self.durable += 1;
        }
    }
}
