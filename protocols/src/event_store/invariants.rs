//! What holds of every store: judged by what clients did and were told, and by what is read in the
//! end. Nothing of it is asked of the store's own state but what it shows to readers.

use super::event::{
    Append, Appended, Expected, Filter, RecordedEvent, SOFT_DELETED, Slice, StreamSlice, TOMBSTONE,
};
use super::record::Event;
use super::segments::Progress;
use super::subscription::Batch;
use squall_env::journal::LogImage;
use squall_env::shown::AuditView;
use squall_env::{NodeId, Outcome, Position, View};
use std::collections::{BTreeMap, BTreeSet};

/// Something that a client did. Numbers of events order what happened in all clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The number of the event with which it began.
    pub began: u64,
    /// That of the event with which it ended, if it did.
    pub ended: Option<u64>,
    /// What it was.
    pub deed: Deed,
}

/// What a client did and was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// It appended these events, or tried to.
    Append {
        /// What was to be appended. Nobody uses the same ids for anything else.
        appends: Vec<Append>,
        /// What is known of it.
        outcome: Outcome,
        /// Where they stand, if it was done.
        done: Vec<Appended>,
    },
    /// It read events of all streams.
    Read {
        /// Behind which position.
        after: Position,
        /// Which of them.
        filter: Filter,
        /// What it was given.
        slice: Slice,
    },
    /// It read one stream.
    ReadStream {
        /// Which.
        stream: String,
        /// From which number on.
        from: u64,
        /// What it was given.
        slice: StreamSlice,
    },
    /// It was given events by a subscription, and processed them.
    Processed {
        /// Who.
        subscriber: u64,
        /// Which life of it: another after each restart.
        life: u64,
        /// What the subscription lets through.
        filter: Filter,
        /// What it was given.
        batch: Batch,
    },
    /// A subscriber knows this checkpoint to be durable.
    Saved {
        /// Who.
        subscriber: u64,
        /// Which one.
        position: Position,
    },
}

type Check = fn(&[Told], &[RecordedEvent]) -> Result<(), String>;

/// Every property with its name: of what clients were told, and of all events in the end.
pub const PROPERTIES: &[(&str, Check)] = &[
    ("positions and versions have no gaps", |_, log| no_gaps(log)),
    ("what was acknowledged is there for ever", acknowledged_is_there),
    ("what was refused is not there", refused_is_not_there),
    ("an append is done once, and as a whole", once_and_whole),
    ("what was expected did hold", expectations_held),
    ("readers see all that was, in order", readers_see_all),
    ("a subscription skips nothing and doubles nothing", subscribers_hear_all),
];

/// Judges a history by all properties.
///
/// # Errors
/// The first that does not hold, and why.
pub fn judge(history: &[Told], log: &[RecordedEvent]) -> Result<(), String> {
    for (name, check) in PROPERTIES {
        check(history, log).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// Positions are 1, 2, 3 ..., and versions 0, 1, 2 ... in each stream; nothing follows a tombstone.
///
/// # Errors
/// Which event is out of place.
pub fn no_gaps(log: &[RecordedEvent]) -> Result<(), String> {
    let mut next: BTreeMap<&str, u64> = BTreeMap::new();
    let mut ended = BTreeSet::new();
    for (position, event) in (1..).zip(log) {
        ensure(event.position == Position(position), || format!("{event:?} stands at {position}"))?;
        let version = next.entry(&event.stream).or_default();
        ensure(event.version == *version, || format!("{event:?} is number {version}"))?;
        ensure(!ended.contains(&event.stream), || format!("{event:?} follows a tombstone"))?;
        *version += 1;
        if event.kind == TOMBSTONE {
            ended.insert(&event.stream);
        }
    }
    Ok(())
}

fn appends(
    history: &[Told],
    wanted: Outcome,
) -> impl Iterator<Item = (&Told, &[Append], &[Appended])> {
    history.iter().filter_map(move |told| match &told.deed {
        Deed::Append { appends, outcome, done } if *outcome == wanted => {
            Some((told, &appends[..], &done[..]))
        }
        _ => None,
    })
}

fn at(log: &[RecordedEvent], position: Position) -> Option<&RecordedEvent> {
    log.get(position.0.checked_sub(1)? as usize)
}

/// Events whose append was acknowledged stand where the client was told, as they were sent.
fn acknowledged_is_there(history: &[Told], log: &[RecordedEvent]) -> Result<(), String> {
    for (_, appends, done) in appends(history, Outcome::Done) {
        ensure(appends.len() == done.len(), || format!("{done:?} answers {appends:?}"))?;
        for (append, done) in appends.iter().zip(done) {
            let count = append.events.len() as u64;
            ensure(done.versions.end - done.versions.start == count, || {
                format!("{done:?} answers {append:?}")
            })?;
            let first = (done.position.0 + 1).saturating_sub(count);
            for (at_position, (version, sent)) in
                (first..).zip((done.versions.start..).zip(&append.events))
            {
                let found = at(log, Position(at_position));
                let same = found.is_some_and(|found| {
                    found.id == sent.id
                        && found.stream == append.stream
                        && found.version == version
                        && found.kind == sent.kind
                        && found.schema == sent.schema
                        && found.data == sent.data
                });
                ensure(same, || format!("{sent:?} was acknowledged, and there is {found:?}"))?;
            }
        }
    }
    Ok(())
}

fn places<'a>(log: &'a [RecordedEvent], append: &Append) -> Vec<&'a RecordedEvent> {
    let ids: BTreeSet<_> = append.events.iter().map(|event| event.id).collect();
    let own = |event: &&RecordedEvent| event.stream == append.stream && ids.contains(&event.id);
    log.iter().filter(own).collect()
}

