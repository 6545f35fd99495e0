//! The floor: a plain event loop with a binary heap, a slab of 64-byte payloads and one ChaCha12
//! generator; nodes are plain state machines, and nothing ever goes wrong.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub(crate) const MS: u64 = 1_000_000;

/// What the nodes do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// One datagram goes back and forth.
    PingPong,
    /// Everybody sends to everybody every 10 ms.
    AllToAll,
    /// Everybody sleeps 1 to 100 ms, again and again.
    Timers,
    /// Everybody sends one datagram to the next after 1 ms.
    Ring,
    /// 64 KiB at a time are copied from the writer to the link and from there to the reader.
    Bulk,
    /// Four messages open a connection and use it once.
    Calls,
}

#[derive(Clone, Copy)]
struct Slot {
    from: u32,
    to: u32,
    is_timer: bool,
    payload: [u8; 64],
}

pub(crate) struct Floor {
    now: u64,
    sequence: u64,
    queue: BinaryHeap<Reverse<(u64, u64, u32)>>,
    rng: ChaCha12Rng,
    slots: Vec<Slot>,
    free: Vec<u32>,
    load: Load,
    nodes: u32,
    buffers: [Vec<u8>; 3],
    pub(crate) operations: u64,
}

impl Floor {
    pub(crate) fn new(seed: u64, nodes: u32, load: Load) -> Floor {
        let mut floor = Floor {
            now: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            rng: ChaCha12Rng::seed_from_u64(seed),
            slots: Vec::new(),
            free: Vec::new(),
            load,
            nodes,
            buffers: [(); 3].map(|()| if load == Load::Bulk { vec![7; 64 << 10] } else { vec![] }),
            operations: 0,
        };
        for node in 0..nodes {
            match load {
                Load::PingPong | Load::Bulk | Load::Calls if node == 0 => {
                    floor.send(0, 1, [0; 64]);
                }
                Load::PingPong | Load::Bulk | Load::Calls => {}
                Load::AllToAll => floor.timer(node, 10 * MS),
                Load::Timers => floor.sleep(node),
                Load::Ring => floor.timer(node, MS),
            }
        }
        floor
    }

    #[inline]
    fn range(&mut self, low: u64, high: u64) -> u64 {
        low + ((u128::from(self.rng.next_u64()) * u128::from(high - low)) >> 64) as u64
    }

    #[inline]
    fn put(&mut self, at: u64, slot: Slot) {
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place as usize] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.queue.push(Reverse((at, self.sequence, place)));
        self.sequence += 1;
    }

    #[inline]
    fn send(&mut self, from: u32, to: u32, payload: [u8; 64]) {
        let at = self.now + self.range(MS, 10 * MS);
        self.put(at, Slot { from, to, is_timer: false, payload });
    }

    fn timer(&mut self, node: u32, after: u64) {
        let at = self.now + after;
        self.put(at, Slot { from: node, to: node, is_timer: true, payload: [0; 64] });
    }

    fn sleep(&mut self, node: u32) {
        let after = self.range(MS, 100 * MS);
        self.timer(node, after);
    }

    /// Runs to this time, and gives how many messages were delivered or timers fired.
    pub(crate) fn run(mut self, until: u64) -> u64 {
        while let Some(Reverse((time, _, place))) = self.queue.pop() {
            if time > until {
                break;
            }
            self.now = time;
            let slot = self.slots[place as usize];
            self.free.push(place);
            if slot.is_timer { self.on_timer(slot.to) } else { self.on_message(slot) }
        }
        self.operations
    }

    fn on_timer(&mut self, me: u32) {
        match self.load {
            Load::Timers => {
                self.operations += 1;
                self.sleep(me);
            }
            Load::AllToAll => {
                let payload = [me as u8; 64];
                for to in (0..self.nodes).filter(|to| *to != me) {
                    self.send(me, to, payload);
                }
                self.timer(me, 10 * MS);
            }
            Load::Ring => self.send(me, (me + 1) % self.nodes, [me as u8; 64]),
            Load::PingPong | Load::Bulk | Load::Calls => {}
        }
    }

    #[inline]
    fn on_message(&mut self, slot: Slot) {
        self.operations += 1;
        let mut payload = slot.payload;
        payload[0] = payload[0].wrapping_add(1);
        match self.load {
            Load::PingPong => self.send(slot.to, slot.from, payload),
            Load::Bulk => {
                let [written, link, read] = &mut self.buffers;
                written[0] = payload[0];
                link.copy_from_slice(written);
                read.copy_from_slice(std::hint::black_box(link));
                std::hint::black_box(read);
                self.send(slot.from, slot.to, payload);
            }
            Load::Calls => {
                // One operation for the four.
                self.operations -= u64::from(!payload[0].is_multiple_of(4));
                self.send(slot.to, slot.from, payload);
            }
            Load::AllToAll | Load::Timers | Load::Ring => {}
        }
    }
}
