//! What holds of logs, and of what is committed of them.

use crate::raft::configuration::Configuration;
use crate::raft::log::{Index, Term};
use crate::raft::machine::Raft;
use crate::raft::state_machine::StateMachine;
use squall_env::shown::AuditView;
use squall_env::{NodeId, View};
use std::collections::{BTreeMap, BTreeSet};

/// What is committed is the same everywhere and for ever: state machine safety, leader
/// completeness and the immutability of committed entries at once. Whatever a member takes for
/// committed is compared with what was first taken for it at that index.
pub fn committed_entries_agree<S: StateMachine>() -> impl FnMut(&View<'_>) -> Result<(), String> {
    // A leader may commit entries and compact them at once: those are seen elsewhere.
    let mut committed: BTreeMap<Index, crate::raft::Entry> = BTreeMap::new();
    let mut seen: BTreeMap<(NodeId, u64), Index> = BTreeMap::new();
    move |view| {
        for member in view.changed::<Raft<S>>() {
            let from = seen.entry((member.node, member.number)).or_insert(0);
            let (base, of) = member.log().base();
            if base > *from && committed.get(&base).is_some_and(|e| e.term != of) {
                let node = member.node;
                return Err(format!("the snapshot of {node:?} ends with {base} of term {of}"));
            }
            for index in base.max(*from) + 1..=member.commit() {
                let node = member.node;
                let Some(entry) = member.log().entry(index) else {
                    return Err(format!("{node:?} takes {index} for committed and lacks it"));
                };
                match committed.get(&index) {
                    None => {
                        committed.insert(index, entry.clone());
                    }
                    Some(first) if first == entry => {}
                    Some(first) => {
                        return Err(format!(
                            "{node:?} takes {entry:?} for committed at {index}, where {first:?} was"
                        ));
                    }
                }
            }
            *from = (*from).max(member.commit());
        }
        Ok(())
    }
}

/// Log matching: two logs with an entry of the same index and term are the same up to there. It is
/// enough that of all entries ever seen, those of one index and term say the same and follow an
/// entry of the same term.
pub fn logs_match<S: StateMachine>() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut known: BTreeMap<(Index, Term), (crate::raft::Payload, Term)> = BTreeMap::new();
    let mut seen: BTreeMap<(NodeId, u64), (Index, Term, Index)> = BTreeMap::new();
    move |view| {
        for member in view.changed::<Raft<S>>() {
            let (log, base) = (member.log(), member.log().base().0);
            let (end, term) = (log.last_index(), log.last_term());
            let before = seen.insert((member.node, member.number), (end, term, base));
            // An entry that still stands where the log once ended has nothing new before it, if
            // there is no other snapshot.
            let from = before
                .filter(|(index, term, of)| *of == base && log.term_at(*index) == Some(*term));
            let from = from.map_or(base, |(index, ..)| index);
            for index in from + 1..=end {
                let (Some(entry), Some(previous)) = (log.entry(index), log.term_at(index - 1))
                else {
                    continue;
                };
                let here = (entry.payload.clone(), previous);
                let first = known.entry((index, entry.term)).or_insert_with(|| here.clone());
                if *first != here {
                    return Err(format!(
                        "{:?} has {here:?} at {index} in term {}, where {first:?} was",
                        member.node, entry.term
                    ));
                }
            }
        }
        Ok(())
    }
}

/// State machine safety of what snapshots hold as well: members that have applied the same entries
/// have the same state and sessions, and know the same configuration. Nobody knows that of the
/// founders who was not there: it is in no entry.
pub fn states_agree<S: StateMachine>() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut states: BTreeMap<Index, Vec<u8>> = BTreeMap::new();
    let mut configurations: BTreeMap<Index, Configuration> = BTreeMap::new();
    let mut seen: BTreeMap<(NodeId, u64), Index> = BTreeMap::new();
    move |view| {
        for member in view.changed::<Raft<S>>() {
            let (applied, node) = (member.applied(), member.node);
            if seen.insert((node, member.number), applied) == Some(applied) {
                continue;
            }
            let state = postcard::to_stdvec(&member.image()).map_err(|e| e.to_string())?;
            if *states.entry(applied).or_insert_with(|| state.clone()) != state {
                return Err(format!("{node:?} has another state than others had at {applied}"));
            }
            let known = member.applied_configuration();
            if known.voters().is_empty() {
                continue;
            }
            let first = configurations.entry(applied).or_insert_with(|| known.clone());
            if first != known {
                return Err(format!("{node:?} has {known:?} at {applied}, where {first:?} was"));
            }
        }
        Ok(())
    }
}

/// What a member takes for committed is on the disks of a quorum, as the worst crash now would
/// leave them; or at least nobody could be elected without it, for while members change, nobody
/// but its leader knows by which quorum an entry was committed. `founders` are the first voters.
pub fn committed_is_durable<S: StateMachine>(
    role: &'static str,
    founders: fn(&[NodeId]) -> Vec<NodeId>,
) -> impl FnMut(&AuditView<'_>) -> Result<(), String> {
    move |audit| {
        let mut newest: Option<(Index, Term, Configuration)> = None;
        for member in audit.view().up::<Raft<S>>() {
            let commit = member.commit();
            let Some(term) = member.log().term_at(commit) else { continue };
            if newest.as_ref().is_none_or(|(index, of, _)| (*index, *of) < (commit, term)) {
                newest = Some((commit, term, member.configuration().clone()));
            }
        }
        let Some((index, term, members)) = newest.filter(|(index, ..)| *index > 0) else {
            return Ok(());
        };
        let nodes: Vec<NodeId> = audit.roster().nodes(role).collect();
        let mut disks: BTreeMap<NodeId, Raft<S>> = BTreeMap::new();
        let mut having: BTreeSet<NodeId> = BTreeSet::new();
        for (node, _) in audit.disks().filter(|(node, _)| nodes.contains(node)) {
            let voters = founders(&nodes);
            let first = if voters.contains(&node) { voters } else { Vec::new() };
            let config = crate::raft::Config::of(first);
            // Who does not start from its disk elects nobody.
            let Ok(recovered) = audit.recover::<Raft<S>>(node, crate::raft::NAME, &config) else {
                continue;
            };
            // What a snapshot stands for is there as well.
            let (base, log) = (recovered.log().base().0, recovered.log());
            if base > index || log.term_at(index) == Some(term) {
                having.insert(node);
            }
            disks.insert(node, recovered);
            if members.is_quorum(|node| having.contains(&node)) {
                return Ok(());
            }
        }
        let lacking = disks.iter().filter(|(node, _)| !having.contains(node));
        match lacking.map(|(node, _)| *node).find(|node| could_win(*node, &disks)) {
            None => Ok(()),
            Some(node) => Err(format!(
                "entry {index} of term {term} is committed and only on the disks of {having:?}: \
                 {node:?} could be elected without it"
            )),
        }
    }
}

/// Whether all whose logs are no newer, and were not, would elect the node, by its own
/// configuration.
fn could_win<S: StateMachine>(node: NodeId, disks: &BTreeMap<NodeId, Raft<S>>) -> bool {
    let Some(candidate) = disks.get(&node).filter(|node| !node.is_doubtful()) else { return false };
    let end = candidate.claimed_end();
    let grants = |voter| disks.get(&voter).is_some_and(|voter| voter.claimed_end() <= end);
    let members = candidate.configuration();
    members.is_voter(node) && members.is_quorum(grants)
}
