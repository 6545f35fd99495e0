//! Members whose last records cannot be read (Alagappan et al., "Protocol-Aware Recovery for
//! Consensus-Based Storage", FAST 2018).
//!
//! Beside every batch of records stands a [`Claim`]: the term, the vote and the end of the log that
//! others may count on. A member that finds the claim and not the records takes the worst for
//! granted: it keeps the term and the vote, votes only for those whose logs reach as far as its own
//! once may have, and does not campaign before its log does so again.
//!
//! That a whole cluster loses its power while it writes must not be the end of it. So such a member
//! also asks all voters how far their logs reach. What was committed is on the disk of one of them
//! that has forgotten nothing, as long as only a minority has; so when all have answered, the claim
//! need not reach further than the furthest of them.

use super::elections::Role;
use super::log::{Index, Term};
use super::machine::{NAME, Raft, Reply};
use super::message::Message;
use super::record::HardState;
use super::service::ServeError;
use super::state_machine::StateMachine;
use serde::{Deserialize, Serialize};
use squall_env::journal::CLAIM_MAX;
use squall_env::machine::{Mended, RequestId};
use squall_env::{Env, Messages, NodeId, Port, Turn};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

/// What a member lets others count on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Claim {
    hard: HardState,
    /// How far its log reaches.
    last: (Term, Index),
    /// Who may have committed something with its help; nobody if they are too many to be told.
    voters: BTreeSet<NodeId>,
}

/// Stands in for a member that refuses to start from its disk ([`OpenError::Damaged`]) until it is
/// replaced: it says to those that are in doubt that it knows nothing, and takes part in nothing
/// else. Without it, such a member and another in doubt can bring a cluster to a stand. What is on
/// its disk stays as it is.
///
/// [`OpenError::Damaged`]: squall_env::machine::OpenError::Damaged
///
/// # Errors
/// If the member's port is taken, or the node stops.
pub async fn witness(env: &Env) -> Result<Infallible, ServeError> {
    let mut messages: Messages<Message> = env.messages(Port::named(NAME))?;
    loop {
        if let (from, Message::AskEnd { round }) = messages.receive().await? {
            messages.send(from, &Message::End { term: 0, last_index: 0, last_term: 0, round });
        }
    }
}

/// A claim that may not be met.
pub(super) struct Doubt {
    claim: Claim,
    /// Tells the answers to the latest question from others.
    round: u64,
    /// How far the logs of those reach that have answered.
    answers: BTreeMap<NodeId, (Term, Index)>,
}

impl<S: StateMachine> Raft<S> {
    /// How far the own log reaches.
    pub(super) fn end(&self) -> (Term, Index) {
        (self.log.last_term(), self.log.last_index())
    }

    /// How far the own log reaches, or did as far as others may count on.
    pub fn claimed_end(&self) -> (Term, Index) {
        let claimed = self.doubt.as_ref().map_or((0, 0), |doubt| doubt.claim.last);
        claimed.max(self.end())
    }

    /// Whether it may have forgotten entries that others count on.
    pub fn is_doubtful(&self) -> bool {
        self.claimed_end() > self.end()
    }

    pub(super) fn encode_claim(&self, into: &mut Vec<u8>) {
        let mut voters = self.members.voters();
        voters.extend(self.doubt.iter().flat_map(|doubt| &doubt.claim.voters));
        let mut claim = Claim { hard: self.hard, last: self.claimed_end(), voters };
        let mut bytes = postcard::to_stdvec(&claim).expect("a claim can be encoded");
        if bytes.len() > CLAIM_MAX {
            claim.voters.clear();
            bytes = postcard::to_stdvec(&claim).expect("a claim can be encoded");
        }
        into.extend_from_slice(&bytes);
    }

