use crate::assert_found;
use squall_scenarios::breaker::{
    calls, fallback, herd, herd_at_once, mutants, tutorial, tutorial_counts_late,
    tutorial_stays_open, tutorial_sticks,
};

#[test]
fn a_breaker_keeps_what_it_promises_to_callers_of_a_service_that_fails() {
    calls().seeds(0..300).run();
}

#[test]
fn every_mutant_of_the_breaker_breaks_the_property_that_it_names() {
    assert_found(mutants(), 1_000);
}

#[test]
fn what_a_shop_says_is_queued_is_paid_and_paid_once() {
    fallback().seeds(0..80).run();
}

#[test]
fn a_breaker_as_tutorials_have_it_breaks_the_same_properties() {
    let late = [tutorial_counts_late(), tutorial_stays_open()];
    assert_found(late.into_iter().chain([tutorial(), tutorial_sticks()]).collect(), 300);
}

#[test]
fn breakers_that_open_together_probe_one_after_the_other_by_chance_alone() {
    herd().seeds(0..60).run();
    assert_found(vec![herd_at_once()], 100);
}
