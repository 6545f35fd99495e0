use crate::assert_found;
use squall_scenarios::saga::{demo, mutants, orders};
use squall_scenarios::specimens;

#[test]
fn an_order_is_all_done_or_all_undone_or_reported_stuck() {
    orders().seeds(0..100).run();
}

#[test]
fn the_demo_has_the_figures_that_it_always_had() {
    demo().seeds(0..20).run();
}

#[test]
fn every_mutant_of_the_saga_breaks_the_property_that_it_names() {
    assert_found(mutants(), 2_000);
}

#[test]
fn a_saga_in_memory_leaves_half_an_order() {
    assert_found(vec![specimens::saga::in_memory()], 100);
}
