//! Orders that are placed in a shop and booked elsewhere.

mod shop;

use crate::queue::ledger::{self, Books, Entry, Ledger};
use crate::tolerance;
use shop::{Placed, Shop};
use squall::{Client, FINISHES, Scenario};
use squall_env::sync::stop_with_node;
use squall_env::{Env, View};
use squall_protocols::outbox::{self, OutboxClient, OutboxConfig, Outboxed};
use squall_protocols::queue::{
    Backend, Backoff, ConsumerConfig, Delivery, Failure, QueueClient, QueueConfig, consume, serve,
};
use std::sync::Arc;
use std::time::Duration;

const ONCE: &str = "an order is booked once";
const ORDERED: &str = "what is booked was ordered, and nothing before it is left out";
/// The queue.
const QUEUE: &str = "orders";

/// Tells the shop's messages from all others.
const SOURCE: u64 = 1;

/// How many orders each customer places while there are faults.
const OPERATIONS: u64 = 6;

/// How long an operation is tried.
const OPERATION_MAX: Duration = Duration::from_millis(1_000);

fn queue_config() -> QueueConfig {
    QueueConfig {
        // Longer than it takes to ask and be answered where links are slow.
        visibility: Duration::from_millis(800),
        delivery_limit: 1_000,
        messages_max: 64,
        remembers: 64,
    }
}

/// A shop on whose outbox one or two relays work, a broker, and a worker that has orders booked in
/// a ledger. Everybody may crash and stand still at any time.
pub fn orders() -> Scenario {
    Scenario::new("outbox/orders")
        .nodes("broker", 1..=1, serve)
        .nodes("ledger", 1..=1, ledger::serve)
        .nodes("shop", 1..=1, shop)
        .nodes("relay", 1..=2, relay)
        .nodes("worker", 1..=1, worker)
        .clients("customer", 1..=2, customer)
        .tolerates(tolerance::of_durable(&[
            "broker", "ledger", "shop", "relay", "worker", "customer",
        ]))
        .always(ONCE, || ledger::books_once)
        .always(ORDERED, || booked_as_ordered)
        .sometimes("an outbox was full")
        .sometimes("a letter was published again")
        .sometimes("the letters of a dead relay became another's")
        .sometimes("an inbox knew a message")
        // Links that are slow stay so when the faults are over, and each waits for the other.
        .finishes_within(Duration::from_secs(120))
}

/// The ledger holds the first of the shop's orders, in their order.
fn booked_as_ordered(view: &View<'_>) -> Result<(), String> {
    let Some(booked) = view.up::<Ledger>().next().map(|ledger| ledger.booked().to_vec()) else {
        return Ok(());
    };
    let Some(shop) = view.up::<Outboxed<Shop>>().next() else { return Ok(()) };
    let mut ordered = shop.state().orders().iter().map(|order| u128::from(*order));
    match booked.iter().find(|booked| ordered.next() != Some(**booked)) {
        None => Ok(()),
        Some(wrong) => Err(format!("{wrong} is booked: it was not the next order")),
    }
}

async fn shop(env: Env) -> Result<(), outbox::ServeError> {
    let config = OutboxConfig { letters_max: 4, claim: Duration::from_millis(500) };
    outbox::serve::<Shop>(env, config).await
}

fn open(env: &Env) -> Result<QueueClient, String> {
    QueueClient::open(env, env.peers("broker")[0], OPERATION_MAX).map_err(|e| e.to_string())
}

fn shopping(env: &Env) -> Result<OutboxClient<Shop>, String> {
    OutboxClient::open(env, env.peers("shop")[0], OPERATION_MAX).map_err(|e| e.to_string())
}

/// Relays until it is asked to stop.
async fn relay(env: Env) -> Result<(), String> {
    let (queue, source) = (open(&env)?, shopping(&env)?);
    env.ready();
    while queue.declare(QUEUE, queue_config()).await.is_err() {}
    let stopped = stop_with_node(&env);
    outbox::relay(&env, &source, SOURCE, (&queue, QUEUE), stopped).await;
    Ok(())
}

/// Has orders booked until it is asked to stop.
async fn worker(env: Env) -> Result<(), String> {
    let queue = open(&env)?;
    let books = Arc::new(Books::open(&env).map_err(|error| error.to_string())?);
    env.ready();
    let stopped = stop_with_node(&env);
    let consumer = ConsumerConfig {
        prefetch: 4,
        idle: Duration::from_millis(30),
        backoff: Backoff::new(Duration::from_millis(30), Duration::from_millis(300)),
        ..ConsumerConfig::new(QUEUE, queue_config().visibility)
    };
    let handler = move |delivery| book(Arc::clone(&books), delivery);
    consume(&env, &queue, consumer, stopped, handler).await.map_err(|error| error.to_string())
}

async fn book(books: Arc<Books>, delivery: Delivery) -> Result<(), Failure> {
    let order = delivery.body[..].try_into().map(u64::from_le_bytes);
    let order = order.map_err(|_| Failure::Malformed("it is no order".to_owned()))?;
    let entry = Entry::Book(delivery.receipt.id, u128::from(order));
    let booked = books.ask(entry, OPERATION_MAX).await;
    booked.map(drop).map_err(|error| Failure::Retry(error.to_string()))
}

/// Places orders while there are faults, and then waits until each that the shop has is booked.
async fn customer(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let shop = shopping(&env)?;
    let books = Books::open(&env).map_err(|error| error.to_string())?;
    let mut placed = Vec::new();
    while let Some(operation) = client.next_operation(OPERATIONS) {
        let pause_max = if operation.draw(0, 5) == 0 { 1_000_000 } else { 20_000 };
        env.sleep(Duration::from_micros(operation.draw(2, pause_max))).await;
        let order = u64::from(env.me().ordinal()) << 32 | operation.number();
        if let Ok(Some(Placed)) = shop.command(order).await {
            placed.push(order);
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

/// One line gone wrong, each in its own way, under the plans of the good code.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |switch: &'static str, breaks| {
        orders().mutant(&format!("mutant/{}", switch.replace('/', "-")), switch, breaks)
    };
    vec![
        mutant("outbox/marks-before-it-publishes", ORDERED),
        mutant("outbox/leaves-out-what-fails", ORDERED),
        mutant("outbox/draws-an-id-for-every-try", ONCE),
        mutant("outbox/keeps-letters-for-a-dead-relay", FINISHES),
    ]
}
