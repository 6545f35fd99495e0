//! What goes wrong in those mutants that take more than another condition: each is a published
//! fault of some implementation, and named where the scenarios list it.

use super::applied::Applied;
use super::log::{Entry, Index, Log};
use super::machine::Raft;
use super::record::Record;
use super::state_machine::StateMachine;
use squall_env::machine::RequestId;
use squall_env::{Machine, NodeId, Turn};
use std::collections::BTreeMap;

impl<S: StateMachine> Raft<S> {
    /// Entries that were overwritten stay in memory: `cached` are those before.
    pub(super) fn keep_overwritten(&mut self, cached: Log) {
        let newer = self.log.from(cached.last_index() + 1, usize::MAX, usize::MAX);
        let last = cached.last_index();
        self.log = cached;
        if !newer.is_empty() {
            self.log.replace(last, &newer);
        }
    }

    /// Entries are overwritten in memory, and the disk hears nothing of it.
    pub(super) fn overwrite_in_memory(&mut self, previous: Index, entries: Vec<Entry>) {
        self.apply(&Record::Entries { previous, entries });
    }

    /// Whoever proposed the last entry is told what came of it before it is committed.
    pub(super) fn answer_early(&mut self, id: RequestId, turn: &mut Turn<Self>) {
        let last = self.log.last_index();
        let mut ahead = Applied::<S>::of(self.live.image());
        for index in self.applied + 1..last {
            if let Some(entry) = self.log.entry(index) {
                ahead.apply(index, &entry.payload, false);
            }
        }
        if let Some(entry) = self.log.entry(last) {
            let reply = ahead.apply(last, &entry.payload, false);
            self.proposed.remove(&last);
            turn.reply(id, reply);
        }
    }
}

/// A vote that comes twice counts as that of somebody else, too.
pub(super) fn count_doubled(
    votes: &mut BTreeMap<NodeId, bool>,
    from: NodeId,
    granted: bool,
    voters: &[NodeId],
) {
    if votes.contains_key(&from)
        && let Some(silent) = voters.iter().find(|node| !votes.contains_key(node))
    {
        votes.insert(*silent, granted);
    }
}
