use crate::assert_found;
use squall_scenarios::bus::{mutants, subscriptions};

#[test]
fn every_subscription_hears_of_everything_in_order() {
    subscriptions().seeds(0..200).run();
}

#[test]
fn every_mutant_of_the_bus_breaks_the_property_that_it_names() {
    assert_found(mutants(), 1_000);
}
