//! Changes of the members (Ongaro, 2014, chapter 4). A change of one voter is one entry; for more
//! of them a joint configuration comes first, which the leader leaves once it is committed.

use super::configuration::{Change, ChangeError, Configuration};
use super::elections::Role;
use super::log::Payload;
use super::machine::{Raft, Reply};
use super::message::Message;
use super::progress::Progress;
use super::state_machine::StateMachine;
use squall_env::machine::RequestId;
use squall_env::{NodeId, Turn, mutant};

impl<S: StateMachine> Raft<S> {
    /// Changes the members, if this member leads and no other change is under way.
    pub(super) fn change(&mut self, id: RequestId, changes: &[Change], turn: &mut Turn<Self>) {
        let Role::Leader(leadership) = &self.role else {
            return turn.reply(id, Reply::NotLeader(self.leader));
        };
        // Before an entry of its own term is committed, a leader does not know whether a change
        // of an earlier term is, and majorities of the two might have nobody in common.
        let settled = self.log.term_at(self.commit) == Some(self.hard.term)
            || mutant!(turn, "raft/changes-before-its-term-commits");
        let is_uncommitted = self.members.latest_index() > self.commit;
        let is_under_way = (is_uncommitted || leadership.change.is_some())
            && !mutant!(turn, "raft/changes-while-another-is-under-way");
        if leadership.handover.is_some() || !settled || is_under_way {
            return turn.reply(id, Reply::Busy);
        }
        let latest = self.configuration();
        if latest.is_joint() {
            return turn.reply(id, Reply::Busy);
        }
        let next = self.next_members(changes, turn);
        match next {
            Err(why) => turn.reply(id, Reply::NotChanged(why)),
            Ok(next) if next == *latest => turn.reply(id, Reply::Changed),
            Ok(next) => {
                if let Role::Leader(leadership) = &mut self.role {
                    leadership.change = Some(id);
                }
                self.append(Payload::Configuration(next), turn);
            }
        }
    }

    fn next_members(
        &self,
        changes: &[Change],
        turn: &Turn<Self>,
    ) -> Result<Configuration, ChangeError> {
        let latest = self.configuration();
        let next = match latest.change(changes) {
            Err(ChangeError::SeveralVoters) => {
                let joint = latest.enter_joint(changes)?;
                if mutant!(turn, "raft/changes-several-voters-at-once") {
                    joint.leave_joint()?
                } else {
                    joint
                }
            }
            next => next?,
        };
        match next.voters().difference(latest.voters()).find(|node| !self.has_caught_up(**node)) {
            Some(node) => Err(ChangeError::NotCaughtUp(*node)),
            None => Ok(next),
        }
    }

    /// Whether a learner is at most one message behind what is committed, so that a cluster in
    /// which it votes does not stand still while it gets the log.
    fn has_caught_up(&self, node: NodeId) -> bool {
        let Role::Leader(leadership) = &self.role else { return false };
        let enough = self.commit.saturating_sub(self.config.entries_max as u64);
        leadership.progress.get(&node).is_some_and(|p| p.matched > 0 && p.matched >= enough)
    }

    /// A leader sends to all members of its latest configuration, and to nobody else.
    pub(super) fn track_members(&mut self, turn: &Turn<Self>) {
        let mut members = self.configuration().members();
        members.remove(&turn.me());
        let last = self.log.last_index();
        let Role::Leader(leadership) = &mut self.role else { return };
        leadership.progress.retain(|node, _| members.contains(node));
        for node in members {
            leadership.progress.entry(node).or_insert_with(|| Progress::behind(last));
        }
    }

    /// More is committed: a joint configuration that is among it is left, and a leader that has no
    /// vote any more leads no longer (section 4.2.2).
    pub(super) fn settle_members(&mut self, turn: &mut Turn<Self>) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let is_committed = self.members.latest_index() <= self.commit;
        let latest = self.members.latest();
        if latest.is_joint() && (is_committed || mutant!(turn, "raft/leaves-joint-uncommitted")) {
            let Ok(next) = latest.leave_joint() else { return };
            turn.sometimes("a joint configuration was left");
            return self.append(Payload::Configuration(next), turn);
        }
        if !is_committed {
            return;
        }
        if let Some(id) = leadership.change.take() {
            turn.reply(id, Reply::Changed);
        }
        if !latest.is_voter(turn.me()) {
            turn.sometimes("a leader that was removed steps down");
            self.give_way(turn);
        }
    }

    /// Asks the voter with most of the log to lead, and leads no more.
    fn give_way(&mut self, turn: &mut Turn<Self>) {
        let Role::Leader(leadership) = &self.role else { return };
        let voters = self.members.latest().voters();
        let next = leadership.progress.iter().filter(|(node, _)| voters.contains(node));
        if let Some((next, _)) = next.max_by_key(|(_, progress)| progress.matched) {
            let to = self.address(*next, turn);
            turn.send_early(to, Message::TimeoutNow { term: self.hard.term });
        }
        self.follow(self.hard.term, None, turn);
    }
}
