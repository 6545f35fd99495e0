//! The scenarios of the pattern library, and the specimens and mutants that test the tester.

pub mod breaker;
pub mod bus;
#[cfg(feature = "faults")]
pub mod cluster;
pub mod config;
pub mod console;
pub mod http;
pub mod kv;
pub mod models;
pub mod outbox;
pub mod queue;
pub mod raft;
pub mod register;
pub mod serve;
pub mod specimens;
pub mod weather;

use squall::Scenario;
use squall::cli::Extra;
use squall::explore::{Subject, breadth_first};

/// Every scenario whose properties must hold.
pub fn scenarios() -> Vec<Scenario> {
    let raft = [raft::register(), raft::leases(), raft::snapshots(), raft::transfers()];
    let more = [raft::membership(), raft::corruption(), raft::formats()];
    let store = [config::store(), config::leases(), config::http()];
    let systems = [
        register::atomic(),
        breaker::calls(),
        http::http1(),
        http::http2(),
        kv::kv(),
        queue::work(),
        outbox::orders(),
        bus::subscriptions(),
    ];
    let all = raft.into_iter().chain(more).chain(store).chain(systems);
    all.chain(weather::scenarios()).collect()
}

/// Every specimen and mutant: each must break the property that it names. Mutants are there if they
/// are compiled in.
pub fn specimens() -> Vec<Scenario> {
    let engine = specimens::engine::specimens().into_iter();
    let mutants = if cfg!(feature = "mutants") {
        [
            raft::mutants(),
            config::mutants(),
            register::mutants(),
            breaker::mutants(),
            queue::mutants(),
            outbox::mutants(),
            bus::mutants(),
        ]
        .into_iter()
        .flatten()
        .collect()
    } else {
        Vec::new()
    };
    engine
        .chain(mutants)
        .chain([raft::stories::standing_still(true), kv::specimen()])
        .chain([specimens::recovery::forgets(), specimens::repair::gives_up()])
        .chain([specimens::truncation::from_the_front()])
        .chain(specimens::queue::specimens())
        .chain(specimens::outbox::specimens())
        .chain(weather::specimens())
        .collect()
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
