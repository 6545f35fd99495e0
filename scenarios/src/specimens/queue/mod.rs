//! The consumer of many a tutorial on queues: it acknowledges a message that failed and publishes
//! it anew with a counter in it, sleeps in its callback before it does, knows no message again, and
//! has its dead letters looked at by somebody who says no to those that are to stay. What it cannot
//! read ends it, whatever fails counts as the message's failure, and whoever publishes does not
//! look whether that went well.

mod properties;
mod tutorial;

use crate::queue::ledger::{self, Books, Entry};
use properties::{AWAKE, BURIED, KEPT, LIVES, ONCE, Unreadable};
use squall::{Client, FINISHES, Fault, Most, Scenario, Tolerance};
use squall_env::{Env, Shown};
use squall_protocols::queue::{Backend, Message, MessageId, QueueClient, QueueConfig, serve};
use std::time::Duration;
use tutorial::{Order, Processor, Progress, Rules};

const QUEUE: &str = "orders";
const DEAD_LETTERS: &str = "orders-dead";

/// How many workers there are.
const WORKERS: u16 = 2;

/// How many orders there are.
const ORDERS: u64 = 6;

/// How long an operation is tried.
const OPERATION_MAX: Duration = Duration::from_secs(2);

/// How long an operation is tried of which nobody waits for the answer: so long that it is asked
/// once.
const UNCONFIRMED_MAX: Duration = Duration::from_millis(100);

/// After this long a consumer that has ended is started anew.
const RESTART: Duration = Duration::from_millis(100);

/// What orders there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Orders {
    /// Nothing is wrong with any.
    Good,
    /// Any is declined now and then, and some always.
    Declined,
    /// Some are cut off in the middle.
    CutOff,
}

/// What is made of the tutorial.
#[derive(Clone, Copy)]
struct Setup {
    orders: Orders,
    /// Before each, so long is waited at most.
    pause_max: Duration,
    /// A producer publishes until that is confirmed.
    confirms: bool,
    /// So long a delivery is its worker's.
    visibility: Duration,
    /// How long a worker waits for the ledger.
    ledger_max: Duration,
    rules: Rules,
}

/// A lease that is shorter than what a worker does under it.
const SHORT_LEASES: Setup = Setup {
    orders: Orders::Declined,
    pause_max: Duration::ZERO,
    confirms: true,
    visibility: Duration::from_millis(400),
    ledger_max: OPERATION_MAX,
    rules: Rules { retry_delay: Duration::from_millis(300), buries_unreadable: false },
};

/// Leases last for longer than anything takes, and nothing is wrong with any order.
const GOOD_ORDERS: Setup =
    Setup { orders: Orders::Good, visibility: Duration::from_secs(30), ..SHORT_LEASES };

/// Orders get lost between the acknowledgement and the publication.
pub fn acknowledges_then_republishes() -> Scenario {
    let faults = Tolerance::nothing().impaired("worker", Most::Any).fault(Fault::Crash);
    scenario("specimen/queue-acknowledges-then-republishes", SHORT_LEASES)
        .tolerates(faults)
        .breaks(FINISHES)
}

/// It sleeps for longer than a lease and says nothing meanwhile, so that somebody else is given
/// what it works on.
pub fn sleeps_in_the_callback() -> Scenario {
    scenario("specimen/queue-sleeps-in-the-callback", SHORT_LEASES)
        .always(ONCE, || ledger::books_once)
        .breaks(ONCE)
}

/// To say no to a dead letter discards it: behind the dead letters there is no queue.
pub fn says_no_to_keep() -> Scenario {
    scenario("specimen/queue-says-no-to-keep", SHORT_LEASES)
        .nodes("reviewer", 1..=1, reviewer)
        .always(KEPT, properties::is_kept)
        .breaks(KEPT)
}

/// A message that is no order ends the consumer, which is started anew and given the same message
/// again when its lease is over, for ever. `queue/work` says `Verdict::Malformed` of what it
/// cannot read, and that is dead at once.
pub fn chokes_on_what_it_cannot_read() -> Scenario {
    unreadable("specimen/queue-chokes-on-what-it-cannot-read", false).breaks(BURIED)
}

