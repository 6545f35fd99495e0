use crate::assert_found;
use squall_scenarios::queue::{mutants, work};

#[test]
fn confirmed_work_is_done_once_or_kept_whatever_fails() {
    work().seeds(0..200).run();
}

#[test]
fn every_mutant_of_the_queue_breaks_the_property_that_it_names() {
    assert_found(mutants(), 1_000);
}
