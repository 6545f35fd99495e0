//! The services of many a tutorial, with nothing left out: each keeps what it did under its own
//! name, tells the others over a bus, and somebody answers what customers and operators ask.

use crate::parity::{Checked, ensure, in_both_worlds, text};
use serde::{Deserialize, Serialize};
use squall_env::sync::stop_with_node;
use squall_env::{Either, Env, WallTime, race};
use squall_protocols::bus::{self, Backend, Begin, BusClient, BusConfig, Event, Given, Post};
use squall_protocols::event_store::{
    EventId, EventStore, Expected, NewEvent, SegmentConfig, SegmentStore,
};
use squall_protocols::queue::{Backoff, Failure, MessageId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct OrderPlaced {
    order: u64,
    customer: String,
    total_cents: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct PaymentCompleted {
    order: u64,
    left_cents: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct PaymentFailed {
    order: u64,
    reason: String,
}

impl Event for OrderPlaced {
    const KIND: &'static str = "OrderPlaced";
}

impl Event for PaymentCompleted {
    const KIND: &'static str = "PaymentCompleted";
}

impl Event for PaymentFailed {
    const KIND: &'static str = "PaymentFailed";
}

/// What every service has.
#[derive(Clone)]
struct Service {
    name: &'static str,
    /// Tells what it does from what others do with the same order.
    number: u8,
    env: Env,
    events: Arc<dyn EventStore>,
    bus: BusClient,
}

impl Service {
    /// Keeps what it has done with an order under its own name, with the time at which the store
    /// has it, and tells the others. A service does one thing with each order: to do that again
    /// does nothing.
    async fn record<E: Event>(&self, order: u64, event: &E) -> Result<(), Failure> {
        let id = u128::from(order) << 8 | u128::from(self.number);
        let post = Post::of(MessageId(id), event).map_err(again)?;
        let done = vec![NewEvent::new(EventId(id), E::KIND, post.body.clone())];
        self.events.append(&stream(self.name), Expected::Any, done).await.map_err(again)?;
        self.bus.post_again(post).await.map(drop).map_err(again)
    }

    async fn listen<F, Fut>(&self, handler: F) -> Checked
    where
        F: Fn(Given) -> Fut + Send + Sync,
        Fut: Future<Output = Result<(), Failure>> + Send,
    {
        let backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
        let stop = stop_with_node(&self.env);
        self.bus.read(&self.env, self.name, backoff, stop, handler).await.map_err(text)
    }
}

fn again(error: impl std::fmt::Display) -> Failure {
    Failure::Retry(error.to_string())
}

fn stream(service: &str) -> String {
    format!("service-{service}")
}

/// An order as customers see it.
#[derive(Clone, PartialEq, Debug)]
struct Shown {
    order: u64,
    items: usize,
    total_cents: u64,
    status: &'static str,
}

/// The orders of each customer.
type Orders = Arc<Mutex<BTreeMap<String, Vec<Shown>>>>;

/// Takes an order for these pieces, at a price and so many of each.
async fn place(
    service: &Service,
    orders: &Orders,
    (order, customer): (u64, &str),
    items: &[(u64, u64)],
) -> Checked {
    let total_cents = items.iter().map(|(cents, quantity)| cents * quantity).sum();
    let shown = Shown { order, items: items.len(), total_cents, status: "pending" };
    orders.lock().unwrap().entry(customer.to_owned()).or_default().push(shown);
    let placed = OrderPlaced { order, customer: customer.to_owned(), total_cents };
    service.record(order, &placed).await.map_err(|failure| format!("{failure:?}"))
}

fn decide(orders: &Orders, order: u64, status: &'static str) {
    let mut orders = orders.lock().unwrap();
    let shown = orders.values_mut().flatten().find(|shown| shown.order == order);
    shown.expect("it was placed").status = status;
}

async fn run_orders(service: Service, orders: Orders) -> Checked {
    let handler = |given: Given| {
        let orders = &orders;
        async move {
            if let Some(paid) = given.read::<PaymentCompleted>()? {
                decide(orders, paid.order, "paid");
            }
            if let Some(failed) = given.read::<PaymentFailed>()? {
                decide(orders, failed.order, "cancelled");
            }
            Ok(())
        }
    };
    service.listen(handler).await
}

async fn run_payments(service: Service) -> Checked {
    let balances = [("cust-123", 50_000), ("cust-456", 10_000)];
    let balances: Mutex<BTreeMap<&str, u64>> = Mutex::new(balances.into());
    // What was decided of an order stays so, if its post comes again.
    let decided = Mutex::new(BTreeMap::new());
    let handler = |given: Given| {
        let (service, balances, decided) = (&service, &balances, &decided);
        async move {
            let Some(placed) = given.read::<OrderPlaced>()? else { return Ok(()) };
            let OrderPlaced { order, customer, total_cents } = placed;
            let left = *decided.lock().unwrap().entry(order).or_insert_with(|| {
                let mut balances = balances.lock().unwrap();
                let balance = balances.get_mut(customer.as_str())?;
                *balance = balance.checked_sub(total_cents)?;
                Some(*balance)
            });
            match left {
                Some(left_cents) => {
                    service.record(order, &PaymentCompleted { order, left_cents }).await
                }
                None => {
                    let reason = "Insufficient balance".to_owned();
                    service.record(order, &PaymentFailed { order, reason }).await
                }
            }
        }
    };
    service.listen(handler).await
}

/// What a service has done, in order, and when.
async fn events_of(events: &dyn EventStore, service: &str) -> Result<Vec<Done>, String> {
    let slice = events.read(&stream(service), 0, 100).await.map_err(text)?;
    let done = slice.events.into_iter();
    Ok(done.map(|event| (event.kind, event.data, event.metadata.wall)).collect())
}

type Done = (String, Vec<u8>, WallTime);

fn is<E: Event>((kind, data, _): &Done, event: &E) -> bool {
    kind == E::KIND && Post::of(MessageId(0), event).is_ok_and(|post| post.body == *data)
}

async fn demo(env: Env, events: Arc<dyn EventStore>, bus: BusClient) -> Checked {
    let began = env.wall();
    let kinds = [OrderPlaced::KIND, PaymentCompleted::KIND, PaymentFailed::KIND];
    bus.subscribe("payments", &kinds[..1], Begin::Oldest).await.map_err(text)?;
    bus.subscribe("orders", &kinds[1..], Begin::Oldest).await.map_err(text)?;
    let service = |name, number| {
        let (env, events, bus) = (env.clone(), Arc::clone(&events), bus.clone());
        Service { name, number, env, events, bus }
    };
    let orders = Orders::default();
    let own = service("orders", 1);
    let services =
        race(run_orders(own.clone(), Arc::clone(&orders)), run_payments(service("payments", 2)));
    let customers = buy(&own, &orders);
    match race(services, customers).await {
        Either::Left(ended) => return Err(format!("a service has ended: {ended:?}")),
        Either::Right(bought) => bought?,
    }
    let stamps = recorded(events.as_ref()).await?;
    let mut stamps = stamps.into_iter();
    ensure(stamps.all(|wall| began <= wall && wall <= env.wall()), "it was at another time")
}

/// The two orders, until they are decided.
async fn buy(own: &Service, orders: &Orders) -> Checked {
    place(own, orders, (123, "cust-123"), &[(1_999, 3)]).await?;
    place(own, orders, (456, "cust-456"), &[(29_999, 1)]).await?;
    let of = |customer: &str| orders.lock().unwrap()[customer].clone();
    while [of("cust-123"), of("cust-456")].concat().iter().any(|shown| shown.status == "pending") {
        own.env.sleep(Duration::from_millis(5)).await;
    }
    let paid = Shown { order: 123, items: 1, total_cents: 5_997, status: "paid" };
    ensure(of("cust-123") == [paid], "it is shown otherwise")?;
    let cancelled = Shown { order: 456, items: 1, total_cents: 29_999, status: "cancelled" };
    ensure(of("cust-456") == [cancelled], "who has 100.00 has bought for 299.99")
}

/// What the services have recorded, and when.
async fn recorded(events: &dyn EventStore) -> Result<Vec<WallTime>, String> {
    let payments = events_of(events, "payments").await?;
    let completed = PaymentCompleted { order: 123, left_cents: 44_003 };
    let failed = PaymentFailed { order: 456, reason: "Insufficient balance".to_owned() };
    let [first, second] = payments.as_slice() else { return Err(format!("{payments:?}")) };
    ensure(is(first, &completed) && is(second, &failed), &format!("{payments:?}"))?;
    let placed = events_of(events, "orders").await?;
    ensure(placed.len() == 2 && placed.iter().all(|done| done.0 == "OrderPlaced"), "no orders")?;
    Ok(placed.iter().chain(&payments).map(|(_, _, wall)| *wall).collect())
}

#[test]
fn an_order_is_paid_and_another_refused_and_each_service_tells_what_it_did() {
    in_both_worlds(1, |env: Env| async move {
        let bus = BusClient::open(&env, env.me(), Duration::from_secs(5)).map_err(text)?;
        let config = SegmentConfig::default();
        let events = SegmentStore::open(&env, "events", config).await.map_err(text)?;
        let serving = bus::serve(env.clone(), BusConfig::default());
        match race(serving, demo(env.clone(), Arc::new(events), bus)).await {
            Either::Left(stopped) => Err(format!("it stopped: {stopped:?}")),
            Either::Right(checked) => checked,
        }
    });
}
