//! The consumer of many a tutorial on queues: it acknowledges a message that failed and publishes
//! it anew with a counter in it, sleeps in its callback before it does, knows no message again, and
//! has its dead letters looked at by somebody who says no to those that are to stay.

mod tutorial;

use crate::queue::ledger::{self, Books, Entry};
use squall::{Client, FINISHES, Fault, Most, Scenario, Tolerance};
use squall_env::{Env, View};
use squall_protocols::queue::{
    Backend, Broker, Message, MessageId, QueueClient, QueueConfig, serve,
};
use std::collections::BTreeSet;
use std::time::Duration;
use tutorial::{Order, Reviewed};

/// The property of effects.
const ONCE: &str = "an order is booked once";
/// The property of reviews.
const KEPT: &str = "a dead letter that a review is to keep is kept";

const QUEUE: &str = "orders";
const DEAD_LETTERS: &str = "orders-dead";

/// How many orders there are.
const ORDERS: u64 = 6;

/// How long an operation is tried.
const OPERATION_MAX: Duration = Duration::from_secs(2);

/// Orders get lost between the acknowledgement and the publication.
pub fn acknowledges_then_republishes() -> Scenario {
    let faults = Tolerance::nothing().impaired("worker", Most::Any).fault(Fault::Crash);
    scenario("specimen/queue-acknowledges-then-republishes", FINISHES).tolerates(faults)
}

/// It sleeps for longer than a lease and says nothing meanwhile, so that somebody else is given
/// what it works on.
pub fn sleeps_in_the_callback() -> Scenario {
    scenario("specimen/queue-sleeps-in-the-callback", ONCE).tolerates(Tolerance::nothing())
}

/// To say no to a dead letter discards it: behind the dead letters there is no queue.
pub fn says_no_to_keep() -> Scenario {
    scenario("specimen/queue-says-no-to-keep", KEPT).tolerates(Tolerance::nothing())
}

/// All of them.
pub fn specimens() -> Vec<Scenario> {
    vec![acknowledges_then_republishes(), sleeps_in_the_callback(), says_no_to_keep()]
}

fn scenario(name: &str, breaks: &'static str) -> Scenario {
    let scenario = Scenario::new(name)
        .nodes("broker", 1..=1, serve)
        .nodes("ledger", 1..=1, ledger::serve)
        .nodes("worker", 2..=2, worker)
        .clients("producer", 1..=1, producer)
        .finishes_within(Duration::from_secs(20))
        .breaks(breaks);
    // Each is looked for by itself: the same code has all of these flaws.
    match breaks {
        ONCE => scenario.always(ONCE, || ledger::books_once),
        KEPT => scenario.nodes("reviewer", 1..=1, reviewer).always(KEPT, is_kept),
        _ => scenario,
    }
}

/// What a review could not see to is a dead letter still.
fn is_kept() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut kept: BTreeSet<MessageId> = BTreeSet::new();
    move |view| {
        for reviewed in view.changed::<Reviewed>() {
            kept.extend(reviewed.kept.iter());
        }
        let Some(broker) = view.up::<Broker>().next() else { return Ok(()) };
        let Some(queue) = broker.queue(DEAD_LETTERS) else { return Ok(()) };
        let there: BTreeSet<MessageId> =
            queue.queued().chain(queue.dead()).map(|receipt| receipt.id).collect();
        match kept.difference(&there).next() {
            None => Ok(()),
            Some(id) => Err(format!("{id} was to stay for another review, and is gone")),
        }
    }
}

fn open(env: &Env) -> Result<QueueClient, String> {
    QueueClient::open(env, env.peers("broker")[0], OPERATION_MAX).map_err(|e| e.to_string())
}

async fn declare(queue: &QueueClient) {
    // Messages that fail are counted by the consumer, so the broker's own limit is out of the way.
    let config = QueueConfig {
        visibility: Duration::from_millis(400),
        delivery_limit: 1_000,
        ..QueueConfig::default()
    };
    for name in [QUEUE, DEAD_LETTERS] {
        while queue.declare(name, config).await.is_err() {}
    }
}

async fn worker(env: Env) -> Result<(), String> {
    let (queue, books) = (open(&env)?, Books::open(&env).map_err(|e| e.to_string())?);
    env.ready();
    declare(&queue).await;
    tutorial::process_messages(&env, &queue, |order| {
        let (env, books) = (&env, &books);
        async move {
            // A payment provider that is slow now and then, and declines now and then.
            env.sleep(Duration::from_millis(env.random_below(60))).await;
            if order.is_malformed || env.random_below(3) == 0 {
                return Err("it is declined".to_owned());
            }
            // Nobody looks whether the message was there before.
            let entry = Entry::BookAlone(order.number.into());
            let booked = books.ask(entry, OPERATION_MAX).await;
            env.sleep(Duration::from_millis(env.random_below(800))).await;
            booked.map(drop).map_err(|error| error.to_string())
        }
    })
    .await
}

async fn reviewer(env: Env) -> Result<(), String> {
    let queue = open(&env)?;
    env.ready();
    declare(&queue).await;
    tutorial::process_dead_letters(&env, &queue, |order: &Order| {
        if order.is_malformed { Err("somebody else has to look".to_owned()) } else { Ok(()) }
    })
    .await
}

/// Publishes orders, and waits until each is booked or has come to the dead letters.
async fn producer(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let (queue, books) = (open(&env)?, Books::open(&env).map_err(|e| e.to_string())?);
    declare(&queue).await;
    let mut waits = Vec::new();
    while let Some(operation) = client.next_operation(ORDERS) {
        let order = Order {
            number: operation.number(),
            is_malformed: operation.draw(1, 4) == 0,
            retry_count: 0,
            failure_reason: None,
        };
        let message = Message::new(MessageId(env.random().into()), order.encode());
        while queue.publish(QUEUE, message.clone()).await.is_err() {}
        if !order.is_malformed {
            waits.push(order.number);
        }
    }
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
