//! What of the events is kept in memory: of each its stream, its type and its number, and the ids
//! of the last ones.

use super::event::{EventId, Filter, SOFT_DELETED, TOMBSTONE};
use super::expected::{At, Stream};
use super::record::Event;
use squall_env::Position;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Names with small numbers.
#[derive(Default)]
struct Names {
    numbers: BTreeMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let (number, name) = (self.names.len() as u32, Arc::<str>::from(name));
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }
}

#[derive(Default)]
struct Entry {
    /// Of each event in order.
    positions: Vec<Position>,
    /// The numbers of the markers that hide what was before.
    soft: Vec<u64>,
    tombstone: Option<EventId>,
}

/// The index of all events, those that are not durable yet among them.
pub(super) struct Index {
    streams: Names,
    entries: Vec<Entry>,
    kinds: Names,
    /// Stream and type of each event in order.
    events: Vec<(u32, u32)>,
    recent: BTreeMap<(u32, EventId), u64>,
    /// The same, oldest first.
    ages: VecDeque<(u32, EventId, u64)>,
    recent_max: usize,
}

/// What a reader sees of a stream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Seen {
    pub(super) positions: Vec<Position>,
    pub(super) next: u64,
    pub(super) last: Option<u64>,
    pub(super) is_end: bool,
    pub(super) is_tombstoned: bool,
}

impl Index {
    pub(super) fn new(recent_max: usize) -> Index {
        Index {
            streams: Names::default(),
            entries: Vec::new(),
            kinds: Names::default(),
            events: Vec::new(),
            recent: BTreeMap::new(),
            ages: VecDeque::new(),
            recent_max,
        }
    }

    /// The next event in order. Says whether it is the next one of its stream.
    #[must_use]
    pub(super) fn add(&mut self, event: &Event<'_>) -> bool {
        let stream = self.streams.number(event.stream);
        let kind = self.kinds.number(event.kind);
        self.events.push((stream, kind));
        self.entries.resize_with(self.streams.names.len(), Entry::default);
        let entry = &mut self.entries[stream as usize];
        let is_next = entry.positions.len() as u64 == event.version;
        entry.positions.push(Position(self.events.len() as u64));
        match event.kind {
            TOMBSTONE => entry.tombstone = Some(event.id),
            SOFT_DELETED => entry.soft.push(event.version),
            _ => {}
        }
        self.remember(stream, event.id, event.version);
        is_next
    }

    fn remember(&mut self, stream: u32, id: EventId, version: u64) {
        self.recent.insert((stream, id), version);
        self.ages.push_back((stream, id, version));
        while self.ages.len() > self.recent_max {
            let Some((stream, id, version)) = self.ages.pop_front() else { break };
            // The same id may have been used again since.
            if self.recent.get(&(stream, id)) == Some(&version) {
                self.recent.remove(&(stream, id));
            }
        }
    }

    fn entry(&self, stream: &str) -> Option<(u32, &Entry)> {
        let number = *self.streams.numbers.get(stream)?;
        Some((number, &self.entries[number as usize]))
    }

    /// What the rules of appends need to know of a stream.
    pub(super) fn stream(&self, stream: &str) -> Stream {
        let has_metadata = self.entry(&["$$", stream].concat()).is_some();
        let Some((_, entry)) = self.entry(stream) else {
            return Stream { has_metadata, ..Stream::default() };
        };
        let last = (entry.positions.len() as u64).checked_sub(1);
        Stream {
            last,
            tombstone: entry.tombstone,
            is_soft_deleted: last.is_some() && entry.soft.last().copied() == last,
            has_metadata,
        }
    }

    /// The number under which a stream has this event, if that is remembered.
    pub(super) fn recent(&self, stream: &str, id: EventId) -> Option<u64> {
        let number = *self.streams.numbers.get(stream)?;
        self.recent.get(&(number, id)).copied()
    }

    /// The event of a stream with this number, as far as the ids in memory tell.
    pub(super) fn at(&self, stream: &str, version: u64, id: EventId) -> At {
        let Some((_, entry)) = self.entry(stream) else { return At::Nothing };
        if version >= entry.positions.len() as u64 {
            return At::Nothing;
        }
        match self.recent(stream, id) {
            Some(known) if known == version => At::Event(id),
            _ => At::Unread,
        }
    }

    /// Where the events of a stream with these numbers stand.
    pub(super) fn positions(&self, stream: &str, versions: std::ops::Range<u64>) -> Vec<Position> {
        let Some((_, entry)) = self.entry(stream) else { return Vec::new() };
        let end = versions.end.min(entry.positions.len() as u64);
        let start = versions.start.min(end);
        entry.positions[start as usize..end as usize].to_vec()
    }

    /// The first event behind `after` that the filter lets through.
    pub(super) fn first(&self, filter: &Filter, after: Position) -> Option<Position> {
        let upto = Position(self.events.len() as u64);
        self.select(filter, after, upto, 1).0.first().copied()
    }

    /// At most `max` positions behind `after` that the filter lets through, up to `upto`, and how
    /// far was looked.
    pub(super) fn select(
        &self,
        filter: &Filter,
        after: Position,
        upto: Position,
        max: usize,
    ) -> (Vec<Position>, Position) {
        let mut found = Vec::new();
        let is_all = *filter == Filter::all();
        for at in after.0..upto.0 {
            if found.len() >= max {
                return (found, Position(at));
            }
            let (stream, kind) = self.events[at as usize];
            let names = (&self.streams.names[stream as usize], &self.kinds.names[kind as usize]);
            if is_all || filter.lets(names.0, names.1) {
                found.push(Position(at + 1));
            }
        }
        (found, upto)
    }

    /// At most `max` events of a stream from a number on, of those up to the position `durable`.
    pub(super) fn seen(&self, stream: &str, from: u64, max: usize, durable: Position) -> Seen {
        let nothing = Seen { next: from, is_end: true, ..Seen::default() };
        let Some((_, entry)) = self.entry(stream) else { return nothing };
        let count = entry.positions.partition_point(|position| *position <= durable) as u64;
        let Some(last) = count.checked_sub(1) else { return nothing };
        let is_last = |kind: &str| {
            let position = entry.positions[last as usize];
            let (_, number) = self.events[position.0 as usize - 1];
            *self.kinds.names[number as usize] == *kind
        };
        let is_tombstoned = is_last(TOMBSTONE);
        let softly = entry.soft.iter().rfind(|version| **version <= last);
        let start = from.max(softly.map_or(0, |version| version + 1)).min(count);
        let end = count.min(start.saturating_add(max as u64));
        Seen {
            positions: entry.positions[start as usize..end as usize].to_vec(),
            next: end.max(from),
            last: Some(last).filter(|last| softly != Some(last)),
            is_end: end == count,
            is_tombstoned,
        }
    }
}
