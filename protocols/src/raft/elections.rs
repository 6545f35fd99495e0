//! Leader election (Ongaro, 2014, section 3.4), with a question before it (`PreVote`, section 9.6)
//! and leaders that step down when no quorum answers them (section 6.2).

use super::configuration::Election;
use super::gone_wrong::count_doubled;
use super::log::{Index, Payload, Term};
use super::machine::{Raft, Reply, Timer};
use super::message::{Campaign, Message};
use super::record::HardState;
use super::replication::Leadership;
use super::state_machine::StateMachine;
use squall_env::{NodeId, Position, Turn, mutant};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a member is at the moment.
pub(super) enum Role<S: StateMachine> {
    /// It follows, or waits for somebody to follow.
    Follower,
    /// It asks whether it could win an election.
    PreCandidate(BTreeMap<NodeId, bool>),
    /// It asks for votes.
    Candidate(BTreeMap<NodeId, bool>),
    /// It leads.
    Leader(Leadership<S>),
}

/// How often the election timeout doubles at most.
const DOUBLINGS_MAX: u32 = 4;

impl<S: StateMachine> Raft<S> {
    /// Gives a leader time to be heard, drawn anew each time so that members rarely run out of
    /// patience together.
    pub(super) fn wait_for_leader(&mut self, turn: &mut Turn<Self>) {
        let least = self.patience();
        let more = (u128::from(turn.random()) * least.as_nanos()) >> 64;
        turn.arm(Timer::Election, least + Duration::from_nanos(more as u64));
    }

    /// The election timeout, twice as long after each election that came to nothing: elections
    /// come to an end only if the timeout is well above the time that a message takes and its
    /// answer (section 3.9), and on some network no fixed one is.
    pub(super) fn patience(&self) -> Duration {
        self.config.election_timeout * (1 << self.setbacks.min(DOUBLINGS_MAX))
    }

    pub(super) fn on_election_timeout(&mut self, turn: &mut Turn<Self>) {
        if self.is_leader() {
            return;
        }
        if self.is_doubtful() {
            self.leader = None;
            self.role = Role::Follower;
            self.wait_for_leader(turn);
            return self.ask_for_ends(turn);
        }
        let may_lead = if mutant!(turn, "raft/only-voters-campaign") {
            self.configuration().is_voter(turn.me())
        } else {
            self.members.may_lead(turn.me(), self.commit)
        };
        if !may_lead {
            // Whoever asks is not sent to a leader that is gone.
            self.leader = None;
            return;
        }
        if !matches!(self.role, Role::Follower) {
            self.setbacks += 1;
        }
        if mutant!(turn, "raft/deposes-leaders-that-are-heard") {
            return self.campaign(Campaign::Election, turn);
        }
        self.leader = None;
        self.role = Role::PreCandidate(BTreeMap::from([(turn.me(), true)]));
        self.wait_for_leader(turn);
        turn.trace(|| format!("asks who would vote for it in term {}", self.hard.term + 1));
        self.ask_for_votes(self.hard.term + 1, Campaign::PreVote, turn);
        self.count_votes(turn);
    }

    pub(super) fn campaign(&mut self, campaign: Campaign, turn: &mut Turn<Self>) {
        let hard = HardState { term: self.hard.term + 1, vote: Some(turn.me()) };
        self.role = Role::Candidate(BTreeMap::new());
        self.leader = None;
        self.durable.vote = self.persist_hard(hard, turn);
        self.wait_for_leader(turn);
        self.ask_for_votes(hard.term, campaign, turn);
    }

    /// A vote is asked for only when the own one is durable; to ask who would vote binds nobody.
    fn ask_for_votes(&mut self, term: Term, campaign: Campaign, turn: &mut Turn<Self>) {
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        for node in self.others(turn) {
            let to = self.address(node, turn);
            let ask = Message::RequestVote { term, last_index, last_term, campaign };
            match campaign {
                Campaign::PreVote => turn.send_early(to, ask),
                Campaign::Election | Campaign::Transfer => turn.send(to, ask),
            }
        }
    }

    pub(super) fn count_own_vote(&mut self, upto: Position, turn: &mut Turn<Self>) {
        if let Role::Candidate(votes) = &mut self.role
            && upto >= self.durable.vote
            && votes.insert(turn.me(), true).is_none()
        {
            self.count_votes(turn);
        }
    }

