//! Orders with an outbox: that an order is placed and that others hear of it is one record. A relay
//! puts the letters on a queue; each order that was confirmed is there in the end.

use super::faults;
use serde::{Deserialize, Serialize};
use squall::{Client, Scenario};
use squall_env::sync::stop_with_node;
use squall_env::{Env, View};
use squall_protocols::outbox::{self, Decision, Letter, OutboxClient, OutboxConfig, State, relay};
use squall_protocols::queue::{self, Backend, QueueClient, QueueConfig};
use std::collections::BTreeSet;
use std::time::Duration;

const QUEUE: &str = "orders";
const LIMIT: Duration = Duration::from_secs(2);

#[derive(Clone, Default, Serialize, Deserialize)]
struct Orders(BTreeSet<u64>);

impl State for Orders {
    type Command = u64;
    type Change = u64;
    type Answer = ();

    fn decide(&self, order: &u64) -> Decision<Orders> {
        let letter = Letter { key: None, body: order.to_le_bytes().to_vec() };
        let is_new = !self.0.contains(order);
        Decision { change: is_new.then(|| (*order, vec![letter])), answer: () }
    }

    fn apply(&mut self, order: &u64) {
        self.0.insert(*order);
    }
}

/// How many orders the client was told are placed, and how many messages were queued in the end.
#[derive(Default)]
struct Seen {
    placed: u32,
    queued: Option<u32>,
}

/// What has to hold.
pub(crate) const PROPERTY: &str = "there is a message for each order, and one only";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/outbox")
        .nodes("broker", 1..=1, queue::serve)
        .nodes("orders", 1..=1, |env| outbox::serve::<Orders>(env, OutboxConfig::default()))
        .nodes("relay", 2..=2, pass_on)
        .clients("client", 1..=1, place)
        .tolerates(faults(&["broker", "orders", "relay"]))
        .always(PROPERTY, || {
            |view: &View<'_>| {
                let ends = view.up::<Seen>().find_map(|seen| Some((seen.placed, seen.queued?)));
                match ends.filter(|(placed, queued)| placed != queued) {
                    None => Ok(()),
                    Some((placed, queued)) => Err(format!("{placed} orders, {queued} messages")),
                }
            }
        })
        .finishes_within(Duration::from_secs(90))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn open(env: &Env) -> Result<(QueueClient, OutboxClient<Orders>), String> {
    let queue = QueueClient::open(env, env.peers("broker")[0], LIMIT).map_err(text)?;
    let orders = OutboxClient::open(env, env.peers("orders")[0], LIMIT).map_err(text)?;
    Ok((queue, orders))
}

async fn pass_on(env: Env) -> Result<(), String> {
    let (queue, orders) = open(&env)?;
    while queue.declare(QUEUE, QueueConfig::default()).await.is_err() {}
    env.ready();
    relay(&env, &orders, 1, (&queue, QUEUE), stop_with_node(&env)).await;
    Ok(())
}

async fn place(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let (queue, orders) = open(&env)?;
    let seen = client.keep::<Seen>("seen");
    while let Some(operation) = client.next_operation(6) {
        while !matches!(orders.command(operation.number()).await, Ok(Some(()))) {}
        seen.update(&env, |seen| seen.placed += 1);
    }
    client.after_heal().await;
    let placed = seen.read(|seen| seen.placed);
    loop {
        if let Ok(depth) = queue.depth(QUEUE).await
            && depth.queued >= placed
        {
            seen.update(&env, |seen| seen.queued = Some(depth.queued));
            return Ok(());
        }
        env.sleep(Duration::from_millis(50)).await;
    }
}
