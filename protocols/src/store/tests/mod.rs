//! What etcd's documents and tests say of transactions, revisions and histories.

mod leases;

use super::*;

fn run(store: &mut Store, txn: Txn) -> TxnDone {
    match store.execute(&Command::Txn(txn)).expect("it is allowed") {
        Output::Txn(done) => done,
        other => panic!("{other:?}"),
    }
}

fn put(store: &mut Store, key: &str, value: &str) -> TxnDone {
    run(store, Txn::put(key, value))
}

fn found(store: &Store, keys: Keys) -> Vec<(String, Vec<u8>)> {
    let query = Query::Get { keys, after: None };
    let Answer::Found { found, .. } = store.look(&query) else { panic!("it was asked") };
    found.into_iter().map(|there| (there.key, there.value)).collect()
}

fn one(key: &str) -> Keys {
    Keys::One(key.to_owned())
}

fn prefix(text: &str) -> Keys {
    Keys::Prefix(text.to_owned())
}

fn events(store: &Store, keys: Keys, from: u64, most: usize) -> Result<(Vec<u64>, u64), Refused> {
    match store.look(&Query::Events { keys, from, most }) {
        Answer::Events { events, next } => {
            Ok((events.iter().map(|event| event.revision).collect(), next))
        }
        Answer::Refused(refused) => Err(refused),
        other => panic!("events were asked for: {other:?}"),
    }
}

