//! What a member answers from its own copy, whoever leads: not always the newest state, but always
//! one that was agreed on, and never an older one than before on the same boot.

use super::log::Index;
use super::machine::{Raft, Reply};
use super::state_machine::StateMachine;
use squall_env::Turn;
use squall_env::machine::RequestId;

/// So many requests wait for the next entry at most.
const AWAITING_MAX: usize = 1_024;

impl<S: StateMachine> Raft<S> {
    pub(super) fn read_applied(&mut self, id: RequestId, query: &S::Query, turn: &mut Turn<Self>) {
        turn.reply(id, Reply::Answer(self.live.machine.query(query)));
    }

    pub(super) fn await_applied(&mut self, id: RequestId, behind: Index, turn: &mut Turn<Self>) {
        if self.applied > behind {
            turn.reply(id, Reply::AppliedUpTo(self.applied));
        } else if self.awaiting.len() < AWAITING_MAX {
            self.awaiting.push((behind, id));
        } else {
            turn.reply(id, Reply::Busy);
        }
    }

    /// Answers those who wait for what is applied by now.
    pub(super) fn tell_applied(&mut self, turn: &mut Turn<Self>) {
        let applied = self.applied;
        for (_, id) in self.awaiting.extract_if(.., |(behind, _)| *behind < applied) {
            turn.reply(id, Reply::AppliedUpTo(applied));
        }
    }
}
