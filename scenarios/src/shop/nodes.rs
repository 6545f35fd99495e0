//! The nodes of the shop that stand between its services: bus, orders with their relay, those who
//! fulfil orders, and the views.

use super::orders::{Command, OrderEvent, Orders, Told};
use super::services::{Services, order};
use crate::cqrs::orders::{
    CREATED, Created, Item, ORDERS, STATUS_CHANGED, StatusChanged, event_of,
};
use crate::cqrs::{self, orders::Status};
use crate::saga::books::Order;
use crate::saga::node;
use squall_env::machine::{ServeError, serve_requests};
use squall_env::platform::BindError;
use squall_env::sync::stop_with_node;
use squall_env::{Either, Env, Port, mutant, open, race};
use squall_protocols::bus::{self, Backend, Begin, BusClient, BusConfig, BusError, Event, Given};
use squall_protocols::event_store::{EventId, EventStore, Expected, RemoteStore};
use squall_protocols::outbox::{self, OnBus, OutboxClient, OutboxConfig, Outboxed, relay};
use squall_protocols::queue::{Backoff, Failure};
use squall_protocols::saga::{Definitions, Orchestrator, SagaId};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// Who has orders fulfilled.
pub(super) const FULFILMENT: &str = "fulfilment";

/// Who writes down what has become of orders.
pub(super) const HISTORY: &str = "history";

/// Tells the orders' letters from all others.
const SOURCE: u64 = 1;

/// How long an operation on the bus is tried.
const BUS_MAX: Duration = Duration::from_secs(2);

/// How long an operation of the event store may take.
const STORE_MAX: Duration = Duration::from_secs(2);

/// How long a reader waits where there was nothing, or where something failed.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(30), Duration::from_millis(300));

pub(super) async fn serve_bus(env: Env) -> Result<(), ServeError> {
    let config = BusConfig {
        claim: Duration::from_millis(800),
        // A reader that crashes has tried as well. Nothing that it can read may be parked for that:
        // what comes behind it must not overtake it.
        attempts_max: 1_000,
        ..BusConfig::default()
    };
    bus::serve(env, config).await
}

fn open_bus(env: &Env) -> Result<BusClient, BindError> {
    BusClient::open(env, env.peers("bus")[0], BUS_MAX)
}

/// The orders service, whose letters are put on the bus.
pub(super) async fn serve_orders(env: Env) -> Result<(), ServeError> {
    let config = OutboxConfig { letters_max: 256, claim: Duration::from_millis(500) };
    let (orders, run) = open::<Outboxed<Orders>>(&env, outbox::NAME, config).await?;
    let (own, source, bus) = (env.clone(), orders.clone(), open_bus(&env)?);
    env.spawn("relay", async move {
        // Nothing is posted before those are there who must hear all of it.
        for name in [FULFILMENT, HISTORY] {
            while bus.subscribe(name, &[OrderEvent::KIND], Begin::Oldest).await.is_err() {}
        }
        relay(&own, &source, SOURCE, OnBus(&bus, OrderEvent::KIND), stop_with_node(&own)).await;
    });
    let answer = |ask, back| orders.clone().answer(ask, back, None);
    serve_requests(&env, run, Port::named(outbox::PORT), answer).await
}

/// The way to the orders service.
pub(super) struct OrdersClient(OutboxClient<Orders>);

impl OrdersClient {
    pub(super) fn open(env: &Env, limit: Duration) -> Result<OrdersClient, BindError> {
        Ok(OrdersClient(OutboxClient::open(env, env.peers("orders")[0], limit)?))
    }

    /// All orders, if they could be read.
    pub(super) async fn all(&self) -> Option<Vec<(u64, Order, super::orders::Status)>> {
        let mut all: Vec<(u64, Order, super::orders::Status)> = Vec::new();
        loop {
            let behind = all.last().map(|(number, ..)| *number);
            match self.0.command(Command::List(behind)).await {
                Ok(Some(Told::Orders(some))) if some.is_empty() => return Some(all),
                Ok(Some(Told::Orders(some))) => all.extend(some),
                _ => return None,
            }
        }
    }
}

/// A node that starts the saga of each order that is placed, and runs sagas while it holds the
/// lock.
pub(super) async fn fulfil<const LATE: bool>(env: Env) -> Result<(), String> {
    let services = Arc::new(Services::open(&env).map_err(text)?);
    let definitions = Definitions::new([order(&env)]);
    let sagas = node::orchestrator(&env, services, definitions).map_err(text)?;
    let bus = open_bus(&env).map_err(text)?;
    let starting = subscribed(&env, &bus, FULFILMENT, |event| start(&env, &sagas, event));
    match race(node::run::<LATE>(&env, sagas.clone()), starting).await {
        Either::Left(ended) => ended.map_err(text),
        Either::Right(ended) => ended,
    }
}

