//! Byte streams: connections between nodes, each of two pipes under the link between them.
//!
//! What is written leaves in segments. Where one ends is drawn by the offset of its first byte, so
//! it does not hang on how the program cuts its writes; it arrives after the link's latency and
//! not before the one ahead of it. A lost segment is sent again, which makes it late; one that
//! meets a partition or a node that has lost power is tried again until its writer's patience is
//! over. A process that ends closes its connections, since its operating system lives on. A node
//! that loses power says nothing: its peer finds out when it sends to the node that is back, when
//! its own patience is over, or by a probe (a keep-alive).

mod carry;
mod connect;
mod ending;
mod ends;
mod pipe;

pub(crate) use ends::{Attempt, Holder, ListeningPort};

use super::World;
use super::queue::{Event, Kind, Slab};
use super::tasks::Waiter;
use crate::choice::{Choices, Domain, Entity, Occasion, below, chance, log_uniform, mix};
use crate::digest::Code;
use crate::table::Fault;
use pipe::{Pipe, ROOM};
use squall_env::stream::{ConnectError, StreamError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const MS: u64 = 1_000_000;

/// The end that has connected, and the one that was connected to.
const CALLER: usize = 0;
const LISTENER: usize = 1;

/// What does not get through is tried again after the first of these, then after twice as long,
/// up to the second.
const RETRY_MIN: u64 = 200 * MS;
const RETRY_MAX: u64 = 3_000 * MS;

/// How long something takes that a node sends to itself.
const LOOPBACK: u64 = 1_000;

/// How far an attempt to connect has come.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Stage {
    #[default]
    Free,
    Calling,
    Standing,
    Failed(ConnectError),
}

/// One end of a connection.
#[derive(Default)]
struct End {
    node: u32,
    /// Whether a program has it, or it waits to be accepted.
    held: bool,
    /// Whether its node has lost power, so that nobody speaks for it any more.
    lost: bool,
    error: Option<StreamError>,
    reader: Waiter,
    writer: Waiter,
    /// Whether a probe is planned.
    probing: bool,
}

/// A connection, or an attempt at one.
#[derive(Default)]
struct Connection {
    era: u32,
    stage: Stage,
    /// Names it and its choices.
    entity: Entity,
    port: u32,
    ends: [End; 2],
    /// Each is written by the end of the same place.
    pipes: [Pipe; 2],
    /// Whether a client is at one of the ends.
    client: bool,
    /// Whether nothing gets through any more.
    dead: bool,
    /// Whether the attempt is to be refused, and the connection to break at once.
    refused: bool,
    breaks: bool,
    tries: u32,
    /// When the attempt is given up.
    deadline: u64,
    /// How long what was sent may wait to get through, and how long an end that has reason to
    /// doubt its peer waits before it asks.
    patience: u64,
    keep_alive: u64,
}

/// A port on which connections are taken.
#[derive(Default)]
struct Listener {
    era: u32,
    node: u32,
    port: u32,
    open: bool,
    /// Connections that wait to be taken.
    waiting: VecDeque<(u32, u32)>,
    waiter: Waiter,
}

/// What is going to happen to a connection.
#[derive(Clone, Copy, Default)]
struct Pending {
    slot: u32,
    era: u32,
    /// The end at which it happens.
    side: usize,
    what: What,
}

#[derive(Clone, Copy, Default)]
enum What {
    #[default]
    Hello,
    Answer(bool),
    Segment,
    /// The reader has read so far.
    Window(u64),
    Reset,
    Probe,
}

/// All that is in the world of streams.
#[derive(Default)]
pub(crate) struct Streams {
    connections: Slab<Connection>,
    listeners: Slab<Listener>,
    /// Listeners by node and port.
    ports: BTreeMap<(u32, u32), u32>,
    pending: Slab<Pending>,
    /// Nodes that have lost power and are not back.
    dark: BTreeSet<u32>,
}

impl Connection {
    /// Its name in digests, with an offset of one of its pipes.
    fn name(&self, offset: u64) -> u64 {
        self.entity.0 >> 32 << 32 | offset & 0xffff_ffff
    }

    fn is_local(&self) -> bool {
        self.ends[CALLER].node == self.ends[LISTENER].node
    }

    /// Whether this end can still be used.
    fn lives(&self, side: usize) -> bool {
        self.ends[side].held && self.ends[side].error.is_none()
    }

    /// What digests say of all that this end has written, and whose node it is.
    fn written(&self, side: usize) -> (u32, [u64; 2]) {
        let pipe = &self.pipes[side];
        (self.ends[side].node, [self.name(pipe.written), pipe.hash()])
    }

    /// The choices about what this end sends from an offset on.
    fn occasion(&self, choices: &Choices, side: usize, offset: u64) -> Occasion {
        choices.occasion(self.entity.with(side as u64), offset)
    }
}

impl World {
    /// Takes what is open at the end of a run into the digests of its nodes.
    pub(crate) fn note_open_streams(&mut self) {
        for slot in 0..self.streams.connections.len() {
            for side in [CALLER, LISTENER] {
                let connection = &self.streams.connections[slot];
                if connection.stage == Stage::Free {
                    continue;
                }
                let (node, details) = connection.written(side);
                self.note(node, Code::StreamClose, details);
            }
        }
    }

