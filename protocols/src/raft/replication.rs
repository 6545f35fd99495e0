//! Log replication (Ongaro, 2014, sections 3.5, 3.6 and 10.2).

use super::elections::Role;
use super::handover::Handover;
use super::log::{Entry, Index, Log, Payload, Term};
use super::machine::{Raft, Reply, Timer};
use super::message::Message;
use super::progress::{Pace, Progress, Transfer};
use super::reads::Reads;
use super::state_machine::StateMachine;
use super::transfer::Outgoing;
use squall_env::machine::RequestId;
use squall_env::{Address, NodeId, Turn, mutant};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What only a leader knows.
pub(super) struct Leadership<S: StateMachine> {
    pub(super) progress: BTreeMap<NodeId, Progress>,
    /// Counts heartbeats.
    pub(super) round: u64,
    pub(super) reads: Reads<S>,
    /// How many bytes of entries wait to be committed.
    uncommitted: usize,
    /// Who is to lead next, if somebody wants that.
    pub(super) handover: Option<Handover>,
    /// Who wanted the change of members that is under way.
    pub(super) change: Option<RequestId>,
}

impl<S: StateMachine> Leadership<S> {
    pub(super) fn new(followers: Vec<NodeId>, log: &Log, commit: Index) -> Leadership<S> {
        let last = log.last_index();
        let progress = followers.into_iter().map(|node| (node, Progress::behind(last)));
        Leadership {
            progress: progress.collect(),
            round: 0,
            reads: Reads::default(),
            uncommitted: size_of(log, commit + 1..=last),
            handover: None,
            change: None,
        }
    }

    fn transfers(&self) -> impl Iterator<Item = &Transfer> {
        self.progress.values().filter_map(Progress::transfer)
    }

    /// The snapshot up to this entry, if it is being sent to somebody.
    pub(super) fn outgoing(&self, last: Index) -> Option<Arc<Outgoing>> {
        let mut same = self.transfers().filter(|transfer| transfer.outgoing.last.0 == last);
        same.next().map(|transfer| Arc::clone(&transfer.outgoing))
    }

    /// The end of the oldest snapshot that is being sent.
    pub(super) fn least_under_way(&self) -> Option<Index> {
        self.transfers().map(|transfer| transfer.outgoing.last.0).min()
    }
}

fn size_of(log: &Log, indexes: RangeInclusive<Index>) -> usize {
    indexes.filter_map(|index| log.entry(index)).map(Entry::size).sum()
}

impl<S: StateMachine> Raft<S> {
    /// Takes an entry, if this member leads and has room for it.
    pub(super) fn propose(&mut self, id: RequestId, payload: Payload, turn: &mut Turn<Self>) {
        let Role::Leader(leadership) = &self.role else {
            return turn.reply(id, Reply::NotLeader(self.leader));
        };
        if leadership.handover.is_some() {
            return turn.reply(id, Reply::Busy);
        }
        let bytes = match &payload {
            Payload::Command { command, .. } => command.len(),
            Payload::NoOp | Payload::OpenSession | Payload::Configuration(_) => 0,
        };
        if bytes > self.config.command_max {
            return turn.reply(id, Reply::TooLarge);
        }
        let full = self.log.bytes() >= self.config.log_max;
        if full || leadership.uncommitted >= self.config.uncommitted_max {
            turn.sometimes("a proposal was refused for want of room");
            return turn.reply(id, Reply::Busy);
        }
        self.proposed.insert(self.log.last_index() + 1, (self.hard.term, id));
        self.append(payload, turn);
        if mutant!(turn, "raft/answers-before-it-commits") {
            self.answer_early(id, turn);
        }
    }

    /// Appends an entry to the leader's log. The followers get it while the own disk still writes,
    /// together with those that are appended at the same time.
    pub(super) fn append(&mut self, payload: Payload, turn: &mut Turn<Self>) {
        let entry = Entry { term: self.hard.term, payload };
        let reconfigures = matches!(entry.payload, Payload::Configuration(_));
        if let Role::Leader(leadership) = &mut self.role {
            leadership.uncommitted += entry.size();
        }
        let previous = if mutant!(turn, "raft/appends-behind-durable-entries") {
            self.durable.index
        } else {
            self.log.last_index()
        };
        self.persist_entries(previous, vec![entry], turn);
        if reconfigures {
            self.track_members(turn);
        }
        turn.settle();
    }

    /// Sends every follower what it lacks.
    pub(super) fn replicate_all(&mut self, turn: &mut Turn<Self>) {
        for node in self.others(turn) {
            self.replicate(node, false, turn);
        }
    }

