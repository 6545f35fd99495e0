//! Work on a reliable queue, of which some fails and some takes too long.

pub(crate) mod ledger;

use crate::tolerance;
use ledger::{Books, Entry, Ledger};
use squall::{Client, Operation, Scenario};
use squall_env::platform::BindError;
use squall_env::sync::stop_with_node;
use squall_env::{Env, HasOutcome, NodeId, Outcome, View};
use squall_protocols::queue::{
    Backend, Backoff, Broker, ConsumerConfig, Delivery, Event, Failure, Message, MessageId,
    QueueClient, QueueConfig, QueueError, Review, Told, Verdict, Watched, consume, invariants,
    review, serve,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const CONFIRMED: &str = "what is confirmed is queued, dead or done";
const RECEIPTS: &str = "a receipt stands for one delivery";
const LATEST: &str = "an earlier receipt settles nothing";
const ATTEMPTS: &str = "no message is delivered more often than the limit";
const ACKED: &str = "what is acked is never delivered again";
const ONE_PLACE: &str = "a message is in one place";
const ORDER: &str = "messages of one key come in order";
const PREFETCH: &str = "no consumer has more in its hands than it has room for";
const DEAD_STAY: &str = "dead letters stay until they are redriven or discarded";
const ONCE: &str = "a message takes effect once";
const EFFECT: &str = "what is acked has taken effect";

/// The queue.
const QUEUE: &str = "orders";

/// How many messages each producer publishes while there are faults.
const OPERATIONS: u64 = 8;

/// How long an operation on the queue is tried.
const OPERATION_MAX: Duration = Duration::from_millis(1_500);

/// So often a message is delivered: once, and three times again.
const LIMIT: u32 = 4;

/// How many keys there are.
const KEYS: u64 = 2;

fn config() -> QueueConfig {
    // Longer than it takes to ask and be answered where links are slow.
    let visibility = Duration::from_millis(800);
    QueueConfig { visibility, messages_max: 10, remembers: 64, ..QueueConfig::default() }
        .retries(LIMIT - 1)
}

/// What is wrong with a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing.
    Good,
    /// It fails now and then.
    Flaky,
    /// It takes longer than a lease.
    Slow,
    /// It always fails.
    Poison,
    /// It cannot even be read.
    Malformed,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Good,
        Kind::Good,
        Kind::Good,
        Kind::Flaky,
        Kind::Flaky,
        Kind::Slow,
        Kind::Poison,
        Kind::Malformed,
    ];

    fn of(body: &[u8]) -> Option<Kind> {
        Kind::ALL.get(usize::from(*body.first()?)).copied()
    }

    fn succeeds(self) -> bool {
        matches!(self, Kind::Good | Kind::Flaky | Kind::Slow)
    }
}

/// One or two producers and one or two workers on one broker, with a ledger in which every message
/// is to be booked once. Everybody may crash and stand still at any time, the broker and the ledger
/// may lose what they had not synced, and their disks may fail.
pub fn work() -> Scenario {
    Scenario::new("queue/work")
        .nodes("broker", 1..=1, serve)
        .nodes("ledger", 1..=1, ledger::serve)
        .nodes("worker", 1..=2, worker)
        .clients("producer", 1..=2, producer)
        .tolerates(tolerance::of_durable(&["broker", "ledger", "worker", "producer"]))
        .always(DEAD_STAY, || invariants::dead_letters_stay(QUEUE))
        .always(CONFIRMED, || invariants::confirmed_is_kept(QUEUE))
        .always(ORDER, || invariants::order_is_kept_per_key(QUEUE))
        .always(ONE_PLACE, || invariants::a_message_is_in_one_place(QUEUE))
        .always(ACKED, invariants::acked_is_never_delivered_again)
        .always(RECEIPTS, invariants::a_receipt_stands_for_one_delivery)
        .always(LATEST, invariants::an_earlier_receipt_settles_nothing)
        .always(ATTEMPTS, || invariants::attempts_are_limited(LIMIT as usize))
        .always(PREFETCH, || invariants::prefetch_is_kept(QUEUE))
        .always(ONCE, || ledger::books_once)
        .always(EFFECT, acked_has_taken_effect)
        .inspect("holds", holds)
        .sometimes("a message was published again")
        .sometimes("a queue was full")
        .sometimes("a consumer was given the same messages again")
        .sometimes("an earlier receipt was refused")
        .sometimes("a message was settled after its lease")
        .sometimes("a message died")
        .sometimes("a dead letter was redriven")
        .sometimes("a consumer lost a lease while it worked")
        .sometimes("an inbox knew a message")
        // Links that are slow stay so when the faults are over, and each waits for the other.
        .finishes_within(Duration::from_secs(120))
}