    pub(super) fn on_request_vote(
        &mut self,
        candidate: NodeId,
        term: Term,
        last: (Term, Index),
        campaign: Campaign,
        turn: &mut Turn<Self>,
    ) {
        let pre_vote = campaign == Campaign::PreVote;
        // Whoever has a leader needs no other: so nobody who comes back from a partition or has
        // been removed can depose one that a quorum hears (section 4.2.3).
        let any_time = mutant!(turn, "raft/deposes-leaders-that-are-heard");
        if self.has_leader(turn) && campaign != Campaign::Transfer && !any_time {
            return;
        }
        if term > self.hard.term && !pre_vote {
            self.follow(term, None, turn);
        }
        let any_log = mutant!(turn, "raft/votes-for-older-logs");
        let any_successor = mutant!(turn, "raft/transfers-to-older-logs");
        let forgets = mutant!(turn, "raft/votes-for-less-than-it-claimed");
        let end = if forgets { self.end() } else { self.claimed_end() };
        let up_to_date = last >= end || any_log || campaign == Campaign::Transfer && any_successor;
        let (to, mine) = (self.address(candidate, turn), self.hard.term);
        if pre_vote {
            let granted = term > mine && up_to_date;
            let term = if granted { term } else { mine };
            return turn.send(to, Message::Vote { term, granted, pre_vote });
        }
        let free = self.hard.vote.is_none_or(|vote| vote == candidate)
            || mutant!(turn, "raft/votes-twice-in-a-term");
        let granted = term == mine && free && up_to_date && !self.is_leader();
        if granted {
            if self.hard.vote != Some(candidate) {
                self.persist_hard(HardState { term, vote: Some(candidate) }, turn);
            }
            self.wait_for_leader(turn);
        }
        let vote = Message::Vote { term: mine, granted, pre_vote };
        if mutant!(turn, "raft/votes-before-durable") {
            return turn.send_early(to, vote);
        }
        turn.send(to, vote);
    }

    /// Whether a leader was heard within the shortest election timeout. By a lease it may even
    /// count on that when it is not known any more who that was.
    fn has_leader(&self, turn: &Turn<Self>) -> bool {
        let heard = self.heard.is_some_and(|at| turn.now() - at < self.config.election_timeout);
        let counts = self.leader.is_some() || self.config.lease_drift_max_ppm.is_some();
        self.is_leader() || heard && counts
    }

    pub(super) fn on_vote(
        &mut self,
        from: NodeId,
        term: Term,
        granted: bool,
        pre_vote: bool,
        turn: &mut Turn<Self>,
    ) {
        if term > self.hard.term && !(pre_vote && granted) {
            return self.follow(term, None, turn);
        }
        let doubled = mutant!(turn, "raft/counts-doubled-votes").then(|| self.others(turn));
        let counts = !pre_vote || mutant!(turn, "raft/counts-pre-votes-as-votes");
        match &mut self.role {
            Role::PreCandidate(votes) if pre_vote => {
                if granted && term != self.hard.term + 1 {
                    return;
                }
                votes.insert(from, granted);
            }
            Role::Candidate(votes) if counts && term == self.hard.term => {
                if let Some(voters) = doubled {
                    count_doubled(votes, from, granted, &voters);
                }
                votes.insert(from, granted);
            }
            _ => return,
        }
        self.count_votes(turn);
    }

    fn count_votes(&mut self, turn: &mut Turn<Self>) {
        let (votes, asks) = match &self.role {
            Role::PreCandidate(votes) => (votes, true),
            Role::Candidate(votes) => (votes, false),
            Role::Follower | Role::Leader(_) => return,
        };
        match self.members.deciding(turn).tally(votes) {
            Election::Pending => {}
            Election::Lost => {
                self.role = Role::Follower;
                self.setbacks += 1;
                turn.sometimes("an election was lost");
            }
            Election::Won if asks => self.campaign(Campaign::Election, turn),
            Election::Won => self.lead(turn),
        }
    }

    fn lead(&mut self, turn: &mut Turn<Self>) {
        turn.trace(|| format!("leads term {}", self.hard.term));
        turn.disarm(&Timer::Election);
        self.leader = Some(turn.me());
        self.role = Role::Leader(Leadership::new(self.others(turn), &self.log, self.commit));
        turn.arm(Timer::Heartbeat, self.config.heartbeat);
        turn.arm(Timer::Quorum, self.patience());
        self.append(Payload::NoOp, turn);
        if mutant!(turn, "raft/leaves-joint-uncommitted") {
            self.settle_members(turn);
        }
    }

    /// Follows `leader` in this term, or waits for one.
    pub(super) fn follow(&mut self, term: Term, leader: Option<NodeId>, turn: &mut Turn<Self>) {
        let is_later = term > self.hard.term;
        if is_later {
            self.persist_hard(HardState { term, vote: None }, turn);
        }
        self.leader = leader;
        if let Role::Leader(leadership) = std::mem::replace(&mut self.role, Role::Follower) {
            turn.disarm(&Timer::Heartbeat);
            turn.disarm(&Timer::Quorum);
            self.wait_for_leader(turn);
            if mutant!(turn, "raft/truncates-when-deposed") {
                self.persist_entries(self.commit, Vec::new(), turn);
            }
            self.handed_over(leadership.handover, is_later, turn);
            if let Some(id) = leadership.change {
                turn.reply(id, Reply::Unknown);
            }
            self.give_up_reads(leadership.reads, turn);
        }
    }
}