    /// Sends a follower what it lacks, as far as its pace allows; and something in any case if it
    /// must hear from its leader.
    pub(super) fn replicate(&mut self, node: NodeId, must: bool, turn: &mut Turn<Self>) {
        if let Role::Leader(leadership) = &self.role
            && let Some(progress) = leadership.progress.get(&node)
            && (progress.transfer().is_some() || progress.next <= self.log.base().0)
        {
            return self.send_snapshot(node, must, turn);
        }
        let to = self.address(node, turn);
        let (term, commit, config) = (self.hard.term, self.commit, &self.config);
        let Role::Leader(leadership) = &mut self.role else { return };
        let round = leadership.round;
        let Some(progress) = leadership.progress.get_mut(&node) else { return };
        let mut must = must;
        loop {
            let free = progress.may_send(config.under_way_max);
            let behind = progress.next <= self.log.last_index();
            if !(must || free && behind) {
                return;
            }
            let previous_index = progress.next - 1;
            let Some(previous_term) = self.log.term_at(previous_index) else { return };
            let most = if free { config.entries_max } else { 0 };
            let entries = self.log.from(progress.next, most, config.bytes_max);
            if !entries.is_empty() {
                progress.sent(previous_index + entries.len() as u64);
            }
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
            must = false;
        }
    }

    pub(super) fn on_heartbeat_due(&mut self, turn: &mut Turn<Self>) {
        let Role::Leader(leadership) = &mut self.role else { return };
        // Whoever is asked where the logs part is asked again: the question may be lost.
        for progress in leadership.progress.values_mut() {
            match &mut progress.pace {
                Pace::Probe { waiting } => *waiting = false,
                Pace::Replicate(_) => {}
                Pace::Snapshot(transfer) => {
                    if transfer.beat() {
                        turn.sometimes("a transfer of a snapshot resumed");
                    }
                }
            }
        }
        turn.arm(Timer::Heartbeat, self.config.heartbeat);
        self.next_round(turn);
        // The request to campaign may be lost as well.
        self.hand_over(turn);
    }

    /// Sends every follower something that it has to answer.
    pub(super) fn next_round(&mut self, turn: &mut Turn<Self>) {
        if let Role::Leader(leadership) = &mut self.role {
            leadership.round += 1;
            if self.config.lease_drift_max_ppm.is_some() {
                leadership.reads.asked(leadership.round, turn.now());
            }
        }
        for node in self.others(turn) {
            self.replicate(node, true, turn);
        }
    }

    /// Steps down if no quorum has answered for an election timeout: somebody else may lead by
    /// now, and whoever asks this member should rather ask others.
    pub(super) fn on_quorum_due(&mut self, turn: &mut Turn<Self>) {
        let me = turn.me();
        let Role::Leader(leadership) = &mut self.role else { return };
        let progress = &mut leadership.progress;
        let heard =
            |node| node == me || progress.get(&node).is_some_and(|progress| progress.active);
        if !self.members.deciding(turn).is_quorum(heard) {
            turn.sometimes("a leader without a quorum steps down");
            self.setbacks += 1;
            return self.follow(self.hard.term, None, turn);
        }
        for progress in progress.values_mut() {
            progress.active = false;
        }
        self.setbacks = 0;
        turn.arm(Timer::Quorum, self.config.election_timeout);
    }

    pub(super) fn on_append_entries(
        &mut self,
        from: Address,
        message: Message,
        turn: &mut Turn<Self>,
    ) {
        let Message::AppendEntries { term, previous_index, previous_term, entries, commit, round } =
            message
        else {
            return;
        };
        if !self.is_from_leader(from, term, previous_index, round, turn) {
            return;
        }
        // What the snapshot stands for is committed, and so the leader has the same.
        let agrees = previous_index < self.log.base().0
            || self.log.term_at(previous_index) == Some(previous_term)
            || mutant!(turn, "raft/skips-the-consistency-check")
                && previous_index <= self.log.last_index();
        if !agrees {
            self.tell_end(from.node, turn);
            let hint = self.log.agrees_at_most(previous_index, previous_term);
            return self.refuse(from, previous_index, hint, round, turn);
        }
        let matched = previous_index + entries.len() as u64;
        if !self.store(previous_index, entries, turn) {
            return turn.reject(from, "a committed entry would be overwritten");
        }
        // Behind what this message has shown to agree, the log may be another one.
        let known = if mutant!(turn, "raft/commits-unverified-entries") {
            self.log.last_index()
        } else {
            matched
        };
        let commit = commit.min(known);
        if commit > self.commit {
            // To hear a leader is not enough: it may yet find no quorum.
            self.setbacks = 0;
            self.commit = commit;
        }
        self.apply_committed(turn);
        let answer = Message::Appended { term: self.hard.term, matched, round };
        if mutant!(turn, "raft/acknowledges-before-durable") {
            return turn.send_early(from, answer);
        }
        turn.send(from, answer);
    }

    /// Whether a message comes from the leader of this term or a later one, which is then
    /// followed.
    pub(super) fn is_from_leader(
        &mut self,
        from: Address,
        term: Term,
        index: Index,
        round: u64,
        turn: &mut Turn<Self>,
    ) -> bool {
        if term < self.hard.term {
            self.refuse(from, index, (0, 0), round, turn);
            return false;
        }
        if term == self.hard.term && self.is_leader() {
            turn.reject(from, "two leaders in one term");
            return false;
        }
        self.follow(term, Some(from.node), turn);
        self.heard = Some(turn.now());
        self.wait_for_leader(turn);
        true
    }

