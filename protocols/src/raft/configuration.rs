//! Who has a say: majorities, and the two at once of joint consensus (Ongaro, Consensus: Bridging
//! Theory and Practice, 2014, section 4.3).

use serde::{Deserialize, Serialize};
use squall_env::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// The members of a cluster. While it is joint, a decision needs a majority of the old voters and
/// one of the new.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Configuration {
    voters: BTreeSet<NodeId>,
    /// The voters before the change that is under way; empty if none is.
    outgoing: BTreeSet<NodeId>,
    /// Who has the log and no say (section 4.2.1).
    learners: BTreeSet<NodeId>,
    /// Who will be a learner, and is one of the old voters as long as there are any.
    learners_next: BTreeSet<NodeId>,
}

/// What becomes of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// It votes.
    Voter(NodeId),
    /// It has the log and no say.
    Learner(NodeId),
    /// It is no member.
    Remove(NodeId),
}

/// Why a configuration cannot be changed so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum ChangeError {
    /// No voter would be left.
    #[error("no voter would be left")]
    NoVoters,
    /// Majorities before and after the change might have nobody in common.
    #[error("more than one voter changes, and not by a joint configuration")]
    SeveralVoters,
    /// Another change is under way.
    #[error("the configuration is joint")]
    Joint,
    /// There is no joint configuration to leave.
    #[error("the configuration is not joint")]
    NotJoint,
    /// The node would vote, and has not the log yet (section 4.2.1).
    #[error("{0:?} has not caught up as a learner")]
    NotCaughtUp(NodeId),
}

/// How an election stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Election {
    /// The candidate has its majorities.
    Won,
    /// So many have refused that it cannot win any more.
    Lost,
    /// Answers are missing.
    Pending,
}

impl Configuration {
    /// These voters, and nobody else.
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Configuration {
        Configuration { voters: voters.into_iter().collect(), ..Configuration::default() }
    }

    /// The joint configuration on the way from these voters to those.
    #[must_use]
    pub fn joint_with(mut self, outgoing: impl IntoIterator<Item = NodeId>) -> Configuration {
        self.outgoing = outgoing.into_iter().collect();
        self
    }

    /// Everybody who takes part, in order.
    pub fn members(&self) -> BTreeSet<NodeId> {
        &(&self.voters | &self.outgoing) | &self.learners
    }

    /// The voters, of a joint configuration the new ones.
    pub fn voters(&self) -> &BTreeSet<NodeId> {
        &self.voters
    }

    /// The old voters of a joint configuration; else none.
    pub fn outgoing(&self) -> &BTreeSet<NodeId> {
        &self.outgoing
    }

    /// Who has the log and no say.
    pub fn learners(&self) -> &BTreeSet<NodeId> {
        &self.learners
    }

    /// Who becomes a learner when the joint configuration is left.
    pub fn learners_next(&self) -> &BTreeSet<NodeId> {
        &self.learners_next
    }

    /// Whether old and new voters decide together.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The configuration after changes of which at most one concerns who votes: then every
    /// majority before has somebody in common with every one after (section 4.1).
    ///
    /// # Errors
    /// If more changes, nobody would vote, or the configuration is joint.
    pub fn change(&self, changes: &[Change]) -> Result<Configuration, ChangeError> {
        if self.is_joint() {
            return Err(ChangeError::Joint);
        }
        let next = self.with(changes)?;
        if (&self.voters ^ &next.voters).len() > 1 {
            return Err(ChangeError::SeveralVoters);
        }
        Ok(next)
    }

    /// The joint configuration on the way to these changes, however many (section 4.3).
    ///
    /// # Errors
    /// If nobody votes, before or after, or the configuration is joint already.
    pub fn enter_joint(&self, changes: &[Change]) -> Result<Configuration, ChangeError> {
        if self.is_joint() {
            return Err(ChangeError::Joint);
        }
        if self.voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        self.clone().joint_with(self.voters.iter().copied()).with(changes)
    }

    /// The configuration behind the joint one.
    ///
    /// # Errors
    /// If it is not joint.
    pub fn leave_joint(&self) -> Result<Configuration, ChangeError> {
        if !self.is_joint() {
            return Err(ChangeError::NotJoint);
        }
        let learners = &self.learners | &self.learners_next;
        Ok(Configuration { voters: self.voters.clone(), learners, ..Configuration::default() })
    }

    fn with(&self, changes: &[Change]) -> Result<Configuration, ChangeError> {
        let mut next = self.clone();
        for change in changes {
            let (Change::Voter(node) | Change::Learner(node) | Change::Remove(node)) = *change;
            next.voters.remove(&node);
            next.learners.remove(&node);
            next.learners_next.remove(&node);
            match change {
                Change::Voter(_) => next.voters.insert(node),
                Change::Learner(_) if next.outgoing.contains(&node) => {
                    next.learners_next.insert(node)
                }
                Change::Learner(_) => next.learners.insert(node),
                Change::Remove(_) => false,
            };
        }
        if next.voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        Ok(next)
    }

    /// Whether the node's vote counts.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.voters.contains(&node) || self.outgoing.contains(&node)
    }

    /// How an election stands with these votes.
    pub fn tally(&self, votes: &BTreeMap<NodeId, bool>) -> Election {
        let halves = [&self.voters, &self.outgoing].map(|half| {
            let count = |want| half.iter().filter(|n| votes.get(n) == Some(&want)).count();
            let majority = half.len() / 2 + 1;
            match (half.len(), count(true), half.len() - count(false)) {
                // Without voters there is nobody to refuse.
                (0, ..) => Election::Won,
                (_, granted, _) if granted >= majority => Election::Won,
                (_, _, possible) if possible < majority => Election::Lost,
                _ => Election::Pending,
            }
        });
        match halves {
            [Election::Won, Election::Won] => Election::Won,
            [Election::Lost, _] | [_, Election::Lost] => Election::Lost,
            _ => Election::Pending,
        }
    }

    /// Whether these nodes are a quorum.
    pub fn is_quorum(&self, has: impl Fn(NodeId) -> bool) -> bool {
        self.committed(|node| u64::from(has(node))) > 0
    }

    /// The greatest index that a quorum has reached, given how far each voter is. It is
    /// [`u64::MAX`] without any voters.
    pub fn committed(&self, reached: impl Fn(NodeId) -> u64) -> u64 {
        let half = |voters: &BTreeSet<NodeId>| {
            let mut indexes: Vec<u64> = voters.iter().map(|node| reached(*node)).collect();
            indexes.sort_unstable();
            // Of the ascending order, a majority has reached what stands below its middle.
            let Some(below) = indexes.len().checked_sub(indexes.len() / 2 + 1) else {
                return u64::MAX;
            };
            indexes[below]
        };
        half(&self.voters).min(half(&self.outgoing))
    }
}
