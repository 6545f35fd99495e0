//! The scenarios of the pattern library, and the specimens and mutants that test the tester.

pub mod aggregate;
pub mod breaker;
pub mod bulkhead;
pub mod bus;
#[cfg(feature = "faults")]
pub mod cluster;
pub mod config;
pub mod console;
pub mod cqrs;
pub mod event_store;
pub mod http;
pub mod kv;
pub mod limiter;
pub mod lock;
pub mod models;
pub mod outbox;
pub mod queue;
pub mod raft;
pub mod register;
pub mod retry;
pub mod saga;
pub mod serve;
pub mod shop;
pub mod specimens;
mod tolerance;
pub mod unit_of_work;
pub mod weather;
pub mod whole;

use squall::Scenario;
use squall::cli::Extra;
use squall::explore::{Subject, breadth_first};

/// Every scenario whose properties must hold.
pub fn scenarios() -> Vec<Scenario> {
    let patterns = [
        vec![raft::register(), raft::leases(), raft::snapshots(), raft::transfers()],
        vec![raft::membership(), raft::corruption(), raft::formats()],
        vec![config::store(), config::leases(), config::http()],
        vec![register::atomic(), breaker::calls(), http::http1(), http::http2(), kv::kv()],
        vec![
            breaker::fallback(),
            breaker::herd(),
            limiter::keyed(),
            limiter::sliding_log(),
            bulkhead::partitions(),
            retry::overload(),
        ],
        vec![limiter::leased(), retry::two_hops()],
        vec![lock::single(), lock::by_two_clocks(), lock::raft(), lock::fenced()],
        vec![queue::work(), outbox::orders(), bus::subscriptions()],
        vec![unit_of_work::transfers(), cqrs::orders(), saga::orders()],
        vec![shop::orders()],
        vec![event_store::streams(), event_store::exact(), aggregate::bank()],
    ];
    patterns.into_iter().flatten().chain(weather::scenarios()).collect()
}

/// Every specimen and mutant: each must break the property that it names. Mutants are there if they
/// are compiled in.
pub fn specimens() -> Vec<Scenario> {
    let stories = [raft::stories::standing_still(true), kv::specimen()];
    let overload = [retry::storm(), breaker::tutorial()];
    let breakers = [
        breaker::tutorial_counts_late(),
        breaker::tutorial_stays_open(),
        breaker::tutorial_sticks(),
        breaker::herd_at_once(),
    ];
    let engine = specimens::engine::specimens().into_iter();
    let all = engine.chain(mutants()).chain(stories).chain(specimens::of_patterns());
    let overload = limiter::specimens().into_iter().chain(overload);
    all.chain(overload).chain(breakers).chain(weather::specimens()).collect()
}

fn mutants() -> Vec<Scenario> {
    // Left before anything is called: a build without mutants does not even name them.
    if !cfg!(feature = "mutants") {
        return Vec::new();
    }
    let of_patterns = [
        raft::mutants(),
        config::mutants(),
        register::mutants(),
        breaker::mutants(),
        limiter::mutants(),
        limiter::leased_mutants(),
        bulkhead::mutants(),
        retry::mutants(),
        lock::mutants(),
        queue::mutants(),
        outbox::mutants(),
        bus::mutants(),
        unit_of_work::mutants(),
        cqrs::mutants(),
        saga::mutants(),
        shop::mutants(),
        event_store::mutants(),
        aggregate::mutants(),
    ];
    of_patterns.into_iter().flatten().collect()
}

/// The commands that work with real processes and sockets. Those that run systems under test are
/// there if they are compiled in.
pub fn commands() -> Vec<Extra> {
    #[cfg(feature = "faults")]
    let tested = cluster::COMMANDS;
    #[cfg(not(feature = "faults"))]
    let tested = [];
    tested.into_iter().chain([serve::COMMAND, console::COMMAND]).collect()
}

/// What can be explored exhaustively: machines of the pattern library, their mutants, and models.
pub fn subjects() -> Vec<Subject> {
    let two_phase = Subject::new(
        "model/two-phase-commit",
        "a transaction manager and five resource managers",
        |_, limits| breadth_first(&models::two_phase::TwoPhaseCommit::<5>, limits),
    );
    let paxos = Subject::new(
        "model/paxos",
        "single-decree Paxos with three acceptors and two proposers",
        |_, limits| breadth_first(&models::paxos::Paxos::<2>, limits),
    );
    register::explored::subjects().into_iter().chain([two_phase, paxos]).collect()
}
