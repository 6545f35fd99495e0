//! The views of tutorials, which are told by messages: a service writes to its own tables, and then
//! publishes what it has done. Between the two it may crash, and then nobody ever hears of it. Who
//! publishes again until somebody has heard, so that nothing is lost, tells some things twice; and
//! a view that adds a row for each message then has two.

use super::recovery::text;
use squall::{Client, Fault, Most, Scenario, Tolerance};
use squall_env::request::{Caller, Responder};
use squall_env::{Address, Either, Env, Port, View, open, race};
use squall_protocols::specification::{Field, Specification, Table};
use squall_protocols::unit_of_work::{
    Batch, Change, Message, TableStore, Tables, TablesMachine, Write,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a view must have of what was acknowledged.
const HEARD: &str = "the view has every order that was acknowledged";

/// What a view must not have.
const ONCE: &str = "the view has no order twice";

/// The orders of the service, and the rows of the view.
const SCHEMA: &[Table] = &[Table { name: "orders", fields: &[Field::integer("order")] }];

/// How many orders a client gives.
const ORDERS: u64 = 10;

/// How long anybody waits for an answer.
const ANSWER_MAX: Duration = Duration::from_millis(1_200);

/// How long the service that publishes once waits to be heard.
const PUBLISH_MAX: Duration = Duration::from_millis(50);

/// What a client was told.
#[derive(Default)]
struct Acknowledged {
    orders: BTreeSet<u64>,
    /// There are no more, and the view has had time to hear of all.
    is_over: bool,
}

/// The service that publishes once, after it has written.
pub fn dual_write() -> Scenario {
    let specimen = Scenario::new("specimen/dual-write").breaks(HEARD);
    scenario(specimen.nodes("shop", 1..=1, shop::<false>).nodes("view", 1..=1, view::<false>))
}

/// The service that publishes until it is heard, out of an outbox, to a view that counts messages.
pub fn inserts_twice() -> Scenario {
    let specimen = Scenario::new("specimen/inserts-twice").breaks(ONCE);
    scenario(specimen.nodes("shop", 1..=1, shop::<true>).nodes("view", 1..=1, view::<true>))
}

fn scenario(scenario: Scenario) -> Scenario {
    scenario
        .clients("client", 1..=2, load)
        .tolerates(
            Tolerance::nothing()
                .impaired("shop", Most::Any)
                .impaired("view", Most::Any)
                .any_network()
                .but_not(Fault::QueueOverflow)
                .crashes()
                .lost_unsynced_writes(),
        )
        .always(HEARD, || heard)
        .always(ONCE, || {
            |view: &View<'_>| {
                let shown = shown(view).unwrap_or_default();
                match shown.iter().find(|(_, times)| **times > 1) {
                    None => Ok(()),
                    Some((order, times)) => Err(format!("{order} is in the view {times} times")),
                }
            }
        })
        .finishes_within(Duration::from_secs(30))
}

fn heard(view: &View<'_>) -> Result<(), String> {
    let over = view.up::<Acknowledged>().filter(|told| told.is_over);
    let told: Vec<u64> = over.flat_map(|told| told.orders.clone()).collect();
    let Some(shown) = shown(view) else { return Ok(()) };
    match told.iter().find(|order| !shown.contains_key(order)) {
        None => Ok(()),
        Some(order) => Err(format!("{order} was acknowledged, and is not in the view")),
    }
}

/// How often each order is in the view, if the view is up.
fn shown(view: &View<'_>) -> Option<BTreeMap<u64, u32>> {
    let mut tables = view.up::<TablesMachine>();
    let tables = tables.find(|tables| tables.name == "view")?;
    Some(orders(tables.tables()))
}

fn orders(tables: &Tables) -> BTreeMap<u64, u32> {
    let mut times = BTreeMap::new();
    for (_, stored) in tables.find("orders", &Specification::everything()).unwrap_or_default() {
        let order = stored.row.first().and_then(|order| order.as_ref()?.integer());
        *times.entry(order.unwrap_or_default().cast_unsigned()).or_default() += 1;
    }
    times
}