    /// Plans something for an end of a connection.
    fn plan_stream(&mut self, slot: u32, side: usize, what: What, at: u64) {
        let connection = &self.streams.connections[slot];
        let number = match what {
            What::Hello => 0,
            What::Answer(_) => 1,
            What::Segment => 8 + connection.pipes[1 - side].arrived,
            What::Window(_) => 2,
            What::Reset => 3,
            What::Probe => 4,
        };
        let entity = connection.entity.with(side as u64);
        let tie = (self.choices.draw(Domain::EventOrder, entity, number) >> 32) as u32;
        let era = connection.era;
        let pending = self.streams.pending.take();
        self.streams.pending[pending] = Pending { slot, era, side, what };
        self.queue.push(Event::new(at.max(self.now), tie, Kind::Stream, pending));
    }

    pub(crate) fn stream_event(&mut self, event: Event) {
        let number = event.slot();
        let Pending { slot, era, side, what } = self.streams.pending[number];
        let connection = &self.streams.connections[slot];
        if connection.era != era {
            self.streams.pending.give_back(number);
            return;
        }
        let target = &mut self.nodes[connection.ends[side].node as usize];
        if target.paused > 0 {
            target.held.push(event);
            return;
        }
        if !self.cuts.is_empty() && !matches!(what, What::Probe) {
            let connection = &self.streams.connections[slot];
            let link = (connection.ends[1 - side].node, connection.ends[side].node);
            if self.holds_back(event, link) {
                return;
            }
        }
        self.streams.pending.give_back(number);
        self.advance(event.time());
        match what {
            What::Hello => self.hello_event(slot),
            What::Answer(taken) => self.answer_event(slot, taken),
            What::Segment => self.segment_event(slot, side),
            What::Window(read) => self.window_event(slot, side, read),
            What::Reset => self.reset_event(slot, side),
            What::Probe => self.probe_event(slot, side),
        }
    }

    /// Whether what is on its way to this end arrives now.
    fn passes(&mut self, slot: u32, to: usize) -> bool {
        let connection = &self.streams.connections[slot];
        let (from_node, to_node) = (connection.ends[1 - to].node, connection.ends[to].node);
        if connection.dead || self.streams.dark.contains(&to_node) {
            return false;
        }
        from_node == to_node || !self.is_cut(from_node, to_node)
    }

    /// How long something takes to this end, with all that has to be sent again; nothing if that
    /// takes longer than the sender's patience.
    fn travel(&mut self, slot: u32, to: usize, occasion: Occasion) -> Option<u64> {
        let connection = &self.streams.connections[slot];
        if connection.is_local() {
            return Some(LOOPBACK);
        }
        let (from, to) = (connection.ends[1 - to].node, connection.ends[to].node);
        let (client, patience, name) = (connection.client, connection.patience, connection.name(0));
        let mut after = self.travel_time((from, to), client, occasion).max(1);
        if self.weather.slow_link_ns > 0 {
            after += self.slow_link(from, to);
        }
        if !self.clogs.is_empty() {
            after += self.clogged(from, to);
        }
        let slow = self.nodes[to as usize].slow_ns;
        if slow > 0 {
            after += below(occasion.draw(Domain::SlowNode), slow);
        }
        self.fired(Fault::Latency);
        let loss = self.weather.loss_ppm;
        if loss == 0 {
            return Some(after);
        }
        let (mut bits, mut retry) = (occasion.draw(Domain::Loss), RETRY_MIN);
        while chance(bits, loss) {
            self.fired(Fault::Loss);
            after += retry;
            self.note(from, Code::SegmentWaits, [name, after]);
            if after > patience {
                return None;
            }
            retry = (2 * retry).min(RETRY_MAX);
            bits = mix(bits);
        }
        Some(after)
    }

    /// Draws the bounds of a new connection.
    fn draw_bounds(&mut self, slot: u32) {
        let narrow = self.weather.streams.back_pressure;
        let choices = self.choices;
        let connection = &mut self.streams.connections[slot];
        for (side, pipe) in connection.pipes.iter_mut().enumerate() {
            let entity = connection.entity.with(side as u64);
            let draw = |bits| if narrow { log_uniform(bits, 1, ROOM) } else { ROOM };
            let bits = choices.draw(Domain::Window, entity, 0);
            pipe.reset(draw(bits), draw(mix(bits)));
        }
        let bits = choices.draw(Domain::Patience, connection.entity, 0);
        connection.patience = log_uniform(bits, 1_000 * MS, 20_000 * MS);
        connection.keep_alive = log_uniform(mix(bits), 1_000 * MS, 20_000 * MS);
    }

    /// A node is back: whoever sends to one of its old connections is told that there is none.
    pub(crate) fn start_streams(&mut self, node: u32) {
        self.streams.dark.remove(&node);
    }

    /// A cut has begun: the ends of connections that cross it will ask for each other.
    pub(crate) fn doubt_across_cuts(&mut self) {
        for slot in 0..self.streams.connections.len() {
            let connection = &self.streams.connections[slot];
            let [one, other] = [connection.ends[0].node, connection.ends[1].node];
            let crosses =
                self.cuts.iter().any(|cut| cut.stops(one, other) || cut.stops(other, one));
            if connection.stage != Stage::Free && crosses {
                self.plan_probe(slot, CALLER);
                self.plan_probe(slot, LISTENER);
            }
        }
    }

    /// All faults end. Windows become wide; what is dead stays so, and its ends find out.
    pub(crate) fn heal_streams(&mut self) {
        self.weather.streams = crate::plan::StreamWeather::default();
        for slot in 0..self.streams.connections.len() {
            for side in [CALLER, LISTENER] {
                let connection = &mut self.streams.connections[slot];
                if connection.stage == Stage::Free {
                    continue;
                }
                let pipe = &mut connection.pipes[side];
                (pipe.window, pipe.buffer) = (ROOM, ROOM);
                self.pump(slot, side);
                self.wake_writer(slot, side);
            }
        }
    }
}
