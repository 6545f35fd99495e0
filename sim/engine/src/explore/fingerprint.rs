//! Fingerprints of states: a fast hash that is the same in every process.
//!
//! Small values are packed: what a derived `Hash` writes of an enum or of a length is a whole word
//! that is nearly always small, and takes a byte here. Two packed words at a time go through one
//! multiplication of 64 by 64 bits, whose halves are folded.

use std::hash::{Hash, Hasher};

/// Words whose bits look drawn (of the fraction of pi). A factor is zero only for data that holds
/// one of them.
const KEY: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89];

/// The fingerprint of a value, never zero. It depends on nothing but what the value hashes, so it
/// is the same in every process of one build.
#[inline]
pub fn fingerprint<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = Fingerprinter::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The hasher of [`fingerprint`].
#[derive(Clone, Debug)]
pub struct Fingerprinter {
    mixed: u64,
    /// A full word that waits for a second one.
    word: Option<u64>,
    /// Bits that wait for their word to be full, and how many they are.
    bits: u64,
    held: u32,
    /// Of all bits.
    length: u64,
}

impl Default for Fingerprinter {
    #[inline]
    fn default() -> Fingerprinter {
        Fingerprinter { mixed: KEY[0], word: None, bits: 0, held: 0, length: 0 }
    }
}

#[inline]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Fingerprinter {
    #[inline]
    fn word(&mut self, word: u64) {
        match self.word.take() {
            None => self.word = Some(word),
            Some(first) => self.mixed = fold(first ^ self.mixed, word ^ KEY[1]),
        }
    }

    /// Takes the lowest bits of a value, at most 64; the others must be zero.
    #[inline]
    fn bits(&mut self, value: u64, count: u32) {
        self.length += u64::from(count);
        self.bits |= value << self.held;
        let held = self.held + count;
        if held < u64::BITS {
            self.held = held;
            return;
        }
        let full = self.bits;
        self.held = held - u64::BITS;
        // A shift by as many bits as a word has is none that the language knows.
        self.bits = value.checked_shr(count - self.held).unwrap_or(0);
        self.word(full);
    }

    /// Most of these are small: numbers of variants, lengths.
    #[inline]
    fn small(&mut self, value: u64) {
        if value < 0xff {
            self.bits(value, 8);
        } else {
            self.bits(0xff, 8);
            self.bits(value, 64);
        }
    }
}

impl Hasher for Fingerprinter {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.bits(u64::from_le_bytes(*word), 64);
        }
        for byte in rest {
            self.bits(u64::from(*byte), 8);
        }
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.bits(u64::from(value), 8);
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.bits(u64::from(value), 16);
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.bits(u64::from(value), 32);
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.bits(value, 64);
    }

    #[inline]
    fn write_u128(&mut self, value: u128) {
        self.bits(value as u64, 64);
        self.bits((value >> 64) as u64, 64);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.small(value as u64);
    }

    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.small(value as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        let mixed = match self.word {
            None => self.mixed,
            Some(first) => fold(first ^ self.mixed, KEY[2]),
        };
        let last = fold(self.bits ^ mixed, KEY[3] ^ self.length);
        // Short inputs have gone through two multiplications so far; a third one spreads them.
        fold(last ^ KEY[0], KEY[2] ^ mixed).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn neighbours_have_fingerprints_far_apart() {
        // Each bit of a small state changes each bit of the fingerprint about every other time.
        let mut changed = [[0u32; 64]; 24];
        let samples = 2_000;
        for sample in 0..samples {
            let state = fingerprint(&sample) as u32 & 0xff_ffff;
            for (bit, counts) in changed.iter_mut().enumerate() {
                let difference = fingerprint(&state) ^ fingerprint(&(state ^ 1 << bit));
                for (at, count) in counts.iter_mut().enumerate() {
                    *count += (difference >> at & 1) as u32;
                }
            }
        }
        for count in changed.iter().flatten() {
            let rate = f64::from(*count) / f64::from(samples);
            assert!((0.42..0.58).contains(&rate), "{rate}");
        }
    }

    #[test]
    fn small_states_do_not_collide_even_in_half_of_the_bits() {
        // 2^18 states of bytes: of 2^32 halves some 8 pairs are the same by chance.
        for half in [0, 32] {
            let mut halves = BTreeMap::new();
            for state in 0..1u32 << 18 {
                let bytes = [state as u8, (state >> 8) as u8, (state >> 16) as u8];
                *halves.entry((fingerprint(&bytes.to_vec()) >> half) as u32).or_insert(0u32) += 1;
            }
            let same: u32 = halves.values().map(|count| count - 1).sum();
            assert!(same < 30, "{same} collisions in the half from bit {half}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn different_values_differ(
            one in prop::collection::vec(prop::option::of(any::<(u8, u16, usize)>()), 0..6),
            other in prop::collection::vec(prop::option::of(any::<(u8, u16, usize)>()), 0..6),
            text in ".{0,20}", tail in ".{0,3}",
        ) {
            prop_assert_eq!(one == other, fingerprint(&one) == fingerprint(&other));
            let longer = format!("{text}{tail}");
            prop_assert_eq!(tail.is_empty(), fingerprint(&text) == fingerprint(&longer));
        }
    }
}