    /// Takes a claim for its own.
    pub(super) fn take_claim(&mut self, bytes: &[u8]) -> Mended {
        let Ok(mut claim) = postcard::from_bytes::<Claim>(bytes) else { return Mended::Refuse };
        let (known, claimed) = (self.hard, claim.hard);
        if claimed.term > known.term || claimed.term == known.term && known.vote.is_none() {
            self.hard = claimed;
        }
        if let Some(Doubt { claim: other, .. }) = self.doubt.take() {
            claim.last = claim.last.max(other.last);
            claim.voters.extend(other.voters);
        }
        self.doubt = Some(Doubt { claim, round: 0, answers: BTreeMap::new() });
        Mended::Rejoin
    }

    /// Asks all voters how far their logs reach, instead of campaigning.
    pub(super) fn ask_for_ends(&mut self, turn: &mut Turn<Self>) {
        let round = turn.random();
        let Some(doubt) = &mut self.doubt else { return };
        (doubt.round, doubt.answers) = (round, BTreeMap::new());
        turn.trace(|| "asks how far the logs of the others reach".to_owned());
        let me = turn.me();
        for node in self.witnesses().into_iter().filter(|node| *node != me) {
            turn.send_early(self.address(node, turn), Message::AskEnd { round });
        }
    }

    /// Who has to be asked before the claim can be given up.
    fn witnesses(&self) -> BTreeSet<NodeId> {
        let claimed = self.doubt.iter().flat_map(|doubt| &doubt.claim.voters);
        self.members.voters().into_iter().chain(claimed.copied()).collect()
    }

    pub(super) fn on_ask_end(&mut self, from: NodeId, round: u64, turn: &mut Turn<Self>) {
        let (last_term, last_index) = self.end();
        let answer = Message::End { term: self.hard.term, last_index, last_term, round };
        turn.send(self.address(from, turn), answer);
    }

    pub(super) fn on_end(
        &mut self,
        from: NodeId,
        term: Term,
        last: (Term, Index),
        round: u64,
        turn: &mut Turn<Self>,
    ) {
        if term > self.hard.term {
            self.follow(term, None, turn);
        }
        if !self.is_doubtful() {
            return;
        }
        let (end, me, witnesses) = (self.end(), turn.me(), self.witnesses());
        let Some(doubt) = self.doubt.as_mut().filter(|doubt| doubt.round == round) else { return };
        doubt.answers.insert(from, last);
        let has_answered = |node: &NodeId| *node == me || doubt.answers.contains_key(node);
        if doubt.claim.voters.is_empty() || !witnesses.iter().all(has_answered) {
            return;
        }
        turn.sometimes("all voters said how far their logs reach");
        let furthest = doubt.answers.values().copied().max().unwrap_or_default().max(end);
        if furthest >= doubt.claim.last {
            return;
        }
        doubt.claim.last = furthest;
        turn.sometimes("all voters said that what was in doubt was never committed");
        // A snapshot carries along what is still in doubt, and only that.
        turn.compact();
    }

    pub(super) fn await_repaired(&mut self, id: RequestId, turn: &mut Turn<Self>) {
        self.awaiting_repair.push(id);
        self.tell_repaired(turn);
    }

    /// Answers those who wait for the end of doubts.
    pub(super) fn tell_repaired(&mut self, turn: &mut Turn<Self>) {
        if !self.awaiting_repair.is_empty() && !self.is_doubtful() {
            self.awaiting_repair.drain(..).for_each(|id| turn.reply(id, Reply::Repaired));
        }
    }

    /// Tells a leader that its follower has less than it had acknowledged.
    pub(super) fn tell_end(&mut self, leader: NodeId, turn: &mut Turn<Self>) {
        if self.doubt.is_some() {
            let ends = Message::Forgot { term: self.hard.term, last_index: self.log.last_index() };
            turn.send(self.address(leader, turn), ends);
        }
    }

    pub(super) fn on_forgot(
        &mut self,
        from: NodeId,
        term: Term,
        last: Index,
        turn: &mut Turn<Self>,
    ) {
        if !self.is_answered(from, term, 0, turn) {
            return;
        }
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.progress.get_mut(&from).is_some_and(|progress| progress.forgot(last)) {
            turn.sometimes("a follower had forgotten what it had acknowledged");
            self.replicate(from, true, turn);
        }
    }
}
