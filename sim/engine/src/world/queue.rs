//! The queue of events, ordered by time and then by whose they are.

use super::causes::Causes;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What an event is about; the slot says which one of its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Message = 0,
    Timer = 1,
    Disk = 2,
    EpisodeBegins = 3,
    EpisodeEnds = 4,
    Restart = 5,
    Blocking = 6,
    Mark = 7,
    Stream = 8,
    Script = 9,
}

const KINDS: [Kind; 16] = [
    Kind::Message,
    Kind::Timer,
    Kind::Disk,
    Kind::EpisodeBegins,
    Kind::EpisodeEnds,
    Kind::Restart,
    Kind::Blocking,
    Kind::Mark,
    Kind::Stream,
    Kind::Script,
    // No event is made with a number that means nothing.
    Kind::Mark,
    Kind::Mark,
    Kind::Mark,
    Kind::Mark,
    Kind::Mark,
    Kind::Mark,
];

/// `time u64 | tie u32 | kind u4 | slot u28`: one comparison orders two events.
///
/// The tie is drawn from the target node and the event's own name, so the order of two events at
/// one instant does not depend on which was queued first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Event(u128);

const SLOT_MAX: u32 = (1 << 28) - 1;

impl Event {
    pub(crate) fn new(time: u64, tie: u32, kind: Kind, slot: u32) -> Event {
        assert!(slot <= SLOT_MAX, "more than {SLOT_MAX} events of one kind are pending");
        let low = u64::from(tie) << 32 | (kind as u64) << 28 | u64::from(slot);
        Event(u128::from(time) << 64 | u128::from(low))
    }

    pub(crate) fn time(self) -> u64 {
        (self.0 >> 64) as u64
    }

    pub(crate) fn tie(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn kind(self) -> Kind {
        KINDS[(self.0 >> 28) as usize & 15]
    }

    pub(crate) fn slot(self) -> u32 {
        self.0 as u32 & SLOT_MAX
    }

    /// The same event at another time.
    pub(crate) fn at(self, time: u64) -> Event {
        Event(u128::from(time) << 64 | u128::from(self.0 as u64))
    }
}

/// So many events are kept sorted at most.
const NEAR_MAX: usize = 32;

/// The next few events are sorted, for most are taken soon after they were put in and runs have few
/// pending ones; a heap holds the rest, none of which comes before any of them.
#[derive(Default)]
pub(crate) struct Queue {
    /// The next event is the last of them.
    near: Vec<Event>,
    far: BinaryHeap<Reverse<Event>>,
    /// Why each of them is there, if somebody wants to know.
    pub(crate) causes: Option<Box<Causes>>,
}

impl Queue {
    /// Makes room for so many events.
    pub(crate) fn reserve(&mut self, room: usize) {
        self.near.reserve(NEAR_MAX + 1);
        self.far.reserve(room.saturating_sub(NEAR_MAX));
    }

    /// An empty one with the room of this one, if that is no larger than `most`.
    pub(crate) fn emptied(mut self, most: usize) -> Queue {
        if self.far.capacity() > most {
            return Queue::default();
        }
        self.near.clear();
        self.far.clear();
        Queue { near: self.near, far: self.far, causes: None }
    }

    #[inline]
    pub(crate) fn push(&mut self, event: Event) {
        if let Some(causes) = &mut self.causes {
            causes.queued(event);
        }
        if self.far.peek().is_some_and(|Reverse(first)| *first < event) {
            self.far.push(Reverse(event));
            return;
        }
        let mut place = self.near.len();
        self.near.push(event);
        while place > 0 && self.near[place - 1] < event {
            self.near[place] = self.near[place - 1];
            place -= 1;
        }
        self.near[place] = event;
        if self.near.len() > NEAR_MAX {
            self.far.extend(self.near.drain(..NEAR_MAX / 2).map(Reverse));
        }
    }

    /// Takes the next event, if it is not later than this.
    #[inline]
    pub(crate) fn pop_until(&mut self, until: u64) -> Option<Event> {
        if self.peek()?.time() > until {
            return None;
        }
        let event = match self.near.pop() {
            Some(event) => event,
            None => self.far.pop()?.0,
        };
        if let Some(causes) = &mut self.causes {
            causes.taken(event);
        }
        Some(event)
    }

    /// How many events are pending.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.near.len() + self.far.len()
    }

    /// All events in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> {
        self.near.iter().copied().chain(self.far.iter().map(|Reverse(event)| *event))
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<Event> {
        self.near.last().copied().or_else(|| self.far.peek().map(|Reverse(event)| *event))
    }
}