/// Whoever acknowledges a message has seen it booked.
fn acked_has_taken_effect() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut heard: BTreeMap<(NodeId, u64), usize> = BTreeMap::new();
    let mut acked = BTreeSet::new();
    move |view| {
        for told in view.changed::<Told>() {
            let heard = heard.entry((told.node, told.number)).or_default();
            for event in told.events.iter().skip(*heard) {
                if let Event::Settled(receipt, Verdict::Ack) = event {
                    acked.insert(receipt.id);
                }
            }
            *heard = told.events.len();
        }
        let Some(ledger) = view.up::<Ledger>().next() else { return Ok(()) };
        match acked.iter().find(|id| ledger.times(id.0) == 0) {
            None => Ok(()),
            Some(id) => Err(format!("{id} was acked and is not booked")),
        }
    }
}

/// What the queue holds, for readers of a trace.
fn holds(view: &View<'_>) -> Vec<(NodeId, String)> {
    let words = |broker: &Broker| {
        let depth = broker.queue(QUEUE).map(|queue| queue.depth()).unwrap_or_default();
        format!("{} to deliver, {} in flight, {} dead", depth.queued, depth.in_flight, depth.dead)
    };
    view.up::<Broker>().map(|broker| (broker.node, words(&broker))).collect()
}

fn open(env: &Env) -> Result<Watched<QueueClient>, BindError> {
    let broker = env.peers("broker")[0];
    Ok(Watched::new(env, QUEUE, QueueClient::open(env, broker, OPERATION_MAX)?))
}

/// Consumes until it is asked to stop, and then finishes what it has begun.
async fn worker(env: Env) -> Result<(), QueueError> {
    let queue = open(&env)?;
    let books = Arc::new(Books::open(&env)?);
    env.ready();
    let stopped = stop_with_node(&env);
    let consumer = ConsumerConfig {
        prefetch: 1 + env.random_below(3) as u16,
        idle: Duration::from_millis(30),
        backoff: Backoff::new(Duration::from_millis(30), Duration::from_millis(300)),
        ..ConsumerConfig::new(QUEUE, config().visibility)
    };
    let own = env.clone();
    let handler = move |delivery| handle(own.clone(), Arc::clone(&books), delivery);
    consume(&env, &queue, consumer, stopped, handler).await
}

async fn handle(env: Env, books: Arc<Books>, delivery: Delivery) -> Result<(), Failure> {
    let kind =
        Kind::of(&delivery.body).ok_or_else(|| Failure::Malformed("it is empty".to_owned()))?;
    env.sleep(Duration::from_micros(env.random_below(20_000))).await;
    match kind {
        Kind::Malformed => return Err(Failure::Malformed("it is no number".to_owned())),
        Kind::Poison => return Err(Failure::Retry("it is declined".to_owned())),
        Kind::Flaky if env.random_below(3) == 0 => {
            return Err(Failure::Retry("it failed this time".to_owned()));
        }
        Kind::Slow => env.sleep(config().visibility * 2).await,
        Kind::Flaky | Kind::Good => {}
    }
    let booked =
        books.ask(Entry::Book(delivery.receipt.id, delivery.receipt.id.0), OPERATION_MAX).await;
    booked.map(drop).map_err(|error| Failure::Retry(error.to_string()))
}

