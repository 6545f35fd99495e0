//! The weather's own scenarios: together they fire every fault of the table, and the contract of
//! each can be seen to fail.

use squall::plan::Forecast;
use squall::table::TABLE;
use squall::{Fault, FaultSet, RunOutcome, Scenario, Watch, run, run_plan, twice};
use squall_scenarios::weather::{ALL, Blind, Make, clocks, code, disks, forgetful, leader};
use squall_scenarios::weather::{links, nodes, rot, streams};
use squall_scenarios::{register, scenarios};

/// How many seeds of each scenario it takes at most, with room to spare.
const SEEDS: u64 = 60;

#[test]
fn together_with_the_register_they_fire_every_fault_of_the_table() {
    let mut fired = FaultSet::default();
    let weather = scenarios().into_iter().filter(|s| s.name().starts_with("weather/"));
    for scenario in weather.chain([register::atomic()]) {
        for seed in 0..SEEDS {
            let outcome = run(&scenario, seed);
            assert_eq!(outcome.failure, None, "{} with seed {seed}", scenario.name());
            let all = TABLE.iter().zip(&outcome.faults);
            let here = all.filter(|(_, counter)| counter.fired > 0).map(|(row, _)| row.fault);
            fired = here.fold(fired, FaultSet::with);
        }
    }
    let missing: Vec<&str> =
        TABLE.iter().filter(|row| !fired.has(row.fault)).map(|row| row.name).collect();
    assert_eq!(missing, [""; 0], "no scenario fires these in {SEEDS} seeds");
}

/// Which faults each contract speaks of.
const SPEAKS_OF: &[(Make, &[Fault])] = &[
    (
        links::links,
        &[
            Fault::Loss,
            Fault::Duplication,
            Fault::Reordering,
            Fault::Corruption,
            Fault::QueueOverflow,
            Fault::Bandwidth,
            Fault::Partition,
            Fault::OneWay,
            Fault::IsolateOne,
            Fault::IsolateLeader,
            Fault::MajoritiesRing,
            Fault::Bridge,
            Fault::ClogLink,
            Fault::ClogNode,
            Fault::SwizzleClog,
        ],
    ),
    (
        streams::streams,
        &[
            Fault::StreamReset,
            Fault::HalfOpen,
            Fault::ConnectRefused,
            Fault::ConnectHang,
            Fault::ConnectReset,
            Fault::BackPressure,
            Fault::StreamShortIo,
        ],
    ),
    (leader::leader, &[Fault::IsolateLeader]),
    (
        nodes::nodes,
        &[
            Fault::Crash,
            Fault::CrashInRecovery,
            Fault::CrashLoop,
            Fault::GracefulStop,
            Fault::Pause,
            Fault::Suspend,
            Fault::SlowNode,
        ],
    ),
    (
        disks::disks,
        &[
            Fault::LostWrites,
            Fault::TornWrites,
            Fault::Garbage,
            Fault::LengthWithoutData,
            Fault::LostEntries,
            Fault::Eio,
            Fault::SyncFailure,
            Fault::ShortIo,
            Fault::DiskFull,
            Fault::Stall,
            Fault::SlowDisk,
        ],
    ),
    (forgetful::forgetful, &[Fault::Wipe, Fault::OldDisk, Fault::LyingSync, Fault::SwappedDisks]),
    (rot::rot, &[Fault::BitRot, Fault::MisdirectedWrite]),
    (
        clocks::clocks,
        &[
            Fault::ClockRate,
            Fault::LateTimers,
            Fault::WallOffset,
            Fault::WallDrift,
            Fault::WallForward,
            Fault::WallBack,
            Fault::WallStrobe,
        ],
    ),
    (code::code, &[Fault::Buggify, Fault::Knobs]),
];

/// The fault alone, and what it needs to show.
fn forecast(fault: Fault) -> Forecast {
    let needs: &[Fault] = match fault {
        Fault::LostWrites | Fault::LostEntries | Fault::LyingSync => {
            &[Fault::Crash, Fault::LostWrites]
        }
        Fault::TornWrites | Fault::Garbage | Fault::LengthWithoutData => {
            &[Fault::Crash, Fault::LostWrites]
        }
        _ => &[],
    };
    Forecast::surely(needs.iter().fold(FaultSet::default().with(fault), |all, f| all.with(*f)))
}

