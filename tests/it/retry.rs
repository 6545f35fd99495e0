use crate::assert_found;
use crate::resilience::in_world;
use squall_env::{Env, HasOutcome, Outcome};
use squall_protocols::retry::{
    Advice, Backoff, Budget, Deadline, Effect, Jitter, Policy, Retry, RetryError,
};
use squall_scenarios::retry::{mutants, overload, storm, two_hops};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[test]
fn a_service_that_was_overloaded_recovers_although_its_callers_retry() {
    overload().seeds(0..60).run();
}

#[test]
fn nobody_works_behind_the_deadline_of_a_caller_two_hops_away_and_budgets_bound_what_comes() {
    two_hops().seeds(0..60).run();
}

#[test]
fn every_mutant_of_the_retries_breaks_the_property_that_it_names() {
    assert_found(mutants(), 1_000);
}

#[test]
fn a_service_whose_callers_retry_at_once_does_not_recover() {
    assert_found(vec![storm()], 30);
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Failed;

impl HasOutcome for Failed {
    fn outcome(&self) -> Outcome {
        Outcome::NotDone
    }
}

/// How many requests come to a service that always fails, of a hundred calls over two hops.
async fn requests_of_a_hundred_calls(env: &Env, budget: Budget) -> u32 {
    let wait = Duration::from_millis(1);
    let backoff = Backoff { first: wait, most: wait, jitter: Jitter::None };
    let retry = || Retry::new(env, Policy { tries: 3, backoff }, budget);
    let (caller, gateway, came) = (retry(), retry(), AtomicU32::new(0));
    for _ in 0..100 {
        let deadline = Deadline::after(Duration::from_secs(60), env.now());
        let service = |_| async {
            came.fetch_add(1, Ordering::Relaxed);
            Err::<(), Failed>(Failed)
        };
        let judge = |_: &Failed| Advice::Retry;
        let pass_on = |deadline| gateway.call(Effect::Once, deadline, judge, service);
        let judge = |_: &RetryError<Failed>| Advice::Retry;
        caller.call(Effect::Once, deadline, judge, pass_on).await.unwrap_err();
    }
    came.into_inner()
}

#[test]
fn tries_of_two_hops_multiply_and_budgets_add_up() {
    in_world(|env| async move {
        assert_eq!(requests_of_a_hundred_calls(&env, Budget::new(u32::MAX, 0)).await, 900);
        assert_eq!(requests_of_a_hundred_calls(&env, Budget::new(10, 100)).await, 120);
        assert_eq!(requests_of_a_hundred_calls(&env, Budget::new(0, 100)).await, 100);
    });
}
