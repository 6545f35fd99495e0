use crate::assert_found;
use squall_scenarios::shop::{demo, mutants, orders};

#[test]
fn the_demo_has_the_figures_that_it_always_had() {
    demo().seeds(0..20).run();
}

#[test]
fn every_order_is_paid_sent_and_shown_or_nothing_of_it_is_left() {
    orders().seeds(0..60).run();
}

#[test]
fn every_mutant_of_the_shop_breaks_the_property_that_it_names() {
    assert_found(mutants(), 500);
}
