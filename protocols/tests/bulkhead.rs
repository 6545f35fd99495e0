//! The bulkhead as a value: who gets a place, who waits, and what comes back.

use proptest::prelude::*;
use squall_env::Instant;
use squall_protocols::bulkhead::{Bulkhead, Config, Entry, Place, Rejected, Stand, Ticket};
use std::collections::BTreeMap;
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(100);

fn ms(millis: u64) -> Instant {
    Instant::ORIGIN + Duration::from_millis(millis)
}

fn bulkhead(calls: u32, waiting: u32) -> Bulkhead<u8> {
    Bulkhead::new(Config { calls, waiting, wait_max: WAIT, keys: 3 })
}

fn place(entry: Result<Entry<u8>, Rejected>) -> Place<u8> {
    match entry {
        Ok(Entry::Admitted(place)) => place,
        other => panic!("{other:?}"),
    }
}

fn ticket(entry: Result<Entry<u8>, Rejected>) -> Ticket<u8> {
    match entry {
        Ok(Entry::Waits(ticket)) => ticket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn places_are_taken_then_the_queue_and_then_nothing_is_left() {
    let mut two = bulkhead(2, 1);
    let first = place(two.enter(&7, ms(0)));
    let second = place(two.enter(&7, ms(0)));
    let waits = ticket(two.enter(&7, ms(0)));
    assert_eq!(two.enter(&7, ms(0)), Err(Rejected::Full));
    assert_eq!((two.load(&7), waits.until()), ((2, 1), ms(100)));
    assert_eq!(two.leave(first, ms(10)), Some(waits.number()));
    assert_eq!(two.load(&7), (2, 0), "the place is handed on");
    let Stand::Admitted(third) = two.look(waits, ms(10)) else { panic!() };
    assert_eq!((two.leave(second, ms(20)), two.leave(third, ms(20))), (None, None));
    assert_eq!((two.load(&7), two.keys()), ((0, 0), 0), "and forgotten");
}

#[test]
fn who_waits_longest_goes_first() {
    let mut one = bulkhead(1, 3);
    let mut taken = place(one.enter(&0, ms(0)));
    let waiting: Vec<Ticket<u8>> = (1..4).map(|at| ticket(one.enter(&0, ms(at)))).collect();
    for waits in waiting {
        assert_eq!(one.leave(taken, ms(10)), Some(waits.number()));
        let Stand::Admitted(place) = one.look(waits, ms(10)) else { panic!() };
        taken = place;
    }
    assert_eq!(one.leave(taken, ms(10)), None);
}

#[test]
fn whose_time_is_over_gets_no_place_whether_it_knows_it_or_not() {
    let mut one = bulkhead(1, 3);
    let taken = place(one.enter(&0, ms(0)));
    let late = ticket(one.enter(&0, ms(0)));
    let later = ticket(one.enter(&0, ms(50)));
    let Stand::Waits(late) = one.look(late, ms(99)) else { panic!() };
    assert_eq!(one.leave(taken, ms(100)), Some(later.number()));
    assert_eq!(one.look(late, ms(100)), Stand::TimedOut);
    // A place that was given in time is there however late it is fetched.
    assert!(matches!(one.look(later, ms(500)), Stand::Admitted(_)));
}

#[test]
fn who_stops_waiting_keeps_nothing() {
    let mut one = bulkhead(1, 2);
    let taken = place(one.enter(&0, ms(0)));
    let (first, second) = (ticket(one.enter(&0, ms(0))), ticket(one.enter(&0, ms(0))));
    assert_eq!(one.give_up(first, ms(1)), None);
    assert_eq!(one.load(&0), (1, 1));
    assert_eq!(one.leave(taken, ms(2)), Some(second.number()));
    let third = ticket(one.enter(&0, ms(3)));
    // It was given a place and never knew.
    assert_eq!(one.give_up(second, ms(4)), Some(third.number()));
    assert_eq!(one.give_up(third, ms(5)), None);
    assert_eq!(one.keys(), 0);
}

#[test]
fn one_key_is_of_no_concern_to_the_others_and_there_are_only_so_many() {
    let mut one = bulkhead(1, 0);
    let places: Vec<Place<u8>> = (0..3).map(|key| place(one.enter(&key, ms(0)))).collect();
    assert_eq!(one.enter(&0, ms(1)), Err(Rejected::Full));
    assert_eq!(one.enter(&3, ms(1)), Err(Rejected::Keys));
    for place in places {
        assert_eq!(one.leave(place, ms(2)), None);
    }
    let again = place(one.enter(&3, ms(2)));
    assert_eq!(one.keys(), 1, "the others are forgotten");
    assert_eq!(one.leave(again, ms(2)), None);
    let mut none = bulkhead(0, 0);
    assert_eq!((none.enter(&0, ms(0)), none.keys()), (Err(Rejected::Full), 0));
}

/// What the test knows by itself of one key.
#[derive(Default)]
struct Known {
    places: Vec<Place<u8>>,
    tickets: Vec<Ticket<u8>>,
}

proptest! {
    /// Whatever comes in whatever order: no more are under way or wait than may, nobody is refused
    /// while there is room, and at the end everything is free again.
    #[test]
    fn places_are_neither_lost_nor_made(
        (calls, waiting, steps) in
            (1u32..4, 0u32..4, proptest::collection::vec((0u8..4, 0u8..3, 0u64..40), 1..200))
    ) {
        let mut bulkhead = bulkhead(calls, waiting);
        let mut known: BTreeMap<u8, Known> = BTreeMap::new();
        let mut now = 0;
        for (step, key, passes) in steps {
            now += passes;
            let of = known.entry(key).or_default();
            match step {
                0 | 1 => match bulkhead.enter(&key, ms(now)) {
                    Ok(Entry::Admitted(place)) => of.places.push(place),
                    Ok(Entry::Waits(ticket)) => of.tickets.push(ticket),
                    Err(rejected) => {
                        prop_assert_eq!(rejected, Rejected::Full);
                        let outstanding = of.places.len() + of.tickets.len();
                        prop_assert!(outstanding >= (calls + waiting) as usize);
                    }
                },
                2 if !of.places.is_empty() => {
                    let place = of.places.remove(0);
                    bulkhead.leave(place, ms(now));
                }
                3 if !of.tickets.is_empty() => {
                    let ticket = of.tickets.remove(of.tickets.len() / 2);
                    bulkhead.give_up(ticket, ms(now));
                }
                _ => {}
            }
            // Everybody looks, the one who came first at last.
            for ticket in std::mem::take(&mut of.tickets).into_iter().rev() {
                match bulkhead.look(ticket, ms(now)) {
                    Stand::Admitted(place) => of.places.push(place),
                    Stand::Waits(ticket) => of.tickets.insert(0, ticket),
                    Stand::TimedOut => {}
                }
            }
            let of = &known[&key];
            prop_assert!(of.places.len() <= calls as usize);
            prop_assert!(of.tickets.len() <= waiting as usize);
            prop_assert!(of.tickets.is_empty() || of.places.len() == calls as usize);
        }
        for of in known.into_values() {
            for ticket in of.tickets {
                bulkhead.give_up(ticket, ms(now));
            }
            for place in of.places {
                bulkhead.leave(place, ms(now));
            }
        }
        prop_assert_eq!(bulkhead.keys(), 0);
    }
}