/// The same consumer, put right: it takes what it cannot read to the dead letters.
pub fn buries_what_it_cannot_read() -> Scenario {
    unreadable("queue/buries-what-it-cannot-read", true)
}

fn unreadable(name: &str, buries_unreadable: bool) -> Scenario {
    // Long enough for all that a worker does, and short enough for the message to come again.
    let visibility = Duration::from_secs(2);
    let rules = Rules { buries_unreadable, ..GOOD_ORDERS.rules };
    scenario(name, Setup { orders: Orders::CutOff, visibility, rules, ..GOOD_ORDERS }).eventually(
        BURIED,
        Duration::from_secs(10),
        || properties::is_buried,
    )
}

/// A producer publishes each order once and takes it for published: one that gets lost on the way
/// to the broker is nobody's. `queue/work` publishes again what was not confirmed, under the same
/// id, so that the broker knows it again.
pub fn publishes_unconfirmed() -> Scenario {
    scenario("specimen/queue-publishes-unconfirmed", Setup { confirms: false, ..GOOD_ORDERS })
        .tolerates(Tolerance::nothing().fault(Fault::Loss))
        .breaks(FINISHES)
}

/// The ledger is down for a while, every order that is tried meanwhile fails, and failures count
/// against the order: a few tries later it is dead, though nothing is wrong with it.
///
/// A failure of `queue/work` counts too, but the message rests on the broker before it comes again
/// (`Verdict::Retry` with an `after` that the consumer's back-off lets grow), and to be dead is
/// not the end: who goes through the dead letters redrives those that may succeed.
pub fn counts_outages_as_failures() -> Scenario {
    // The slowest of links takes less, there and back.
    let ledger_max = Duration::from_millis(1_200);
    let setup = Setup { ledger_max, pause_max: Duration::from_secs(6), ..GOOD_ORDERS };
    scenario("specimen/queue-counts-outages-as-failures", setup)
        .tolerates(Tolerance::nothing().impaired("ledger", Most::Any).fault(Fault::Crash))
        .heals_after(Duration::from_secs(40))
        .always(LIVES, || properties::lives)
        .breaks(LIVES)
}

/// A worker sleeps before it tries an order again, with that order in its hands and no room for
/// another: once each sleeps, orders that could be done wait behind those that failed.
///
/// A worker of `queue/work` settles an order that failed at once and has its hands free: with
/// `Verdict::Retry` the order rests `after` so long on the broker, which gives it to whoever is
/// free then and holds up nothing but later ones of the same key.
pub fn sleeps_before_those_that_wait() -> Scenario {
    let retry_delay = Duration::from_secs(5);
    let rules = Rules { retry_delay, ..GOOD_ORDERS.rules };
    let setup = Setup { orders: Orders::Declined, rules, ..GOOD_ORDERS };
    scenario("specimen/queue-sleeps-before-those-that-wait", setup)
        .finishes_within(Duration::from_secs(90))
        .always(AWAKE, || properties::is_awake)
        .breaks(AWAKE)
}

/// All of them.
pub fn specimens() -> Vec<Scenario> {
    vec![
        acknowledges_then_republishes(),
        sleeps_in_the_callback(),
        says_no_to_keep(),
        chokes_on_what_it_cannot_read(),
        publishes_unconfirmed(),
        counts_outages_as_failures(),
        sleeps_before_those_that_wait(),
    ]
}

/// A shop's queue where nothing fails. Each flaw is looked for by itself, for the same code has
/// all of them.
fn scenario(name: &str, setup: Setup) -> Scenario {
    Scenario::new(name)
        .nodes("broker", 1..=1, serve)
        .nodes("ledger", 1..=1, ledger::serve)
        .nodes("worker", WORKERS..=WORKERS, move |env| worker(env, setup))
        .clients("producer", 1..=1, move |client| producer(client, setup))
        .finishes_within(Duration::from_secs(20))
        .tolerates(Tolerance::nothing())
}

fn open(env: &Env, limit: Duration) -> Result<QueueClient, String> {
    QueueClient::open(env, env.peers("broker")[0], limit).map_err(|e| e.to_string())
}

async fn declare(queue: &QueueClient, visibility: Duration) {
    // Messages that fail are counted by the consumer, so the broker's own limit is out of the way.
    let config = QueueConfig { visibility, delivery_limit: 1_000, ..QueueConfig::default() };
    for name in [QUEUE, DEAD_LETTERS] {
        while queue.declare(name, config).await.is_err() {}
    }
}

