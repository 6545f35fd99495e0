//! What of retries is arithmetic: waits, budgets and deadlines.

use proptest::prelude::*;
use squall_env::Instant;
use squall_protocols::retry::{Backoff, Budget, Deadline, Jitter};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_millis(1_500);

fn backoff(jitter: Jitter) -> Backoff {
    Backoff { first: FIRST, most: MOST, jitter }
}

fn ms(millis: u64) -> Instant {
    Instant::ORIGIN + Duration::from_millis(millis)
}

#[test]
fn waits_double_up_to_the_longest_however_many_there_are() {
    let mut waits = backoff(Jitter::None).waits();
    let millis = [(); 6].map(|()| waits.next_wait(7).as_millis());
    assert_eq!(millis, [100, 200, 400, 800, 1_500, 1_500]);
    assert!((0..1_000).all(|_| waits.next_wait(7) == MOST));
    let endless = Backoff { most: Duration::MAX, ..backoff(Jitter::Decorrelated) };
    let mut waits = endless.waits();
    assert!((0..1_000).map(|_| waits.next_wait(u64::MAX)).last() > Some(MOST));
}

#[test]
fn chance_draws_from_the_whole_range_of_each_kind_and_not_beyond_it() {
    let ends = |jitter, random| {
        let mut waits = backoff(jitter).waits();
        [(); 3].map(|()| waits.next_wait(random).as_millis())
    };
    assert_eq!((ends(Jitter::Full, 0), ends(Jitter::Full, u64::MAX)), ([0; 3], [100, 200, 400]));
    assert_eq!(ends(Jitter::Equal, 0), [50, 100, 200]);
    assert_eq!(ends(Jitter::Equal, u64::MAX), [100, 200, 400]);
    assert_eq!(ends(Jitter::Decorrelated, 0), [100, 100, 100]);
    assert_eq!(ends(Jitter::Decorrelated, u64::MAX), [300, 900, 1_500]);
}

#[test]
fn a_budget_pays_for_so_many_retries_and_for_a_part_of_what_went_well() {
    let mut budget = Budget::new(3, 250);
    assert_eq!([(); 4].map(|()| budget.take()), [true, true, true, false]);
    for _ in 0..3 {
        budget.succeeded();
        assert!(!budget.take());
    }
    budget.succeeded();
    assert_eq!([(); 2].map(|()| budget.take()), [true, false]);
    for _ in 0..1_000 {
        budget.succeeded();
    }
    assert_eq!(budget.left(), 3, "what goes well for long is not saved up");
    let mut none = Budget::new(0, 1_000);
    none.succeeded();
    assert!(!none.take(), "nothing is kept");
}

#[test]
fn a_deadline_is_only_ever_shortened() {
    let deadline = Deadline::after(Duration::from_secs(2), ms(1_000));
    assert_eq!(deadline.at(), ms(3_000));
    assert!(!deadline.is_over(ms(2_999)) && deadline.is_over(ms(3_000)));
    assert_eq!(deadline.within(Duration::from_secs(9), ms(1_500)), deadline);
    let shorter = deadline.within(Duration::from_millis(300), ms(1_500));
    assert_eq!(shorter.at(), ms(1_800));
    // Another node's clock shows something else.
    let left = shorter.left(ms(1_700));
    assert_eq!(left.duration(), Duration::from_millis(100));
    assert_eq!(left.from_now(ms(77_000)).at(), ms(77_100));
    assert_eq!(deadline.left(ms(9_000)).duration(), Duration::ZERO);
    assert!(deadline.left(ms(9_000)).from_now(ms(5)).is_over(ms(5)));
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_the_longest_nor_shorter_than_its_kind_allows(
        (first, most, randoms) in
            (1u64..2_000, 1u64..10_000, proptest::collection::vec(any::<u64>(), 1..40))
    ) {
        let (first, most) = (Duration::from_millis(first), Duration::from_millis(most));
        for jitter in [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
            let backoff = Backoff { first, most, jitter };
            let (mut waits, mut whole) = (backoff.waits(), first.min(most));
            let mut last = first;
            for random in &randoms {
                let wait = waits.next_wait(*random);
                prop_assert!(wait <= most);
                match jitter {
                    Jitter::None => prop_assert_eq!(wait, whole),
                    Jitter::Full => prop_assert!(wait <= whole),
                    Jitter::Equal => prop_assert!(wait >= whole / 2 && wait <= whole),
                    Jitter::Decorrelated => {
                        prop_assert!(wait >= first.min(most) && wait <= (last * 3).max(first));
                    }
                }
                (last, whole) = (wait, (whole * 2).min(most));
            }
        }
    }

    #[test]
    fn retries_are_no_more_than_the_first_ones_and_the_part_of_what_went_well(
        (most, per_thousand, steps) in
            (0u32..20, 0u32..1_500, proptest::collection::vec(any::<bool>(), 0..500))
    ) {
        let mut budget = Budget::new(most, per_thousand);
        let (mut retries, mut well) = (0u64, 0u64);
        for is_retry in steps {
            if is_retry {
                retries += u64::from(budget.take());
            } else {
                budget.succeeded();
                well += 1;
            }
            let allowed = u64::from(most) + well * u64::from(per_thousand) / 1_000;
            prop_assert!(retries <= allowed);
        }
    }
}
