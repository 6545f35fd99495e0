use crate::parity::{Checked, ensure, in_the_real_world, text};
use squall_env::sync::stop;
use squall_env::{Env, HasOutcome, Outcome};
use squall_protocols::outbox::{Letter, OutboxConfig, OutboxError, Source, SqliteOutbox, relay};
use squall_protocols::queue::{Backend, QueueConfig, Session, SqliteQueue};
use std::time::Duration;

const CLAIM: Duration = Duration::from_millis(300);

/// Saves an order, with a letter that tells of it.
async fn order(outbox: &SqliteOutbox, number: u8) -> Result<(), OutboxError> {
    outbox
        .change(move |tables| {
            tables.execute("INSERT INTO orders VALUES (?1)", [number])?;
            Ok(((), vec![Letter { key: Some("orders".to_owned()), body: vec![number] }]))
        })
        .await
}

async fn orders(outbox: &SqliteOutbox) -> Result<u32, OutboxError> {
    let count = "SELECT count(*) FROM orders";
    outbox.change(|tables| Ok((tables.query_row(count, [], |row| row.get(0))?, Vec::new()))).await
}

async fn open(env: &Env, folder: &std::path::Path) -> Result<SqliteOutbox, String> {
    let config = OutboxConfig { letters_max: 3, claim: CLAIM };
    let outbox = SqliteOutbox::open(env, &folder.join("shop.db"), config).map_err(text)?;
    let create = "CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY)";
    outbox
        .change(move |tables| tables.execute(create, []).map(|_| ((), vec![])))
        .await
        .map_err(text)?;
    Ok(outbox)
}

#[test]
fn there_is_a_letter_if_and_only_if_there_is_what_it_tells_of() {
    in_the_real_world(1, |env: Env| async move {
        let folder = tempfile::tempdir().map_err(text)?;
        let outbox = open(&env, folder.path()).await?;
        order(&outbox, 1).await.map_err(text)?;
        let twice = order(&outbox, 1).await.expect_err("the number is taken");
        ensure(twice.outcome() == Outcome::NotDone, "a change that failed may have been made")?;
        for number in [2, 3] {
            order(&outbox, number).await.map_err(text)?;
        }
        ensure(order(&outbox, 4).await == Err(OutboxError::Full), "there was room")?;
        drop(outbox);
        let outbox = open(&env, folder.path()).await?;
        ensure(orders(&outbox).await.map_err(text)? == 3, "another number of orders")?;
        let letters = outbox.take(1).await?;
        let said: Vec<u8> = letters.iter().map(|one| one.letter.body[0]).collect();
        ensure(said == [1, 2, 3], "other letters")
    });
}

#[test]
fn the_next_relay_publishes_what_a_dead_one_has_not_marked_and_nothing_comes_twice() {
    in_the_real_world(1, |env: Env| async move {
        let folder = tempfile::tempdir().map_err(text)?;
        let outbox = open(&env, folder.path()).await?;
        let queue = SqliteQueue::open(&env, &folder.path().join("queue.db")).map_err(text)?;
        queue.declare("orders", QueueConfig::default()).await.map_err(text)?;
        for number in 1..=3 {
            order(&outbox, number).await.map_err(text)?;
        }
        // It publishes two letters, and dies before it marks them.
        for letter in &outbox.take(1).await?[..2] {
            queue.publish("orders", letter.message(7)).await.map_err(text)?;
        }
        ensure(outbox.take(2).await?.is_empty(), "a living relay's letters were another's")?;
        let (stopper, stopped) = stop(&env, "relay");
        let own = (env.clone(), outbox.clone(), queue.clone());
        let next = env.spawn("relay", async move {
            relay(&own.0, &own.1, 7, (&own.2, "orders"), stopped).await;
        });
        came(&env, &queue).await?;
        stopper.stop();
        next.await.map_err(text)?;
        env.sleep(CLAIM).await;
        ensure(outbox.take(3).await?.is_empty(), "what was published is not marked")
    });
}

/// All three orders came, each once and in order.
async fn came(env: &Env, queue: &SqliteQueue) -> Checked {
    while queue.depth("orders").await.map_err(text)?.queued < 3 {
        env.sleep(CLAIM / 4).await;
    }
    let mut said = Vec::new();
    let mut session = Session::new(env, "orders", 9);
    loop {
        let given = queue.receive(&mut session).await.map_err(text)?;
        if given.is_empty() {
            return ensure(said == [1, 2, 3], "other orders came");
        }
        for one in given {
            said.push(one.body[0]);
            let ack = squall_protocols::queue::Verdict::Ack;
            queue.settle("orders", one.receipt, ack).await.map_err(text)?;
        }
    }
}