#[test]
fn a_contract_that_does_not_know_a_fault_breaks_as_soon_as_it_strikes() {
    for (make, faults) in SPEAKS_OF {
        for fault in *faults {
            let blind = make(Blind::to(*fault)).under(forecast(*fault));
            let seeing = make(Blind::NOT).under(forecast(*fault));
            let name = format!("{} and {}", seeing.name(), fault.name());
            let broken = (0..SEEDS).find(|seed| {
                let failure = run(&blind, *seed).failure;
                failure.is_some_and(|failure| failure.class == squall::Class::Property)
            });
            let seed = broken.unwrap_or_else(|| panic!("{name}: nothing broke"));
            // It breaks by that alone.
            assert_eq!(run(&seeing, seed).failure, None, "{name}");
        }
    }
}

/// What comes with a fault that cannot come alone.
fn needs(fault: Fault) -> FaultSet {
    let all = |faults: &[Fault]| faults.iter().fold(FaultSet::default(), |all, f| all.with(*f));
    match fault {
        Fault::LostWrites | Fault::LostEntries | Fault::CrashInRecovery => all(&[Fault::Crash]),
        Fault::TornWrites | Fault::Garbage | Fault::LengthWithoutData => {
            all(&[Fault::Crash, Fault::LostWrites])
        }
        _ => FaultSet::default(),
    }
}

/// What struck, but for the latency of every run.
fn struck(outcome: &RunOutcome) -> FaultSet {
    let all = TABLE.iter().zip(&outcome.faults).filter(|(_, counter)| counter.fired > 0);
    let set = all.fold(FaultSet::default(), |set, (row, _)| set.with(row.fault));
    set.without(Fault::Latency)
}

/// A run under the weather of these words, and the faults that its trace names.
fn traced(scenario: Scenario, words: &str, seed: u64) -> (RunOutcome, FaultSet) {
    let scenario = scenario.under(Forecast::read(words).unwrap());
    let plan = scenario.plan(seed);
    let outcome = run_plan(&scenario, seed, &plan, Watch { log: true, ..Watch::default() });
    let said = outcome.said(&scenario, &plan);
    let named = said.iter().filter_map(|line| line.split_once(" the world: fault: "));
    let faults = named.map(|(_, name)| Fault::find(name).unwrap());
    (outcome, faults.fold(FaultSet::default(), FaultSet::with))
}

#[test]
fn every_fault_strikes_alone_when_its_name_is_asked_for_and_stands_in_the_trace() {
    for (make, faults) in SPEAKS_OF {
        for fault in *faults {
            let name = fault.name();
            let found = (0..SEEDS).any(|seed| {
                let (outcome, named) = traced(make(Blind::NOT), &format!("calm,{name}"), seed);
                assert_eq!(outcome.failure, None, "{name} with seed {seed}");
                let struck = struck(&outcome);
                assert_eq!(struck, named, "{name} with seed {seed}: the trace tells others");
                let others = struck.without(*fault);
                assert_eq!(others.and(needs(*fault)), others, "{name} with seed {seed}");
                struck.has(*fault)
            });
            assert!(found, "{name} does not strike in {SEEDS} seeds");
        }
        let (outcome, named) = traced(make(Blind::NOT), "calm", 1);
        assert_eq!((struck(&outcome), named), Default::default());
    }
}

#[test]
fn crashes_come_with_losses_of_power_unless_they_are_ruled_out() {
    let crashes = |words: &str| {
        (0..10)
            .any(|seed| struck(&traced(disks::disks(Blind::NOT), words, seed).0).has(Fault::Crash))
    };
    assert!(crashes("storage"));
    assert!(crashes("calm,garbage"));
    assert!(!crashes("storage,-crash"));
    assert!(!crashes("calm,garbage,-crash"));
    assert!(!crashes("calm,eio"));
}

#[test]
fn every_fault_of_the_table_has_a_contract() {
    let spoken_of: Vec<Fault> = SPEAKS_OF.iter().flat_map(|(_, faults)| faults.to_vec()).collect();
    let silent = TABLE.iter().map(|row| row.fault).filter(|fault| !spoken_of.contains(fault));
    // Latency is in every run; the bounds of all the others are its own.
    assert_eq!(silent.collect::<Vec<_>>(), [Fault::Latency]);
    assert_eq!(SPEAKS_OF.len(), ALL.len());
}

#[test]
fn two_runs_of_one_seed_are_alike() {
    for (make, _) in ALL {
        for seed in 0..5 {
            let scenario = make(Blind::NOT);
            let plan = scenario.plan(seed);
            assert!(twice(&scenario, seed, &plan).is_ok(), "{} {seed}", scenario.name());
        }
    }
}
