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
        Configuration { voters: voters.into_iter().collect(), outgoing: BTreeSet::new() }
    }

    /// The joint configuration on the way from these voters to those.
    #[must_use]
    pub fn joint_with(mut self, outgoing: impl IntoIterator<Item = NodeId>) -> Configuration {
        self.outgoing = outgoing.into_iter().collect();
        self
    }

    /// Everybody who takes part, in order.
    pub fn members(&self) -> BTreeSet<NodeId> {
        &self.voters | &self.outgoing
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
