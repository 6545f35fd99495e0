//! What happened in a run, folded into one number for each node.
//!
//! Two runs are the same if their digests are. The digest takes in what the world did with and for
//! each node, in order and with times, but never addresses of memory, type ids, places in the
//! source or texts that only a reader sees.

use std::fmt;

const C1: u64 = 0xA076_1D64_78BD_642F;
const C2: u64 = 0xE703_7ED1_A0B4_28DB;
const C3: u64 = 0x8EBC_6AF0_9C88_C6E3;

#[inline]
fn mum(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of a payload.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = C1 ^ (bytes.len() as u64).wrapping_mul(C3);
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        let (low, high) = chunk.split_at(8);
        let low = u64::from_le_bytes(low.try_into().unwrap_or_default());
        let high = u64::from_le_bytes(high.try_into().unwrap_or_default());
        hash = mum(hash ^ low, high ^ C2);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let (low, high) = last_block(rest);
        hash = mum(hash ^ low, high ^ C2);
    }
    mum(hash, C1)
}

/// The two halves of a block that is filled up with zeros, of 1 to 15 bytes. Reads that overlap
/// cost less than a copy into a block of zeros.
#[inline]
fn last_block(rest: &[u8]) -> (u64, u64) {
    let shift = |length: usize| 8 * length as u32;
    if let (Some(first), Some(last)) = (rest.first_chunk::<8>(), rest.last_chunk::<8>()) {
        let high = u64::from_le_bytes(*last).checked_shr(shift(16 - rest.len()));
        return (u64::from_le_bytes(*first), high.unwrap_or_default());
    }
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        let [first, last] = [*first, *last].map(|half| u64::from(u32::from_le_bytes(half)));
        return (first | last << shift(rest.len() - 4), 0);
    }
    let bytes = rest.iter().rev();
    (bytes.fold(0, |low, byte| low << 8 | u64::from(*byte)), 0)
}

/// The hash of bytes that come in pieces: it does not hang on where they are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamHash {
    state: u64,
    length: u64,
    /// The last bytes, as many as do not make a whole block yet.
    rest: [u8; 16],
}

impl Default for StreamHash {
    fn default() -> StreamHash {
        StreamHash { state: C1, length: 0, rest: [0; 16] }
    }
}

impl StreamHash {
    #[inline]
    fn block(state: u64, block: &[u8; 16]) -> u64 {
        let block = u128::from_le_bytes(*block);
        mum(state ^ block as u64, (block >> 64) as u64 ^ C2)
    }

    /// Takes in the next bytes.
    #[inline]
    pub(crate) fn add(&mut self, mut bytes: &[u8]) {
        let held = self.length as usize % 16;
        self.length += bytes.len() as u64;
        if held > 0 {
            let (first, others) = bytes.split_at(bytes.len().min(16 - held));
            self.rest[held..held + first.len()].copy_from_slice(first);
            if held + first.len() < 16 {
                return;
            }
            self.state = StreamHash::block(self.state, &self.rest);
            bytes = others;
        }
        let (blocks, others) = bytes.as_chunks::<16>();
        for block in blocks {
            self.state = StreamHash::block(self.state, block);
        }
        self.rest[..others.len()].copy_from_slice(others);
    }

    /// The hash of all bytes so far.
    #[inline]
    pub(crate) fn value(&self) -> u64 {
        let mut rest = self.rest;
        rest[self.length as usize % 16..].fill(0);
        mum(StreamHash::block(self.state, &rest) ^ self.length.wrapping_mul(C3), C1)
    }
}

/// What kind of thing happened. The numbers are part of what a digest means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "`describe` says each in words")]
pub enum Code {
    Boot = 1,
    Crash = 2,
    Exit = 3,
    Poll = 4,
    Spawn = 5,
    TaskEnd = 6,
    Bind = 7,
    Unbind = 8,
    Send = 9,
    Deliver = 10,
    Receive = 11,
    Lost = 12,
    Duplicated = 13,
    Delayed = 14,
    Corrupted = 15,
    Cut = 16,
    NoSocket = 17,
    Overflow = 18,
    SleepUntil = 19,
    TimerFired = 20,
    TimerDropped = 21,
    ReadClock = 22,
    ReadWall = 23,
    Random = 24,
    DiskSubmit = 25,
    DiskDone = 26,
    DiskFault = 27,
    Blocking = 28,
    Ready = 29,
    Sometimes = 30,
    Buggify = 31,
    Knob = 32,
    FaultStrikes = 33,
    FaultEnds = 34,
    FaultRefused = 35,
    Invoke = 36,
    Return = 37,
    Heal = 38,
    Rejected = 39,
    Panic = 40,
    Show = 41,
    Property = 42,
    CrashKept = 43,
    Damaged = 44,
    ScriptStep = 45,
    Listen = 64,
    Unlisten = 65,
    Connect = 66,
    ConnectEnd = 67,
    Accept = 68,
    SegmentSent = 69,
    SegmentArrives = 70,
    SegmentWaits = 71,
    StreamRead = 72,
    StreamBreaks = 73,
    StreamShut = 74,
    StreamClose = 75,
    StreamFault = 76,
}

