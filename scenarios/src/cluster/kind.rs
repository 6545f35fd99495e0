//! The systems that can be run as real processes.

use super::judge::{Judged, judge};
use super::map;
use super::node::Error;
use crate::register;
use squall_check::AppendKv;
use std::path::PathBuf;

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Replicas of the atomic register.
    Register,
    /// Members of a map on Raft.
    Raft,
}

impl Kind {
    /// What a run of it is called.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Register => "register",
            Kind::Raft => "raft",
        }
    }

    /// The role of its nodes, which is also the command that runs one.
    pub(super) fn role(self) -> &'static str {
        match self {
            Kind::Register => "replica",
            Kind::Raft => map::ROLE,
        }
    }

    /// The command that runs a client.
    pub(super) fn client(self) -> &'static str {
        match self {
            Kind::Register => "client",
            Kind::Raft => "map-client",
        }
    }

    /// Judges what clients of it saw.
    pub(super) fn judge(self, files: &[PathBuf]) -> Result<Judged, Error> {
        match self {
            Kind::Register => judge(&register::Model::new(None), files),
            Kind::Raft => judge(&AppendKv::new(""), files),
        }
    }
}
