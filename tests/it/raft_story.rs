//! Stories of Raft: each does no harm, whatever the latencies, and its mutant does.

use squall::{Scenario, run, twice};
use squall_scenarios::raft::stories::{
    disturbed, drifting, handed_over, old_entries, reads, restarted, snapshot, standing_still,
    votes,
};
use squall_scenarios::raft::{COMPLETE, LINEARIZABLE, LOGS_MATCH, ONE_LEADER};

/// The properties that break in these runs, if any does.
fn broken(bad: &Scenario, seeds: u64) -> Vec<Option<String>> {
    (0..seeds).map(|seed| run(bad, seed).failure.map(|failure| failure.property)).collect()
}

fn always_breaks(scenario: Scenario, mutant: &'static str, property: &'static str) {
    let broken = broken(&scenario.mutant("test/bad", mutant, property), 20);
    assert!(broken.iter().all(|broken| broken.as_deref() == Some(property)), "{broken:?}");
}

/// In so many of twenty runs at least, and nothing else does in any.
fn often_breaks(bad: &Scenario, least: usize, property: &str) {
    let broken: Vec<String> = broken(bad, 20).into_iter().flatten().collect();
    assert!(broken.len() >= least && broken.iter().all(|b| b == property), "{broken:?}");
}

#[test]
fn an_entry_of_an_earlier_term_that_a_majority_has_may_still_be_overwritten() {
    old_entries().seeds(0..20).run();
    always_breaks(old_entries(), "raft/commits-entries-of-earlier-terms", COMPLETE);
}

#[test]
fn a_vote_that_is_sent_before_it_is_durable_is_given_twice() {
    votes().seeds(0..20).run();
    // What was not synced may be kept as well.
    let bad = votes().mutant("test/bad", "raft/votes-before-durable", ONE_LEADER);
    often_breaks(&bad, 4, ONE_LEADER);
}

#[test]
fn a_leader_that_asks_no_quorum_answers_with_an_older_value() {
    reads().seeds(0..20).run();
    always_breaks(reads(), "raft/reads-without-a-quorum", LINEARIZABLE);
}

#[test]
fn entries_that_conflict_with_a_snapshot_do_not_stay_behind_it() {
    snapshot().seeds(0..20).run();
    always_breaks(snapshot(), "raft/keeps-entries-behind-a-snapshot", LOGS_MATCH);
}

#[test]
fn a_member_that_hears_nobody_deposes_nobody() {
    disturbed().seeds(0..20).run();
    let property = "a leader that a quorum hears leads on";
    always_breaks(disturbed(), "raft/deposes-leaders-that-are-heard", property);
}

#[test]
fn a_leader_that_has_handed_over_answers_nothing_by_itself() {
    handed_over().seeds(0..20).run();
    always_breaks(handed_over(), "raft/leases-after-a-transfer", LINEARIZABLE);
}

#[test]
fn a_voter_that_restarts_keeps_what_it_promised_to_a_leader() {
    restarted().seeds(0..20).run();
    let bad = restarted();
    let bad = bad.mutant("test/bad", "raft/restarts-without-its-promise", LINEARIZABLE);
    // In some runs the voter is still down when it is asked, and the lease is over at the next try.
    often_breaks(&bad, 10, LINEARIZABLE);
}

#[test]
fn a_lease_is_over_before_the_promise_of_whoevers_clock_is_the_fastest() {
    drifting().seeds(0..20).run();
    let bad = drifting().mutant("test/bad", "raft/leases-trust-all-clocks", LINEARIZABLE);
    // The clocks have to differ by enough for the third to be elected and to answer a write.
    let broken = broken(&bad, 200).into_iter().flatten();
    assert!(broken.filter(|broken| broken == LINEARIZABLE).count() >= 4);
}

#[test]
fn a_leader_that_stands_still_has_no_lease_afterwards_unless_its_clock_stood_still() {
    standing_still(false).seeds(0..20).run();
    often_breaks(&standing_still(true), 20, LINEARIZABLE);
}

#[test]
fn stories_repeat_exactly() {
    let logs = [old_entries(), votes(), snapshot(), reads(), disturbed()];
    let leases = [handed_over(), restarted(), drifting(), standing_still(false)];
    for story in logs.into_iter().chain(leases) {
        for seed in 0..5 {
            assert!(twice(&story, seed, &story.plan(seed)).is_ok(), "seed {seed}");
        }
    }
}
