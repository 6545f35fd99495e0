use crate::assert_found;
use squall_scenarios::queue::{mutants, work};
use squall_scenarios::specimens;

#[test]
fn confirmed_work_is_done_once_or_kept_whatever_fails() {
    work().seeds(0..200).run();
}

#[test]
fn every_mutant_of_the_queue_breaks_the_property_that_it_names() {
    assert_found(mutants(), 1_000);
}

#[test]
fn the_consumer_of_the_tutorial_is_found_by_each_thing_that_it_costs() {
    assert_found(specimens::queue::specimens(), 500);
}
