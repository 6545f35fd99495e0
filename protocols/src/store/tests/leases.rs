//! What etcd's documents and tests say of leases, and what keeps them from ending too early.

use super::*;

fn lease(store: &mut Store, command: LeaseCommand) -> Result<Output, Refused> {
    store.execute(&Command::Lease(command))
}

fn grant(store: &mut Store, id: u64, ttl_ms: u64) -> Lease {
    match lease(store, LeaseCommand::Grant { id, ttl_ms }) {
        Ok(Output::Lease(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

fn keep_alive(store: &mut Store, id: u64) -> Lease {
    match lease(store, LeaseCommand::KeepAlive { id }) {
        Ok(Output::Lease(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

fn put(store: &mut Store, key: &str, id: u64) -> Result<Output, Refused> {
    store.execute(&Command::Txn(Txn::put(key, "1").with_lease(id)))
}

fn keys(store: &Store) -> Vec<&str> {
    store.keys().map(|there| there.key.as_str()).collect()
}

fn held(store: &Store, id: u64) -> Vec<String> {
    match store.look(&Query::Lease(id)) {
        Answer::Lease(_, keys) => keys,
        other => panic!("{other:?}"),
    }
}

const NONE_ENDED: Output = Output::Ended { leases: 0, revision: 3 };

#[test]
fn the_keys_of_a_lease_go_with_it_at_one_revision_that_watchers_hear_of() {
    for command in [LeaseCommand::Revoke { id: 7 }, LeaseCommand::Expire(vec![(7, 1)])] {
        let mut store = Store::default();
        assert_eq!(grant(&mut store, 7, 5_000), Lease { id: 7, ttl_ms: 5_000, renewal: 1 });
        for key in ["a", "c"] {
            put(&mut store, key, 7).unwrap();
        }
        super::put(&mut store, "b", "stays");
        assert_eq!(held(&store, 7), ["a", "c"]);
        let ended = lease(&mut store, command);
        assert_eq!(ended, Ok(Output::Ended { leases: 1, revision: 4 }));
        assert_eq!(keys(&store), ["b"]);
        let gone: Vec<&Event> = store.events().filter(|event| event.revision == 4).collect();
        let names: Vec<&str> = gone.iter().map(|event| event.change.key()).collect();
        assert_eq!(names, ["a", "c"]);
        assert!(gone.iter().all(|event| matches!(event.change, Change::Delete(_))));
        assert_eq!(store.look(&Query::Lease(7)), Answer::Refused(Refused::NoLease { id: 7 }));
    }
}

#[test]
fn a_lease_that_was_renewed_since_its_time_was_measured_does_not_expire() {
    let mut store = Store::default();
    let first = grant(&mut store, 7, 5_000);
    put(&mut store, "a", 7).unwrap();
    put(&mut store, "b", 7).unwrap();
    put(&mut store, "c", 7).unwrap();
    let renewed = keep_alive(&mut store, 7);
    let late = LeaseCommand::Expire(vec![(7, first.renewal)]);
    assert_eq!(lease(&mut store, late), Ok(NONE_ENDED));
    assert_eq!(keys(&store), ["a", "b", "c"]);
    let due = LeaseCommand::Expire(vec![(7, renewed.renewal)]);
    assert_eq!(lease(&mut store, due), Ok(Output::Ended { leases: 1, revision: 4 }));
    assert_eq!(keys(&store), [""; 0]);
}

#[test]
fn a_new_lease_of_an_old_number_does_not_expire_in_the_place_of_the_old_one() {
    let mut store = Store::default();
    let old = grant(&mut store, 7, 5_000);
    lease(&mut store, LeaseCommand::Revoke { id: 7 }).unwrap();
    grant(&mut store, 7, 5_000);
    let late = LeaseCommand::Expire(vec![(7, old.renewal)]);
    assert_eq!(lease(&mut store, late), Ok(Output::Ended { leases: 0, revision: 0 }));
    assert_eq!(store.leases().count(), 1);
}

#[test]
fn a_key_belongs_to_the_lease_that_it_was_put_with_last() {
    let mut store = Store::default();
    grant(&mut store, 1, 5_000);
    grant(&mut store, 2, 5_000);
    for key in ["moves", "goes free", "is removed"] {
        put(&mut store, key, 1).unwrap();
    }
    put(&mut store, "moves", 2).unwrap();
    super::put(&mut store, "goes free", "1");
    run(&mut store, Txn::delete(one("is removed")));
    assert_eq!((held(&store, 1), held(&store, 2)), (vec![], vec!["moves".to_owned()]));
    let before = store.revision();
    // Where nothing goes there is no revision.
    let ended = lease(&mut store, LeaseCommand::Revoke { id: 1 });
    assert_eq!(ended, Ok(Output::Ended { leases: 1, revision: before }));
    assert_eq!(keys(&store), ["goes free", "moves"]);
}

#[test]
fn what_names_a_lease_that_is_not_there_is_refused_and_changes_nothing() {
    let mut store = Store::default();
    grant(&mut store, 1, 5_000);
    let before = store.clone();
    let refused = Err(Refused::NoLease { id: 9 });
    assert_eq!(put(&mut store, "a", 9), refused);
    let half = vec![Txn::put("a", "1").with_lease(1), Txn::put("b", "1").with_lease(9)];
    let success = half.into_iter().flat_map(|txn| txn.success).collect();
    let txn = Txn { success, ..Txn::default() };
    assert_eq!(store.execute(&Command::Txn(txn)), refused);
    assert_eq!(lease(&mut store, LeaseCommand::KeepAlive { id: 9 }), refused);
    assert_eq!(lease(&mut store, LeaseCommand::Revoke { id: 9 }), refused);
    let exists = Err(Refused::LeaseExists { id: 1 });
    assert_eq!(lease(&mut store, LeaseCommand::Grant { id: 1, ttl_ms: 9_000 }), exists);
    assert_eq!(store, before);
}

#[test]
fn times_are_bounded_and_numbers_are_found() {
    let mut store = Store::default();
    assert_eq!(grant(&mut store, 0, 1).ttl_ms, LEASE_TTL_MIN_MS);
    let ttl_ms = LEASE_TTL_MAX_MS + 1;
    let refused = lease(&mut store, LeaseCommand::Grant { id: 5, ttl_ms });
    assert_eq!(refused, Err(Refused::LeaseTooLong { ttl_ms }));
    assert_eq!(grant(&mut store, 3, LEASE_TTL_MAX_MS).id, 3);
    let taken: Vec<u64> = store.leases().map(|lease| lease.id).collect();
    // The third renewal would give it the number 3.
    let free = grant(&mut store, 0, 1_000).id;
    assert!(free != 0 && !taken.contains(&free), "{free}");
}

#[test]
fn leases_and_what_they_hold_are_bounded() {
    let mut store = Store::default();
    for id in 1..=LEASES_MAX as u64 {
        grant(&mut store, id, 5_000);
    }
    let more = lease(&mut store, LeaseCommand::Grant { id: 0, ttl_ms: 5_000 });
    assert_eq!(more, Err(Refused::TooManyLeases));
    let page = |after: u64| match store.look(&Query::Leases(after)) {
        Answer::Leases(page) => page,
        other => panic!("{other:?}"),
    };
    assert_eq!(page(0).len(), LEASES_PAGE);
    assert_eq!(page(LEASES_MAX as u64 - 1).len(), 1);
    let long = |nth: usize| format!("{nth}/{}", "k".repeat(ANSWER_BYTES_MAX / 4));
    for nth in 0..3 {
        put(&mut store, &long(nth), 1).unwrap();
    }
    assert_eq!(put(&mut store, &long(3), 1), Err(Refused::LeaseFull { id: 1 }));
    // What it holds already takes no more room, and what goes makes room.
    put(&mut store, &long(2), 1).unwrap();
    run(&mut store, Txn::delete(one(&long(0))));
    put(&mut store, &long(3), 1).unwrap();
}

/// The next of numbers that look drawn (xorshift, by Marsaglia), below a bound.
fn next(state: &mut u64, bound: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % bound
}

#[test]
fn whatever_is_done_leases_hold_exactly_the_keys_that_name_them() {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..50 {
        let mut store = Store::default();
        for _ in 0..200 {
            let (id, key) = (1 + next(&mut state, 4), format!("k{}", next(&mut state, 6)));
            let command = match next(&mut state, 8) {
                0 => Command::Lease(LeaseCommand::Grant { id, ttl_ms: 5_000 }),
                1 => Command::Lease(LeaseCommand::KeepAlive { id }),
                2 => Command::Lease(LeaseCommand::Revoke { id }),
                3 => {
                    let known = store.leases().filter(|lease| lease.id == id);
                    let renewal = known.map(|lease| lease.renewal).next().unwrap_or(0);
                    let behind = next(&mut state, 2);
                    Command::Lease(LeaseCommand::Expire(vec![(id, renewal + behind)]))
                }
                4 => Command::Txn(Txn::delete(one(&key))),
                5 => Command::Txn(Txn::put(&key, "1")),
                _ => Command::Txn(Txn::put(&key, "1").with_lease(id)),
            };
            // What is refused changes nothing.
            let before = store.clone();
            if store.execute(&command).is_err() {
                assert_eq!(store, before);
            }
            for lease in store.leases() {
                let held = held(&store, lease.id);
                let named = store.keys().filter(|there| there.lease == Some(lease.id));
                let named: Vec<String> = named.map(|there| there.key.clone()).collect();
                assert_eq!(held, named);
            }
            let ids: Vec<u64> = store.leases().map(|lease| lease.id).collect();
            let known = |there: &KeyValue| there.lease.is_none_or(|id| ids.contains(&id));
            assert!(store.keys().all(known));
        }
    }
}
