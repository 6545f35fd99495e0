//! The systems that can be run as real processes.

use super::judge::{Finding, Judged, judge, read};
use super::map;
use super::node::Error;
use crate::register;
use crate::shop;
use squall_check::AppendKv;
use std::path::PathBuf;

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Replicas of the atomic register.
    Register,
    /// Members of a map on Raft.
    Raft,
    /// The services of a shop, and what holds them together.
    Shop,
}

impl Kind {
    /// What a run of it is called.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Register => "register",
            Kind::Raft => "raft",
            Kind::Shop => "shop",
        }
    }

    /// What holds if all is well.
    pub(super) fn promise(self) -> &'static str {
        match self {
            Kind::Register | Kind::Raft => "linearizable, no acknowledged write was lost",
            Kind::Shop => shop::WHOLE,
        }
    }

    /// What is said if it does not.
    pub(super) fn broken_promise(self) -> &'static str {
        match self {
            Kind::Register | Kind::Raft => "NOT linearizable",
            Kind::Shop => "NOT every order is whole",
        }
    }

    /// The roles of its nodes, and how many there are of each, where that can be chosen.
    pub(super) fn roles(self, nodes: usize) -> Vec<(&'static str, usize)> {
        match self {
            Kind::Register => vec![("replica", nodes)],
            Kind::Raft => vec![(map::ROLE, nodes)],
            Kind::Shop => shop::ROLES.to_vec(),
        }
    }

    /// The command that runs a node.
    pub(super) fn command(self) -> &'static str {
        match self {
            Kind::Register => "replica",
            Kind::Raft => map::ROLE,
            Kind::Shop => "shop",
        }
    }

    /// The command that runs a client.
    pub(super) fn client(self) -> &'static str {
        match self {
            Kind::Register => "client",
            Kind::Raft => "map-client",
            Kind::Shop => "shop-client",
        }
    }

    /// Judges what clients of it saw.
    pub(super) fn judge(self, files: &[PathBuf]) -> Result<Judged, Error> {
        match self {
            Kind::Register => judge(&register::Model::new(None), files),
            Kind::Raft => judge(&AppendKv::new(""), files),
            Kind::Shop => {
                let history = read::<shop::Shop>(files)?;
                let finding = match shop::verdict(&history) {
                    Ok(()) => Finding::Holds,
                    Err(why) => Finding::Violation(vec![why]),
                };
                Ok(Judged { counts: history.counts(), finding })
            }
        }
    }
}
