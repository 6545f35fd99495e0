//! The promises of a queue, kept by every backend: a broker in both worlds, and SQLite on real
//! files.

use crate::killed::{all_confirmed, confirm, killed};
use crate::parity::{Checked, ensure, in_both_worlds, in_the_real_world, text};
use squall_env::sync::stop;
use squall_env::{Either, Env, race};
use squall_protocols::queue::{
    Backend, Backoff, ConsumerConfig, DeadReason, Delivery, Failure, Jitter, Message, MessageId,
    QueueClient, QueueConfig, QueueError, Session, SqliteQueue, Verdict, consume, contract, serve,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
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

/// What a handler has seen, and when.
type Seen<T> = Arc<Mutex<Vec<T>>>;

fn note<T>(seen: &Seen<T>, what: T) -> usize {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.push(what);
    seen.len()
}

/// A broker, and a consumer of one of its queues until that is empty.
async fn consumed<H, F>(env: &Env, backoff: Backoff, bodies: &[&[u8]], handler: H) -> Checked
where
    H: Fn(Delivery) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let queue = QueueClient::open(env, env.me(), Duration::from_secs(5)).map_err(text)?;
    queue.declare("orders", QueueConfig::default()).await.map_err(text)?;
    for (number, body) in (1..).zip(bodies) {
        let message = Message::new(MessageId(number), *body);
        queue.publish("orders", message).await.map_err(text)?;
    }
    let config = ConsumerConfig { backoff, ..ConsumerConfig::new("orders", VISIBILITY * 10) };
    let (_stopper, stopped) = stop(env, "consumer");
    let until_empty = async {
        while queue.depth("orders").await.map_err(text)?.queued > 0 {
            env.sleep(Duration::from_millis(20)).await;
        }
        Checked::Ok(())
    };
    match race(consume(env, &queue, config, stopped, handler), until_empty).await {
        Either::Left(ended) => Err(format!("the consumer has ended: {ended:?}")),
        Either::Right(emptied) => emptied,
    }
}

#[test]
fn what_a_consumer_cannot_read_is_dead_at_once_and_holds_up_nothing() {
    in_both_worlds(1, |env: Env| async move {
        let broker = env.spawn("broker", serve(env.clone()));
        let seen = Seen::default();
        let heard = Arc::clone(&seen);
        let handler = move |delivery: Delivery| {
            let heard = Arc::clone(&heard);
            async move {
                let number: u64 = delivery.read()?;
                note(&heard, number);
                Ok(())
            }
        };
        // A number that does not end, and two that do.
        consumed(&env, Backoff::default(), &[&[7], &[0xff; 3], &[8]], handler).await?;
        let mut read = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        read.sort_unstable();
        ensure(read == [7, 8], "what can be read was not done")?;
        let queue = QueueClient::open(&env, env.me(), Duration::from_secs(5)).map_err(text)?;
        let dead = queue.dead_letters("orders", None).await.map_err(text)?;
        broker.cancel();
        let [letter] = &dead[..] else { return Err(format!("there is {dead:?}")) };
        let is_malformed = matches!(&letter.reason, DeadReason::Malformed(why) if !why.is_empty());
        ensure(is_malformed && letter.receipt.attempt == 1, "it was tried again")
    });
}

#[test]
fn a_message_that_failed_rests_as_long_as_its_consumer_says() {
    in_both_worlds(1, |env: Env| async move {
        let broker = env.spawn("broker", serve(env.clone()));
        let seen = Seen::default();
        let (own, heard) = (env.clone(), Arc::clone(&seen));
        let handler = move |_: Delivery| {
            let times = note(&heard, own.now());
            let fails = Err(Failure::Retry("declined".to_owned()));
            async move { if times < 4 { fails } else { Ok(()) } }
        };
        let first = Duration::from_millis(120);
        let backoff = Backoff { first, most: first * 2, jitter: Jitter::None };
        consumed(&env, backoff, &[b""], handler).await?;
        broker.cancel();
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let rests: Vec<Duration> = seen.windows(2).map(|two| two[1] - two[0]).collect();
        let wanted = [first, first * 2, first * 2];
        let rested = rests.iter().zip(wanted).all(|(rest, wanted)| *rest >= wanted);
        ensure(rests.len() == 3 && rested, &format!("it rested for {rests:?}"))?;
        for jitter in [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
            let waits: Vec<Duration> =
                (1..=70).map(|tries| Backoff { jitter, ..backoff }.after(tries, &env)).collect();
            let least = match jitter {
                Jitter::Full => Duration::ZERO,
                Jitter::Equal => first / 2,
                Jitter::None | Jitter::Decorrelated => first,
            };
            let fit = waits.iter().all(|wait| (least..=first * 2).contains(wait));
            ensure(fit, &format!("{jitter:?} gives {waits:?}"))?;
        }
        Ok(())
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

/// Publishes, and says of each message that it is confirmed.
async fn publish_until_killed(env: Env, file: &Path) -> Checked {
    let queue = SqliteQueue::open(&env, file).map_err(text)?;
    queue.declare("orders", QueueConfig::default()).await.map_err(text)?;
    let first = u64::from(queue.depth("orders").await.map_err(text)?.queued) + 1;
    for number in first.. {
        publish(&queue, u128::from(number)).await?;
        confirm(number);
    }
    Ok(())
}

/// The numbers of all messages in the file.
async fn numbers(env: &Env, file: &Path) -> Result<BTreeSet<u64>, QueueError> {
    let queue = SqliteQueue::open(env, file)?;
    let mut session = Session::new(env, "orders", 1_000);
    let mut numbers = BTreeSet::new();
    loop {
        let given = queue.receive(&mut session).await?;
        if given.is_empty() {
            return Ok(numbers);
        }
        numbers.extend(given.iter().map(|one| one.receipt.id.0 as u64));
    }
}

#[test]
fn a_process_that_is_killed_keeps_what_it_confirmed() {
    let test = "queue_contract::a_process_that_is_killed_keeps_what_it_confirmed";
    let Some(left) = killed(test, publish_until_killed) else {
        return;
    };
    let (file, confirmed) = (left.file, left.confirmed);
    in_the_real_world(1, move |env: Env| async move {
        let there = numbers(&env, file).await.map_err(text)?;
        all_confirmed(&there, confirmed)
    });
}