/// Writes an order under a key of its own, with a message or without.
fn batch(env: &Env, key: String, order: u64, messages: Vec<Message>) -> Batch {
    let change = Change::Insert { row: vec![Some(order.cast_signed().into())] };
    let writes = vec![Write { table: "orders".to_owned(), key, change }];
    Batch { id: u128::from(env.random()), since: u64::MAX, writes, messages }
}

/// Where orders are taken, by the service and by the view.
const PORT: Port = Port::named("orders");

/// The port of a node that is alone in its role.
fn port(env: &Env, role: &str) -> Address {
    Address::new(env.peers(role)[0], PORT)
}

async fn shop<const AGAIN: bool>(env: Env) -> Result<(), String> {
    let (tables, run) = open::<TablesMachine>(&env, "shop tables", SCHEMA).await.map_err(text)?;
    let mut asked = Responder::<u64, bool>::open(&env, PORT).map_err(text)?;
    let publisher = Caller::<u64, bool>::open(&env).map_err(text)?;
    env.ready();
    let serve = async {
        loop {
            if AGAIN {
                // What a crash has kept from being told.
                relay(&env, &tables, &publisher).await?;
            }
            let (order, reply) = asked.receive().await.map_err(text)?;
            let body = order.to_be_bytes().to_vec();
            let message = Message { topic: "order".to_owned(), body };
            let messages = if AGAIN { vec![message] } else { Vec::new() };
            // An order that comes again is there already.
            let _ = tables.commit(&batch(&env, format!("{order}"), order, messages)).await;
            if !AGAIN {
                // Here the one is done and the other is not.
                let _ = publisher.call(port(&env, "view"), order, PUBLISH_MAX).await;
            }
            reply.reply(true);
        }
    };
    match race(run, serve).await {
        Either::Left(stopped) => stopped.map_err(text),
        Either::Right(ended) => ended,
    }
}

/// Tells what waits in the outbox, each until the view has heard it.
async fn relay(
    env: &Env,
    tables: &impl TableStore,
    publisher: &Caller<u64, bool>,
) -> Result<(), String> {
    for waiting in tables.outbox(0, 100).await.map_err(text)? {
        let order = waiting.message.body.try_into().map_or(0, u64::from_be_bytes);
        while publisher.call(port(env, "view"), order, ANSWER_MAX).await.is_err() {}
        tables.relayed(waiting.position).await.map_err(text)?;
    }
    Ok(())
}

/// Adds a row for each message, or for each order.
async fn view<const EACH: bool>(env: Env) -> Result<(), String> {
    let (tables, run) = open::<TablesMachine>(&env, "view", SCHEMA).await.map_err(text)?;
    let mut heard = Responder::<u64, bool>::open(&env, PORT).map_err(text)?;
    env.ready();
    let serve = async {
        loop {
            let (order, reply) = heard.receive().await.map_err(text)?;
            let row = if EACH { env.random() } else { order };
            // An order that comes again is there already.
            let _ = tables.commit(&batch(&env, format!("{row:016x}"), order, Vec::new())).await;
            reply.reply(true);
        }
    };
    match race(run, serve).await {
        Either::Left(stopped) => stopped.map_err(text),
        Either::Right(ended) => ended,
    }
}

async fn load(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let told = env.show("acknowledged", Acknowledged::default());
    let caller = Caller::<u64, bool>::open(&env).map_err(text)?;
    while let Some(operation) = client.next_operation(ORDERS) {
        env.sleep(Duration::from_micros(operation.draw(0, 300_000))).await;
        let order = u64::from(env.me().ordinal()) << 32 | operation.number();
        while caller.call(port(&env, "shop"), order, ANSWER_MAX).await.is_err() {}
        told.update(&env, |told| told.orders.insert(order));
    }
    client.after_heal().await;
    env.sleep(Duration::from_secs(2)).await;
    told.update(&env, |told| told.is_over = true);
    // It goes on showing it until the properties have looked.
    env.sleep(Duration::from_secs(1)).await;
    Ok(())
}
