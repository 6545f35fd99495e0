//! The outbox in SQLite and a queue that its letters go to: of every order that was confirmed there
//! is one message, and of no other, though whoever writes and relays them is killed.

use super::{all_confirmed, confirm, killed, torn};
use crate::parity::{Checked, in_the_real_world, text};
use squall_env::sync::stop;
use squall_env::{Either, Env, race};
use squall_protocols::outbox::{Letter, OutboxConfig, SqliteOutbox, contract, relay};
use squall_protocols::queue::{Backend, QueueConfig, Session, SqliteQueue};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const CLAIM: Duration = Duration::from_millis(200);
const CONFIG: OutboxConfig = OutboxConfig { letters_max: 4_096, claim: CLAIM };
const QUEUE: &str = "orders";

async fn open(env: &Env, file: &Path) -> Result<(SqliteOutbox, SqliteQueue), String> {
    let outbox = SqliteOutbox::open(env, file, CONFIG).map_err(text)?;
    let create = "CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY)";
    let made = outbox.change(move |tables| tables.execute(create, []).map(|_| ((), vec![])));
    made.await.map_err(text)?;
    let queue = SqliteQueue::open(env, &file.with_extension("queue")).map_err(text)?;
    queue.declare(QUEUE, QueueConfig::default()).await.map_err(text)?;
    Ok((outbox, queue))
}

async fn orders(outbox: &SqliteOutbox) -> Result<BTreeSet<u64>, String> {
    let read = outbox.change(|tables| {
        let mut read = tables.prepare("SELECT number FROM orders")?;
        let orders = read.query_map([], |row| row.get::<_, i64>(0))?;
        let orders: Result<BTreeSet<u64>, _> =
            orders.map(|number| number.map(i64::cast_unsigned)).collect();
        Ok((orders?, Vec::new()))
    });
    read.await.map_err(text)
}

/// Takes one order after the other, each with a letter that tells of it; the letter in a
/// transaction of its own, if they are to be `halves`.
async fn order(env: &Env, outbox: &SqliteOutbox, halves: bool) -> Checked {
    let first = orders(outbox).await?.last().map_or(1, |last| last + 1);
    for number in first.. {
        let letter = Letter { key: None, body: number.to_le_bytes().to_vec() };
        let (with, apart) = if halves { (None, Some(letter)) } else { (Some(letter), None) };
        let change = outbox.change(move |tables| {
            tables.execute("INSERT INTO orders VALUES (?1)", [number.cast_signed()])?;
            Ok(((), with.into_iter().collect()))
        });
        change.await.map_err(text)?;
        if let Some(letter) = apart {
            env.sleep(Duration::from_millis(20)).await;
            outbox.change(move |_| Ok(((), vec![letter]))).await.map_err(text)?;
        }
        confirm(number);
    }
    Ok(())
}

async fn order_and_relay(env: Env, file: &Path, halves: bool) -> Checked {
    let (outbox, queue) = open(&env, file).await?;
    let (_stopper, stopped) = stop(&env, "relay");
    let relaying = relay(&env, &outbox, 7, (&queue, QUEUE), stopped);
    match race(relaying, order(&env, &outbox, halves)).await {
        Either::Left(()) => Err("nobody has stopped the relay".to_owned()),
        Either::Right(ordered) => ordered,
    }
}

/// The numbers of all messages in the queue, once the relay has had its time.
async fn messages(
    env: &Env,
    outbox: &SqliteOutbox,
    queue: &SqliteQueue,
) -> Result<Vec<u64>, String> {
    let (_stopper, stopped) = stop(env, "relay");
    let relaying = relay(env, outbox, 7, (queue, QUEUE), stopped);
    let empty = async {
        let count = "SELECT count(*) FROM squall_outbox";
        loop {
            let waiting = outbox.change(|tables| {
                let waiting: i64 = tables.query_row(count, [], |row| row.get(0))?;
                Ok((waiting, Vec::new()))
            });
            if waiting.await.map_err(text)? == 0 {
                return Checked::Ok(());
            }
            env.sleep(Duration::from_millis(20)).await;
        }
    };
    if let Either::Right(emptied) = race(relaying, empty).await {
        emptied?;
    }
    let (mut session, mut numbers) = (Session::new(env, QUEUE, 1_000), Vec::new());
    loop {
        let given = queue.receive(&mut session).await.map_err(text)?;
        if given.is_empty() {
            return Ok(numbers);
        }
        for one in given {
            numbers.push(u64::from_le_bytes(one.body.as_slice().try_into().map_err(text)?));
        }
    }
}

async fn is_whole(
    env: &Env,
    (outbox, queue): (&SqliteOutbox, &SqliteQueue),
    confirmed: &BTreeSet<u64>,
) -> Checked {
    let (orders, messages) = (orders(outbox).await?, messages(env, outbox, queue).await?);
    if !orders.iter().eq(&messages) {
        return Err(format!("there are orders {orders:?} and messages {messages:?}"));
    }
    all_confirmed(&orders, confirmed)
}

#[test]
fn a_killed_outbox_has_told_of_every_order_once_and_passes_its_contract() {
    let test =
        "killed::outbox::a_killed_outbox_has_told_of_every_order_once_and_passes_its_contract";
    let Some(left) = killed(test, |env, file| order_and_relay(env, file, false)) else {
        return;
    };
    let (file, confirmed) = (left.file, left.confirmed);
    in_the_real_world(1, move |env: Env| async move {
        let (outbox, queue) = open(&env, file).await?;
        is_whole(&env, (&outbox, &queue), confirmed).await?;
        env.sleep(CLAIM).await;
        let put = |letter: Letter| async {
            outbox.change(move |_| Ok(((), vec![letter]))).await.map_err(text)
        };
        contract(&env, &outbox, CLAIM, put).await
    });
}

#[test]
fn kills_part_a_letter_from_an_order_that_is_committed_before_it() {
    let test = "killed::outbox::kills_part_a_letter_from_an_order_that_is_committed_before_it";
    let Some(left) = killed(test, |env, file| order_and_relay(env, file, true)) else {
        return;
    };
    let (file, confirmed) = (left.file, left.confirmed);
    in_the_real_world(1, move |env: Env| async move {
        let (outbox, queue) = open(&env, file).await?;
        torn(is_whole(&env, (&outbox, &queue), confirmed).await, "there are orders")
    });
}
