//! The configurations that the search has seen: which operations are ordered, and in which state
//! that left the system.

use std::hash::Hasher;

use super::progress::Progress;

/// A set of configurations, compared in full and never by hash alone.
///
/// A configuration is a set of completed operations, a state, and how many open operations of each
/// class were used up. With fewer of them used, everything is possible that is possible with more,
/// so a configuration counts as seen if one with the same operations and state, and no more used,
/// was seen. One table over flat arrays: a configuration costs no allocation of its own.
#[derive(Debug)]
pub(super) struct Memo {
    /// One more than the number of the newest configuration with a set and a state, or 0; the
    /// length is a power of two.
    table: Vec<u32>,
    configurations: Vec<Configuration>,
    /// How many slots of the table are taken.
    taken: usize,
    keys: Vec<u64>,
    used: Vec<u32>,
}

#[derive(Debug)]
struct Configuration {
    hash: u64,
    /// The bounds of its key.
    key: (usize, usize),
    /// Another one with the same set and state, as one more than its number, or 0.
    next: u32,
    state: u32,
}

/// What became of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    New,
    Seen,
    Full,
}

const SMALLEST_TABLE: usize = 256;

impl Default for Memo {
    fn default() -> Self {
        Self {
            table: vec![0; SMALLEST_TABLE],
            configurations: Vec::new(),
            taken: 0,
            keys: Vec::new(),
            used: Vec::new(),
        }
    }
}

impl Memo {
    pub(super) fn clear(&mut self) {
        // A table that one hard search left large would make every easy one after it slow.
        self.table.truncate(SMALLEST_TABLE);
        self.table.fill(0);
        self.configurations.clear();
        self.taken = 0;
        self.keys.clear();
        self.used.clear();
    }

    /// Roughly how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        4 * self.table.len()
            + size_of::<Configuration>() * self.configurations.len()
            + 8 * self.keys.len()
            + 4 * self.used.len()
    }

    /// Adds a configuration unless it, or one that allows as much, is there; or unless the memo
    /// takes `limit` bytes.
    pub(super) fn insert(
        &mut self,
        progress: &Progress,
        state: u32,
        used: &[u32],
        limit: usize,
    ) -> Inserted {
        let hash = fold(progress.hash() ^ u64::from(state).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let start = self.keys.len();
        progress.write_key(&mut self.keys);
        let slot = self.slot(hash, start, state);
        let newest = self.table[slot];
        if self.is_covered(newest, used) {
            self.keys.truncate(start);
            return Inserted::Seen;
        }
        if self.bytes() >= limit || self.configurations.len() >= u32::MAX as usize / 4 {
            self.keys.truncate(start);
            return Inserted::Full;
        }
        let mut key = (start, self.keys.len());
        if let Some(newest) = newest.checked_sub(1) {
            self.keys.truncate(start);
            key = self.configurations[newest as usize].key;
        } else {
            self.taken += 1;
        }
        self.configurations.push(Configuration { hash, key, next: newest, state });
        self.used.extend_from_slice(used);
        self.table[slot] = self.configurations.len() as u32;
        if 2 * self.taken > self.table.len() {
            self.grow();
        }
        Inserted::New
    }

    /// The slot of a set and a state: theirs, or the free one where they belong.
    fn slot(&self, hash: u64, start: usize, state: u32) -> usize {
        let mut slot = hash as usize & (self.table.len() - 1);
        while let Some(number) = self.table[slot].checked_sub(1) {
            let other = &self.configurations[number as usize];
            if other.hash == hash
                && other.state == state
                && self.keys[other.key.0..other.key.1] == self.keys[start..]
            {
                break;
            }
            slot = (slot + 1) & (self.table.len() - 1);
        }
        slot
    }

    /// Whether a chain of configurations has one that used no more of any class.
    fn is_covered(&self, newest: u32, used: &[u32]) -> bool {
        let mut next = newest;
        while let Some(number) = next.checked_sub(1) {
            let start = number as usize * used.len();
            let other = &self.used[start..start + used.len()];
            if other.iter().zip(used).all(|(other, used)| other <= used) {
                return true;
            }
            next = self.configurations[number as usize].next;
        }
        false
    }

    fn grow(&mut self) {
        let length = 4 * self.table.len();
        let old = std::mem::take(&mut self.table);
        self.table.resize(length, 0);
        for newest in old.into_iter().filter(|&newest| newest != 0) {
            let hash = self.configurations[newest as usize - 1].hash;
            let mut slot = hash as usize & (length - 1);
            while self.table[slot] != 0 {
                slot = (slot + 1) & (length - 1);
            }
            self.table[slot] = newest;
        }
    }
}

/// A hasher that takes a word in one multiplication, with no key, so that runs are reproducible.
///
/// A bad hash costs time and never a wrong answer, since configurations are compared in full.
#[derive(Clone, Debug, Default)]
pub(super) struct WordHasher {
    hash: u64,
}

impl WordHasher {
    fn add(&mut self, word: u64) {
        self.hash = fold(self.hash.rotate_left(5) ^ word ^ 0x2545_F491_4F6C_DD1D);
    }
}

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.add(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.add(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.add(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.add(value as u64);
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

/// Both halves of a wide product, so that every bit of the input reaches the low bits.
fn fold(word: u64) -> u64 {
    let product = u128::from(word) * 0x9E37_79B9_7F4A_7C15;
    product as u64 ^ (product >> 64) as u64
}
