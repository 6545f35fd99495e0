use crate::assert_found;
use squall_scenarios::breaker::{calls, mutants};

#[test]
fn a_breaker_keeps_what_it_promises_to_callers_of_a_service_that_fails() {
    calls().seeds(0..300).run();
}

#[test]
fn every_mutant_of_the_breaker_breaks_the_property_that_it_names() {
    assert_found(mutants(), 300);
}
