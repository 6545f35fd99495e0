//! The dual write: a service that saves an order and then publishes it, in two steps.

use crate::queue::ledger::{self, Books, Entry};
use serde::{Deserialize, Serialize};
use squall::{Client, FINISHES, Fault, Most, Scenario, Tolerance};
use squall_env::machine::RequestId;
use squall_env::request::{Caller, Responder};
use squall_env::sync::stop;
use squall_env::{Address, Env, Machine, Never, Port, Turn, View, open};
use squall_protocols::queue::{
    Backend, ConsumerConfig, Failure, Message, MessageId, QueueClient, QueueConfig, consume, serve,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The property of what is published too early.
const ORDERED: &str = "what is booked was ordered";

const QUEUE: &str = "orders";
const PORT: &str = "shop";

/// How many orders there are.
const ORDERS: u64 = 8;

/// How long an operation is tried.
const OPERATION_MAX: Duration = Duration::from_secs(1);

/// Saves first: an order that was saved before a crash is never published.
pub fn publishes_after_the_save() -> Scenario {
    scenario("specimen/outbox-publishes-after-the-save", FINISHES).nodes(
        "shop",
        1..=1,
        shop::<false>,
    )
}

/// Publishes first: an order that was published before a crash was never placed.
pub fn publishes_before_the_save() -> Scenario {
    scenario("specimen/outbox-publishes-before-the-save", ORDERED)
        .nodes("shop", 1..=1, shop::<true>)
        .always(ORDERED, || was_ordered)
}

/// Both of them.
pub fn specimens() -> Vec<Scenario> {
    vec![publishes_after_the_save(), publishes_before_the_save()]
}

fn scenario(name: &str, breaks: &'static str) -> Scenario {
    let faults = Tolerance::nothing().impaired("shop", Most::Any);
    Scenario::new(name)
        .nodes("broker", 1..=1, serve)
        .nodes("ledger", 1..=1, ledger::serve)
        .nodes("worker", 1..=1, worker)
        .clients("customer", 1..=2, customer)
        .tolerates(faults.fault(Fault::Crash).fault(Fault::LostWrites))
        .finishes_within(Duration::from_secs(20))
        .breaks(breaks)
}

/// What is booked is an order of the shop, or is still being placed.
fn was_ordered(view: &View<'_>) -> Result<(), String> {
    let Some(shop) = view.up::<Saved>().next() else { return Ok(()) };
    let Some(ledger) = view.up::<ledger::Ledger>().next() else { return Ok(()) };
    let saved = |booked: &&u128| shop.orders.iter().any(|order| u128::from(*order) == **booked);
    match ledger.booked().iter().find(|booked| !saved(booked)) {
        None => Ok(()),
        Some(booked) => Err(format!("{booked} is booked, and the shop knows nothing of it")),
    }
}

/// The shop's orders.
#[derive(Default)]
struct Saved {
    orders: BTreeSet<u64>,
}

/// Whether the order was there already.
type Known = bool;

impl Machine for Saved {
    type Config = ();
    type Timer = Never;
    type Message = Never;
    type Request = u64;
    type Reply = Known;
    type Record = u64;
    type Snapshot = BTreeSet<u64>;

    fn restore((): &(), snapshot: Option<BTreeSet<u64>>) -> Saved {
        Saved { orders: snapshot.unwrap_or_default() }
    }

    fn apply(&mut self, order: &u64) {
        self.orders.insert(*order);
    }

    fn snapshot(&self) -> BTreeSet<u64> {
        self.orders.clone()
    }

    fn on_request(&mut self, id: RequestId, order: u64, turn: &mut Turn<Saved>) {
        let known = self.orders.contains(&order);
        if !known {
            turn.persist(self, order);
        }
        turn.reply(id, known);
    }
}

#[derive(Serialize, Deserialize)]
struct Placed;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn broker(env: &Env) -> Result<QueueClient, String> {
    QueueClient::open(env, env.peers("broker")[0], OPERATION_MAX).map_err(text)
}

async fn shop<const PUBLISHES_FIRST: bool>(env: Env) -> Result<(), String> {
    let (saved, run) = open::<Saved>(&env, "orders", ()).await.map_err(text)?;
    let queue = broker(&env)?;
    let mut asked: Responder<u64, Placed> =
        Responder::open(&env, Port::named(PORT)).map_err(text)?;
    env.ready();
    env.spawn("machine", async move { run.await.map_err(text) });
    while queue.declare(QUEUE, config()).await.is_err() {}
    loop {
        let (order, back) = asked.receive().await.map_err(text)?;
        let message = || Message::new(MessageId(order.into()), order.to_le_bytes());
        if PUBLISHES_FIRST {
            queue.publish(QUEUE, message()).await.map_err(text)?;
        }
        let known = saved.request(order).await.map_err(text)?;
        if !known && !PUBLISHES_FIRST {
            queue.publish(QUEUE, message()).await.map_err(text)?;
        }
        back.reply(Placed);
    }
}

fn config() -> QueueConfig {
    QueueConfig { visibility: Duration::from_secs(1), ..QueueConfig::default() }
}

async fn worker(env: Env) -> Result<(), String> {
    let (queue, books) = (broker(&env)?, Arc::new(Books::open(&env).map_err(text)?));
    env.ready();
    let (_stopper, stopped) = stop(&env, "consumer");
    let consumer = ConsumerConfig::new(QUEUE, config().visibility);
    let handler = move |delivery: squall_protocols::queue::Delivery| {
        let books = Arc::clone(&books);
        async move {
            let order = delivery.body[..].try_into().map(u64::from_le_bytes);
            let order = order.map_err(|_| Failure::Malformed("it is no order".to_owned()))?;
            let entry = Entry::Book(delivery.receipt.id, order.into());
            let booked = books.ask(entry, OPERATION_MAX).await;
            booked.map(drop).map_err(|error| Failure::Retry(error.to_string()))
        }
    };
    consume(&env, &queue, consumer, stopped, handler).await.map_err(text)
}

/// Places orders. One that may have failed is placed again, but not for ever.
async fn customer(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let shop = Address::new(env.peers("shop")[0], Port::named(PORT));
    let caller = Caller::<u64, Placed>::open(&env).map_err(text)?;
    let books = Books::open(&env).map_err(text)?;
    let mut placed = Vec::new();
    while let Some(operation) = client.next_operation(ORDERS) {
        let order = u64::from(env.me().ordinal()) << 32 | operation.number();
        env.sleep(Duration::from_micros(operation.draw(1, 200_000))).await;
        for _ in 0..operation.draw(2, 3) + 1 {
            if caller.call(shop, order, OPERATION_MAX).await.is_ok() {
                placed.push(order);
                break;
            }
        }
    }
    client.after_heal().await;
    for order in placed {
        while books.ask(Entry::Count(order.into()), OPERATION_MAX).await.unwrap_or_default() == 0 {
            env.sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}
