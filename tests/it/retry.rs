use crate::assert_found;
use squall_scenarios::retry::{mutants, overload, storm};

#[test]
fn a_service_that_was_overloaded_recovers_although_its_callers_retry() {
    overload().seeds(0..60).run();
}

#[test]
fn every_mutant_of_the_retries_breaks_the_property_that_it_names() {
    assert_found(mutants(), 1_000);
}

#[test]
fn a_service_whose_callers_retry_at_once_does_not_recover() {
    assert_found(vec![storm()], 30);
}
