//! How segments leave and arrive, and how a reader makes room.

use super::pipe::Segment;
use super::{RETRY_MAX, RETRY_MIN, What, World};
use crate::choice::{Domain, chance, log_uniform};
use crate::digest::Code;
use crate::table::Fault;
use squall_env::stream::StreamError;

/// The most bytes that travel together.
const SEGMENT_MAX: u64 = 16 * 1024;

/// What can leave at this instant.
enum Next {
    /// More bytes of the segment that left at this instant, up to an offset.
    More(u64),
    /// A new segment, with bytes up to an offset.
    Segment(u64),
    /// The end alone.
    End,
    Nothing,
}

impl World {
    fn next_to_leave(&mut self, slot: u32, side: usize) -> Next {
        let now = self.now;
        let pipe = &mut self.streams.connections[slot].pipes[side];
        let upto = pipe.sendable();
        // What is written at one instant leaves together, in however many calls.
        let fills = pipe.left_at == now && pipe.flight.back().is_some_and(|last| !last.breaks);
        if pipe.sent < upto {
            return if fills && pipe.sent < pipe.cut {
                Next::More(upto)
            } else {
                Next::Segment(upto)
            };
        }
        if !pipe.shut || pipe.end_sent || pipe.sent < pipe.written {
            return Next::Nothing;
        }
        pipe.end_sent = true;
        if let Some(last) = pipe.flight.back_mut().filter(|_| fills) {
            last.last = true;
            return Next::Nothing;
        }
        Next::End
    }

    /// Sends whatever may leave now.
    pub(super) fn pump(&mut self, slot: u32, side: usize) {
        loop {
            match self.next_to_leave(slot, side) {
                Next::More(upto) => {
                    let pipe = &mut self.streams.connections[slot].pipes[side];
                    let end = upto.min(pipe.cut);
                    let (bytes, hash) = (end - pipe.sent, pipe.leave(end));
                    let at = pipe.left_at + pipe.takes + self.busy(slot, side, bytes);
                    let pipe = &mut self.streams.connections[slot].pipes[side];
                    if let Some(last) = pipe.flight.back_mut() {
                        (last.end, last.hash, last.at) = (end, hash, last.at.max(at));
                    }
                }
                Next::Segment(upto) => self.start_segment(slot, side, upto, false),
                Next::End => {
                    let upto = self.streams.connections[slot].pipes[side].sent;
                    self.start_segment(slot, side, upto, true);
                }
                Next::Nothing => break,
            }
        }
        self.queue_first(slot, side);
    }

    /// Decides over a segment by the offset of its first byte, and sends what there is of it.
    fn start_segment(&mut self, slot: u32, side: usize, upto: u64, last: bool) {
        let connection = &mut self.streams.connections[slot];
        let (node, dead) = (connection.ends[side].node, connection.dead);
        let spared = dead || connection.is_local();
        let start = connection.pipes[side].sent;
        let occasion = connection.occasion(&self.choices, side, start);
        let pipe = &mut connection.pipes[side];
        if start >= pipe.cut {
            pipe.cut = start + log_uniform(occasion.draw(Domain::Segment), 1, SEGMENT_MAX);
        }
        let details = [connection.name(start), connection.pipes[side].hash()];
        let patience = connection.patience;
        self.note(node, Code::SegmentSent, details);
        let travel = self.travel(slot, 1 - side, occasion);
        let mut breaks = travel.is_none();
        let weather = &self.weather.streams;
        let (reset, half_open) = (weather.reset_ppm, weather.half_open_ppm);
        if !spared && reset > 0 && chance(occasion.draw(Domain::StreamReset), reset) {
            breaks = true;
            self.fired(Fault::StreamReset);
            self.note(node, Code::StreamFault, [details[0], Fault::StreamReset as u64]);
        }
        if !spared && half_open > 0 && chance(occasion.draw(Domain::HalfOpen), half_open) {
            self.fired(Fault::HalfOpen);
            self.note(node, Code::StreamFault, [details[0], Fault::HalfOpen as u64]);
            self.streams.connections[slot].dead = true;
            self.plan_probe(slot, 0);
            self.plan_probe(slot, 1);
        }
        let pipe = &mut self.streams.connections[slot].pipes[side];
        let end = upto.min(pipe.cut);
        let (bytes, hash) = (end - start, pipe.leave(end));
        let (takes, busy) = (travel.unwrap_or(patience), self.busy(slot, side, bytes));
        let pipe = &mut self.streams.connections[slot].pipes[side];
        let ahead = pipe.flight.back().map_or(0, |ahead| ahead.at);
        let at = (self.now + takes + busy).max(ahead);
        pipe.takes = takes;
        pipe.flight.push_back(Segment { end, at, last, breaks, hash });
        pipe.left_at = self.now;
    }

