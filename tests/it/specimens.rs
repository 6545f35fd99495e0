//! What specimens do wrong, done right.

use crate::assert_found;
use squall::Scenario;
use squall_scenarios::specimens::{
    gaps, handlers, live, locks, microservices, queue, recovery, repair, revision, saga_demo,
    torn_tail, truncation,
};

/// No run breaks anything, and what the specimen stumbles over does happen.
fn holds(right: Scenario, wrong: Scenario) {
    assert_found(vec![wrong], 2_000);
    right.seeds(0..2_000).run();
}

#[test]
fn a_store_that_empties_its_log_last_keeps_everything() {
    holds(recovery::remembers(), recovery::forgets());
}

#[test]
fn a_store_that_repairs_its_log_until_it_is_done_keeps_everything() {
    repair::goes_on().seeds(0..300).run();
}

#[test]
fn a_store_that_cuts_off_what_was_cut_short_keeps_everything() {
    holds(torn_tail::cuts_off(), torn_tail::appends_behind());
}

#[test]
fn a_log_that_is_truncated_from_the_back_has_no_hole() {
    holds(truncation::from_the_back(), truncation::from_the_front());
}

#[test]
fn subscribers_that_guess_about_gaps_are_found_and_one_that_asks_is_right() {
    assert_found(gaps::specimens(), 100);
    gaps::settled().seeds(0..300).run();
}

#[test]
fn a_view_that_reads_on_from_its_checkpoint_misses_nothing_and_handlers_that_are_called_do() {
    assert_found(handlers::specimens(), 300);
    handlers::account(handlers::Flaw::None).seeds(0..300).run();
}

#[test]
fn a_repository_of_copies_takes_back_what_was_not_committed() {
    assert_found(vec![live::hands_out(), live::compares()], 100);
    live::copies().seeds(0..300).run();
}

#[test]
fn a_consumer_that_buries_what_it_cannot_read_goes_on() {
    queue::buries_what_it_cannot_read().seeds(0..200).run();
}

#[test]
fn every_lock_of_a_tutorial_breaks_the_property_that_it_names() {
    assert_found(locks::specimens(), 400);
}

#[test]
fn an_account_that_asks_for_tokens_is_right_whoever_stands_still() {
    locks::fenced().seeds(0..150).run();
}

#[test]
fn who_deletes_only_his_own_key_frees_nobody_elses_lock() {
    locks::tutorial(locks::Flaw::None).seeds(0..150).run();
}

#[test]
fn servers_that_stay_out_after_they_have_started_forget_no_lock() {
    locks::stays_out().seeds(0..150).run();
}

#[test]
fn locks_on_a_cluster_outlast_its_leaders_and_know_no_time_of_day() {
    locks::on_raft().seeds(0..150).run();
}

#[test]
fn a_store_that_finds_its_revision_out_goes_back() {
    assert_found(vec![revision::goes_back()], 2_000);
}

#[test]
fn every_saga_of_a_demo_loses_pieces_and_one_that_is_right_does_not() {
    assert_found(saga_demo::specimens(), 100);
    saga_demo::demo(saga_demo::Flaw::None).seeds(0..300).run();
}

#[test]
fn microservices_of_tutorials_lose_track_of_orders_and_of_money() {
    assert_found(microservices::specimens(), 400);
    microservices::shop(microservices::Flaw::None).seeds(0..300).run();
}

#[test]
fn who_cannot_serve_and_gives_the_lock_up_keeps_nobody_from_serving() {
    locks::gateways::<true>().seeds(0..300).run();
}

#[test]
fn what_the_tables_name_is_there_and_everything_of_patterns_was_looked_for() {
    let all = squall_scenarios::specimens();
    let is_there = |name: &str| all.iter().any(|specimen| specimen.name() == name);
    let quoted = |table: &'static str| table.split('`').skip(1).step_by(2);
    let named = |table| quoted(table).filter(|word| word.contains('/'));
    let published = include_str!("../../scenarios/src/specimens/published.md");
    let found = include_str!("../../scenarios/src/specimens/found.md");
    for name in named(published).chain(named(found)) {
        assert!(is_there(name), "there is no {name}");
    }
    let rows: Vec<&str> = named(found).collect();
    for pattern in squall_scenarios::specimens::of_patterns() {
        assert!(rows.contains(&pattern.name()), "{} is in no table", pattern.name());
    }
}
