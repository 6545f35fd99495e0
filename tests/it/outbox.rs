use crate::assert_found;
use squall_scenarios::outbox::{mutants, orders};

#[test]
fn what_is_ordered_is_booked_once_and_in_order() {
    orders().seeds(0..200).run();
}

#[test]
fn every_mutant_of_the_outbox_breaks_the_property_that_it_names() {
    assert_found(mutants(), 1_000);
}
