//! Each pattern in a small world of its own: a service, whoever uses it, one property, and 200
//! seeds of faults. `cargo run -p squall-scenarios --example patterns` runs all of them, and with a
//! name behind it (`-- queue`) one.

mod breaker;
mod bulkhead;
mod bus;
mod cqrs;
mod event_store;
mod limiter;
mod lock;
mod outbox;
mod queue;
mod retry;
mod saga;
mod service;
mod unit_of_work;

use squall::{Fault, Most, Scenario, Tolerance};
use std::process::ExitCode;

/// How many seeds of each are run.
const SEEDS: u64 = 200;

type Example = (&'static str, fn() -> Scenario);

const ALL: [Example; 12] = [
    ("breaker", breaker::scenario),
    ("bulkhead", bulkhead::scenario),
    ("bus", bus::scenario),
    ("cqrs", cqrs::scenario),
    ("event_store", event_store::scenario),
    ("limiter", limiter::scenario),
    ("lock", lock::scenario),
    ("outbox", outbox::scenario),
    ("queue", queue::scenario),
    ("retry", retry::scenario),
    ("saga", saga::scenario),
    ("unit_of_work", unit_of_work::scenario),
];

/// Messages that are lost, doubled and late, parted networks, and nodes of these roles that crash
/// and stand still.
fn faults(roles: &[&str]) -> Tolerance {
    let impaired = roles.iter().fold(Tolerance::nothing(), |t, role| t.impaired(role, Most::Any));
    let faults = [Fault::Loss, Fault::Duplication, Fault::Reordering, Fault::Partition];
    let faults = faults.into_iter().chain([Fault::Crash, Fault::Pause]);
    faults.fold(impaired, Tolerance::fault)
}

/// The same, and what was not synced is lost with the power.
fn faults_and_losses(roles: &[&str]) -> Tolerance {
    faults(roles).fault(Fault::LostWrites)
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_known = |name: &&String| ALL.iter().any(|(known, _)| known == name);
    if let Some(unknown) = wanted.iter().find(|name| !is_known(name)) {
        let names = ALL.map(|(name, _)| name).join(", ");
        eprintln!("there is no {unknown}: there are {names}");
        return ExitCode::from(2);
    }
    for (name, scenario) in ALL {
        if !wanted.is_empty() && !wanted.iter().any(|one| one == name) {
            continue;
        }
        match scenario().seeds(0..SEEDS).outcome() {
            Ok(()) => println!("{name}: {SEEDS} seeds, and its property held"),
            Err(report) => {
                eprintln!("{report}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
