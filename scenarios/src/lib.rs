//! The scenarios of the pattern library, and the specimens and mutants that test the tester.

pub mod cluster;
pub mod http;
pub mod register;
pub mod specimens;

use squall::Scenario;

/// Every scenario whose properties must hold.
pub fn scenarios() -> Vec<Scenario> {
    vec![register::atomic(), http::http1(), http::http2()]
}

/// Every specimen and mutant: each must break the property that it names.
pub fn specimens() -> Vec<Scenario> {
    specimens::engine::specimens().into_iter().chain(register::mutants()).collect()
}
