//! Log compaction (Ongaro, 2014, chapter 5): every member by itself puts a snapshot in the place of
//! entries that it has applied.

use super::applied::{Applied, Image};
use super::configuration::Configuration;
use super::elections::Role;
use super::log::{Index, Log, Term};
use super::machine::Raft;
use super::message::Part;
use super::record::Record;
use super::state_machine::StateMachine;
use squall_env::{NodeId, Turn, mutant};

/// A snapshot on its way to this member, as far as it is here. It is not durable before it is
/// whole.
pub(super) struct Incoming {
    /// Who sent the last part.
    from: NodeId,
    last: (Index, Term),
    size: u64,
    checksum: u32,
    bytes: Vec<u8>,
}

impl Incoming {
    /// The snapshot of which this is a part, and nothing of it yet.
    pub(super) fn of(from: NodeId, part: &Part) -> Incoming {
        let last = (part.last_index, part.last_term);
        Incoming { from, last, size: part.size, checksum: part.checksum, bytes: Vec::new() }
    }

    /// Whether somebody else sent the parts that are here.
    pub(super) fn goes_on_from(&mut self, from: NodeId) -> bool {
        std::mem::replace(&mut self.from, from) != from && !self.bytes.is_empty()
    }

    /// Whether this is a part of the same snapshot.
    pub(super) fn fits(&self, part: &Part) -> bool {
        let last = (part.last_index, part.last_term);
        (self.last, self.size, self.checksum) == (last, part.size, part.checksum)
    }

    /// Takes the bytes that are missing next, if these are.
    pub(super) fn take(&mut self, part: &Part) {
        let left = self.size - self.received();
        if part.offset == self.received() && part.data.len() as u64 <= left {
            self.bytes.extend_from_slice(&part.data);
        }
    }

    /// How many bytes are here.
    pub(super) fn received(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether all are.
    pub(super) fn is_whole(&self) -> bool {
        self.received() == self.size
    }

    /// The snapshot, if its bytes are those that were sent and it is one of this state machine,
    /// and who was a member there: somebody must be.
    pub(super) fn contents<S: StateMachine>(&self) -> Option<(Configuration, Image<S>)> {
        if crc32c::crc32c(&self.bytes) != self.checksum {
            return None;
        }
        let contents: (Configuration, Image<S>) = postcard::from_bytes(&self.bytes).ok()?;
        (!contents.0.voters().is_empty()).then_some(contents)
    }
}

impl<S: StateMachine> Raft<S> {
    /// Moves the snapshot on, once enough entries are applied behind it.
    pub(super) fn compact(&mut self, turn: &mut Turn<Self>) {
        if self.incoming.as_ref().is_some_and(|incoming| incoming.last.0 <= self.applied) {
            self.incoming = None;
        }
        let last_index = if self.applied_bytes >= self.config.snapshot_bytes {
            self.applied
        } else {
            let upto = self.applied.saturating_sub(self.config.tail_entries);
            let upto = upto - upto % self.config.snapshot_entries.max(1);
            upto.min(self.least_under_way())
        };
        if last_index <= self.log.base().0 {
            return;
        }
        let last_index = if mutant!(turn, "raft/compacts-entries-that-are-not-applied") {
            self.log.last_index()
        } else {
            last_index
        };
        turn.trace(|| format!("has a snapshot up to {last_index}"));
        turn.persist(self, Record::Compacted { last_index });
        turn.compact();
    }

    /// The end of the oldest snapshot that is under way to a follower. Were what is behind it
    /// compacted, the follower would need another one as soon as it has this.
    fn least_under_way(&self) -> Index {
        match &self.role {
            Role::Leader(leadership) => leadership.least_under_way().unwrap_or(Index::MAX),
            _ => Index::MAX,
        }
    }

    pub(super) fn apply_compacted(&mut self, last_index: Index) {
        for index in self.log.base().0 + 1..=last_index {
            let Some(entry) = self.log.entry(index) else { break };
            self.base.apply(index, &entry.payload, false);
        }
        let bytes = self.log.compact(last_index);
        self.members.compacted(last_index);
        self.applied_bytes = self.applied_bytes.saturating_sub(bytes);
        self.catch_up();
    }

    /// If the log has the snapshot's last entry, it agrees with the snapshot up to there, and what
    /// it has behind it stays; else nothing of it does (section 5.2).
    pub(super) fn apply_installed(
        &mut self,
        (index, term): (Index, Term),
        configuration: Configuration,
        image: Image<S>,
    ) {
        let stays = self.log.term_at(index) == Some(term);
        if stays {
            self.log.compact(index);
        } else {
            self.log = Log::behind(index, term);
        }
        self.members.installed(index, configuration, stays);
        self.base = Applied::of(image);
        self.applied_bytes = 0;
        self.catch_up();
    }

    /// What is applied is never behind the snapshot: after a restart, or when one was received.
    fn catch_up(&mut self) {
        let (start, _) = self.log.base();
        if self.applied < start {
            self.commit = self.commit.max(start);
            self.applied = start;
            self.live = Applied::of(self.base.image());
        }
    }
}
