//! One direction of a connection: bytes from where they are written to where they are read.

use crate::digest::StreamHash;
use std::collections::VecDeque;
use std::io::{self, Write};

/// Window and buffer, in bytes, where no fault makes them smaller.
pub(crate) const ROOM: u64 = 64 * 1024;

/// A buffer that is larger is given back when its connection is over.
const KEPT: usize = 16 * 1024;

/// Bytes on their way that arrive together.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    /// The offset of the byte behind the last one.
    pub(crate) end: u64,
    pub(crate) at: u64,
    /// Whether the stream ends with it.
    pub(crate) last: bool,
    /// Whether it breaks the connection instead of arriving.
    pub(crate) breaks: bool,
    /// The hash of all bytes up to its end.
    pub(crate) hash: u64,
}

/// The bytes of one direction. Offsets count from the first byte that was ever written:
/// `read <= arrived <= sent <= written`, and what lies between the first and the last of them is
/// in `bytes`.
#[derive(Default)]
pub(crate) struct Pipe {
    bytes: VecDeque<u8>,
    pub(crate) read: u64,
    pub(crate) arrived: u64,
    pub(crate) sent: u64,
    pub(crate) written: u64,
    /// Where the segment that is being filled has to end.
    pub(crate) cut: u64,
    /// When the last segment left.
    pub(crate) left_at: u64,
    /// How long its first byte takes.
    pub(crate) takes: u64,
    pub(crate) flight: VecDeque<Segment>,
    /// Whether the arrival of the first segment is in the queue of events.
    pub(crate) queued: bool,
    /// No more is written.
    pub(crate) shut: bool,
    /// The end is on its way or there.
    pub(crate) end_sent: bool,
    pub(crate) end_arrived: bool,
    /// How much the reader's side takes beyond what was read, as far as the writer's side knows.
    pub(crate) window: u64,
    /// How much waits on the writer's side at most.
    pub(crate) buffer: u64,
    /// How far it was read, as the writer's side knows and as it was told last.
    pub(crate) known: u64,
    pub(crate) told: u64,
    pub(crate) telling: bool,
    /// Since when nothing gets through, and how long until it is tried again.
    pub(crate) stuck_since: Option<u64>,
    pub(crate) retry: u64,
    hash: StreamHash,
}

impl Pipe {
    /// A pipe as new, with the memory of the one before.
    pub(crate) fn reset(&mut self, window: u64, buffer: u64) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut flight = std::mem::take(&mut self.flight);
        bytes.clear();
        bytes.shrink_to(KEPT);
        flight.clear();
        *self = Pipe { bytes, flight, window, buffer, ..Pipe::default() };
    }

    /// How many bytes can be read.
    pub(crate) fn readable(&self) -> u64 {
        self.arrived - self.read
    }

    /// How many bytes can be written.
    pub(crate) fn room(&self) -> u64 {
        self.buffer.saturating_sub(self.written - self.sent)
    }

    /// How far may be sent.
    pub(crate) fn sendable(&self) -> u64 {
        self.written.min(self.known.saturating_add(self.window))
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        // A write to a vector of bytes in memory does not fail.
        let _: io::Result<()> = self.bytes.write_all(bytes);
    }

    /// Calls `f` with the bytes of a range of offsets, in one or two pieces.
    fn each_piece(&self, from: u64, to: u64, mut f: impl FnMut(&[u8])) {
        let (from, to) = ((from - self.read) as usize, (to - self.read) as usize);
        let (front, back) = self.bytes.as_slices();
        let middle = front.len();
        if from < middle {
            f(&front[from..to.min(middle)]);
        }
        if to > middle {
            f(&back[from.max(middle) - middle..to - middle]);
        }
    }

    /// Takes bytes into the hash that leave now, up to this offset, and gives the hash.
    pub(crate) fn leave(&mut self, to: u64) -> u64 {
        let mut hash = std::mem::take(&mut self.hash);
        self.each_piece(self.sent, to, |piece| hash.add(piece));
        self.hash = hash;
        self.sent = to;
        self.hash.value()
    }

    /// The hash of all that has left.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// Reads so many bytes, which have arrived.
    pub(crate) fn take(&mut self, count: u64, f: impl FnMut(&[u8])) {
        self.each_piece(self.read, self.read + count, f);
        self.bytes.drain(..count as usize);
        self.read += count;
    }

    /// Throws away what has arrived and was not read.
    pub(crate) fn lose_arrived(&mut self) {
        self.take(self.readable(), |_| {});
    }

    /// Throws away what has not left.
    pub(crate) fn lose_unsent(&mut self) {
        self.bytes.truncate((self.sent - self.read) as usize);
        self.written = self.sent;
    }

    /// Throws away all that has not arrived.
    pub(crate) fn lose_flight(&mut self) {
        self.bytes.truncate((self.arrived - self.read) as usize);
        (self.sent, self.written) = (self.arrived, self.arrived);
        self.flight.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> Pipe {
        let mut pipe = Pipe::default();
        pipe.reset(ROOM, ROOM);
        pipe
    }

    #[test]
    fn bytes_come_out_as_they_went_in_however_they_are_cut() {
        let text: Vec<u8> = (0..5_000u32).map(|at| (at * 7) as u8).collect();
        for (write, read) in [(1, 64), (100, 7), (4_999, 5_000)] {
            let (mut pipe, mut got) = (pipe(), Vec::new());
            for piece in text.chunks(write) {
                pipe.push(piece);
                pipe.leave(pipe.written);
                pipe.arrived = pipe.sent;
                while pipe.readable() >= read {
                    pipe.take(read, |piece| got.extend_from_slice(piece));
                }
            }
            pipe.take(pipe.readable(), |piece| got.extend_from_slice(piece));
            assert_eq!(got, text);
        }
    }

    #[test]
    fn what_is_lost_is_gone_and_the_rest_stays() {
        let mut pipe = pipe();
        pipe.push(b"arrived, sent, unsent");
        pipe.leave(7);
        pipe.arrived = 7;
        pipe.leave(13);
        pipe.lose_unsent();
        assert_eq!((pipe.written, pipe.room()), (13, ROOM));
        pipe.lose_flight();
        let mut got = Vec::new();
        pipe.take(pipe.readable(), |piece| got.extend_from_slice(piece));
        assert_eq!(got, b"arrived");
    }

    #[test]
    fn the_window_bounds_what_is_under_way_and_the_buffer_what_waits() {
        let mut pipe = Pipe::default();
        pipe.reset(3, 2);
        assert_eq!(pipe.room(), 2);
        pipe.push(b"ab");
        assert_eq!((pipe.room(), pipe.sendable()), (0, 2));
        pipe.leave(2);
        pipe.push(b"cd");
        assert_eq!((pipe.room(), pipe.sendable()), (0, 3));
        pipe.known = 2;
        assert_eq!(pipe.sendable(), 4);
    }
}
