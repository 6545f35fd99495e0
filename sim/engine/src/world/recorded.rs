//! What the weather made of each message and which operations clients began, written down such
//! that a plan can say the same.

use super::World;
use super::net::Fated;
use super::queue::Counts;
use crate::choice::{Entity, mix};
use crate::plan::{Fate, Override, Plan};
use crate::story::{self, Notes, Sentence};
use serde::{Deserialize, Serialize};
use squall_env::Roster;

/// What a run was made of, beside its plan.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Recorded {
    /// All messages that crossed the network before the world healed, in the order in which they
    /// were sent, each as the override that makes the same of it.
    pub messages: Vec<RecordedMessage>,
    /// The operations that clients began, in order: client and number.
    pub operations: Vec<(String, u64)>,
    /// What happened, in sentences.
    #[serde(default)]
    pub story: Vec<Sentence>,
}

/// What became of a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordedMessage {
    /// In the words of a plan.
    pub as_override: Override,
    /// Whether a fault has struck it; otherwise it took the time that messages take.
    pub is_struck: bool,
}

/// Writes down what happens.
#[derive(Default)]
pub(crate) struct Recorder {
    counts: Counts,
    messages: Vec<Line>,
    operations: Vec<(u32, u64)>,
    /// What the story is made of.
    pub(crate) notes: Notes,
}

/// A message by its names.
struct Line {
    lane: (u32, u32, u32, u8),
    payload: u64,
    nth: u64,
    count: u64,
    at_ns: u64,
    fate: Option<(Fate, bool)>,
}

impl Recorder {
    /// A message is sent. Every one is counted, also those of which nothing else is written.
    pub(super) fn sent(&mut self, lane: (u32, u32, u32, u8), at_ns: u64, payload: u64) {
        let (from, to, port, kind) = lane;
        self.notes.sends(at_ns, from, to, payload);
        let [from, to, port, kind] = [u64::from(from), u64::from(to), port.into(), kind.into()];
        let name = Entity(from).with(to).with(port).with(kind).0;
        let (count, nth) = (self.counts.next(name), self.counts.next(mix(name ^ payload)));
        self.messages.push(Line { lane, payload, nth, count, at_ns, fate: None });
    }

    /// What becomes of the message that was sent last.
    pub(super) fn fated(&mut self, fated: &Fated, is_struck: bool) {
        let Some(line) = self.messages.last_mut() else { return };
        let (copy_after_ns, damage) = (fated.copy_after, fated.corrupt);
        let fate = match (fated.lost, copy_after_ns, damage) {
            (true, ..) => Fate::Lost,
            (_, None, None) => Fate::DeliveredAfterNs(fated.after),
            _ => Fate::Delivered { after_ns: fated.after, copy_after_ns, damage },
        };
        line.fate = Some((fate, is_struck));
    }

    pub(crate) fn began(&mut self, client: u32, number: u64) {
        self.operations.push((client, number));
    }

    fn into_recorded(self, roster: &Roster, plan: &Plan) -> Recorded {
        let names: Vec<String> = roster.all().map(|node| roster.name(node)).collect();
        let name = |node: u32| names[node as usize].clone();
        let tell = |line: &Line| {
            let (from, to, port, message_kind) = line.lane;
            let (fate, is_struck) = line.fate?;
            let as_override = Override::Message {
                from: name(from),
                to: name(to),
                port,
                message_kind,
                payload: Some(line.payload),
                nth: line.nth,
                count: Some(line.count),
                at_ns: Some(line.at_ns),
                fate,
            };
            Some(RecordedMessage { as_override, is_struck })
        };
        Recorded {
            story: story::tell(&self.notes, &names, plan),
            messages: self.messages.iter().filter_map(tell).collect(),
            operations: self.operations.iter().map(|(who, number)| (name(*who), *number)).collect(),
        }
    }
}

impl World {
    /// What was written down, if anything was.
    pub(crate) fn take_recorded(&mut self, plan: &Plan) -> Option<Recorded> {
        self.recorder.take().map(|recorder| recorder.into_recorded(&self.roster, plan))
    }

    /// From here on it is written down what happens.
    pub(crate) fn set_recorder(&mut self, recorder: Option<Recorder>) {
        self.heeded |= recorder.is_some();
        self.recorder = recorder;
    }

    /// The message that a node has sent last takes so long, as the plan says.
    pub(super) fn note_takes(&mut self, from: u32, after_ns: u64) {
        if let Some(recorder) = &mut self.recorder {
            recorder.notes.takes(self.now, from, after_ns);
        }
    }

    /// A message reaches a node that is down.
    pub(super) fn note_missed(&mut self, time: u64, (from, to): (u32, u32), payload: u64) {
        if let Some(recorder) = self.recorder.as_mut().filter(|_| from != to) {
            recorder.notes.misses(time, to, from, payload);
        }
    }

    /// Whether anybody tells what happens: from the beginning of the run on, or never.
    #[inline]
    pub(crate) fn is_told(&self) -> bool {
        self.recorder.is_some() || self.log.is_some()
    }

    /// Whether whoever tells what happens has no name yet for what has this hash.
    #[inline]
    pub(crate) fn wants_name(&self, node: u32, hash: impl FnOnce() -> u64) -> bool {
        if !self.is_told() {
            return false;
        }
        let hash = hash();
        let noted = self.recorder.as_ref().is_none_or(|recorder| recorder.notes.knows(node, hash));
        !noted || self.log.as_ref().is_some_and(|log| log.wants_name(node, hash))
    }

    pub(crate) fn name(&mut self, node: u32, hash: u64, name: String) {
        if let Some(log) = &self.log {
            log.name(node, hash, &name);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.notes.name(node, hash, name);
        }
    }
}