/// Reads a subscription: each event until it is seen to.
async fn subscribed<F>(
    env: &Env,
    bus: &BusClient,
    name: &str,
    handle: impl Fn((EventId, OrderEvent)) -> F + Send + Sync,
) -> Result<(), String>
where
    F: Future<Output = ()> + Send,
{
    let handler = |given: Given| {
        let event = match given.read::<OrderEvent>() {
            Ok(Some(event)) => Ok((EventId(given.post.id.0), event)),
            // It is parked, where somebody sees it.
            Ok(None) => Err(Failure::Dead(format!("{} is of another kind", given.post.kind))),
            Err(malformed) => Err(malformed),
        };
        let handling = event.map(&handle);
        async move {
            handling?.await;
            Ok(())
        }
    };
    match bus.read(env, name, BACKOFF, stop_with_node(env), handler).await {
        Ok(()) => Ok(()),
        Err(BusError::Closed(_)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Starts the saga of an order that is placed, under the order's number: it is started once,
/// however often this is heard.
async fn start(env: &Env, sagas: &Orchestrator, (_, event): (EventId, OrderEvent)) {
    let OrderEvent::Placed(number, order) = event else { return };
    let drawn = mutant!(env, "shop/reserves-for-every-post");
    let saga = SagaId(if drawn { env.random() } else { number });
    let input = serde_json::to_vec(&order).expect("an order has an encoding");
    while let Err(why) = sagas.start(saga, "shop order", input.clone()).await {
        env.trace(|| format!("{saga} is not started: {why}"));
        env.sleep(BACKOFF.first).await;
    }
}

/// A node of views: it writes down in the event store what it hears of orders, and keeps views of
/// that.
pub(super) async fn serve_views(env: Env) -> Result<(), String> {
    let store = RemoteStore::open(&env, env.peers("events")[0], STORE_MAX).map_err(text)?;
    let bus = open_bus(&env).map_err(text)?;
    let writing = subscribed(&env, &bus, HISTORY, |event| write_down(&env, &store, event));
    match race(cqrs::serve_views(env.clone()), writing).await {
        Either::Left(ended) | Either::Right(ended) => ended,
    }
}

/// The stream of an order, and its name in views.
pub(super) fn name_of(order: u64) -> String {
    format!("{order:016x}")
}

/// What the views call a customer.
pub(super) fn customer_of(account: u8) -> String {
    format!("customer-{account}")
}

/// Appends what has become of an order to its stream, as the same event however often it is heard.
async fn write_down(env: &Env, store: &RemoteStore, (id, event): (EventId, OrderEvent)) {
    let number = match event {
        OrderEvent::Placed(number, _)
        | OrderEvent::Confirmed(number)
        | OrderEvent::Rejected(number) => number,
    };
    let order = name_of(number);
    let id = if mutant!(env, "shop/draws-events-anew") { EventId::random(env) } else { id };
    let changed = |status| StatusChanged { order: order.clone(), status };
    let event = match event {
        OrderEvent::Placed(_, placed) => event_of(id, CREATED, &created(&order, &placed)),
        OrderEvent::Confirmed(_) => event_of(id, STATUS_CHANGED, &changed(Status::Shipped)),
        OrderEvent::Rejected(_) => event_of(id, STATUS_CHANGED, &changed(Status::Cancelled)),
    };
    let stream = format!("{ORDERS}{order}");
    while let Err(why) = store.append(&stream, Expected::Any, vec![event.clone()]).await {
        env.trace(|| format!("{stream} is not written: {why}"));
        env.sleep(BACKOFF.first).await;
    }
}

/// An order in the words of the views. What is paid for it is one price for all of it.
fn created(order: &str, placed: &Order) -> Created {
    let names = placed.items.iter().map(|(item, pieces)| format!("{pieces} of {item}"));
    let sku = names.collect::<Vec<_>>().join(", ");
    let price = i64::try_from(placed.price).unwrap_or(i64::MAX);
    Created {
        order: order.to_owned(),
        customer: customer_of(placed.account),
        items: vec![Item { sku, quantity: 1, price }],
        address: String::new(),
    }
}

pub(super) fn text(error: impl Display) -> String {
    error.to_string()
}
