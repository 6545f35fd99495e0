//! Parcels that are put on a queue, and a worker that sends them. Each that was confirmed is sent
//! at least once, though the broker crashes and messages are lost.

use super::faults_and_losses;
use squall::{Client, Scenario};
use squall_env::sync::stop_with_node;
use squall_env::{Env, View};
use squall_protocols::queue::{
    self, Backend, ConsumerConfig, Message, MessageId, QueueClient, QueueConfig, consume,
};
use std::collections::BTreeSet;
use std::time::Duration;

const QUEUE: &str = "parcels";

/// What a client was told is on the queue.
#[derive(Default)]
struct Confirmed(BTreeSet<u128>);

/// What the worker has sent.
struct Sent(BTreeSet<u128>);

/// What has to hold.
pub(crate) const PROPERTY: &str = "what was confirmed is sent";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/queue")
        .nodes("broker", 1..=1, queue::serve)
        .nodes("worker", 1..=1, send)
        .clients("client", 1..=2, publish)
        .tolerates(faults_and_losses(&["broker", "client"]))
        .eventually(PROPERTY, Duration::from_secs(60), || {
            |view: &View<'_>| {
                let sent = view.up::<Sent>().next().map(|sent| sent.0.clone()).unwrap_or_default();
                view.up::<Confirmed>().all(|confirmed| confirmed.0.is_subset(&sent))
            }
        })
        .finishes_within(Duration::from_secs(60))
}

fn open(env: &Env) -> Result<QueueClient, String> {
    let limit = Duration::from_secs(2);
    QueueClient::open(env, env.peers("broker")[0], limit).map_err(|error| error.to_string())
}

async fn publish(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let queue = open(&env)?;
    let confirmed = client.keep::<Confirmed>("confirmed");
    while queue.declare(QUEUE, QueueConfig::default()).await.is_err() {}
    while let Some(operation) = client.next_operation(5) {
        // The same id if it is published again, so that it is there once.
        let id = u128::from(env.me().ordinal()) << 64 | u128::from(operation.number());
        if queue.publish(QUEUE, Message::new(MessageId(id), "a parcel")).await.is_ok() {
            confirmed.update(&env, |confirmed| confirmed.0.insert(id));
        }
    }
    Ok(())
}

async fn send(env: Env) -> Result<(), String> {
    let queue = open(&env)?;
    let sent = env.show("sent", Sent(BTreeSet::new()));
    let config = ConsumerConfig::new(QUEUE, QueueConfig::default().visibility);
    let own = env.clone();
    let handler = move |delivery: queue::Delivery| {
        let (sent, env) = (sent.clone(), own.clone());
        async move {
            sent.update(&env, |sent| sent.0.insert(delivery.receipt.id.0));
            Ok(())
        }
    };
    let stopped = stop_with_node(&env);
    consume(&env, &queue, config, stopped, handler).await.map_err(|error| error.to_string())
}
