//! The promises of a queue, kept by every backend: a broker in both worlds, and SQLite on real
//! files.

use crate::parity::{Checked, ensure, in_both_worlds, in_the_real_world, text};
use squall_env::Env;
use squall_protocols::queue::{
    Backend, Message, MessageId, QueueClient, QueueConfig, QueueError, Session, SqliteQueue,
    Verdict, contract, serve,
};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a delivery is its consumer's: long beside a sync of a busy disk.
const VISIBILITY: Duration = Duration::from_millis(700);

#[test]
fn a_broker_keeps_the_contract_in_both_worlds() {
    in_both_worlds(1, |env: Env| async move {
        let broker = env.spawn("broker", serve(env.clone()));
        let client = QueueClient::open(&env, env.me(), Duration::from_secs(5)).map_err(text)?;
        let kept = contract(&env, &client, VISIBILITY).await;
        broker.cancel();
        kept
    });
}

#[test]
fn sqlite_keeps_the_contract() {
    in_the_real_world(1, |env: Env| async move {
        let folder = tempfile::tempdir().map_err(text)?;
        let queue = SqliteQueue::open(&env, &folder.path().join("queue.db")).map_err(text)?;
        contract(&env, &queue, VISIBILITY).await
    });
}

fn config() -> QueueConfig {
    QueueConfig { visibility: VISIBILITY, ..QueueConfig::default().retries(1) }
}

async fn publish(queue: &SqliteQueue, number: u128) -> Checked {
    let message = Message::new(MessageId(number), number.to_le_bytes());
    queue.publish("orders", message).await.map(drop).map_err(text)
}

#[test]
fn a_file_that_is_opened_again_has_counted_the_attempts_that_were_under_way() {
    in_the_real_world(1, |env: Env| async move {
        let folder = tempfile::tempdir().map_err(text)?;
        let file = folder.path().join("queue.db");
        let queue = SqliteQueue::open(&env, &file).map_err(text)?;
        queue.declare("orders", config()).await.map_err(text)?;
        publish(&queue, 1).await?;
        let resting = Message::new(MessageId(2), "").delay(VISIBILITY);
        queue.publish("orders", resting).await.map_err(text)?;
        let given = queue.receive(&mut Session::new(&env, "orders", 1)).await.map_err(text)?;
        ensure(given[0].receipt.attempt == 1, "it is not the first attempt")?;
        ensure(SqliteQueue::open(&env, &file).is_err(), "two processes could have the file")?;
        drop(queue);

        let queue = SqliteQueue::open(&env, &file).map_err(text)?;
        let mut session = Session::new(&env, "orders", 9);
        let again = queue.receive(&mut session).await.map_err(text)?;
        ensure(again.len() == 1, "what was in flight is not ready, or what rests is")?;
        ensure(again[0].receipt.attempt == 2, "an attempt was not counted")?;
        drop(queue);

        // That was the last attempt: it stays with whoever has it for one more lease.
        let queue = SqliteQueue::open(&env, &file).map_err(text)?;
        queue.settle("orders", again[0].receipt, Verdict::Ack).await.map_err(text)?;
        let depth = queue.depth("orders").await.map_err(text)?;
        ensure((depth.queued, depth.dead) == (1, 0), "it is not what is left")
    });
}

/// Says to this test's own process that it is the one to be killed, and which file it is to use.
const FILE: &str = "SQUALL_TEST_QUEUE_FILE";

/// Publishes, and says of each message that it is confirmed.
fn publish_until_killed(file: &'static Path) {
    in_the_real_world(1, move |env: Env| async move {
        let queue = SqliteQueue::open(&env, file).map_err(text)?;
        queue.declare("orders", QueueConfig::default()).await.map_err(text)?;
        let first = queue.depth("orders").await.map_err(text)?.queued;
        for number in u128::from(first) + 1..100_000 {
            publish(&queue, number).await?;
            // Whoever reads has gone only if the test has failed.
            let _ = writeln!(std::io::stdout(), "confirmed {number}");
        }
        Err("nobody has killed it".to_owned())
    });
}

/// The numbers of all messages in the file.
async fn numbers(env: &Env, file: &Path) -> Result<BTreeSet<u128>, QueueError> {
    let queue = SqliteQueue::open(env, file)?;
    let mut session = Session::new(env, "orders", 1_000);
    let mut numbers = BTreeSet::new();
    loop {
        let given = queue.receive(&mut session).await?;
        if given.is_empty() {
            return Ok(numbers);
        }
        numbers.extend(given.iter().map(|one| one.receipt.id.0));
    }
}

#[test]
fn a_process_that_is_killed_keeps_what_it_confirmed() {
    if let Some(file) = std::env::var_os(FILE) {
        return publish_until_killed(Box::leak(Path::new(&file).into()));
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file: &'static Path = Box::leak(folder.path().join("queue.db").into_boxed_path());
    let mut confirmed = BTreeSet::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().expect("it runs"))
            .args(["--exact", "--nocapture"])
            .arg("queue_contract::a_process_that_is_killed_keeps_what_it_confirmed")
            .env(FILE, file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let numbers = lines.map_while(Result::ok).filter_map(|line| {
            line.split_once("confirmed ").and_then(|(_, number)| number.parse::<u128>().ok())
        });
        let mut seen = 0;
        for number in numbers {
            confirmed.insert(number);
            seen += 1;
            if seen == 7 * round {
                // SIGKILL. What it has said before that is read to the end.
                child.kill().expect("it runs");
            }
        }
        child.wait().expect("it ends");
        assert!(seen >= 7 * round, "it confirmed only {seen}");
    }
    let confirmed: &'static BTreeSet<u128> = Box::leak(Box::new(confirmed));
    in_the_real_world(1, move |env: Env| async move {
        let there = numbers(&env, file).await.map_err(text)?;
        ensure(confirmed.is_subset(&there), "a confirmed message is lost")?;
        // One of each round may have been durable before anybody could say so.
        ensure(there.len() <= confirmed.len() + 3, "there are more than were published")
    });
}
