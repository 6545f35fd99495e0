//! What is written down of a run for its story.

use crate::digest::Code;
use std::collections::{BTreeMap, VecDeque};

/// So much is kept of a run, its end rather than its beginning.
const NOTES_MAX: usize = 200_000;

/// So many names are kept.
const NAMES_MAX: usize = 200_000;

/// Something that happened to a node, or that it did.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Note {
    /// In nanoseconds from the start.
    pub(super) time: u64,
    pub(super) node: u32,
    pub(super) what: What,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum What {
    /// It sends a message with this payload.
    Sends { to: u32, payload: u64 },
    /// The message that it has sent last takes so many nanoseconds, as the plan says.
    Takes(u64),
    /// A message reaches it while it is down.
    Misses { from: u32, payload: u64 },
    /// Its power is lost.
    PowerLoss(Unsynced),
    /// Anything else, as digests have it.
    Entry(Code, [u64; 2]),
}

/// What was not synced when the power went.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Unsynced {
    /// How many writes and other changes of each file.
    pub(crate) files: Vec<(String, u64)>,
    /// Of how many sectors the newest content is lost.
    pub(crate) lost: u64,
    /// How many sectors are torn or hold garbage.
    pub(crate) torn: u64,
    /// How many changes of names are lost.
    pub(crate) names: u64,
}

/// Writes down what a story is made of.
#[derive(Default)]
pub(crate) struct Notes {
    pub(super) all: VecDeque<Note>,
    /// How many were there before those.
    pub(super) left_out: u64,
    /// What messages, operations and their results are called, by node and hash.
    pub(super) names: BTreeMap<(u32, u64), String>,
}

impl Notes {
    fn push(&mut self, time: u64, node: u32, what: What) {
        if self.all.len() == NOTES_MAX {
            self.all.pop_front();
            self.left_out += 1;
        }
        self.all.push_back(Note { time, node, what });
    }

    /// Whether something with this hash has a name already, or there is no more room for one.
    pub(crate) fn knows(&self, node: u32, hash: u64) -> bool {
        self.names.contains_key(&(node, hash)) || self.names.len() >= NAMES_MAX
    }

    pub(crate) fn name(&mut self, node: u32, hash: u64, name: String) {
        self.names.insert((node, hash), name);
    }

    /// Something goes into the digest of a node.
    pub(crate) fn entry(&mut self, time: u64, node: u32, code: Code, details: [u64; 2]) {
        let is_told = match code {
            Code::Boot => details[0] > 1,
            Code::Exit => details[0] == 1,
            Code::Crash
            | Code::Deliver
            | Code::Lost
            | Code::Duplicated
            | Code::Delayed
            | Code::Corrupted
            | Code::Cut
            | Code::Overflow
            | Code::DiskFault
            | Code::Damaged
            | Code::Panic
            | Code::FaultStrikes
            | Code::FaultEnds
            | Code::Invoke
            | Code::Return
            | Code::Heal
            | Code::ScriptStep
            | Code::StreamFault
            | Code::Buggify => true,
            _ => false,
        };
        if is_told {
            self.push(time, node, What::Entry(code, details));
        }
    }

    pub(crate) fn sends(&mut self, time: u64, from: u32, to: u32, payload: u64) {
        self.push(time, from, What::Sends { to, payload });
    }

    pub(crate) fn takes(&mut self, time: u64, from: u32, after_ns: u64) {
        self.push(time, from, What::Takes(after_ns));
    }

    pub(crate) fn misses(&mut self, time: u64, node: u32, from: u32, payload: u64) {
        self.push(time, node, What::Misses { from, payload });
    }

    pub(crate) fn power_loss(&mut self, time: u64, node: u32, unsynced: Unsynced) {
        self.push(time, node, What::PowerLoss(unsynced));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_run_the_end_is_kept() {
        let mut notes = Notes::default();
        for time in 0..NOTES_MAX as u64 + 7 {
            notes.sends(time, 0, 1, time);
            notes.entry(time, 0, Code::Poll, [0, 0]);
            if !notes.knows(0, time) {
                notes.name(0, time, String::new());
            }
        }
        assert_eq!((notes.all.len(), notes.left_out), (NOTES_MAX, 7));
        assert_eq!((notes.all[0].time, notes.names.len()), (7, NAMES_MAX));
    }
}