fn refused_is_not_there(history: &[Told], log: &[RecordedEvent]) -> Result<(), String> {
    for (_, appends, _) in appends(history, Outcome::NotDone) {
        for append in appends {
            let found = places(log, append);
            ensure(found.is_empty(), || format!("{append:?} was refused, and {found:?} is there"))?;
        }
    }
    Ok(())
}

/// All events of an append are there, one after the other, or none of them; and none twice.
fn once_and_whole(history: &[Told], log: &[RecordedEvent]) -> Result<(), String> {
    for told in history {
        let Deed::Append { appends, .. } = &told.deed else { continue };
        let wanted: usize = appends.iter().map(|append| append.events.len()).sum();
        let mut found: Vec<_> = appends.iter().flat_map(|append| places(log, append)).collect();
        ensure(found.is_empty() || found.len() == wanted, || {
            format!("of the {wanted} events of {appends:?} there are {}", found.len())
        })?;
        found.sort_by_key(|event| event.position);
        let ids = appends.iter().flat_map(|append| append.events.iter().map(|event| event.id));
        let is_whole = found.windows(2).all(|two| two[0].position.0 + 1 == two[1].position.0);
        let in_order = found.iter().map(|event| event.id).eq(ids) || found.is_empty();
        ensure(is_whole && in_order, || format!("{appends:?} stands torn, as {found:?}"))?;
    }
    Ok(())
}

/// What a stream was expected to be like, it was when the events were appended: so of all who
/// expected the same exact version one has won.
fn expectations_held(history: &[Told], log: &[RecordedEvent]) -> Result<(), String> {
    for (_, appends, done) in appends(history, Outcome::Done) {
        let first_of_all = appends
            .iter()
            .find_map(|append| places(log, append).first().map(|event| event.position));
        for (append, done) in appends.iter().zip(done).filter(|(one, _)| !one.events.is_empty()) {
            let first = done.versions.start;
            let before = || {
                log.iter().find(|event| event.stream == append.stream && event.version + 1 == first)
            };
            let held = match &append.expected {
                Expected::Any => true,
                Expected::Exact(version) => first == version + 1,
                Expected::NoStream => {
                    first == 0 || before().is_some_and(|event| event.kind == SOFT_DELETED)
                }
                Expected::StreamExists => {
                    let metadata = ["$$", &append.stream].concat();
                    let is_written = |event: &RecordedEvent| {
                        event.stream == metadata && event.position <= done.position
                    };
                    before().is_some_and(|event| event.kind != SOFT_DELETED)
                        || first == 0 && log.iter().any(is_written)
                }
                Expected::Condition(filter, after) => !log.iter().any(|event| {
                    event.position > *after
                        && first_of_all.is_some_and(|first| event.position < first)
                        && filter.lets(&event.stream, &event.kind)
                }),
            };
            ensure(held, || format!("{append:?} was done as {done:?}"))?;
        }
    }
    Ok(())
}

/// What of the log a filter lets through between two positions.
fn between<'a>(
    log: &'a [RecordedEvent],
    (after, upto): (Position, Position),
    filter: &'a Filter,
) -> impl Iterator<Item = &'a RecordedEvent> {
    let end = (upto.0 as usize).min(log.len());
    let start = (after.0 as usize).min(end);
    log[start..end].iter().filter(|event| filter.lets(&event.stream, &event.kind))
}

