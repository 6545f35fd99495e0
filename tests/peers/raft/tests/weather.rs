//! A few seeds of each scenario; `cargo run --release -p raft-peers -- sweep` runs more.

use raft_peers::{open_raft, scenarios, specimens};
use squall::twice;

#[test]
fn what_holds_of_raft_holds_in_all_weathers() {
    for scenario in scenarios() {
        scenario.seeds(0..150).run();
    }
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for scenario in scenarios().iter().chain(&specimens()) {
        for seed in 0..50 {
            let alike = twice(scenario, seed, &scenario.plan(seed));
            assert!(alike.is_ok(), "{} {seed}: {:?}", scenario.name(), alike.err());
        }
    }
}

#[test]
fn an_openraft_leader_that_leads_on_contradicts_what_it_sent_before() {
    let scenario = open_raft::leads_on();
    let broken = scenario.broken_property();
    let breaks = |seed| {
        let failure = squall::run(&scenario, seed).failure;
        failure.is_some_and(|failure| Some(failure.property.as_str()) == broken)
    };
    assert!((0..1_000).any(breaks), "no seed broke {broken:?}");
}