async fn worker(env: Env, setup: Setup) -> Result<(), String> {
    let queue = open(&env, OPERATION_MAX)?;
    let books = Books::open(&env).map_err(|e| e.to_string())?;
    let progress = env.show("progress", Progress::default());
    env.ready();
    declare(&queue, setup.visibility).await;
    let processor = Processor { env: &env, queue: &queue, progress, rules: setup.rules };
    // What has ended is started anew, as a supervisor of it would.
    loop {
        let ended = processor.process_messages(|order| handle(&env, &books, setup, order)).await;
        env.trace(|| format!("the consumer has ended: {ended}"));
        env.sleep(RESTART).await;
    }
}

async fn handle(env: &Env, books: &Books, setup: Setup, order: Order) -> Result<(), String> {
    // A payment provider that is slow now and then, and declines now and then.
    env.sleep(Duration::from_millis(env.random_below(60))).await;
    let may_decline = setup.orders == Orders::Declined;
    if may_decline && (order.is_malformed || env.random_below(3) == 0) {
        return Err("it is declined".to_owned());
    }
    // Nobody looks whether the message was there before.
    let booked = books.ask(Entry::BookAlone(order.number.into()), setup.ledger_max).await;
    env.sleep(Duration::from_millis(env.random_below(800))).await;
    booked.map(drop).map_err(|error| error.to_string())
}

async fn reviewer(env: Env) -> Result<(), String> {
    let queue = open(&env, OPERATION_MAX)?;
    env.ready();
    declare(&queue, SHORT_LEASES.visibility).await;
    tutorial::process_dead_letters(&env, &queue, |order: &Order| {
        if order.is_malformed { Err("somebody else has to look".to_owned()) } else { Ok(()) }
    })
    .await
}

/// Publishes orders, and waits until each is booked or has come to the dead letters.
async fn producer(client: Client, setup: Setup) -> Result<(), String> {
    let env = client.env().clone();
    let queue = open(&env, OPERATION_MAX)?;
    let books = Books::open(&env).map_err(|e| e.to_string())?;
    let unreadable = env.show("unreadable", Unreadable::default());
    declare(&queue, setup.visibility).await;
    let waits = publish_orders(&client, &queue, &unreadable, setup).await?;
    client.after_heal().await;
    for number in waits {
        // What is dead has had its chances, and is not what is looked for.
        while books.ask(Entry::Count(number.into()), OPERATION_MAX).await.unwrap_or_default() == 0 {
            let dead = tutorial::dead_orders(&env, &queue).await;
            if dead.contains(&number) {
                break;
            }
            env.sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// Publishes orders, and gives the numbers of those that can be done.
async fn publish_orders(
    client: &Client,
    queue: &QueueClient,
    unreadable: &Shown<Unreadable>,
    setup: Setup,
) -> Result<Vec<u64>, String> {
    let env = client.env();
    let unconfirmed = match setup.confirms {
        true => None,
        false => Some(open(env, UNCONFIRMED_MAX)?),
    };
    let mut waits = Vec::new();
    while let Some(operation) = client.next_operation(ORDERS) {
        if !setup.pause_max.is_zero() {
            let pause_max = setup.pause_max.as_micros() as u64;
            env.sleep(Duration::from_micros(operation.draw(2, pause_max))).await;
        }
        let is_hopeless = setup.orders != Orders::Good && operation.draw(1, 4) == 0;
        let order = Order {
            number: operation.number(),
            is_malformed: is_hopeless,
            retry_count: 0,
            failure_reason: None,
        };
        let mut message = Message::new(MessageId(env.random().into()), order.encode());
        if is_hopeless && setup.orders == Orders::CutOff {
            message.body.truncate(message.body.len() / 2);
            unreadable.update(env, |unreadable| unreadable.0.push(message.id));
        }
        if !is_hopeless {
            waits.push(order.number);
        }
        match &unconfirmed {
            None => while queue.publish(QUEUE, message.clone()).await.is_err() {},
            // Whether it is there, nobody looks.
            Some(unconfirmed) => drop(unconfirmed.publish(QUEUE, message).await),
        }
    }
    Ok(waits)
}
