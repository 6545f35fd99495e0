//! Other people's Raft under squall's weather.
#![forbid(unsafe_code)]

pub mod open_raft;
pub mod register;
pub mod runtime;
pub mod tikv;

use squall::Scenario;

/// A register on each of them.
pub fn scenarios() -> Vec<Scenario> {
    vec![open_raft::scenario(), open_raft::leads_on_durably(), tikv::scenario()]
}

/// What the weather has found.
pub fn specimens() -> Vec<Scenario> {
    vec![open_raft::leads_on()]
}
