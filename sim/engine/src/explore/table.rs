//! A set of fingerprints: an open-addressed table of words.
//!
//! A fingerprint's place is its share of the table, so growing the table moves the words from the
//! first to the last in their order, without jumping about in memory.

/// Of a hundred places so many are taken at most.
const LOAD: usize = 80;

/// The places of an empty table.
const FIRST: usize = 1 << 10;

pub(super) struct Table {
    /// Zero where nothing is.
    places: Vec<u64>,
    taken: usize,
    most: usize,
}

impl Table {
    pub(super) fn new() -> Table {
        Table { places: vec![0; FIRST], taken: 0, most: FIRST * LOAD / 100 }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.taken
    }

    pub(super) fn bytes(&self) -> u64 {
        size_of_val(&self.places[..]) as u64
    }

    /// How many bytes there are at most while so many more are added.
    pub(super) fn bytes_with(&self, more: usize) -> u64 {
        let bytes = self.bytes();
        if self.taken + more < self.most { bytes } else { bytes + bytes / 2 * 3 }
    }

    #[inline]
    fn place(&self, print: u64) -> usize {
        ((u128::from(print) * self.places.len() as u128) >> 64) as usize
    }

    /// Looks at where these are. The processor fetches all the places at once, where one insertion
    /// after the other would wait for each.
    #[inline]
    pub(super) fn fetch(&self, prints: &[u64]) {
        let seen = prints.iter().fold(0, |seen, print| seen ^ self.places[self.place(*print)]);
        std::hint::black_box(seen);
    }

    /// Adds a fingerprint, which is not zero, and says whether it is new.
    #[inline]
    pub(super) fn insert(&mut self, print: u64) -> bool {
        let mut at = self.place(print);
        loop {
            let there = self.places[at];
            if there == print {
                return false;
            }
            if there == 0 {
                break;
            }
            at += 1;
            if at == self.places.len() {
                at = 0;
            }
        }
        if self.taken >= self.most {
            self.grow();
            self.put(print);
        } else {
            self.places[at] = print;
        }
        self.taken += 1;
        true
    }

    #[cold]
    fn grow(&mut self) {
        let more = self.places.len() / 2 * 3;
        let old = std::mem::replace(&mut self.places, vec![0; more]);
        self.most = more / 100 * LOAD;
        old.into_iter().filter(|print| *print != 0).for_each(|print| self.put(print));
    }

    fn put(&mut self, print: u64) {
        let mut at = self.place(print);
        while self.places[at] != 0 {
            at += 1;
            if at == self.places.len() {
                at = 0;
            }
        }
        self.places[at] = print;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_holds_many() {
        let mut table = Table::new();
        let prints = || (1..200_000u64).map(|n| crate::explore::fingerprint(&n));
        assert!(prints().all(|print| table.insert(print)));
        assert!(prints().all(|print| !table.insert(print)));
        assert_eq!(table.len(), 199_999);
        assert!(table.bytes() < 200_000 * 8 * 2, "{} bytes", table.bytes());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn it_is_a_set(
            // Some at the end of the table, so that they go on at its beginning.
            prints in prop::collection::vec(prop_oneof![1..50u64, u64::MAX - 50..], 0..3_000),
        ) {
            let (mut table, mut set) = (Table::new(), BTreeSet::new());
            for print in prints {
                prop_assert_eq!(table.insert(print), set.insert(print));
            }
            prop_assert_eq!(table.len(), set.len());
        }
    }
}
