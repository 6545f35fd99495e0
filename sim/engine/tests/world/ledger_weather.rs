//! The ledger under weather that is asked for and drawn, and what each fault of the table takes of
//! the budget.

use crate::ledger_pressure::system;
use crate::probe::{MS, SECOND, notes, only, probe, run_until};
use squall::plan::Forecast;
use squall::table::{Counter, Impairs, TABLE};
use squall::{Fault, Most, RunOutcome, Scenario, Tolerance, conditions};
use squall_env::View;
use std::sync::Mutex;
use std::time::Duration;

/// How many seeds of each weather there are.
const SEEDS: u64 = 20;

/// What a run adds to what was counted before.
fn add(sum: &mut [Counter; Fault::COUNT], outcome: &RunOutcome) {
    for (sum, counter) in sum.iter_mut().zip(&outcome.faults) {
        sum.fired += counter.fired;
        sum.refused += counter.refused;
    }
}

#[test]
fn no_weather_impairs_more_than_the_budget_and_what_is_refused_is_counted() {
    let all: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
    let mut sum = [Counter::default(); Fault::COUNT];
    // From a random subset of what hits nodes to everything at once.
    for words in ["process,storage", "everything,crash-loop,wipe,lying-sync", &all.join(",")] {
        for seed in 0..SEEDS {
            let (repairs, ready_after) = (seed % 2 == 0, Duration::from_millis(seed % 7 * 20));
            let most = if seed % 3 == 0 { Most::Nodes(1) } else { Most::Minority };
            let scenario = system(ready_after, repairs, most, None)
                .under(Forecast::read(words).unwrap())
                .heals_after(Duration::from_secs(2));
            let outcome = run_until(&scenario, seed, &scenario.plan(seed), 3 * SECOND);
            assert_eq!(outcome.failure, None, "{words} with seed {seed}");
            add(&mut sum, &outcome);
        }
    }
    for row in TABLE.iter().filter(|row| row.impairs() != Impairs::Nobody) {
        let Counter { fired, refused } = sum[row.fault as usize];
        // Whoever recovers is impaired already, so there is nothing to refuse.
        let may_be_refused = row.fault != Fault::CrashInRecovery;
        let was = format!("{}: {fired} fired, {refused} refused", row.name);
        assert!(fired > 0 && (refused > 0 || !may_be_refused), "{was}");
    }
}

#[test]
fn too_small_a_budget_is_seen_to_be_exceeded() {
    // The ledger allows any number, and the oracle watches for more than one.
    let exceeded = (0..SEEDS).any(|seed| {
        let scenario = system(Duration::from_millis(50), false, Most::Any, Some(1))
            .under(Forecast::read("process,storage,crash").unwrap())
            .heals_after(Duration::from_secs(2));
        run_until(&scenario, seed, &scenario.plan(seed), 3 * SECOND).failure.is_some()
    });
    assert!(exceeded);
}

/// What struck and what was refused in runs with this fault alone, under a budget.
fn alone(fault: Fault, most: Most) -> Counter {
    let everything = TABLE.iter().fold(Tolerance::nothing(), |all, row| all.fault(row.fault));
    let scenario = || probe().tolerates(everything.clone().impaired("node", most));
    let mut sum = [Counter::default(); Fault::COUNT];
    for seed in 0..SEEDS {
        add(&mut sum, &run_until(&scenario(), seed, &only(fault), SECOND / 2));
    }
    sum[fault as usize]
}

#[test]
fn the_faults_that_impair_and_no_others_are_refused_where_nothing_may_be_impaired() {
    for row in TABLE {
        let comes_with_a_crash = matches!(
            row.fault,
            Fault::LostWrites
                | Fault::TornWrites
                | Fault::Garbage
                | Fault::LengthWithoutData
                | Fault::LostEntries
                | Fault::CrashInRecovery
        );
        let Counter { fired, refused } = alone(row.fault, Most::Nodes(0));
        let said = format!("{}: {fired} fired, {refused} refused", row.name);
        if comes_with_a_crash {
            assert!((fired, refused) == (0, 0), "{said}");
        } else {
            let impairs = row.impairs() != Impairs::Nobody;
            assert!((fired == 0) == impairs && (refused > 0) == impairs, "{said}");
        }
        assert!(alone(row.fault, Most::Any).refused == 0, "{}", row.name);
    }
}

/// A system that goes on to look at the ledger, and what the ledger last said of node 2.
fn looking(repairs: bool) -> (Scenario, &'static Mutex<Vec<bool>>) {
    let said = notes();
    let scenario = system(Duration::from_millis(5), repairs, Most::Any, None);
    let looks = scenario.always("the ledger is looked at", move || {
        |view: &View<'_>| {
            let now = conditions().ok_or("no run is under way")?;
            view.up::<crate::ledger_pressure::Work>().count();
            *said.lock().unwrap() = vec![now.nodes[1].impaired];
            Ok(())
        }
    });
    (looks, said)
}

#[test]
fn what_impairs_a_disk_lasts_until_it_is_repaired_and_the_rest_until_it_is_over() {
    for row in TABLE.iter().filter(|row| row.impairs() != Impairs::Nobody) {
        let mut plan = only(row.fault);
        plan.heal_at_ns = SECOND;
        let last = |repairs| {
            let (scenario, said) = looking(repairs);
            let outcome = run_until(&scenario, 1, &plan, 2 * SECOND + 500 * MS);
            assert_eq!(outcome.failure, None, "{}", row.name);
            assert!(outcome.faults[row.fault as usize].fired > 0, "{}", row.name);
            let said = said.lock().unwrap().clone();
            said == [true]
        };
        assert_eq!(last(false), row.impairs() == Impairs::Disk, "{}", row.name);
        // Rot that strikes while the node is up waits for the next boot to be found.
        let restarts = matches!(row.fault, Fault::Wipe | Fault::OldDisk | Fault::SwappedDisks);
        if restarts || row.impairs() == Impairs::Node {
            assert!(!last(true), "{} is not repaired", row.name);
        }
    }
}
