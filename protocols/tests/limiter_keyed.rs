//! Limiters of all kinds for many keys, and behind several locks.

use proptest::prelude::*;
use squall_env::Instant;
use squall_protocols::limiter::{
    AtomicGcra, Decision, FixedWindow, Gcra, Keyed, LimitError, Limiter, Quota, Sharded,
    SlidingCounter, SlidingLog,
};
use std::cmp::Ordering;
use std::fmt::Debug;
use std::sync::Barrier;
use std::sync::mpsc::channel;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Instant {
    Instant::ORIGIN + Duration::from_millis(millis)
}

fn gcra(cells: u32) -> Gcra {
    Gcra::new(Quota::per(SECOND, cells).unwrap())
}

/// How many of these times come through under one key.
fn through<L: Limiter>(keyed: &mut Keyed<u8, L>, key: u8, times: &[u64]) -> usize {
    times.iter().filter(|at| keyed.check(&key, ms(**at)).is_allowed()).count()
}

#[test]
fn of_each_kind_every_key_has_a_limiter_of_its_own() {
    fn figures<L: Limiter>(new: L) -> [usize; 4] {
        let mut keyed = Keyed::of(new, 9);
        let end = [980, 985, 990, 995, 999];
        [
            through(&mut keyed, 0, &end),
            through(&mut keyed, 1, &end),
            through(&mut keyed, 0, &[1_010, 1_020, 1_030, 1_040, 1_050]),
            through(&mut keyed, 0, &[1_990, 1_991, 1_992, 1_993, 1_994]),
        ]
    }
    assert_eq!(figures(gcra(4)), [4, 4, 0, 4], "a cell comes free each 250 ms");
    assert_eq!(figures(FixedWindow::new(4, SECOND)), [4, 4, 0, 4], "since 1,980");
    assert_eq!(figures(SlidingLog::new(4, SECOND)), [4, 4, 0, 3], "that of 995 still counts");
    assert_eq!(figures(SlidingCounter::new(4, SECOND)), [4, 4, 0, 3]);
}

#[test]
fn there_are_no_more_keys_of_any_kind_than_allowed_and_idle_ones_go_first() {
    fn check<L: Limiter>(new: L) {
        let mut keyed = Keyed::of(new, 2);
        assert_eq!((0..2).map(|key| through(&mut keyed, key, &[0])).sum::<usize>(), 2);
        assert_eq!(through(&mut keyed, 2, &[1]), 0, "no key is idle");
        assert_eq!((through(&mut keyed, 2, &[2_000]), keyed.len()), (1, 1), "both were");
    }
    check(gcra(2));
    check(FixedWindow::new(2, SECOND));
    check(SlidingLog::new(2, SECOND));
    check(SlidingCounter::new(2, SECOND));
}

#[test]
fn to_have_been_forgotten_is_no_way_round_a_window_for_who_comes_with_an_older_time() {
    fn figures<L: Limiter>(new: L) -> [usize; 3] {
        let mut keyed = Keyed::of(new, 2);
        let old = through(&mut keyed, 0, &[100; 9]);
        assert_eq!(through(&mut keyed, 1, &[100]), 1);
        assert_eq!(through(&mut keyed, 2, &[2_100]), 1, "the others are idle, and forgotten");
        [old, through(&mut keyed, 0, &[100; 9]), through(&mut keyed, 0, &[2_150; 9])]
    }
    // It counts as if it were the time at which they were.
    assert_eq!(figures(FixedWindow::new(4, SECOND)), [4, 4, 0]);
    assert_eq!(figures(SlidingCounter::new(4, SECOND)), [4, 4, 0]);
    assert_eq!(figures(SlidingLog::new(4, SECOND)), [4, 0, 4], "nobody knows what came then");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "threads are what is tested")]
fn twenty_threads_at_once_take_of_each_key_what_it_has_and_nothing_more() {
    let sharded = Sharded::new(SlidingLog::new(20, SECOND), 64, 4, 7);
    let through = |thread: u32, at| {
        let keys = (0..8).map(|nth| (thread + nth) % 8);
        keys.filter(|key| sharded.check(key, at).is_allowed()).count()
    };
    let all_at = |at: Instant| {
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..40).map(|thread| scope.spawn(move || through(thread, at))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        })
    };
    assert_eq!([all_at(ms(0)), all_at(ms(1)), all_at(ms(1_000))], [160, 0, 160]);
    assert_eq!(sharded.len(), 8);
}

#[test]
fn of_each_address_a_hundred_come_through_in_a_quarter_of_an_hour() {
    let minutes = |minutes: u64| ms(minutes * 60_000);
    let quarter = Duration::from_secs(15 * 60);
    let mut keyed = Keyed::of(FixedWindow::new(100, quarter), 1_000);
    let hundred = |keyed: &mut Keyed<_, _>, address: &'static str, at: Instant| {
        (0..120).filter(|_| keyed.check(&address, at).is_allowed()).count()
    };
    assert_eq!(hundred(&mut keyed, "192.0.2.1", minutes(1)), 100);
    assert_eq!(hundred(&mut keyed, "192.0.2.2", minutes(15)), 100);
    let retry_at = minutes(16);
    assert_eq!(keyed.check(&"192.0.2.1", minutes(15)), Decision::Limited { retry_at });
    assert_eq!(hundred(&mut keyed, "192.0.2.1", minutes(16)), 100);
    // What went well need not count, if its window has not ended.
    let window = keyed.get_mut(&"192.0.2.1").unwrap();
    (0..21).for_each(|_| window.give_back(minutes(31), minutes(17)));
    assert!(keyed.check(&"192.0.2.1", minutes(17)).is_allowed());
    assert!(!keyed.check(&"192.0.2.1", minutes(17)).is_allowed());
    keyed.reset(&"192.0.2.1");
    assert_eq!(hundred(&mut keyed, "192.0.2.1", minutes(17)), 100);
    assert!(!keyed.check(&"192.0.2.2", minutes(17)).is_allowed());
    keyed.reset_all();
    assert_eq!((hundred(&mut keyed, "192.0.2.2", minutes(17)), keyed.len()), (100, 1));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "threads are what is tested")]