/// A read gives exactly what stands there in the end; and whoever begins to read later sees no
/// less, and all that was acknowledged before.
fn readers_see_all(history: &[Told], log: &[RecordedEvent]) -> Result<(), String> {
    let mut heads: Vec<(u64, u64, Position)> = Vec::new();
    for told in history {
        match &told.deed {
            Deed::Read { after, filter, slice } => {
                ensure(slice.upto <= slice.head && *after <= slice.upto, || {
                    format!("behind {after:?}: {slice:?}")
                })?;
                ensure(slice.head.0 as usize <= log.len(), || {
                    format!("{:?} was read, and the log ends at {}", slice.head, log.len())
                })?;
                let wanted = between(log, (*after, slice.upto), filter);
                ensure(slice.events.iter().eq(wanted), || {
                    format!("behind {after:?} a reader saw {slice:?}")
                })?;
                heads.push((told.began, told.ended.unwrap_or(u64::MAX), slice.head));
            }
            Deed::ReadStream { stream, from, slice } => {
                let there = |event: &&RecordedEvent| event.stream == *stream;
                let same = slice
                    .events
                    .iter()
                    .all(|event| event.version >= *from && at(log, event.position) == Some(event));
                ensure(same, || format!("of {stream:?} a reader saw {slice:?}"))?;
                let known =
                    slice.last.is_none_or(|last| log.iter().filter(there).count() as u64 > last);
                ensure(known, || format!("{stream:?} was as long as {:?}", slice.last))?;
            }
            _ => {}
        }
    }
    for (began, _, head) in &heads {
        let earlier = heads.iter().filter(|(_, ended, _)| ended < began).map(|(.., head)| *head);
        let done = appends(history, Outcome::Done);
        let done = done.filter(|(told, ..)| told.ended.is_some_and(|ended| ended < *began));
        let done = done.flat_map(|(.., done)| done.iter().map(|done| done.position));
        let least = earlier.chain(done).max().unwrap_or_default();
        ensure(*head >= least, || format!("a reader saw up to {head:?}, and not {least:?}"))?;
    }
    Ok(())
}

/// Each batch is what the log has there. It begins where the one before ended; after a restart, not
/// before a checkpoint that was durable, and not behind an event that was never processed.
fn subscribers_hear_all(history: &[Told], log: &[RecordedEvent]) -> Result<(), String> {
    let mut state: BTreeMap<u64, (u64, Position, Position)> = BTreeMap::new();
    for told in history {
        match &told.deed {
            Deed::Processed { subscriber, life, filter, batch } => {
                let wanted = between(log, (batch.after, batch.upto), filter);
                ensure(batch.events.iter().eq(wanted), || {
                    format!("subscriber {subscriber} was given {batch:?}")
                })?;
                let known = state.entry(*subscriber).or_insert((*life, Position(0), Position(0)));
                let (last_life, processed, saved) = *known;
                // A checkpoint may be behind the last event that was processed, and before events
                // that nobody wants.
                let mut skipped = between(log, (processed, batch.after), filter);
                let goes_on = match last_life == *life {
                    true => batch.after == processed,
                    false => saved <= batch.after && skipped.next().is_none(),
                };
                ensure(goes_on, || {
                    format!(
                        "subscriber {subscriber} was given what is behind {:?}; it had processed \
                         {processed:?} and saved {saved:?}",
                        batch.after
                    )
                })?;
                *known = (*life, batch.upto, saved);
            }
            Deed::Saved { subscriber, position } => {
                let known = state.entry(*subscriber).or_default();
                known.2 = known.2.max(*position);
            }
            _ => {}
        }
    }
    Ok(())
}

/// What readers see of a store never becomes less, over restarts too.
pub fn visible_stays() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut last: BTreeMap<NodeId, Position> = BTreeMap::new();
    move |view| {
        for store in view.changed::<Progress>() {
            let visible = store.visible;
            if visible > store.appended {
                return Err(format!("{:?} shows {visible:?}, which it does not have", store.node));
            }
            let before = last.insert(store.node, visible).unwrap_or_default();
            if visible < before {
                return Err(format!("{:?} showed {before:?}, and now {visible:?}", store.node));
            }
        }
        Ok(())
    }
}

/// What readers see of the store called `name` is on its disk, whatever crashes now, and is whole.
pub fn visible_is_durable(name: &'static str) -> impl FnMut(&AuditView<'_>) -> Result<(), String> {
    move |audit| {
        let shown: Vec<(NodeId, Position)> =
            audit.view().up::<Progress>().map(|store| (store.node, store.visible)).collect();
        for (node, visible) in shown {
            let Some(disk) = audit.disk(node) else { continue };
            let owner = (audit.roster().cluster(), audit.roster().name(node));
            let image = LogImage::of(disk, (owner.0, &owner.1), name);
            let image = image.map_err(|error| error.to_string())?;
            let mut events = Vec::new();
            for (position, record) in (1..).map(Position).zip(image.records()) {
                let event = Event::read(record).ok_or("a record is no event")?;
                events.push(event.recorded(position));
            }
            no_gaps(&events)?;
            if (events.len() as u64) < visible.0 {
                return Err(format!("{node:?} shows {visible:?} and keeps {}", events.len()));
            }
        }
        Ok(())
    }
}
