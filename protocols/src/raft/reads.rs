//! Reads that need no entry of their own (Ongaro, 2014, section 6.4): a leader asks a quorum
//! whether it still leads, once for all that is asked meanwhile; or, if clocks can be trusted that
//! far, it knows so for some time after a quorum has answered (section 6.4.1).

use super::elections::Role;
use super::log::Index;
use super::machine::{Raft, Reply};
use super::state_machine::StateMachine;
use squall_env::machine::RequestId;
use squall_env::{Instant, Turn, mutant};
use std::collections::VecDeque;
use std::time::Duration;

/// What is asked of the leader without an entry.
pub(super) enum Asked<S: StateMachine> {
    /// The state machine.
    Query(S::Query),
    /// Who is a member.
    Members,
}

/// What a leader was asked, and until when it may answer by itself.
pub(super) struct Reads<S: StateMachine> {
    pending: VecDeque<PendingRead<S>>,
    /// When each round began that a quorum has not answered yet, if there are leases.
    rounds: VecDeque<(u64, Instant)>,
    /// No other member is elected before.
    lease: Option<Instant>,
    /// Another member was asked to campaign, which it may do whoever was heard.
    is_over: bool,
}

/// A question that waits until a quorum has shown that this is still the leader, and until
/// everything is applied that was committed when the question came.
struct PendingRead<S: StateMachine> {
    id: RequestId,
    asked: Asked<S>,
    index: Index,
    round: u64,
}

impl<S: StateMachine> Default for Reads<S> {
    fn default() -> Reads<S> {
        Reads { pending: VecDeque::new(), rounds: VecDeque::new(), lease: None, is_over: false }
    }
}

impl<S: StateMachine> Reads<S> {
    /// A round begins.
    pub(super) fn asked(&mut self, round: u64, now: Instant) {
        // More of them unanswered than fit into a lease say nothing new.
        if self.rounds.len() < ROUNDS_MAX {
            self.rounds.push_back((round, now));
        }
    }

    /// There is no lease any more in this term.
    pub(super) fn end_lease(&mut self) {
        self.is_over = true;
        self.lease = None;
    }

    /// A quorum has answered this round: since it began, none of them has elected anybody, and
    /// none will before the lease is over.
    fn answered(&mut self, round: u64, lease: Duration) {
        while let Some((_, began)) = self.rounds.pop_front_if(|(asked, _)| *asked <= round) {
            self.lease = if self.is_over { None } else { Some(began + lease) };
        }
    }
}

/// The most rounds whose beginning a leader remembers.
const ROUNDS_MAX: usize = 64;

impl<S: StateMachine> Raft<S> {
    /// Takes a question, if this member leads.
    pub(super) fn read(&mut self, id: RequestId, asked: Asked<S>, turn: &mut Turn<Self>) {
        let (leader, commit) = (self.leader, self.commit);
        let sure = self.log.term_at(commit) == Some(self.hard.term)
            || mutant!(turn, "raft/reads-before-its-term-commits");
        let Role::Leader(leadership) = &mut self.role else {
            return turn.reply(id, Reply::NotLeader(leader));
        };
        let (reads, round) = (&mut leadership.reads, leadership.round);
        if sure && reads.lease.is_some_and(|until| turn.now() < until) {
            turn.sometimes("a read was answered by a lease");
            let reply = self.tell(asked);
            return turn.reply(id, reply);
        }
        // Before its first entry is committed, a leader does not know what else is: then that
        // entry is waited for.
        let index = if sure { commit } else { self.log.last_index() };
        let is_under_way = reads.pending.front().is_some_and(|read| read.round <= round);
        reads.pending.push_back(PendingRead { id, asked, index, round: round + 1 });
        if !is_under_way {
            self.next_round(turn);
        }
        self.answer_reads(turn);
    }

    /// Answers the questions for which it is certain that no other leader had committed anything
    /// when they came.
    pub(super) fn answer_reads(&mut self, turn: &mut Turn<Self>) {
        self.renew_lease(turn);
        let me = turn.me();
        let Role::Leader(leadership) = &mut self.role else { return };
        let progress = &leadership.progress;
        let (reads, round) = (&mut leadership.reads, leadership.round);
        let mut replies = Vec::new();
        while let Some(read) = reads.pending.front() {
            let led = |node| {
                node == me || progress.get(&node).is_some_and(|asked| asked.round >= read.round)
            };
            let leads = self.members.deciding(turn).is_quorum(led)
                || mutant!(turn, "raft/reads-without-a-quorum");
            if self.applied < read.index || !leads {
                break;
            }
            replies.extend(reads.pending.pop_front());
        }
        // Those that came since the last round began wait for the next.
        let waits = reads.pending.front().is_some_and(|read| read.round > round);
        for PendingRead { id, asked, .. } in replies {
            let reply = self.tell(asked);
            turn.reply(id, reply);
        }
        if waits {
            self.next_round(turn);
        }
    }

    fn tell(&self, asked: Asked<S>) -> Reply<S> {
        match asked {
            Asked::Query(query) => Reply::Answer(self.live.machine.query(&query)),
            Asked::Members => Reply::Members(self.members.latest().clone()),
        }
    }

    fn renew_lease(&mut self, turn: &Turn<Self>) {
        let Some(drift_max_ppm) = self.config.lease_drift_max_ppm else { return };
        let trusts = mutant!(turn, "raft/leases-trust-all-clocks");
        let drift_max_ppm = if trusts { 0 } else { drift_max_ppm };
        let lease = shortest(self.config.election_timeout, drift_max_ppm);
        let me = turn.me();
        let Role::Leader(leadership) = &mut self.role else { return };
        let (progress, round) = (&leadership.progress, leadership.round);
        let answered = self.members.deciding(turn).committed(|node| {
            if node == me { round } else { progress.get(&node).map_or(0, |asked| asked.round) }
        });
        leadership.reads.answered(answered, lease);
    }

    /// Sends those who ask to the next leader.
    pub(super) fn give_up_reads(&mut self, reads: Reads<S>, turn: &mut Turn<Self>) {
        for read in reads.pending {
            turn.reply(read.id, Reply::NotLeader(self.leader));
        }
    }
}

/// How much of a promise is sure to be left on the own clock if another's runs faster by so much.
fn shortest(promise: Duration, drift_max_ppm: u32) -> Duration {
    let nanos = promise.as_nanos() * 1_000_000 / (1_000_000 + u128::from(drift_max_ppm));
    Duration::from_nanos(nanos as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    const LEASE: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Instant {
        Instant::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn a_lease_counts_from_when_its_round_began() {
        let mut reads: Reads<Store> = Reads::default();
        for (round, began) in [(1, 10), (2, 60), (3, 110)] {
            reads.asked(round, at(began));
        }
        reads.answered(0, LEASE);
        assert_eq!(reads.lease, None);
        reads.answered(2, LEASE);
        assert_eq!(reads.lease, Some(at(160)));
        reads.answered(1, LEASE);
        assert_eq!(reads.lease, Some(at(160)));
        reads.end_lease();
        reads.answered(3, LEASE);
        assert_eq!(reads.lease, None, "another may be elected at any time in this term");
    }

    #[test]
    fn a_lease_is_shorter_than_the_promise_by_what_clocks_may_drift() {
        let promise = Duration::from_millis(150);
        assert_eq!(shortest(promise, 0), promise);
        assert_eq!(shortest(promise, 500_000), Duration::from_millis(100));
    }
}
