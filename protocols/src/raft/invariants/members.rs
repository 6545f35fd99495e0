//! What holds of each member by itself.

use crate::raft::log::{Index, Term};
use crate::raft::machine::Raft;
use crate::raft::state_machine::StateMachine;
use squall_env::{NodeId, View};
use std::collections::BTreeMap;

/// Term, vote, commit and applied index of a running member never go back.
pub fn members_never_go_back<S: StateMachine>() -> impl FnMut(&View<'_>) -> Result<(), String> {
    type Seen = (Term, Option<NodeId>, Index, Index);
    let mut last: BTreeMap<(NodeId, u64), Seen> = BTreeMap::new();
    move |view| {
        for member in view.changed::<Raft<S>>() {
            let now = (member.term(), member.vote(), member.commit(), member.applied());
            let Some(before) = last.insert((member.node, member.number), now) else { continue };
            let revoted = now.0 == before.0 && before.1.is_some() && now.1 != before.1;
            if now.0 < before.0 || now.2 < before.2 || now.3 < before.3 || revoted {
                return Err(format!(
                    "{:?} went from (term, vote, commit, applied) {before:?} to {now:?}",
                    member.node
                ));
            }
            if member.applied() > member.commit() || member.commit() > member.log().last_index() {
                return Err(format!(
                    "{:?} has applied {} and committed {} of {}",
                    member.node,
                    member.applied(),
                    member.commit(),
                    member.log().last_index()
                ));
            }
        }
        Ok(())
    }
}
