//! Snapshots that a leader sends (Ongaro, 2014, section 5.2), in parts: several are under way at a
//! time, and a follower says how far it has come, so that parts which were lost are sent again and
//! another leader goes on where this one stopped. Heartbeats do not wait for any of it.

use super::applied::Applied;
use super::configuration::Configuration;
use super::elections::Role;
use super::log::{Index, Term};
use super::machine::{Raft, Reply};
use super::message::{Message, Part};
use super::progress::{Pace, Transfer};
use super::record::Record;
use super::snapshots::Incoming;
use super::state_machine::StateMachine;
use squall_env::{Address, NodeId, Turn, mutant};
use std::sync::Arc;

/// How many parts of a snapshot are under way at most.
const PARTS_MAX: u64 = 8;

/// A snapshot that is sent.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Outgoing {
    pub(super) last: (Index, Term),
    pub(super) bytes: Vec<u8>,
    checksum: u32,
}

impl Outgoing {
    pub(super) fn new(last: (Index, Term), bytes: Vec<u8>) -> Outgoing {
        let checksum = crc32c::crc32c(&bytes);
        Outgoing { last, bytes, checksum }
    }

    fn part(&self, offset: u64, bytes_max: usize) -> Part {
        let rest = &self.bytes[offset as usize..];
        Part {
            last_index: self.last.0,
            last_term: self.last.1,
            size: self.bytes.len() as u64,
            checksum: self.checksum,
            offset,
            data: rest[..rest.len().min(bytes_max.max(1))].to_vec(),
        }
    }
}

impl<S: StateMachine> Raft<S> {
    fn outgoing(&self, turn: &Turn<Self>) -> Outgoing {
        let mut last = self.log.base();
        if mutant!(turn, "raft/snapshot-index-off-by-one") {
            last = (last.0 + 1, self.log.term_at(last.0 + 1).unwrap_or(last.1));
        }
        let mut image = self.base.image();
        if mutant!(turn, "raft/snapshots-without-sessions") {
            image = image.without_sessions();
        }
        let mut members = self.members.base().cloned().unwrap_or_default();
        if mutant!(turn, "raft/snapshots-of-the-first-members") {
            members = Configuration::of(self.config.voters.iter().copied());
        }
        let contents = postcard::to_stdvec(&(members, image)).expect("a snapshot can be encoded");
        Outgoing::new(last, contents)
    }

    /// Sends a follower the snapshot, as far as its pace allows; and a heartbeat if it must hear
    /// from its leader.
    pub(super) fn send_snapshot(&mut self, node: NodeId, must: bool, turn: &mut Turn<Self>) {
        let known = match &self.role {
            Role::Leader(leadership) => leadership.outgoing(self.log.base().0),
            _ => return,
        };
        let outgoing = |raft: &Self| known.unwrap_or_else(|| Arc::new(raft.outgoing(turn)));
        let is_under_way = self.progress_of(node).is_some_and(|p| p.transfer().is_some());
        let fresh = if is_under_way { None } else { Some(outgoing(self)) };
        let to = self.address(node, turn);
        let (term, commit, bytes_max) = (self.hard.term, self.commit, self.config.bytes_max);
        let Role::Leader(leadership) = &mut self.role else { return };
        let round = leadership.round;
        let Some(progress) = leadership.progress.get_mut(&node) else { return };
        if let Some(outgoing) = fresh {
            turn.sometimes("a follower was sent a snapshot");
            progress.pace = Pace::Snapshot(Transfer::of(outgoing));
        }
        let Pace::Snapshot(transfer) = &mut progress.pace else { return };
        if must {
            let (previous_index, previous_term) = transfer.outgoing.last;
            let entries = Vec::new();
            turn.send_early(
                to,
                Message::AppendEntries {
                    term,
                    previous_index,
                    previous_term,
                    entries,
                    commit,
                    round,
                },
            );
        }
        while transfer.may_send(PARTS_MAX * bytes_max as u64) {
            let part = transfer.outgoing.part(transfer.sent, bytes_max);
            transfer.sent += part.data.len() as u64;
            turn.send_early(to, Message::InstallSnapshot { term, part, round });
        }
    }

