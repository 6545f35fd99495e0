//! What queues and buses of earlier versions wrote, byte for byte: it still opens, and when
//! something failed first or was posted, which they did not write down, is not made up.

use crate::parity::{ensure, in_the_real_world, text};
use crate::raft_journal::Disk;
use squall_env::Machine;
use squall_env::journal::{Files, Identity, recover};
use squall_env::machine::alone;
use squall_protocols::bus::{Bus, BusConfig};
use squall_protocols::queue::{
    Ask, Backend, Broker, DeadLetter, DeadReason, InMemory, Message, MessageId, QueueError,
    Request, Session, SqliteQueue, Tell, Verdict,
};
use std::path::Path;

/// Messages that failed, died, were redriven and discarded: in a snapshot, and behind it again.
const BROKER: Disk = Disk(&[
    ("broker.00000002.log", include_bytes!("journals/queue/broker.00000002.log")),
    ("broker.snapshot", include_bytes!("journals/queue/broker.snapshot")),
]);

/// Posts that are done, parked and tried again: in a snapshot, and behind it again.
const BUS: Disk = Disk(&[
    ("bus.00000002.log", include_bytes!("journals/bus/bus.00000002.log")),
    ("bus.snapshot", include_bytes!("journals/bus/bus.snapshot")),
]);

/// The tables of a queue with two dead letters, and a message in its last attempt.
const TABLES: &str = include_str!("journals/queue/first.sql");

fn open<M: Machine>(disk: &Disk, journal: &str, config: &M::Config) -> M {
    let files = Files::of(disk, journal);
    let (cluster, node) = ("squall".to_owned(), "node-1".to_owned());
    let recovered = recover(&Identity { cluster, node, journal: journal.to_owned() }, &files);
    let recovered = recovered.unwrap();
    assert_eq!((recovered.damage, recovered.torn), (None, 0));
    let snapshot = recovered.snapshot.map(|(_, bytes)| bytes);
    assert!(snapshot.is_some(), "there is a snapshot before the records");
    alone::recover(config, snapshot, recovered.records.into_iter()).unwrap()
}

fn dead_letters(broker: &mut Broker) -> Vec<DeadLetter> {
    let request = Request { queue: "orders".to_owned(), ask: Ask::DeadLetters { behind: None } };
    match broker.handle(request, &mut InMemory::default()) {
        Tell::DeadLetters(letters) => letters,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_journal_of_a_broker_of_the_first_format_still_opens() {
    let mut broker: Broker = open(&BROKER, "broker", &());
    let letters = dead_letters(&mut broker);
    let said: Vec<_> = letters.iter().map(|one| (one.receipt.id.0, one.reason.clone())).collect();
    let limit = |why: &str| DeadReason::DeliveryLimit(why.to_owned());
    let rejected = DeadReason::Rejected("no such customer".to_owned());
    let wanted = [
        (1, limit("declined again")),
        (3, limit("once")),
        (11, limit("declined again")),
        (12, rejected),
    ];
    assert_eq!(said, wanted);
    // Of the last one a record says when it died, which was its first attempt.
    let first: Vec<_> = letters.iter().map(|one| one.first_failed).collect();
    assert_eq!(first, [None, None, None, Some(letters[3].died)]);
    let attempts: Vec<u32> = letters.iter().map(|one| one.receipt.attempt).collect();
    assert_eq!(attempts, [2, 3, 2, 1]);
    let queued: Vec<u128> =
        broker.queue("orders").unwrap().queued().map(|receipt| receipt.id.0).collect();
    assert_eq!(queued, [13]);
    // What is known now is in the next snapshot.
    let bytes = alone::snapshot(&broker);
    let mut again: Broker = alone::recover(&(), Some(&bytes), std::iter::empty()).unwrap();
    assert_eq!(dead_letters(&mut again), letters);
}

#[test]
fn a_journal_of_a_bus_of_the_first_format_still_opens() {
    let config = BusConfig { remembers: 4, attempts_max: 1, ..BusConfig::default() };
    let bus: Bus = open(&BUS, "bus", &config);
    let state = bus.state();
    let all = state.subscription("all").unwrap();
    let parked: Vec<_> = all.parked().map(|one| (one.position, one.why, one.posted)).collect();
    let wanted = [(1, "declined 0".to_owned(), None), (3, "declined 1".to_owned(), None)];
    assert_eq!(parked, wanted);
    assert_eq!((all.next(), all.replays().collect::<Vec<_>>()), (5, vec![0]));
    let paid = state.subscription("paid").unwrap();
    assert_eq!((paid.next(), paid.parked().count()), (1, 0));
    let bodies: Vec<u8> = state.posts().map(|(_, post)| post.body[0]).collect();
    assert_eq!(bodies, [2, 3, 4, 11, 12, 13, 14]);
    let bytes = alone::snapshot(&bus);
    let again: Bus = alone::recover(&config, Some(&bytes), std::iter::empty()).unwrap();
    assert_eq!(again.state(), state);
}

fn written(file: &Path, sql: &str) -> Result<(), String> {
    rusqlite::Connection::open(file).and_then(|file| file.execute_batch(sql)).map_err(text)
}

#[test]
fn a_queue_in_sqlite_of_the_first_format_still_opens() {
    in_the_real_world(1, |env| async move {
        let folder = tempfile::tempdir().map_err(text)?;
        let file = folder.path().join("queue.db");
        written(&file, TABLES)?;
        for has_been_opened in [false, true] {
            let queue = SqliteQueue::open(&env, &file).map_err(text)?;
            let letters = queue.dead_letters("orders", None).await.map_err(text)?;
            let first: Vec<_> = letters.iter().map(|one| one.first_failed).collect();
            if has_been_opened {
                return ensure(first == [None, None, Some(letters[2].died)], "it is forgotten");
            }
            ensure(first == [None, None], "a first failure is made up")?;
            let limit = DeadReason::DeliveryLimit("declined again".to_owned());
            ensure(letters[0].reason == limit, "a reason is lost")?;
            let depth = queue.depth("orders").await.map_err(text)?;
            ensure((depth.queued, depth.in_flight) == (1, 1), "the last attempt is lost")?;
            let message = Message::new(MessageId(5), "");
            queue.publish("orders", message).await.map_err(text)?;
            let given = queue.receive(&mut Session::new(&env, "orders", 1)).await.map_err(text)?;
            let malformed = Verdict::Malformed { why: "it is empty".to_owned() };
            queue.settle("orders", given[0].receipt, malformed).await.map_err(text)?;
        }
        Ok(())
    });
}

#[test]
fn a_queue_in_sqlite_of_a_later_format_is_refused_and_left_alone() {
    in_the_real_world(1, |env| async move {
        let folder = tempfile::tempdir().map_err(text)?;
        let file = folder.path().join("queue.db");
        drop(SqliteQueue::open(&env, &file).map_err(text)?);
        written(&file, "PRAGMA user_version = 9")?;
        for _ in 0..2 {
            match SqliteQueue::open(&env, &file) {
                Err(QueueError::Store(why)) if why.contains("the format 9") => {}
                Err(other) => return Err(format!("{other} and no word of the format")),
                Ok(_) => return Err("it was opened".to_owned()),
            }
        }
        Ok(())
    });
}
