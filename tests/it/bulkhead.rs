use crate::assert_found;
use squall_scenarios::bulkhead::{mutants, partitions};

#[test]
fn a_service_that_has_become_slow_takes_no_places_from_the_others() {
    partitions().seeds(0..150).run();
}

#[test]
fn every_mutant_of_the_bulkhead_breaks_the_property_that_it_names() {
    assert_found(mutants(), 300);
}