#[test]
fn a_key_knows_when_it_was_created_and_put_and_starts_anew_after_a_deletion() {
    let mut store = Store::default();
    for value in ["1", "2", "3"] {
        put(&mut store, "a", value);
    }
    let query = Query::Get { keys: one("a"), after: None };
    let versions = |store: &Store| match store.look(&query) {
        Answer::Found { revision, found, more: false } => {
            let there = found.first().expect("it is there");
            (revision, there.create_revision, there.mod_revision, there.version)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(versions(&store), (3, 1, 3, 3));
    assert_eq!(run(&mut store, Txn::delete(one("a"))).results, [Done::Deleted(1)]);
    put(&mut store, "a", "4");
    assert_eq!(versions(&store), (5, 5, 5, 1));
}

#[test]
fn what_changes_nothing_makes_no_revision() {
    let mut store = Store::default();
    put(&mut store, "a", "1");
    let before = store.clone();
    assert_eq!(run(&mut store, Txn::delete(one("b"))).revision, 1);
    let get = Txn { success: vec![Op::Get(prefix(""))], ..Txn::default() };
    assert_eq!(run(&mut store, get).revision, 1);
    assert!(!run(&mut store, Txn::compare_and_set("a", 7, "2")).succeeded);
    assert_eq!(store, before);
}

#[test]
fn compare_and_set_needs_the_revision_that_is_there_and_zero_for_none() {
    let mut store = Store::default();
    assert!(run(&mut store, Txn::compare_and_set("a", 0, "1")).succeeded);
    let refused = run(&mut store, Txn::compare_and_set("a", 0, "2"));
    assert!(!refused.succeeded);
    let Done::Found(there) = &refused.results[0] else { panic!("{refused:?}") };
    assert!(run(&mut store, Txn::compare_and_set("a", there[0].mod_revision, "2")).succeeded);
    assert_eq!(found(&store, one("a")), [("a".to_owned(), b"2".to_vec())]);
}

#[test]
fn comparisons_are_those_of_etcd() {
    let mut store = Store::default();
    put(&mut store, "a", "5");
    put(&mut store, "a", "7");
    let holds = |key: &str, order, test| {
        let compare = vec![Compare { key: key.to_owned(), order, test }];
        run(&mut store.clone(), Txn { compare, ..Txn::default() }).succeeded
    };
    let value = |text: &str| Test::Value(text.as_bytes().to_vec());
    assert!(holds("a", Order::Equal, Test::CreateRevision(1)));
    assert!(holds("a", Order::Greater, Test::ModRevision(1)));
    assert!(holds("a", Order::Less, Test::Version(3)));
    assert!(holds("a", Order::NotEqual, value("5")));
    assert!(!holds("a", Order::Less, value("7")));
    // What is not there has version 0, and a value that compares with nothing.
    assert!(holds("b", Order::Equal, Test::Version(0)));
    for order in [Order::Equal, Order::NotEqual, Order::Less, Order::Greater] {
        assert!(!holds("b", order, value("")), "{order:?}");
    }
}

#[test]
fn a_transaction_is_one_revision_and_its_operations_see_those_before_them() {
    let mut store = Store::default();
    put(&mut store, "x/old", "1");
    let put = |key: &str| Op::Put { key: key.to_owned(), value: b"2".to_vec(), lease: None };
    let success = vec![Op::Delete(prefix("x/")), put("y/a"), put("y/b"), Op::Get(prefix(""))];
    let done = run(&mut store, Txn { success, ..Txn::default() });
    assert_eq!(done.revision, 2);
    let Some(Done::Found(seen)) = done.results.last() else { panic!("{done:?}") };
    assert_eq!(seen.iter().map(|there| &*there.key).collect::<Vec<_>>(), ["y/a", "y/b"]);
    assert_eq!(events(&store, prefix(""), 2, 9), Ok((vec![2, 2, 2], 3)));
}

#[test]
fn a_key_is_changed_at_most_once_at_a_revision() {
    let put = |key: &str| Op::Put { key: key.to_owned(), value: Vec::new(), lease: None };
    let twice = |ops: Vec<Op>| Txn { failure: ops, ..Txn::default() }.check();
    let refused = Err(Refused::ChangedTwice { key: "a".to_owned() });
    assert_eq!(twice(vec![put("a"), put("b"), put("a")]), refused);
    assert_eq!(twice(vec![put("a"), Op::Delete(prefix(""))]), refused);
    assert_eq!(twice(vec![Op::Delete(one("a")), put("a")]), refused);
    assert_eq!(twice(vec![Op::Delete(one("a")), put("b"), Op::Get(one("b"))]), Ok(()));
}

#[test]
fn what_is_too_large_is_refused_and_changes_nothing() {
    let mut store = Store::default();
    let long = Txn { success: vec![Op::Get(one("a")); OPERATIONS_MAX + 1], ..Txn::default() };
    let operations = OPERATIONS_MAX + 1;
    let refused = store.execute(&Command::Txn(long));
    assert_eq!(refused, Err(Refused::TooManyOperations { operations }));
    let large = Txn::put("a", vec![0; TXN_BYTES_MAX]);
    let refused = store.execute(&Command::Txn(large));
    assert_eq!(refused, Err(Refused::TooLarge { bytes: TXN_BYTES_MAX + 1 }));
    assert_eq!(store, Store::default());
    assert!(store.execute(&Command::Txn(Txn::put("a", vec![0; TXN_BYTES_MAX - 1]))).is_ok());
}

#[test]
fn events_are_told_once_each_in_order_and_by_whole_revisions() {
    let mut store = Store::default();
    let puts = |keys: &[&str]| {
        let put = |key: &&str| Op::Put { key: (*key).to_owned(), value: Vec::new(), lease: None };
        Txn { success: keys.iter().map(put).collect(), ..Txn::default() }
    };
    for keys in [&["a/1", "b/1"][..], &["a/2", "a/3"], &["b/2"], &["a/1"]] {
        run(&mut store, puts(keys));
    }
    assert_eq!(events(&store, prefix("a/"), 0, 99), Ok((vec![1, 2, 2, 4], 5)));
    // Two of three would cut the second revision.
    assert_eq!(events(&store, prefix("a/"), 1, 2), Ok((vec![1, 2, 2], 3)));
    assert_eq!(events(&store, prefix("a/"), 3, 2), Ok((vec![4], 5)));
    assert_eq!(events(&store, prefix("a/"), 5, 2), Ok((vec![], 5)));
    let future = Refused::Future { asked: 6, revision: 4 };
    assert_eq!(events(&store, prefix("a/"), 6, 2), Err(future));
}

#[test]
fn what_is_compacted_is_said_to_be_and_the_values_stay() {
    let mut store = Store::default();
    for value in ["1", "2", "3", "4"] {
        put(&mut store, "a", value);
    }
    assert!(store.execute(&Command::Compact(2)).is_ok());
    assert_eq!(events(&store, one("a"), 2, 9), Err(Refused::Compacted { compacted: 2 }));
    assert_eq!(events(&store, one("a"), 3, 9), Ok((vec![3, 4], 5)));
    let again = store.execute(&Command::Compact(2));
    assert_eq!(again, Err(Refused::Compacted { compacted: 2 }));
    let future = store.execute(&Command::Compact(5));
    assert_eq!(future, Err(Refused::Future { asked: 5, revision: 4 }));
    assert_eq!(found(&store, prefix("")), [("a".to_owned(), b"4".to_vec())]);
}

#[test]
fn the_history_is_bounded_by_whole_revisions() {
    let mut store = Store::default();
    for _ in 0..EVENTS_MAX + 3 {
        put(&mut store, "a", "");
    }
    assert_eq!((store.events().count(), store.compacted()), (EVENTS_MAX, 3));
    assert_eq!(events(&store, one("a"), 3, 1), Err(Refused::Compacted { compacted: 3 }));
    assert_eq!(events(&store, one("a"), 4, 1), Ok((vec![4], 5)));
}

#[test]
fn what_does_not_fit_into_an_answer_comes_in_parts() {
    let mut store = Store::default();
    let large = vec![0; ANSWER_BYTES_MAX / 3];
    for key in ["a", "b", "c", "d", "e"] {
        run(&mut store, Txn::put(key, large.clone()));
    }
    let mut parts: Vec<Vec<String>> = Vec::new();
    let mut after = None;
    loop {
        let query = Query::Get { keys: prefix(""), after };
        let Answer::Found { found, more, .. } = store.look(&query) else { panic!("it was asked") };
        after = found.last().map(|last| last.key.clone());
        parts.push(found.into_iter().map(|there| there.key).collect());
        if !more {
            break;
        }
    }
    assert_eq!(parts, [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
    assert_eq!(events(&store, prefix(""), 1, 99), Ok((vec![1, 2], 3)));
    assert_eq!(events(&store, prefix(""), 3, 99), Ok((vec![3, 4], 5)));
    assert_eq!(events(&store, prefix(""), 5, 99), Ok((vec![5], 6)));
}
