//! What holds of each member by itself.

use crate::raft::log::{Index, Term};
use crate::raft::machine::Raft;
use crate::raft::state_machine::StateMachine;
use squall_env::{NodeId, View};
use std::collections::BTreeMap;

/// Term, vote, snapshot, commit and applied index of a running member never go back, and what is
/// in a snapshot is applied, what is applied is committed, and what is committed is there.
pub fn members_never_go_back<S: StateMachine>() -> impl FnMut(&View<'_>) -> Result<(), String> {
    type Seen = (Term, Option<NodeId>, Index, Index, Index);
    let mut last: BTreeMap<(NodeId, u64), Seen> = BTreeMap::new();
    move |view| {
        for member in view.changed::<Raft<S>>() {
            let (base, end) = (member.log().base().0, member.log().last_index());
            let (commit, applied) = (member.commit(), member.applied());
            if base > applied || applied > commit || commit > end {
                return Err(format!(
                    "{:?} has a snapshot of {base}, applied {applied} and committed {commit} of \
                     {end}",
                    member.node
                ));
            }
            let now = (member.term(), member.vote(), commit, applied, base);
            let Some(before) = last.insert((member.node, member.number), now) else { continue };
            let revoted = now.0 == before.0 && before.1.is_some() && now.1 != before.1;
            let back = now.2 < before.2 || now.3 < before.3 || now.4 < before.4;
            if now.0 < before.0 || back || revoted {
                return Err(format!(
                    "{:?} went from (term, vote, commit, applied, snapshot) {before:?} to {now:?}",
                    member.node
                ));
            }
        }
        Ok(())
    }
}
