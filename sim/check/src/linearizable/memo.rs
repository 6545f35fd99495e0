//! The configurations that the search has seen: which operations are ordered, and in which state
//! that left the system.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

use super::progress::Progress;

/// A set of configurations, compared in full and never by hash alone.
///
/// One table over flat arrays: a configuration costs no allocation of its own, and the search uses
/// the number of a configuration to come back to its state.
#[derive(Debug)]
pub(super) struct Memo<S> {
    /// One more than the number of a configuration, or 0; the length is a power of two.
    table: Vec<u32>,
    configurations: Vec<Configuration<S>>,
    keys: Vec<u64>,
}

#[derive(Debug)]
struct Configuration<S> {
    hash: u64,
    /// Where its key ends; it starts where the one before ends.
    key_end: usize,
    state: S,
}

/// What became of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    New(u32),
    Seen,
    Full,
}

const SMALLEST_TABLE: usize = 256;

impl<S: Eq + Hash> Memo<S> {
    pub(super) fn new() -> Self {
        Self { table: vec![0; SMALLEST_TABLE], configurations: Vec::new(), keys: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        // A table that one hard search left large would make every easy one after it slow.
        self.table.truncate(SMALLEST_TABLE);
        self.table.fill(0);
        self.configurations.clear();
        self.keys.clear();
    }

    /// Adds a configuration unless it is there, or there are `limit` of them.
    pub(super) fn insert(&mut self, progress: &Progress, state: S, limit: usize) -> Inserted {
        let state_hash = BuildHasherDefault::<WordHasher>::default().hash_one(&state);
        let hash = fold(progress.hash() ^ state_hash);
        let key_start = self.keys.len();
        progress.write_key(&mut self.keys);
        let mut slot = hash as usize & (self.table.len() - 1);
        while self.table[slot] != 0 {
            if self.is_equal(self.table[slot] as usize - 1, hash, key_start, &state) {
                self.keys.truncate(key_start);
                return Inserted::Seen;
            }
            slot = (slot + 1) & (self.table.len() - 1);
        }
        let number = self.configurations.len();
        if number >= limit.min(u32::MAX as usize / 4) {
            self.keys.truncate(key_start);
            return Inserted::Full;
        }
        self.table[slot] = number as u32 + 1;
        self.configurations.push(Configuration { hash, key_end: self.keys.len(), state });
        if 2 * self.configurations.len() > self.table.len() {
            self.grow();
        }
        Inserted::New(number as u32)
    }

    pub(super) fn state(&self, number: u32) -> &S {
        &self.configurations[number as usize].state
    }

    /// Whether a configuration equals the one whose key was just appended.
    fn is_equal(&self, number: usize, hash: u64, key_start: usize, state: &S) -> bool {
        let other = &self.configurations[number];
        if other.hash != hash || other.state != *state {
            return false;
        }
        let other_start = match number.checked_sub(1) {
            Some(before) => self.configurations[before].key_end,
            None => 0,
        };
        self.keys[other_start..other.key_end] == self.keys[key_start..]
    }

    fn grow(&mut self) {
        let length = 4 * self.table.len();
        self.table.clear();
        self.table.resize(length, 0);
        for (number, configuration) in (1..).zip(&self.configurations) {
            let mut slot = configuration.hash as usize & (length - 1);
            while self.table[slot] != 0 {
                slot = (slot + 1) & (length - 1);
            }
            self.table[slot] = number;
        }
    }
}

/// A hasher that takes a word in one multiplication, with no key, so that runs are reproducible.
///
/// A bad hash costs time and never a wrong answer, since configurations are compared in full.
#[derive(Debug, Default)]
struct WordHasher {
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
