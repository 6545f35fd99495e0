//! A multiset, as of the messages that are under way.

/// Values that may be there more than once, in no order: equal bags are equal states, however they
/// came about. `clone_from` keeps the buffer.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Bag<T>(Vec<T>);

impl<T> Default for Bag<T> {
    fn default() -> Bag<T> {
        Bag(Vec::new())
    }
}

impl<T: Clone> Clone for Bag<T> {
    fn clone(&self) -> Bag<T> {
        Bag(self.0.clone())
    }

    #[inline]
    fn clone_from(&mut self, from: &Bag<T>) {
        self.0.clone_from(&from.0);
    }
}

impl<T: Ord> Bag<T> {
    /// Puts one in.
    pub fn insert(&mut self, one: T) {
        let at = self.0.partition_point(|other| *other < one);
        self.0.insert(at, one);
    }

    /// Takes one out. `false` if there is none like it.
    pub fn remove(&mut self, one: &T) -> bool {
        let found = self.0.binary_search(one);
        if let Ok(at) = found {
            self.0.remove(at);
        }
        found.is_ok()
    }

    /// The values, equal ones next to each other.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// The values, each once however often it is there.
    pub fn distinct(&self) -> impl Iterator<Item = &T> {
        self.0.chunk_by(T::eq).map(|equal| &equal[0])
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Ord> FromIterator<T> for Bag<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Bag<T> {
        let mut values: Vec<T> = values.into_iter().collect();
        values.sort();
        Bag(values)
    }
}

impl<'a, T> IntoIterator for &'a Bag<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_in_which_order_things_came() {
        let mut bag: Bag<u8> = [3, 1, 3].into_iter().collect();
        bag.insert(2);
        assert!(bag.remove(&3));
        assert!(!bag.remove(&7));
        assert_eq!(bag, [2, 1, 3].into_iter().collect());
        bag.insert(1);
        assert_eq!(bag.distinct().copied().collect::<Vec<u8>>(), [1, 2, 3]);
        assert_eq!((bag.len(), bag.is_empty()), (4, false));
    }
}