/// Things with small numbers that are given back and used again.
pub(crate) struct Slab<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { items: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Slab<T> {
    /// Makes room for so many things.
    pub(crate) fn reserve(&mut self, room: usize) {
        self.items.reserve(room);
        self.free.reserve(room);
    }

    /// An empty one with the room of this one, if that is no larger than `most`.
    pub(crate) fn emptied(mut self, most: usize) -> Slab<T> {
        if self.items.capacity() > most {
            return Slab::default();
        }
        self.items.clear();
        self.free.clear();
        self
    }

    /// A slot whose content is whatever its last user left in it.
    #[inline]
    pub(crate) fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.items.push(T::default());
            self.items.len() as u32 - 1
        })
    }

    #[inline]
    pub(crate) fn give_back(&mut self, slot: u32) {
        self.free.push(slot);
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.items.get(slot as usize)
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.items.get_mut(slot as usize)
    }

    /// How many slots there are, used or not.
    pub(crate) fn len(&self) -> u32 {
        self.items.len() as u32
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> std::vec::Drain<'_, T> {
        self.free.clear();
        self.items.drain(..)
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;
    #[inline]
    fn index(&self, slot: u32) -> &T {
        &self.items[slot as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.items[slot as usize]
    }
}

/// How often each named thing has happened: the counts of keyed choices. Names are entities, whose
/// bits are mixed already, so the table needs no hash of its own.
#[derive(Default)]
pub(crate) struct Counts {
    slots: Vec<(u64, u64)>,
    used: usize,
}

impl Counts {
    /// The count of `name`, which then goes up by one.
    #[inline]
    pub(crate) fn next(&mut self, name: u64) -> u64 {
        let count = self.at(name);
        *count += 1;
        *count - 1
    }

    /// The number under `name`, zero at first.
    #[inline(always)]
    pub(crate) fn at(&mut self, name: u64) -> &mut u64 {
        // Zero marks an empty slot.
        let name = name | 1;
        if self.used * 2 >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = (name >> 20) as usize & mask;
        while self.slots[at].0 != name {
            if self.slots[at].0 == 0 {
                self.slots[at] = (name, 0);
                self.used += 1;
                break;
            }
            at = (at + 1) & mask;
        }
        &mut self.slots[at].1
    }

    /// An empty one with the room of this one, if that is no larger than `most`.
    pub(crate) fn emptied(mut self, most: usize) -> Counts {
        if self.slots.len() > most {
            return Counts::default();
        }
        if self.used > 0 {
            self.slots.fill((0, 0));
        }
        Counts { slots: self.slots, used: 0 }
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        let old = std::mem::replace(&mut self.slots, vec![(0, 0); size]);
        for entry in old.into_iter().filter(|(name, _)| *name != 0) {
            let mut at = (entry.0 >> 20) as usize & (size - 1);
            while self.slots[at].0 != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::mix;

    #[test]
    fn an_event_keeps_what_it_is_made_of() {
        let event = Event::new(u64::MAX - 1, 0xdead_beef, Kind::Restart, SLOT_MAX);
        assert_eq!(event.time(), u64::MAX - 1);
        assert_eq!(event.kind(), Kind::Restart);
        assert_eq!(event.slot(), SLOT_MAX);
        assert_eq!(event.at(3).time(), 3);
        assert_eq!(event.at(3).slot(), SLOT_MAX);
        assert!(event.at(3) < event);
    }

    #[test]
    fn events_come_in_their_order_however_many_there_are() {
        for pending in [1, NEAR_MAX, NEAR_MAX + 1, 10 * NEAR_MAX] {
            let (mut queue, mut model) = (Queue::default(), std::collections::BTreeSet::new());
            let mut now = 0;
            for n in 0..5_000u64 {
                let after = mix(n) % 1_000;
                let event = Event::new(now + after, mix(n) as u32, Kind::Timer, n as u32);
                queue.push(event);
                model.insert(event);
                assert!(queue.iter().all(|event| model.contains(&event)));
                while model.len() > pending || n % 700 == 0 && !model.is_empty() {
                    assert_eq!((queue.len(), queue.peek()), (model.len(), model.first().copied()));
                    let next = queue.pop_until(u64::MAX).unwrap();
                    assert_eq!(Some(next), model.pop_first());
                    now = next.time();
                }
            }
            assert_eq!(queue.pop_until(now.saturating_sub(1)), None);
        }
    }

    #[test]
    fn counts_survive_growth() {
        let mut counts = Counts::default();
        for round in 0..3 {
            for name in 0..5_000 {
                assert_eq!(counts.next(mix(name)), round);
            }
        }
    }
}
