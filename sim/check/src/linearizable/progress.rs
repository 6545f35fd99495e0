//! The set of completed operations that already have their place in the order.

/// A set of operations that knows its own hash.
///
/// Operations enter nearly in the order of their invocation, so their bits are ones, then a short
/// mixture, then zeros. Only the mixture is written to a key: without that, a key would grow with
/// the length of the history.
#[derive(Debug, Default)]
pub(super) struct Progress {
    words: Vec<u64>,
    /// Every word before this one is full.
    first: usize,
    /// Every word from this one on is empty.
    last: usize,
    hash: u64,
}

impl Progress {
    /// Empties the set and makes room for so many operations.
    pub(super) fn fill(&mut self, count: usize) {
        self.words.clear();
        self.words.resize(count.div_ceil(64), 0);
        self.first = 0;
        self.last = 0;
        self.hash = 0;
    }

    pub(super) fn insert(&mut self, operation: u32) {
        let slot = operation as usize;
        self.words[slot / 64] |= 1 << (slot % 64);
        self.last = self.last.max(slot / 64 + 1);
        while self.words.get(self.first) == Some(&u64::MAX) {
            self.first += 1;
        }
        self.hash ^= scatter(u64::from(operation));
    }

    pub(super) fn remove(&mut self, operation: u32) {
        let slot = operation as usize;
        self.words[slot / 64] &= !(1 << (slot % 64));
        self.first = self.first.min(slot / 64);
        while self.last > 0 && self.words[self.last - 1] == 0 {
            self.last -= 1;
        }
        self.hash ^= scatter(u64::from(operation));
    }

    pub(super) fn contains(&self, operation: u32) -> bool {
        let slot = operation as usize;
        self.words[slot / 64] & (1 << (slot % 64)) != 0
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Appends words that are equal for equal sets only: the bounds of the mixed words and the
    /// words themselves.
    pub(super) fn write_key(&self, key: &mut Vec<u64>) {
        key.push((self.first as u64) << 32 | self.last as u64);
        // With nothing but full words before empty ones, `first` is `last`.
        key.extend_from_slice(&self.words[self.first..self.last]);
    }
}

/// A well-mixed number for each operation (the finaliser of SplitMix64), so that the exclusive or
/// over a set is a hash of the set.
fn scatter(operation: u64) -> u64 {
    let mut mixed = operation.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn different_sets_have_different_keys_and_equal_sets_equal_ones() {
        // What is tried lies on both sides of the ends of words.
        let mut progress = Progress::default();
        progress.fill(400);
        let tried = [0, 1, 2, 62, 63, 64, 65, 126, 128, 191, 192, 396];
        (0..189).filter(|operation| !tried.contains(operation)).for_each(|op| progress.insert(op));
        let mut keys = Vec::new();
        for subset in 0..1_u32 << tried.len() {
            let chosen = || (0..tried.len()).filter(|bit| subset & (1 << bit) != 0);
            chosen().for_each(|bit| progress.insert(tried[bit]));
            let mut key = Vec::new();
            progress.write_key(&mut key);
            chosen().for_each(|bit| assert!(progress.contains(tried[bit])));
            chosen().for_each(|bit| progress.remove(tried[bit]));
            chosen().for_each(|bit| assert!(!progress.contains(tried[bit])));
            chosen().rev().for_each(|bit| progress.insert(tried[bit]));
            let mut again = Vec::new();
            progress.write_key(&mut again);
            chosen().rev().for_each(|bit| progress.remove(tried[bit]));
            assert_eq!(key, again, "{subset:b}");
            keys.push(key);
        }
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn a_key_does_not_grow_with_what_is_behind_it() {
        let mut progress = Progress::default();
        progress.fill(100_000);
        (0..99_000).for_each(|operation| progress.insert(operation));
        let mut key = Vec::new();
        progress.write_key(&mut key);
        assert!(key.len() < 8, "{} words", key.len());
    }
}
