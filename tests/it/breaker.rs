use squall::run;
use squall_scenarios::breaker::{calls, mutants};

#[test]
fn a_breaker_keeps_what_it_promises_to_callers_of_a_service_that_fails() {
    calls().seeds(0..300).run();
}

#[test]
fn every_mutant_of_the_breaker_breaks_the_property_that_it_names() {
    for mutant in mutants() {
        let property = mutant.broken_property().expect("a mutant names what it breaks");
        let breaks = |seed| run(&mutant, seed).failure.is_some_and(|f| f.property == property);
        assert!((0..300).any(breaks), "{} was not found", mutant.name());
    }
}