/// One thing that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Nanoseconds since the run began.
    pub time: u64,
    /// The node, by its place in the roster; the number of nodes for the world as a whole.
    pub node: u16,
    /// What kind.
    pub code: Code,
    /// Two details, whose meaning depends on the kind.
    pub details: [u64; 2],
}

/// The running digest of one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeDigest(u64);

impl NodeDigest {
    /// The digest of a node to which nothing has happened.
    pub const EMPTY: NodeDigest = NodeDigest(C2);

    #[inline]
    pub(crate) fn add(&mut self, time: u64, code: Code, [a, b]: [u64; 2]) {
        let when = (self.0 ^ (code as u64) << 56 ^ time).wrapping_mul(C1).rotate_left(29);
        self.0 = mum(when ^ a, b ^ C2).wrapping_add(when);
    }
}

/// The digest of a run: one of every node, and one of all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Digest {
    nodes: Vec<NodeDigest>,
}

impl Digest {
    pub(crate) fn new(nodes: Vec<NodeDigest>) -> Digest {
        Digest { nodes }
    }

    /// The digests of the nodes in roster order; the last one is that of the world.
    pub fn nodes(&self) -> &[NodeDigest] {
        &self.nodes
    }

    /// All of them folded into one, in node order.
    pub fn whole(&self) -> u64 {
        self.nodes.iter().fold(C1, |hash, node| mum(hash ^ node.0, C2).wrapping_add(hash))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.whole())
    }
}

impl fmt::Display for NodeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_that_differ_in_one_bit_or_in_length_hash_apart() {
        let mut seen = std::collections::BTreeSet::new();
        for length in 0..70 {
            let mut bytes = vec![0; length];
            assert!(seen.insert(hash_bytes(&bytes)), "length {length}");
            for bit in 0..length * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(seen.insert(hash_bytes(&bytes)), "length {length}, bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn the_last_block_is_filled_up_with_zeros() {
        for length in 1..16u8 {
            let rest: Vec<u8> = (1..=length).map(|byte| byte | 0x80).collect();
            let mut block = [0; 16];
            block[..rest.len()].copy_from_slice(&rest);
            let whole = u128::from_le_bytes(block);
            assert_eq!(last_block(&rest), (whole as u64, (whole >> 64) as u64), "{length}");
        }
    }

    #[test]
    fn the_hash_of_a_stream_hangs_on_its_bytes_and_not_on_its_cuts() {
        let bytes: Vec<u8> = (0..100u8).collect();
        let hash = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut hash = StreamHash::default();
            pieces.for_each(|piece| hash.add(piece));
            hash.value()
        };
        let whole = hash(&mut std::iter::once(bytes.as_slice()));
        for cut in 1..50 {
            assert_eq!(hash(&mut bytes.chunks(cut)), whole, "in pieces of {cut}");
        }
        let mut seen = std::collections::BTreeSet::from([whole]);
        for length in 0..100 {
            assert!(seen.insert(hash(&mut std::iter::once(&bytes[..length]))), "{length} bytes");
            let mut other = bytes.clone();
            other[length] ^= 1;
            assert!(seen.insert(hash(&mut std::iter::once(other.as_slice()))), "byte {length}");
        }
        // A zero more is another stream, also where blocks are filled up with zeros.
        let zeros = [0; 40];
        for length in 1..40 {
            assert!(
                seen.insert(hash(&mut std::iter::once(&zeros[..length + 1]))),
                "{length} zeros"
            );
        }
    }

    #[test]
    fn order_time_kind_and_details_all_count() {
        let digest = |entries: &[(u64, Code, u64, u64)]| {
            let mut digest = NodeDigest::EMPTY;
            for (time, code, a, b) in entries {
                digest.add(*time, *code, [*a, *b]);
            }
            digest
        };
        let base = digest(&[(1, Code::Send, 2, 3), (2, Code::Poll, 0, 0)]);
        for other in [
            digest(&[(2, Code::Poll, 0, 0), (1, Code::Send, 2, 3)]),
            digest(&[(2, Code::Send, 2, 3), (2, Code::Poll, 0, 0)]),
            digest(&[(1, Code::Deliver, 2, 3), (2, Code::Poll, 0, 0)]),
            digest(&[(1, Code::Send, 3, 2), (2, Code::Poll, 0, 0)]),
            digest(&[(1, Code::Send, 2, 3), (2, Code::Poll, 0, 1)]),
        ] {
            assert_ne!(base, other);
        }
    }
}