/// Publishes while there are faults, and then waits until everything that it published is booked,
/// or is dead and never will be.
async fn producer(client: Client) -> Result<(), QueueError> {
    let env = client.env().clone();
    let queue = open(&env)?;
    let books = Books::open(&env)?;
    let mut published = BTreeMap::new();
    while queue.declare(QUEUE, config()).await.is_err() {}
    while let Some(operation) = client.next_operation(OPERATIONS) {
        let pause_max = if operation.draw(0, 5) == 0 { 1_000_000 } else { 20_000 };
        env.sleep(Duration::from_micros(operation.draw(2, pause_max))).await;
        let (kind, message) = draw(&env, operation);
        published.insert(message.id, (kind, message.clone()));
        // What is not confirmed is published again: at once, or in the end.
        for _ in 0..2 {
            match queue.publish(QUEUE, message.clone()).await {
                Err(error) if error.outcome() == Outcome::Indeterminate => {}
                _ => break,
            }
        }
        if operation.draw(5, 4) == 0 {
            look_through(&env, &queue, &BTreeMap::new()).await;
        }
    }
    client.after_heal().await;
    while let Some((id, message)) = published.iter().next().map(|(id, one)| (*id, one.1.clone())) {
        // It may be full, perhaps of what is dead.
        let confirmed = queue.publish(QUEUE, message).await.is_ok();
        for seen in look_through(&env, &queue, &published).await {
            published.remove(&seen);
        }
        let booked = books.ask(Entry::Count(id.0), OPERATION_MAX).await.unwrap_or_default();
        if confirmed && booked > 0 {
            published.remove(&id);
        } else {
            env.sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

fn draw(env: &Env, operation: Operation) -> (Kind, Message) {
    let which = operation.draw(1, Kind::ALL.len() as u64);
    let id = u128::from(env.me().ordinal()) << 64 | u128::from(operation.number());
    let mut message = Message::new(MessageId(id), vec![which as u8, 1, 2, 3]);
    if operation.draw(3, 3) > 0 {
        message = message.key(&operation.draw(4, KEYS).to_string());
    }
    if operation.draw(6, 4) == 0 {
        message = message.delay(Duration::from_millis(operation.draw(7, 300)));
    }
    (Kind::ALL[which as usize], message)
}

/// Looks through the dead letters: one that may succeed is tried again, one that never will goes
/// once its producer knows. Those are given back.
async fn look_through<B: Backend>(
    env: &Env,
    queue: &B,
    own: &BTreeMap<MessageId, (Kind, Message)>,
) -> BTreeSet<MessageId> {
    let mut seen = BTreeSet::new();
    let looked = review(queue, QUEUE, |letter| match Kind::of(&letter.body) {
        Some(kind) if kind.succeeds() => Review::Redrive,
        _ if own.contains_key(&letter.receipt.id) => {
            seen.insert(letter.receipt.id);
            Review::Discard
        }
        _ if env.random_below(4) == 0 => Review::Redrive,
        _ => Review::Keep,
    });
    // What was not looked at is looked at the next time.
    let _ = looked.await;
    seen
}

/// One line gone wrong, each in its own way, under the plans of the good code.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |switch: &'static str, breaks| {
        work().mutant(&format!("mutant/{}", switch.replace('/', "-")), switch, breaks)
    };
    vec![
        mutant("queue/confirms-before-durable", CONFIRMED),
        mutant("queue/acks-what-it-cannot-bury", CONFIRMED),
        mutant("queue/settles-by-id-alone", LATEST),
        mutant("queue/redrives-under-old-receipts", RECEIPTS),
        mutant("queue/says-acked-when-redelivery-won", ACKED),
        mutant("queue/forgets-ids-at-restart", ACKED),
        mutant("queue/forgives-attempts-at-restart", ATTEMPTS),
        mutant("queue/redrives-a-copy", ONE_PLACE),
        mutant("queue/delivers-what-it-buries", ONE_PLACE),
        mutant("queue/retries-at-the-tail", ORDER),
        mutant("queue/prefetch-forgets-what-is-in-flight", PREFETCH),
        mutant("queue/lists-and-discards", DEAD_STAY),
        mutant("queue/acks-before-the-work", EFFECT),
        mutant("queue/books-without-an-inbox", ONCE),
        mutant("queue/keeps-its-inbox-in-memory", ONCE),
    ]
}