    fn progress_of(&self, node: NodeId) -> Option<&super::progress::Progress> {
        match &self.role {
            Role::Leader(leadership) => leadership.progress.get(&node),
            _ => None,
        }
    }

    pub(super) fn on_received(
        &mut self,
        node: NodeId,
        term: Term,
        (last_index, received): (Index, u64),
        round: u64,
        turn: &mut Turn<Self>,
    ) {
        if !self.is_answered(node, term, round, turn) {
            return;
        }
        let Role::Leader(leadership) = &mut self.role else { return };
        let Some(progress) = leadership.progress.get_mut(&node) else { return };
        if let Pace::Snapshot(transfer) = &mut progress.pace
            && transfer.outgoing.last.0 == last_index
        {
            if received > transfer.size() {
                return turn.reject(self.address(node, turn), "it has what the leader never sent");
            }
            transfer.received(received, round);
            self.replicate(node, false, turn);
        }
        self.answer_reads(turn);
    }

    pub(super) fn on_install_snapshot(
        &mut self,
        from: Address,
        term: Term,
        part: Part,
        round: u64,
        turn: &mut Turn<Self>,
    ) {
        if !self.is_from_leader(from, term, part.last_index, round, turn) {
            return;
        }
        let (last_index, last_term) = (part.last_index, part.last_term);
        let has = last_index <= self.commit
            && !(mutant!(turn, "raft/installs-older-snapshots") && last_index < self.commit);
        if has {
            let answer = Message::Appended { term: self.hard.term, matched: last_index, round };
            return turn.send(from, answer);
        }
        let known = self.incoming.take().filter(|incoming| incoming.fits(&part));
        let mut incoming = known.unwrap_or_else(|| Incoming::of(from.node, &part));
        if incoming.goes_on_from(from.node) {
            turn.sometimes("another leader went on with a snapshot");
        }
        incoming.take(&part);
        let mut received = incoming.received();
        if incoming.is_whole() {
            if let Some((configuration, image)) = incoming.contents() {
                let record = Record::Installed { last_index, last_term, configuration, image };
                return self.install(from, record, (last_index, round), turn);
            }
            turn.reject(from, "the snapshot is not what was sent");
            received = 0;
        } else {
            self.incoming = Some(incoming);
        }
        let term = self.hard.term;
        turn.send(from, Message::Received { term, last_index, received, round });
    }

    fn install(
        &mut self,
        from: Address,
        record: Record<S>,
        (matched, round): (Index, u64),
        turn: &mut Turn<Self>,
    ) {
        turn.trace(|| format!("installs a snapshot up to {matched}"));
        let tail = self.log.from(matched + 1, usize::MAX, usize::MAX);
        let restores = mutant!(turn, "raft/restores-into-the-old-state");
        let (before, applying) = (restores.then(|| self.live.image()), self.applied + 1);
        let at = turn.persist(self, record);
        if let Some(before) = before {
            self.live = Applied::of(before);
        }
        if mutant!(turn, "raft/applies-while-it-installs") {
            self.applied = applying;
        }
        self.tell_applied(turn);
        self.durable.replaced(0, self.log.last_index(), at);
        turn.compact();
        if mutant!(turn, "raft/keeps-entries-behind-a-snapshot") && !tail.is_empty() {
            self.persist_entries(matched, tail, turn);
        } else if mutant!(turn, "raft/discards-entries-behind-a-snapshot") {
            self.persist_entries(matched, Vec::new(), turn);
        }
        let behind = self.proposed.split_off(&(matched + 1));
        for (_, (_, id)) in std::mem::replace(&mut self.proposed, behind) {
            turn.reply(id, Reply::Unknown);
        }
        turn.send(from, Message::Appended { term: self.hard.term, matched, round });
    }
}
