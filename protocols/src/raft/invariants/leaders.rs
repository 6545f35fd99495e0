//! What holds of leaders.

use crate::raft::log::{Entry, Index, Term};
use crate::raft::machine::Raft;
use crate::raft::state_machine::StateMachine;
use squall_env::{NodeId, View};
use std::collections::BTreeMap;

/// Election safety: a term has at most one leader.
pub fn one_leader_in_a_term<S: StateMachine>() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut leaders: BTreeMap<Term, NodeId> = BTreeMap::new();
    move |view| {
        for member in view.changed::<Raft<S>>().filter(|member| member.is_leader()) {
            let (node, term) = (member.node, member.term());
            let first = *leaders.entry(term).or_insert(node);
            if first != node {
                return Err(format!("{first:?} and {node:?} both lead term {term}"));
            }
        }
        Ok(())
    }
}

/// Who leads the latest term of those that somebody leads, for faults that strike the leader.
pub fn latest_leader<S: StateMachine>() -> impl FnMut(&View<'_>) -> Option<NodeId> {
    |view| {
        let leaders = view.up::<Raft<S>>().filter(|member| member.is_leader());
        leaders.map(|member| (member.term(), member.node)).max().map(|(_, node)| node)
    }
}

/// Leader append-only: a leader never overwrites or deletes entries of its log. It is enough to
/// look whether the entry with which the log ended is still in its place.
pub fn leaders_only_append<S: StateMachine>() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut last: BTreeMap<(NodeId, u64), (Term, Index, Option<Entry>)> = BTreeMap::new();
    move |view| {
        for member in view.changed::<Raft<S>>() {
            let key = (member.node, member.number);
            if !member.is_leader() {
                last.remove(&key);
                continue;
            }
            let (term, log) = (member.term(), member.log());
            let end = log.last_index();
            if let Some((led, index, entry)) = last.get(&key)
                && *led == term
                && *index > log.base().0
                && log.entry(*index) != entry.as_ref()
            {
                return Err(format!(
                    "{:?}, which leads term {term}, had {entry:?} at {index} and now has {:?}",
                    member.node,
                    log.entry(*index)
                ));
            }
            last.insert(key, (term, end, log.entry(end).cloned()));
        }
        Ok(())
    }
}

/// Leader completeness: what is committed in a term is in the logs of the leaders of all later
/// terms.
pub fn leaders_have_what_is_committed<S: StateMachine>()
-> impl FnMut(&View<'_>) -> Result<(), String> {
    // Of each committed entry: its own term, and one in which it was committed or a later one.
    let mut committed: BTreeMap<Index, (Term, Term)> = BTreeMap::new();
    let mut compared: BTreeMap<(NodeId, u64), (Term, Index)> = BTreeMap::new();
    move |view| {
        for member in view.changed::<Raft<S>>() {
            let known = committed.last_key_value().map_or(0, |(index, _)| *index);
            for index in known + 1..=member.commit() {
                if let Some(of) = member.log().term_at(index) {
                    committed.insert(index, (of, member.term()));
                }
            }
        }
        let newest = committed.last_key_value().map_or(0, |(index, _)| *index);
        for member in view.changed::<Raft<S>>().filter(|member| member.is_leader()) {
            let (term, log) = (member.term(), member.log());
            let upto = compared.entry((member.node, member.number)).or_insert((term, 0));
            if upto.0 != term {
                *upto = (term, 0);
            }
            for (index, (of, within)) in committed.range(upto.1.max(log.base().0)..) {
                let has = log.term_at(*index);
                if *within < term && *index >= log.base().0 && has != Some(*of) {
                    return Err(format!(
                        "{:?} leads term {term} and has at {index} an entry of term {has:?}, not \
                         the one of term {of} that was committed in term {within}",
                        member.node
                    ));
                }
            }
            *upto = (term, newest);
        }
        Ok(())
    }
}
