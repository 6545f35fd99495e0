use crate::assert_found;
use squall::run;
use squall_scenarios::raft::{leases, membership, mutants, register, snapshots, transfers};

#[test]
fn a_cluster_keeps_one_register_as_long_as_a_majority_runs() {
    register().seeds(0..300).run();
}

#[test]
fn a_cluster_that_compacts_its_log_keeps_the_register_as_well() {
    snapshots().seeds(0..300).run();
}

#[test]
fn a_cluster_whose_leaders_hand_over_keeps_the_register_as_well() {
    transfers().seeds(0..300).run();
}

#[test]
fn a_cluster_whose_members_change_keeps_the_register_as_well() {
    membership().seeds(0..300).run();
}

#[test]
fn a_cluster_whose_leaders_have_leases_keeps_the_register_as_well() {
    leases().seeds(0..300).run();
}

#[test]
fn every_mutant_breaks_the_property_that_it_names() {
    assert_found(mutants(), 2_000);
}

#[test]
fn a_run_is_the_same_twice_whatever_the_weather() {
    for scenario in [register(), leases(), snapshots(), transfers(), membership()] {
        for seed in 0..100 {
            let (first, second) = (run(&scenario, seed), run(&scenario, seed));
            assert_eq!(first.digest, second.digest, "seed {seed}");
            assert_eq!(first.events, second.events, "seed {seed}");
        }
    }
}
