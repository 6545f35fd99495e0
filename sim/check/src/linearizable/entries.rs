//! The events that are not ordered yet, as a doubly linked list.
//!
//! Taking an operation out and putting it back are constant-time, and back in reverse order is all
//! a depth-first search needs.

/// What stands at a place of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The invocation of the operation with this number.
    Invoke(u32),
    /// The return of a completed operation.
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
    /// For each operation, the places of its invocation and of its return.
    places: Vec<(u32, Option<u32>)>,
    order: Vec<(u64, Entry, u32)>,
}

impl Entries {
    /// Rebuilds the list from the event indices of each operation.
    pub(super) fn fill(&mut self, operations: impl Iterator<Item = (u64, Option<u64>)>) {
        self.order.clear();
        self.places.clear();
        for (operation, (invoked, returned)) in (0..).zip(operations) {
            self.order.push((invoked, Entry::Invoke(operation), operation));
            if let Some(returned) = returned {
                self.order.push((returned, Entry::Return, operation));
            }
            self.places.push((0, None));
        }
        self.order.sort_unstable_by_key(|&(index, ..)| index);
        self.entry.clear();
        self.entry.push(Entry::End);
        for (place, &(_, entry, operation)) in (1..).zip(&self.order) {
            self.entry.push(entry);
            let places = &mut self.places[operation as usize];
            match entry {
                Entry::Return => places.1 = Some(place),
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
        if let Some(returned) = returned {
            self.unlink(returned);
        }
        self.next[before as usize]
    }

    /// Puts back the operation that was taken out last.
    pub(super) fn unlift(&mut self, operation: u32) {
        let (invoked, returned) = self.places[operation as usize];
        if let Some(returned) = returned {
            self.relink(returned);
        }
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
