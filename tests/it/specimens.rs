//! What specimens do wrong, done right.

use crate::assert_found;
use squall::Scenario;
use squall_scenarios::specimens::{recovery, repair, truncation};

/// No run breaks anything, and what the specimen stumbles over does happen.
fn holds(right: Scenario, wrong: Scenario) {
    assert_found(vec![wrong], 2_000);
    right.seeds(0..2_000).run();
}

#[test]
fn a_store_that_empties_its_log_last_keeps_everything() {
    holds(recovery::remembers(), recovery::forgets());
}

#[test]
fn a_store_that_repairs_its_log_until_it_is_done_keeps_everything() {
    repair::goes_on().seeds(0..300).run();
}

#[test]
fn a_log_that_is_truncated_from_the_back_has_no_hole() {
    holds(truncation::from_the_back(), truncation::from_the_front());
}
