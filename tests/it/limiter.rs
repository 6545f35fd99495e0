use crate::assert_found;
use crate::resilience::in_world;
use squall_env::Instant;
use squall_protocols::limiter::{Keyed, SharedLimiter, SlidingLog};
use squall_scenarios::limiter::{keyed, leased, leased_mutants, mutants, sliding_log, specimens};
use std::time::Duration;

#[test]
fn a_limiter_lets_no_more_through_than_it_may_and_locks_nobody_out() {
    keyed().seeds(0..150).run();
    sliding_log().seeds(0..150).run();
}

#[test]
fn gates_that_share_a_limit_let_no_more_through_than_one_would() {
    leased().seeds(0..150).run();
}

#[test]
fn every_mutant_of_the_limiter_breaks_the_property_that_it_names() {
    assert_found(mutants(), 300);
    assert_found(specimens(), 300);
}

#[test]
fn every_mutant_of_the_shared_limit_breaks_the_property_that_it_names() {
    assert_found(leased_mutants(), 4_000);
}

#[test]
fn tasks_share_limiters_of_any_kind_behind_one_lock_or_many() {
    in_world(|env| async move {
        let ms = Duration::from_millis;
        let log = SlidingLog::new(2, ms(100));
        let sharded = SharedLimiter::sharded(&env, log.clone(), 64, 8);
        let one = SharedLimiter::of(&env, Keyed::of(log, 64));
        let start = env.now();
        for limiter in [&sharded, &one] {
            for key in 0..8 {
                let admitted = [(); 3].map(|()| limiter.check(&key).is_ok());
                assert_eq!(admitted, [true, true, false]);
            }
            assert_eq!(limiter.check(&0).unwrap_err().retry_after, ms(100));
        }
        sharded.ready(&0, Instant::NEVER).await.unwrap();
        assert_eq!((env.now() - start, sharded.keys(), one.keys()), (ms(100), 8, 8));
    });
}
