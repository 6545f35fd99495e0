//! Each pattern in a small world of its own: a service, whoever uses it, one property, and 200
//! seeds of faults. `cargo run -p squall-scenarios --example patterns` runs all of them, and with a
//! name behind it (`-- queue`) one. `-- --broken queue` breaks a line of the pattern, and tells
//! which seed shows it.

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

/// A pattern in its world, what has to hold there, and a line of the pattern that can be broken.
struct Example {
    name: &'static str,
    scenario: fn() -> Scenario,
    property: &'static str,
    flaw: &'static str,
}

/// An example of the module of this name.
macro_rules! example {
    ($name:ident, $flaw:literal) => {
        Example {
            name: stringify!($name),
            scenario: $name::scenario,
            property: $name::PROPERTY,
            flaw: $flaw,
        }
    };
}

const ALL: [Example; 12] = [
    example!(breaker, "breaker/lets-calls-through-while-open"),
    example!(bulkhead, "bulkhead/one-place-too-many"),
    example!(bus, "bus/gives-the-last-first"),
    example!(cqrs, "cqrs/answers-before-the-view-has-it"),
    example!(event_store, "event_store/appends-without-expected-version"),
    example!(limiter, "limiter/reads-the-wall-clock"),
    example!(lock, "lock/guards-nothing"),
    example!(outbox, "outbox/draws-an-id-for-every-try"),
    example!(queue, "queue/confirms-before-durable"),
    example!(retry, "retry/no-budget"),
    example!(saga, "saga/does-again-what-was-done"),
    example!(unit_of_work, "unit-of-work/ignores-versions"),
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

/// Runs an example; or its mutant, which has to be found. What is found is told.
fn run(example: &Example, broken: bool) -> Result<String, String> {
    let Example { name, scenario, property, flaw } = example;
    if !broken {
        let held = scenario().seeds(0..SEEDS).outcome();
        return held.map(|()| format!("{name}: {SEEDS} seeds, and its property held"));
    }
    let mutant = scenario().mutant(name, flaw, property);
    let found = (0..SEEDS).find_map(|seed| {
        let failure = squall::run(&mutant, seed).failure.filter(|f| f.property == *property)?;
        let told = failure.story.join("; ");
        Some(format!("{name}: {flaw} breaks {property:?} with seed {seed}: {told}"))
    });
    found.ok_or_else(|| format!("{name}: {flaw} was not found by {property:?}"))
}

fn main() -> ExitCode {
    let (flags, wanted): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument == "--broken");
    let is_known = |name: &&String| ALL.iter().any(|known| known.name == *name);
    if let Some(unknown) = wanted.iter().find(|name| !is_known(name)) {
        let names = ALL.map(|one| one.name).join(", ");
        eprintln!("there is no {unknown}: there are {names}");
        return ExitCode::from(2);
    }
    for example in ALL {
        if !wanted.is_empty() && !wanted.iter().any(|one| one == example.name) {
            continue;
        }
        match run(&example, !flags.is_empty()) {
            Ok(told) => println!("{told}"),
            Err(wrong) => {
                eprintln!("{wrong}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
