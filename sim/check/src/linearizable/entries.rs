//! The events of completed operations that are not ordered yet, as a doubly linked list.
//!
//! Taking an operation out and putting it back are constant-time, and back in reverse order is all
//! a depth-first search needs.

/// What stands at a place of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The invocation of the operation with this number.
    Invoke(u32),
    /// The return of an operation.
    Return,
    /// The end of the list.
    End,
}

/// A circular list whose place 0 is the end. Every list starts and stops there.
#[derive(Debug, Default)]
pub(super) struct Entries {
    entry: Vec<Entry>,
    next: Vec<u32>,
    previous: Vec<u32>,
    /// The index of the event at each place; that of the end is greater than all others.
    index: Vec<u64>,
    /// For each operation, the places of its invocation and of its return.
    places: Vec<(u32, u32)>,
    order: Vec<(u64, Entry, u32)>,
}

impl Entries {
    /// Rebuilds the list from the event indices of each operation.
    pub(super) fn fill(&mut self, operations: impl Iterator<Item = (u64, u64)>) {
        self.order.clear();
        self.places.clear();
        for (operation, (invoked, returned)) in (0..).zip(operations) {
            self.order.push((invoked, Entry::Invoke(operation), operation));
            self.order.push((returned, Entry::Return, operation));
            self.places.push((0, 0));
        }
        self.order.sort_unstable_by_key(|&(index, ..)| index);
        self.entry.clear();
        self.entry.push(Entry::End);
        self.index.clear();
        self.index.push(u64::MAX);
        for (place, &(index, entry, operation)) in (1..).zip(&self.order) {
            self.entry.push(entry);
            self.index.push(index);
            let places = &mut self.places[operation as usize];
            match entry {
                Entry::Return => places.1 = place,
                Entry::Invoke(_) | Entry::End => places.0 = place,
            }
        }
        let count = self.entry.len() as u32;
        self.next.clear();
        self.next.extend((1..count).chain([0]));
        self.previous.clear();
        self.previous.extend([count - 1].into_iter().chain(0..count - 1));
    }

    /// Takes out an operation and returns the place that followed its invocation.
    pub(super) fn lift(&mut self, operation: u32) -> u32 {
        let (invoked, returned) = self.places[operation as usize];
        let before = self.previous[invoked as usize];
        self.unlink(invoked);
        self.unlink(returned);
        self.next[before as usize]
    }

    /// Puts back the operation that was taken out last.
    pub(super) fn unlift(&mut self, operation: u32) {
        let (invoked, returned) = self.places[operation as usize];
        self.relink(returned);
        self.relink(invoked);
    }

    pub(super) fn first(&self) -> u32 {
        self.next[0]
    }

    pub(super) fn after(&self, place: u32) -> u32 {
        self.next[place as usize]
    }

    pub(super) fn after_invocation(&self, operation: u32) -> u32 {
        self.after(self.places[operation as usize].0)
    }

    pub(super) fn at(&self, place: u32) -> Entry {
        self.entry[place as usize]
    }

    /// The index of the event at a place.
    pub(super) fn index(&self, place: u32) -> u64 {
        self.index[place as usize]
    }

    /// The index of the invocation of an operation.
    pub(super) fn invoked(&self, operation: u32) -> u64 {
        self.index(self.places[operation as usize].0)
    }

    /// The index of the return of an operation.
    pub(super) fn returned(&self, operation: u32) -> u64 {
        self.index(self.places[operation as usize].1)
    }

    /// The first return that is left: what may come next was invoked before it.
    pub(super) fn first_return(&self) -> u64 {
        let mut place = self.first();
        while let Entry::Invoke(_) = self.at(place) {
            place = self.after(place);
        }
        self.index(place)
    }

    fn unlink(&mut self, place: u32) {
        let (before, after) = (self.previous[place as usize], self.next[place as usize]);
        self.next[before as usize] = after;
        self.previous[after as usize] = before;
    }

    fn relink(&mut self, place: u32) {
        let (before, after) = (self.previous[place as usize], self.next[place as usize]);
        self.next[before as usize] = place;
        self.previous[after as usize] = place;
    }
}
