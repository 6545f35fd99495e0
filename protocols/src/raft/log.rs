//! The log, from behind the last snapshot on.

use super::configuration::Configuration;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A term: time between two elections, numbered consecutively.
pub type Term = u64;
/// A place in the log, from 1.
pub type Index = u64;

/// One entry of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// When it was received by a leader.
    pub term: Term,
    /// What it says.
    pub payload: Payload,
}

/// What an entry says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a new leader's first entry, by which those before it commit.
    NoOp,
    /// Opens a session, named by the entry's index.
    OpenSession,
    /// A command to the state machine.
    Command {
        /// The session of the client.
        session: u64,
        /// Counts the client's commands.
        sequence: u64,
        /// The command, encoded.
        #[serde(with = "serde_bytes")]
        command: Vec<u8>,
    },
    /// Who is a member: in force as soon as it is in a log (section 4.1).
    Configuration(Configuration),
}

impl Entry {
    /// How much of a message's bytes it takes, about.
    pub fn size(&self) -> usize {
        match &self.payload {
            Payload::NoOp | Payload::OpenSession => 8,
            Payload::Command { command, .. } => 32 + command.len(),
            Payload::Configuration(configuration) => 8 + 8 * configuration.members().len(),
        }
    }
}

/// The entries behind the last snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Log {
    base: (Index, Term),
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Log {
    /// An empty log behind an entry of this index and term.
    pub fn behind(index: Index, term: Term) -> Log {
        Log { base: (index, term), entries: VecDeque::new(), bytes: 0 }
    }

    /// The last entry that a snapshot stands for.
    pub fn base(&self) -> (Index, Term) {
        self.base
    }

    /// The index of the last entry.
    pub fn last_index(&self) -> Index {
        self.base.0 + self.entries.len() as u64
    }

    /// The term of the last entry.
    pub fn last_term(&self) -> Term {
        self.entries.back().map_or(self.base.1, |entry| entry.term)
    }

    /// About how many bytes the entries take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The term of an entry; nothing if it is not there, or gone into a snapshot.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.0 {
            return Some(self.base.1);
        }
        self.entry(index).map(|entry| entry.term)
    }

    /// An entry behind the snapshot.
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.checked_sub(self.base.0 + 1)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// The entries behind the snapshot, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Entries from `index` on: at most so many, and no more than so many bytes but for the first.
    pub fn from(&self, index: Index, entries_max: usize, bytes_max: usize) -> Vec<Entry> {
        let at = index.saturating_sub(self.base.0 + 1) as usize;
        let mut bytes = 0;
        let fits = self.entries.range(at.min(self.entries.len())..).take(entries_max);
        let fits = fits.take_while(|entry| {
            bytes += entry.size();
            bytes <= bytes_max || bytes == entry.size()
        });
        fits.cloned().collect()
    }

    /// Drops what stands behind `previous` and appends these entries there.
    pub fn replace(&mut self, previous: Index, entries: &[Entry]) {
        let keep = previous.saturating_sub(self.base.0) as usize;
        while self.entries.len() > keep {
            let dropped = self.entries.pop_back();
            self.bytes -= dropped.map_or(0, |entry| entry.size());
        }
        self.bytes += entries.iter().map(Entry::size).sum::<usize>();
        self.entries.extend(entries.iter().cloned());
    }

    /// A snapshot takes the place of the entries up to this one. Gives about how many bytes they
    /// had.
    pub fn compact(&mut self, last: Index) -> usize {
        let before = self.bytes;
        while self.base.0 < last {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.size();
            self.base = (self.base.0 + 1, entry.term);
        }
        before - self.bytes
    }

    /// Where a log that has an entry of `term` at `index` may agree with this one at the latest:
    /// the last entry up to there whose term is no greater. By this a leader and a follower skip
    /// whole terms at a time when they look for the place where their logs part.
    pub fn agrees_at_most(&self, index: Index, term: Term) -> (Index, Term) {
        let mut at = index.min(self.last_index());
        while at > self.base.0 {
            match self.term_at(at) {
                Some(found) if found <= term => return (at, found),
                _ => at -= 1,
            }
        }
        (at, self.term_at(at).unwrap_or(0))
    }
}
