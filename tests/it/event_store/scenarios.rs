use crate::assert_found;
use squall_scenarios::{aggregate, event_store, specimens};

#[test]
fn a_store_keeps_to_what_it_has_told_whatever_the_weather() {
    event_store::streams().seeds(0..100).run();
}

#[test]
fn a_store_that_remembers_no_ids_knows_what_was_appended_behind_an_exact_version() {
    event_store::exact().seeds(0..100).run();
}

#[test]
fn money_that_is_moved_between_accounts_is_neither_made_nor_lost() {
    aggregate::bank().seeds(0..100).run();
}

#[test]
fn every_mutant_of_the_event_store_breaks_the_property_that_it_names() {
    assert_found(event_store::mutants(), 1_000);
}

#[test]
fn every_mutant_of_the_bank_breaks_the_property_that_it_names() {
    assert_found(aggregate::mutants(), 500);
}

#[test]
fn the_stores_of_tutorials_lose_updates_and_events() {
    let tutorials = vec![
        specimens::tutorial_events::overdraws(),
        specimens::tutorial_events::forgets(),
        specimens::tutorial_events::numbers_anew(),
        specimens::sequence::skips(),
    ];
    assert_found(tutorials, 200);
}
