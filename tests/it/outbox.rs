use crate::assert_found;
use squall_scenarios::outbox::{mutants, orders};
use squall_scenarios::specimens;

#[test]
fn what_is_ordered_is_booked_once_and_in_order() {
    orders().seeds(0..200).run();
}

#[test]
fn every_mutant_of_the_outbox_breaks_the_property_that_it_names() {
    assert_found(mutants(), 1_000);
}

#[test]
fn two_writes_are_found_whichever_comes_first() {
    assert_found(specimens::outbox::specimens(), 500);
}
