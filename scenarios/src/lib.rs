//! The scenarios of the pattern library, and the specimens and mutants that test the tester.

pub mod cluster;
pub mod http;
pub mod kv;
pub mod raft;
pub mod register;
pub mod specimens;
pub mod weather;

use squall::Scenario;

/// Every scenario whose properties must hold.
pub fn scenarios() -> Vec<Scenario> {
    let systems =
        [raft::register(), register::atomic(), http::http1(), http::http2(), kv::kv()].into_iter();
    systems.chain(weather::scenarios()).collect()
}

/// Every specimen and mutant: each must break the property that it names.
pub fn specimens() -> Vec<Scenario> {
    let engine = specimens::engine::specimens().into_iter();
    engine
        .chain(raft::mutants())
        .chain(register::mutants())
        .chain([kv::specimen(), specimens::recovery::forgets(), specimens::repair::gives_up()])
        .chain(weather::specimens())
        .collect()
}
