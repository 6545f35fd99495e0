//! The set of operations that already have their place in the order.

/// A set of operations that knows its own hash.
///
/// Completed operations enter nearly in the order of their invocation, so their bits are ones, then
/// a short mixture, then zeros. Only the mixture is written to a key: without that, a key would
/// grow with the length of the history. Operations with unknown outcome enter late or never, and
/// would tear that window open, so they are counted apart.
#[derive(Debug, Default)]
pub(super) struct Progress {
    completed: Bits,
    unknown: Bits,
    /// For each operation, whether it completed and its number among its kind.
    slots: Vec<(bool, u32)>,
    hash: u64,
}

#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
    /// Every word before this one is full.
    first: usize,
    /// Every word from this one on is empty.
    last: usize,
}

impl Progress {
    /// Empties the set and says which of its operations completed.
    pub(super) fn fill(&mut self, completed: impl Iterator<Item = bool>) {
        let (mut completed_count, mut unknown_count) = (0, 0);
        self.slots.clear();
        for is_completed in completed {
            let count = if is_completed { &mut completed_count } else { &mut unknown_count };
            self.slots.push((is_completed, *count));
            *count += 1;
        }
        self.completed.fill(completed_count as usize);
        self.unknown.fill(unknown_count as usize);
        self.hash = 0;
    }

    pub(super) fn insert(&mut self, operation: u32) {
        let (is_completed, slot) = self.slots[operation as usize];
        self.bits(is_completed).insert(slot as usize);
        self.hash ^= scatter(u64::from(operation));
    }

    pub(super) fn remove(&mut self, operation: u32) {
        let (is_completed, slot) = self.slots[operation as usize];
        self.bits(is_completed).remove(slot as usize);
        self.hash ^= scatter(u64::from(operation));
    }

    pub(super) fn is_completed(&self, operation: u32) -> bool {
        self.slots[operation as usize].0
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Appends words that are equal for equal sets only.
    pub(super) fn write_key(&self, key: &mut Vec<u64>) {
        self.completed.write_key(key);
        self.unknown.write_key(key);
    }

    fn bits(&mut self, is_completed: bool) -> &mut Bits {
        if is_completed { &mut self.completed } else { &mut self.unknown }
    }
}

impl Bits {
    fn fill(&mut self, count: usize) {
        self.words.clear();
        self.words.resize(count.div_ceil(64), 0);
        self.first = 0;
        self.last = 0;
    }

    fn insert(&mut self, slot: usize) {
        self.words[slot / 64] |= 1 << (slot % 64);
        self.last = self.last.max(slot / 64 + 1);
        while self.words.get(self.first) == Some(&u64::MAX) {
            self.first += 1;
        }
    }

    fn remove(&mut self, slot: usize) {
        self.words[slot / 64] &= !(1 << (slot % 64));
        self.first = self.first.min(slot / 64);
        while self.last > 0 && self.words[self.last - 1] == 0 {
            self.last -= 1;
        }
    }

    /// The bounds of the mixed words and the words themselves.
    fn write_key(&self, key: &mut Vec<u64>) {
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
        // Every third operation completed, and what is tried lies on both sides of a word's end.
        let mut progress = Progress::default();
        progress.fill((0..400).map(|operation| operation % 3 == 0));
        let tried = [0, 1, 2, 3, 93, 94, 95, 97, 189, 192, 195, 396];
        (0..189).filter(|operation| !tried.contains(operation)).for_each(|op| progress.insert(op));
        let mut keys = Vec::new();
        for subset in 0..1_u32 << tried.len() {
            let chosen = || (0..tried.len()).filter(|bit| subset & (1 << bit) != 0);
            chosen().for_each(|bit| progress.insert(tried[bit]));
            let mut key = Vec::new();
            progress.write_key(&mut key);
            chosen().for_each(|bit| progress.remove(tried[bit]));
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
        progress.fill((0..100_000).map(|_| true));
        (0..99_000).for_each(|operation| progress.insert(operation));
        let mut key = Vec::new();
        progress.write_key(&mut key);
        assert!(key.len() < 8, "{} words", key.len());
    }
}
