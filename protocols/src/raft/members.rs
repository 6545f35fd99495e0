//! Which configuration is in force: the latest one in the log, committed or not (Ongaro, 2014,
//! section 4.1).

use super::configuration::Configuration;
use super::log::{Entry, Index, Payload};
use super::machine::Raft;
use super::state_machine::StateMachine;
use squall_env::{NodeId, Turn, mutant};
use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};

/// The configurations of the log and of the snapshot before it.
#[derive(Clone)]
pub(super) struct Members {
    /// That of the snapshot, or of a new cluster. A node that was never told one is no member.
    base: Option<Configuration>,
    /// Those behind the snapshot, in order.
    changes: VecDeque<(Index, Configuration)>,
    /// What the operator said, in force until the node remembers anything.
    told: Configuration,
}

impl Members {
    pub(super) fn of(base: Option<Configuration>, voters: &[NodeId]) -> Members {
        let told = Configuration::of(voters.iter().copied());
        Members { base, changes: VecDeque::new(), told }
    }

    /// The configuration in force.
    pub(super) fn latest(&self) -> &Configuration {
        self.at(Index::MAX)
    }

    /// The entry that holds it, or 0 if it is that of the snapshot.
    pub(super) fn latest_index(&self) -> Index {
        self.changes.back().map_or(0, |(index, _)| *index)
    }

    /// The configuration of the snapshot, if there is any.
    pub(super) fn base(&self) -> Option<&Configuration> {
        self.base.as_ref()
    }

    /// Everybody who votes by any of the configurations.
    pub(super) fn voters(&self) -> BTreeSet<NodeId> {
        let changes = self.changes.iter().map(|(_, configuration)| configuration);
        let all = changes.chain(self.base.as_ref().or(Some(&self.told)));
        all.flat_map(|of| of.voters().iter().chain(of.outgoing()).copied()).collect()
    }

    /// Whether the node may be needed as a leader: it votes, or did before a change that may not
    /// be committed, and of which it may be the only one to know (section 4.2.2).
    pub(super) fn may_lead(&self, node: NodeId, commit: Index) -> bool {
        let mut later = self.changes.iter().filter(|(index, _)| *index > commit);
        self.at(commit).is_voter(node) || later.any(|(_, later)| later.is_voter(node))
    }

    /// The configuration with which an entry ends.
    pub(super) fn at(&self, index: Index) -> &Configuration {
        let last = self.changes.iter().rev().find(|(at, _)| *at <= index);
        let last = last.map(|(_, configuration)| configuration);
        last.or(self.base.as_ref()).unwrap_or(&self.told)
    }

    /// The configuration by which a leader decides: the latest, but for mutants.
    pub(super) fn deciding<S: StateMachine>(&self, turn: &Turn<Raft<S>>) -> Cow<'_, Configuration> {
        let latest = self.latest();
        if mutant!(turn, "raft/joint-majorities-of-the-new-voters-only") {
            return Cow::Owned(Configuration::of(latest.voters().iter().copied()));
        }
        Cow::Borrowed(latest)
    }

    /// The members of a new cluster, if the node knows of no others.
    pub(super) fn found(&mut self, configuration: Configuration) {
        self.base.get_or_insert(configuration);
    }

    /// For a mutant: what was in force before stays so, but for what has come since.
    pub(super) fn keep(&mut self, before: Members) {
        let now = std::mem::replace(&mut self.changes, before.changes);
        let known = |change: &(Index, Configuration)| self.changes.contains(change);
        let fresh: Vec<_> = now.into_iter().filter(|change| !known(change)).collect();
        self.changes.extend(fresh);
    }

    /// Entries take the place of what stood behind `previous`.
    pub(super) fn replaced(&mut self, previous: Index, entries: &[Entry]) {
        while self.changes.pop_back_if(|(index, _)| *index > previous).is_some() {}
        for (entry, index) in entries.iter().zip(previous + 1..) {
            if let Payload::Configuration(configuration) = &entry.payload {
                self.changes.push_back((index, configuration.clone()));
            }
        }
    }

    /// A snapshot takes the place of the entries up to this one.
    pub(super) fn compacted(&mut self, last: Index) {
        while let Some((_, configuration)) = self.changes.pop_front_if(|(at, _)| *at <= last) {
            self.base = Some(configuration);
        }
    }

    /// A snapshot that was received takes the place of the entries up to this one; those behind it
    /// are there no more, but for those that stay.
    pub(super) fn installed(&mut self, last: Index, configuration: Configuration, stays: bool) {
        self.compacted(last);
        if !stays {
            self.changes.clear();
        }
        self.base = Some(configuration);
    }
}
