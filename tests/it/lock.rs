use crate::assert_found;
use squall_scenarios::lock::{by_two_clocks, fenced, mutants, raft, single};

#[test]
fn a_lock_on_one_server_keeps_what_it_promises() {
    single().seeds(0..150).run();
}

#[test]
fn a_lock_on_raft_keeps_it_over_changes_of_leaders() {
    raft().seeds(0..100).run();
}

#[test]
fn tokens_keep_an_account_right_whose_depositors_never_look_whether_they_hold_the_lock() {
    fenced().seeds(0..150).run();
    by_two_clocks().seeds(0..150).run();
}

#[test]
fn every_mutant_of_the_lock_breaks_the_property_that_it_names() {
    assert_found(mutants(), 2_000);
}
