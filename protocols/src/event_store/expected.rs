//! What an expectation makes of an append: the rules of EventStoreDB (its commit check), which
//! every backend shares.

use super::error::Refused;
use super::event::{Append, EventId, Expected};
use squall_env::Position;
use std::ops::Range;

/// What is known of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Stream {
    /// The number of the last event.
    pub(super) last: Option<u64>,
    /// The tombstone, if the stream has one.
    pub(super) tombstone: Option<EventId>,
    /// Whether the last event hides all of them.
    pub(super) is_soft_deleted: bool,
    /// Whether the metadata stream was written.
    pub(super) has_metadata: bool,
}

/// What is known of the event with a certain number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum At {
    /// It is this one.
    Event(EventId),
    /// There is none.
    Nothing,
    /// It has to be read first.
    Unread,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Append them.
    Append,
    /// They are there already, with these numbers.
    Repeated(Range<u64>),
    /// The ids of the events with these numbers have to be read first.
    Read(Range<u64>),
    /// Refuse them.
    Refuse(Refused),
}

/// Where a backend finds what the rules ask for.
pub(super) trait Known {
    /// The event of the append's stream with this number.
    fn at(&self, version: u64) -> At;
    /// The number under which the stream has this event, as far as that is remembered.
    fn recent(&self, id: EventId) -> Option<u64>;
    /// The first event behind the position that the condition's filter lets through.
    fn condition(&self, expected: &Expected) -> Option<Position>;
}

/// Judges an append against what its stream is like now.
pub(super) fn judge(append: &Append, stream: &Stream, known: &impl Known) -> Verdict {
    let ids = || append.events.iter().map(|event| event.id);
    let wrong = || {
        Verdict::Refuse(Refused::WrongExpectedVersion {
            stream: append.stream.clone(),
            expected: append.expected.clone(),
            last: stream.last,
        })
    };
    let deleted = |for_ever| {
        Verdict::Refuse(Refused::StreamDeleted { stream: append.stream.clone(), for_ever })
    };
    if let Some(tombstone) = stream.tombstone {
        let last = stream.last.unwrap_or_default();
        // Whoever sent the tombstone may ask again whether it is there.
        return if ids().eq([tombstone]) {
            Verdict::Repeated(last..last + 1)
        } else {
            deleted(true)
        };
    }
    match &append.expected {
        Expected::Any => by_ids(append, known).unwrap_or(Verdict::Append),
        Expected::StreamExists if stream.is_soft_deleted => deleted(false),
        Expected::StreamExists if stream.last.is_none() && !stream.has_metadata => wrong(),
        Expected::StreamExists => by_ids(append, known).unwrap_or(Verdict::Append),
        Expected::Condition(..) => {
            by_ids(append, known).unwrap_or_else(|| match known.condition(&append.expected) {
                None => Verdict::Append,
                Some(found) => Verdict::Refuse(Refused::ConditionFailed { found }),
            })
        }
        Expected::NoStream | Expected::Exact(_) => {
            // The number of the first event that is to be appended, and of the next there is.
            let first = match append.expected {
                Expected::Exact(last) => last.saturating_add(1),
                _ => 0,
            };
            let next = stream.last.map_or(0, |last| last + 1);
            if first == next {
                return Verdict::Append;
            }
            if first > next || append.events.is_empty() {
                return wrong();
            }
            compare(append, (first, stream), known, wrong)
        }
    }
}

/// The stream has gone on from the expected number: perhaps with the very same events.
fn compare(
    append: &Append,
    (first, stream): (u64, &Stream),
    known: &impl Known,
    wrong: impl Fn() -> Verdict,
) -> Verdict {
    for (version, event) in (first..).zip(&append.events) {
        match known.at(version) {
            At::Event(id) if id == event.id => {}
            At::Unread => return Verdict::Read(first..first + append.events.len() as u64),
            At::Event(_) | At::Nothing if version > first => return corrupted(append),
            At::Event(_) | At::Nothing => {
                let anew = append.expected == Expected::NoStream && stream.is_soft_deleted;
                return if anew { Verdict::Append } else { wrong() };
            }
        }
    }
    Verdict::Repeated(first..first + append.events.len() as u64)
}

/// Without a number only the ids can tell whether the events are there already.
fn by_ids(append: &Append, known: &impl Known) -> Option<Verdict> {
    let mut found = append.events.iter().map(|event| known.recent(event.id));
    let first = found.next()??;
    let mut last = first;
    for version in found {
        match version {
            None => return Some(corrupted(append)),
            Some(version) => last = version,
        }
    }
    Some(Verdict::Repeated(first..last.max(first) + 1))
}

fn corrupted(append: &Append) -> Verdict {
    Verdict::Refuse(Refused::CorruptedIdempotency { stream: append.stream.clone() })
}