    /// How long bytes wait for their link to be free, and take to get onto it.
    fn busy(&mut self, slot: u32, side: usize, bytes: u64) -> u64 {
        let connection = &self.streams.connections[slot];
        if self.weather.bandwidth == 0 || connection.is_local() {
            return 0;
        }
        let (from, to) = (connection.ends[side].node, connection.ends[1 - side].node);
        self.transmit(from, to, bytes as usize)
    }

    /// Sees to it that the first segment on its way arrives.
    fn queue_first(&mut self, slot: u32, side: usize) {
        let pipe = &mut self.streams.connections[slot].pipes[side];
        if pipe.queued {
            return;
        }
        let Some(first) = pipe.flight.front() else { return };
        let at = first.at;
        pipe.queued = true;
        self.plan_stream(slot, 1 - side, What::Segment, at);
    }

    /// The first segment reaches the end `to`.
    pub(super) fn segment_event(&mut self, slot: u32, to: usize) {
        let from = 1 - to;
        self.streams.connections[slot].pipes[from].queued = false;
        if self.streams.connections[slot].pipes[from].flight.is_empty() {
            return;
        }
        if !self.passes(slot, to) {
            self.hold_back(slot, from);
            return;
        }
        let connection = &mut self.streams.connections[slot];
        let lives = connection.lives(to);
        let pipe = &mut connection.pipes[from];
        pipe.stuck_since = None;
        let Some(first) = pipe.flight.front().copied() else { return };
        if first.breaks {
            self.break_end(slot, to, StreamError::Reset);
            self.streams.connections[slot].pipes[from].lose_flight();
            self.send_reset(slot, from);
            return;
        }
        if !lives {
            // Nobody has this end: what was sent is lost, and an end needs no answer.
            let bytes = first.end > pipe.arrived;
            pipe.lose_flight();
            if bytes {
                self.send_reset(slot, from);
            }
            return;
        }
        pipe.flight.pop_front();
        pipe.arrived = first.end;
        pipe.end_arrived |= first.last;
        let (node, name) = (connection.ends[to].node, connection.name(first.end));
        let reader = std::mem::take(&mut connection.ends[to].reader);
        self.note(node, Code::SegmentArrives, [name, first.hash]);
        self.tell(reader);
        self.queue_first(slot, from);
    }

    /// What this end has sent does not get through: it is sent again, until patience is over.
    fn hold_back(&mut self, slot: u32, from: usize) {
        let now = self.now;
        let connection = &mut self.streams.connections[slot];
        let (node, name) = (connection.ends[from].node, connection.name(0));
        let pipe = &mut connection.pipes[from];
        if pipe.stuck_since.is_none() {
            (pipe.stuck_since, pipe.retry) = (Some(now), RETRY_MIN);
        }
        let since = now - pipe.stuck_since.unwrap_or(now);
        // Nobody sends again for a node that has lost power.
        if connection.ends[from].lost || since >= connection.patience {
            pipe.lose_flight();
            self.plan_probe(slot, 1 - from);
            self.break_end(slot, from, StreamError::Silent);
            return;
        }
        let retry = pipe.retry;
        pipe.retry = (2 * retry).min(RETRY_MAX);
        if let Some(first) = pipe.flight.front_mut() {
            first.at = now + retry;
        }
        self.note(node, Code::SegmentWaits, [name, retry]);
        self.queue_first(slot, from);
    }

    /// A reader has made room in what the end `from` sends: it tells once that is worth it.
    pub(super) fn tell_room(&mut self, slot: u32, from: usize) {
        let connection = &mut self.streams.connections[slot];
        let pipe = &mut connection.pipes[from];
        let fresh = pipe.read - pipe.told;
        if pipe.telling || pipe.end_sent || fresh < (pipe.window / 2).max(1) {
            return;
        }
        (pipe.telling, pipe.told) = (true, pipe.read);
        let (read, patience) = (pipe.read, connection.patience);
        let entity = connection.entity.named("room").with(from as u64);
        let occasion = self.choices.occasion(entity, read);
        let after = self.travel(slot, from, occasion).unwrap_or(patience);
        self.plan_stream(slot, from, What::Window(read), self.now + after);
    }

    pub(super) fn window_event(&mut self, slot: u32, side: usize, read: u64) {
        if !self.passes(slot, side) {
            let connection = &self.streams.connections[slot];
            if connection.lives(side) && !connection.dead {
                self.plan_stream(slot, side, What::Window(read), self.now + RETRY_MIN);
            }
            return;
        }
        let pipe = &mut self.streams.connections[slot].pipes[side];
        pipe.known = pipe.known.max(read);
        pipe.telling = false;
        self.pump(slot, side);
        self.wake_writer(slot, side);
        self.tell_room(slot, side);
    }

    /// Whoever waits to write may, if there is room.
    pub(super) fn wake_writer(&mut self, slot: u32, side: usize) {
        let connection = &mut self.streams.connections[slot];
        if connection.pipes[side].room() > 0 {
            let writer = std::mem::take(&mut connection.ends[side].writer);
            self.tell(writer);
        }
    }
}