    fn refuse(
        &mut self,
        to: Address,
        previous_index: Index,
        (hint_index, hint_term): (Index, Term),
        round: u64,
        turn: &mut Turn<Self>,
    ) {
        let term = self.hard.term;
        turn.send(to, Message::Refused { term, previous_index, hint_index, hint_term, round });
    }

    /// Stores what is new of these entries. An entry of another term goes with all behind it; an
    /// equal one stays, for a late message may be shorter than the log. False if that would take a
    /// committed entry away.
    fn store(&mut self, previous: Index, entries: Vec<Entry>, turn: &mut Turn<Self>) -> bool {
        let known = entries.iter().zip(previous + 1..).take_while(|(entry, index)| {
            *index <= self.log.base().0 || self.log.term_at(*index) == Some(entry.term)
        });
        let known = known.count();
        let keep = previous + known as u64;
        if known == entries.len() {
            return true;
        }
        if keep < self.commit && !mutant!(turn, "raft/commits-unverified-entries") {
            return false;
        }
        if keep < self.log.last_index() {
            turn.sometimes("a follower's entries were overwritten");
            if mutant!(turn, "raft/overwrites-only-in-memory") {
                self.overwrite_in_memory(keep, entries.into_iter().skip(known).collect());
                return true;
            }
        }
        self.persist_entries(keep, entries.into_iter().skip(known).collect(), turn);
        true
    }

    pub(super) fn on_appended(
        &mut self,
        node: NodeId,
        term: Term,
        matched: Index,
        round: u64,
        turn: &mut Turn<Self>,
    ) {
        if !self.is_answered(node, term, round, turn) {
            return;
        }
        let last = self.log.last_index();
        let Role::Leader(leadership) = &mut self.role else { return };
        let Some(progress) = leadership.progress.get_mut(&node) else { return };
        if matched > last {
            return turn.reject(self.address(node, turn), "it has what the leader never sent");
        }
        if progress.accepted(matched, self.log.base().0) {
            self.advance_commit(turn);
        }
        self.replicate(node, false, turn);
        self.answer_reads(turn);
        self.hand_over(turn);
    }

    pub(super) fn on_refused(
        &mut self,
        node: NodeId,
        term: Term,
        previous: Index,
        (hint_index, hint_term): (Index, Term),
        round: u64,
        turn: &mut Turn<Self>,
    ) {
        if !self.is_answered(node, term, round, turn) {
            return;
        }
        let (at, term) = self.log.agrees_at_most(hint_index, hint_term);
        // If not even the snapshot's last entry is there, the follower needs the snapshot.
        let next = if term > hint_term { at } else { at + 1 };
        let Role::Leader(leadership) = &mut self.role else { return };
        let Some(progress) = leadership.progress.get_mut(&node) else { return };
        if progress.refused(previous, next) {
            turn.sometimes("a follower's log did not match");
            self.replicate(node, true, turn);
        }
        self.answer_reads(turn);
    }

    /// Takes note of a follower's answer, whatever it says. Whether this member led when it asked
    /// and still does.
    pub(super) fn is_answered(
        &mut self,
        node: NodeId,
        term: Term,
        round: u64,
        turn: &mut Turn<Self>,
    ) -> bool {
        if term > self.hard.term {
            self.follow(term, None, turn);
            return false;
        }
        let Role::Leader(leadership) = &mut self.role else { return false };
        let Some(progress) = leadership.progress.get_mut(&node) else { return false };
        if term < self.hard.term {
            return false;
        }
        progress.active = true;
        progress.round = progress.round.max(round.min(leadership.round));
        true
    }

    /// Commits what a quorum has durably, if it is of the leader's own term: an entry of an
    /// earlier one may still be overwritten, however many have it (section 3.6.2).
    pub(super) fn advance_commit(&mut self, turn: &mut Turn<Self>) {
        let me = turn.me();
        let Role::Leader(leadership) = &mut self.role else { return };
        let own = if mutant!(turn, "raft/counts-undurable-entries") {
            self.log.last_index()
        } else {
            self.durable.index
        };
        let members = self.members.deciding(turn);
        let reached = members.committed(|node| match leadership.progress.get(&node) {
            Some(progress) => progress.matched,
            None if node == me => own,
            None => 0,
        });
        let own_term = self.log.term_at(reached) == Some(self.hard.term)
            || mutant!(turn, "raft/commits-entries-of-earlier-terms");
        if reached > self.commit && own_term {
            leadership.uncommitted -= size_of(&self.log, self.commit + 1..=reached);
            self.commit = reached;
            self.apply_committed(turn);
            self.answer_reads(turn);
            self.settle_members(turn);
        }
    }
}