fn threads_that_share_one_number_take_what_one_of_them_could_and_nothing_more() {
    let quota = Quota::per(SECOND, 1_000).unwrap();
    let (shared, start) = (AtomicGcra::new(quota), Barrier::new(8));
    let taken = |thread: u32| {
        start.wait();
        let cells = (0..500).map(|nth| 1 + (thread + nth) % 3);
        let taken = cells.filter(|cells| shared.check_all(*cells, ms(5)).unwrap().is_allowed());
        taken.sum::<u32>()
    };
    let sum: u32 = std::thread::scope(|scope| {
        let taken = &taken;
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || taken(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((sum, shared.remaining(ms(5))), (1_000, 0));
    assert_eq!(shared.check(ms(5)), Decision::Limited { retry_at: ms(6) });
    assert_eq!(shared.check_all(1_001, ms(5)), Err(LimitError::Capacity { burst: 1_000 }));
}

/// A key that, once its shard is locked, says so and holds it until it is told to go on.
#[derive(Clone, Copy)]
struct Held<'a> {
    key: u32,
    until: Option<&'a Barrier>,
}

impl Ord for Held<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        if let Some(barrier) = self.until.or(other.until) {
            barrier.wait();
            barrier.wait();
        }
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Held<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Held<'_> {}

impl std::hash::Hash for Held<'_> {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        self.key.hash(hasher);
    }
}

/// Whether two keys are in one shard: then one of them finds no room.
fn together(salt: u64, keys: [u32; 2]) -> bool {
    let sharded = Sharded::new(gcra(1), 2, 2, salt);
    keys.map(|key| sharded.check(&key, ms(0)).is_allowed()) == [true, false]
}

#[test]
#[expect(clippy::disallowed_methods, reason = "threads are what is tested")]
fn who_asks_for_a_key_of_another_shard_does_not_wait() {
    let apart = (1..100).find(|key| !together(7, [0, *key])).unwrap();
    let (barrier, (says, heard)) = (Barrier::new(2), channel());
    let sharded = Sharded::new(gcra(9), 64, 2, 7);
    let plain = |key| Held { key, until: None };
    assert!(sharded.check(&plain(0), ms(0)).is_allowed());
    let came = std::thread::scope(|scope| {
        // It is compared with the key that is there, and stays in the midst of that.
        scope.spawn(|| sharded.check(&Held { key: 0, until: Some(&barrier) }, ms(0)).is_allowed());
        barrier.wait();
        let sharded = &sharded;
        scope.spawn(move || {
            let came = (0..9).filter(|_| sharded.check(&plain(apart), ms(0)).is_allowed()).count();
            says.send(came).unwrap();
        });
        let came = heard.recv_timeout(SECOND * 20);
        barrier.wait();
        came
    });
    assert_eq!((came, sharded.len()), (Ok(9), 2));
}

#[test]
fn a_salt_decides_which_keys_are_together_and_always_in_the_same_way() {
    let drawn = |salt| (1..64).map(|key| together(salt, [0, key])).collect::<Vec<bool>>();
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    let half = drawn(1).iter().filter(|is| **is).count();
    assert!((16..48).contains(&half), "{half}");
    for (most, shards) in [(1, 8), (8, 0), (8, 3), (0, 0)] {
        let sharded = Sharded::new(gcra(1), most, shards, 3);
        let count = (0..1_000).filter(|key| sharded.check(key, ms(0)).is_allowed()).count();
        assert!(count <= most.max(1) && count == sharded.len() && !sharded.is_empty());
    }
}

/// Whether one that is idle decides as a new one does, whatever comes.
fn idle_is_new<L: Limiter + Debug>(new: &L, steps: &[u64]) -> Result<(), TestCaseError> {
    let (mut limiter, mut fresh, mut now) = (new.clone(), new.clone(), ms(5_000));
    for step in steps {
        now += Duration::from_millis(*step);
        if limiter.is_idle(now) {
            fresh = new.clone();
        }
        prop_assert_eq!(limiter.check(now).is_allowed(), fresh.check(now).is_allowed());
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_shared_number_decides_as_one_of_a_single_thread(
        asked in proptest::collection::vec((1u32..4, 0u64..3_000), 1..60)
    ) {
        let quota = Quota::per(SECOND, 3).unwrap();
        let (shared, mut own) = (AtomicGcra::new(quota), Gcra::new(quota));
        for (cells, at) in asked {
            prop_assert_eq!(shared.check_all(cells, ms(at)), own.check_all(cells, ms(at)));
            prop_assert_eq!(shared.remaining(ms(at)), own.remaining(ms(at)));
        }
    }

    #[test]
    fn who_is_idle_is_as_good_as_new(
        (limit, steps) in (1u32..6, proptest::collection::vec(
            prop_oneof![3 => 0u64..100, 1 => 0u64..2_500], 1..60,
        ))
    ) {
        idle_is_new(&gcra(limit), &steps)?;
        idle_is_new(&FixedWindow::new(limit, SECOND), &steps)?;
        idle_is_new(&SlidingLog::new(limit, SECOND), &steps)?;
        idle_is_new(&SlidingCounter::new(limit, SECOND), &steps)?;
    }
}
