//! Leadership transfer (Ongaro, 2014, section 3.10): a leader takes no more proposals, waits until
//! the member that is to lead has its whole log, and asks it to campaign at once. It goes on to
//! lead if that comes to nothing within an election timeout.

use super::elections::Role;
use super::log::Term;
use super::machine::{Raft, Reply, Timer};
use super::message::{Campaign, Message};
use super::state_machine::StateMachine;
use squall_env::machine::RequestId;
use squall_env::{NodeId, Turn, mutant};

/// A transfer that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Handover {
    to: NodeId,
    id: RequestId,
}

impl<S: StateMachine> Raft<S> {
    pub(super) fn transfer(&mut self, id: RequestId, to: NodeId, turn: &mut Turn<Self>) {
        let me = turn.me();
        let Role::Leader(leadership) = &mut self.role else {
            return turn.reply(id, Reply::NotLeader(self.leader));
        };
        let is_under_way = leadership.handover.is_some();
        if is_under_way || to == me || !self.members.latest().is_voter(to) {
            return turn.reply(id, Reply::NotTransferred);
        }
        leadership.handover = Some(Handover { to, id });
        if !mutant!(turn, "raft/leases-after-a-transfer") {
            leadership.reads.end_lease();
        }
        turn.arm(Timer::Transfer, self.config.election_timeout);
        self.hand_over(turn);
    }

    /// Asks the next leader to campaign, once it has the whole log.
    pub(super) fn hand_over(&mut self, turn: &mut Turn<Self>) {
        let Role::Leader(leadership) = &self.role else { return };
        let Some(Handover { to, .. }) = leadership.handover else { return };
        let matched = leadership.progress.get(&to).map(|progress| progress.matched);
        if matched == Some(self.log.last_index()) {
            turn.trace(|| format!("asks {to:?} to lead"));
            turn.send_early(self.address(to, turn), Message::TimeoutNow { term: self.hard.term });
        }
    }

    pub(super) fn on_timeout_now(&mut self, from: NodeId, term: Term, turn: &mut Turn<Self>) {
        let follows = matches!(self.role, Role::Follower) && self.leader == Some(from);
        let may_lead = self.members.may_lead(turn.me(), self.commit) && !self.is_doubtful();
        if term == self.hard.term && follows && may_lead {
            self.campaign(Campaign::Transfer, turn);
        }
    }

    pub(super) fn on_transfer_overdue(&mut self, turn: &mut Turn<Self>) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let handover = leadership.handover.take();
        self.handed_over(handover, false, turn);
    }

    /// Answers whoever wanted another leader.
    pub(super) fn handed_over(
        &mut self,
        handover: Option<Handover>,
        done: bool,
        turn: &mut Turn<Self>,
    ) {
        turn.disarm(&Timer::Transfer);
        let Some(Handover { id, .. }) = handover else { return };
        if done {
            turn.sometimes("leadership was transferred");
            turn.reply(id, Reply::Transferred);
        } else {
            turn.sometimes("a transfer of leadership was given up");
            turn.reply(id, Reply::NotTransferred);
        }
    }
}
