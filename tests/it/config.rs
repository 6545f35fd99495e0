use squall::run;
use squall_scenarios::config::{mutants, store};

#[test]
fn the_store_on_raft_is_one_store_and_its_watchers_hear_of_everything_once() {
    store().seeds(0..300).run();
}

#[test]
fn every_mutant_breaks_the_property_that_it_names() {
    for mutant in mutants() {
        let property = mutant.broken_property().expect("a mutant names what it breaks");
        let breaks = |seed| run(&mutant, seed).failure.is_some_and(|f| f.property == property);
        assert!((0..200).any(breaks), "{} was not found", mutant.name());
    }
}
