use crate::assert_found;
use squall::run;
use squall_scenarios::register::{atomic, mutants};

#[test]
fn a_read_sees_the_newest_finished_write() {
    atomic().seeds(0..300).run();
}

#[test]
fn every_mutant_breaks_the_property_that_it_names() {
    assert_found(mutants(), 1_500);
}

#[test]
fn a_run_is_the_same_twice_whatever_the_weather() {
    for seed in 0..100 {
        let (first, second) = (run(&atomic(), seed), run(&atomic(), seed));
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert_eq!(first.events, second.events, "seed {seed}");
    }
}
