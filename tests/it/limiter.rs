use crate::assert_found;
use squall_scenarios::limiter::{fixed_window, keyed, leased, leased_mutants, mutants};

#[test]
fn a_limiter_lets_no_more_through_than_it_may_and_locks_nobody_out() {
    keyed().seeds(0..150).run();
}

#[test]
fn gates_that_share_a_limit_let_no_more_through_than_one_would() {
    leased().seeds(0..150).run();
}

#[test]
fn every_mutant_of_the_limiter_breaks_the_property_that_it_names() {
    assert_found(mutants(), 300);
    assert_found(vec![fixed_window()], 300);
}

#[test]
fn every_mutant_of_the_shared_limit_breaks_the_property_that_it_names() {
    assert_found(leased_mutants(), 4_000);
}
