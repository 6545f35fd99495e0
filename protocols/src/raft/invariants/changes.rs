//! What holds while members change.

use crate::raft::configuration::Configuration;
use crate::raft::log::{Index, Payload, Term};
use crate::raft::machine::Raft;
use crate::raft::state_machine::StateMachine;
use squall_env::{NodeId, View};
use std::collections::{BTreeMap, BTreeSet};

/// Members change one step at a time: a leader goes from a configuration that is committed to one
/// of which every majority has somebody in common with every majority of the other (Ongaro, 2014,
/// sections 4.1 and 4.3), and not before an entry of its own term is committed.
pub fn members_change_in_steps<S: StateMachine>() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut last: BTreeMap<(NodeId, u64), (Term, Index, Configuration)> = BTreeMap::new();
    move |view| {
        for member in view.changed::<Raft<S>>() {
            let key = (member.node, member.number);
            if !member.is_leader() {
                last.remove(&key);
                continue;
            }
            let (term, at) = (member.term(), member.configuration_index());
            if last.get(&key).is_some_and(|(led, index, _)| (*led, *index) == (term, at)) {
                continue;
            }
            let now = member.configuration().clone();
            let before = last.insert(key, (term, at, now.clone()));
            // A configuration that is compacted is the snapshot's from then on.
            let Some((led, from, before)) = before.filter(|(led, ..)| *led == term && at > 0)
            else {
                continue;
            };
            let settled = member.log().term_at(member.commit()) == Some(led);
            if from > member.commit() || !settled || !is_step(&before, &now) {
                return Err(format!(
                    "{:?} leads term {term}, has committed {}, and goes from the configuration at \
                     {from}, {before:?}, to {now:?} at {at}",
                    member.node,
                    member.commit()
                ));
            }
        }
        Ok(())
    }
}

fn is_step(from: &Configuration, to: &Configuration) -> bool {
    match (from.is_joint(), to.is_joint()) {
        (false, false) => (from.voters() ^ to.voters()).len() <= 1,
        (false, true) => to.outgoing() == from.voters(),
        (true, false) => to.voters() == from.voters(),
        (true, true) => false,
    }
}

/// The configuration in force is the latest in the log (Ongaro, 2014, section 4.1), be it that one
/// which was there is gone.
pub fn configurations_are_in_the_log<S: StateMachine>()
-> impl FnMut(&View<'_>) -> Result<(), String> {
    |view| {
        for member in view.changed::<Raft<S>>() {
            let (index, in_force) = (member.configuration_index(), member.configuration());
            let entry = member.log().entry(index).map(|entry| &entry.payload);
            let is_there = matches!(entry, Some(Payload::Configuration(of)) if of == in_force);
            if index > 0 && !is_there {
                return Err(format!(
                    "{:?} goes by {in_force:?} and has at {index} {entry:?}",
                    member.node
                ));
            }
        }
        Ok(())
    }
}

/// What a leader commits, a quorum of its configuration has: of a joint one, a majority of the old
/// voters and one of the new. Who is down at the time is taken to have it, and who can only claim
/// to have it.
pub fn leaders_commit_by_quorums<S: StateMachine>() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut seen: BTreeMap<(NodeId, u64), Index> = BTreeMap::new();
    move |view| {
        let mut fresh: Vec<(NodeId, Index, Term, Configuration)> = Vec::new();
        for member in view.changed::<Raft<S>>() {
            let (commit, node) = (member.commit(), member.node);
            let before = seen.insert((node, member.number), commit).unwrap_or(0);
            if let Some(term) = member.log().term_at(commit)
                && member.is_leader()
                && commit > before
            {
                fresh.push((node, commit, term, member.configuration().clone()));
            }
        }
        for (leader, index, term, configuration) in fresh {
            let lacks = |member: &Raft<S>| {
                let has =
                    member.log().base().0 > index || member.log().term_at(index) == Some(term);
                let claims = member.is_doubtful() && member.claimed_end() >= (term, index);
                !has && !claims
            };
            let up = view.up::<Raft<S>>().filter(|member| lacks(member));
            let lacking: BTreeSet<NodeId> = up.map(|member| member.node).collect();
            if !configuration.is_quorum(|node| !lacking.contains(&node)) {
                return Err(format!(
                    "{leader:?} has committed {index} of term {term}, which {lacking:?} lack, with \
                     {configuration:?}"
                ));
            }
        }
        Ok(())
    }
}
