//! The tutorial's message processor, as it is taught.

use super::{DEAD_LETTERS, QUEUE};
use serde::{Deserialize, Serialize};
use squall_env::Env;
use squall_protocols::queue::{Backend, Message, MessageId, QueueClient, Session, Verdict};
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

/// So often a message is tried again.
const MAX_RETRIES: u32 = 3;

/// How long is waited before that, in the callback.
const RETRY_DELAY: Duration = Duration::from_millis(300);

/// A message, with what should have been its headers in its body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) number: u64,
    pub(super) is_malformed: bool,
    pub(super) retry_count: u32,
    pub(super) failure_reason: Option<String>,
}

impl Order {
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What the reviews of a node have left where it was, as they think.
#[derive(Default)]
pub(super) struct Reviewed {
    pub(super) kept: Vec<MessageId>,
}

/// Takes one message at a time.
pub(super) async fn process_messages<F: Future<Output = Result<(), String>>>(
    env: &Env,
    queue: &QueueClient,
    callback: impl Fn(Order) -> F,
) -> Result<(), String> {
    let mut session = Session::new(env, QUEUE, 1);
    loop {
        let given = queue.receive(&mut session).await.unwrap_or_default();
        if given.is_empty() {
            env.sleep(Duration::from_millis(20)).await;
        }
        for delivery in given {
            let (receipt, body) = (delivery.receipt, delivery.body);
            let order: Order = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
            let Err(why) = callback(order.clone()).await else {
                let _ = queue.settle(QUEUE, receipt, Verdict::Ack).await;
                continue;
            };
            let retry_count = order.retry_count + 1;
            let (to, again) = if retry_count <= MAX_RETRIES {
                env.sleep(RETRY_DELAY).await;
                (QUEUE, Order { retry_count, ..order })
            } else {
                (DEAD_LETTERS, Order { failure_reason: Some(why), ..order })
            };
            // Acknowledged, and then published anew: what comes between the two loses it.
            let _ = queue.settle(QUEUE, receipt, Verdict::Ack).await;
            let id = MessageId(env.random().into());
            let _ = queue.publish(to, Message::new(id, again.encode())).await;
        }
    }
}

/// Looks at the dead letters, and says no to those that are to stay.
pub(super) async fn process_dead_letters(
    env: &Env,
    queue: &QueueClient,
    callback: impl Fn(&Order) -> Result<(), String>,
) -> Result<(), String> {
    let reviewed = env.show("reviewed", Reviewed::default());
    let mut session = Session::new(env, DEAD_LETTERS, 1);
    loop {
        let given = queue.receive(&mut session).await.unwrap_or_default();
        if given.is_empty() {
            env.sleep(Duration::from_millis(50)).await;
        }
        for delivery in given {
            let order: Order = serde_json::from_slice(&delivery.body).map_err(|e| e.to_string())?;
            if callback(&order).is_ok() {
                let _ = queue.settle(DEAD_LETTERS, delivery.receipt, Verdict::Ack).await;
                continue;
            }
            // A no without "again" goes to the dead letters of this queue, and it has none: the
            // broker of the tutorial drops it.
            reviewed.update(env, |reviewed| reviewed.kept.push(delivery.receipt.id));
            let no = Verdict::Dead { why: "not now".to_owned() };
            if queue.settle(DEAD_LETTERS, delivery.receipt, no).await.is_ok() {
                let _ = queue.discard(DEAD_LETTERS, delivery.receipt).await;
            }
        }
    }
}

/// The numbers of the orders that came to the dead letters.
pub(super) async fn dead_orders(env: &Env, queue: &QueueClient) -> BTreeSet<u64> {
    let mut session = Session::new(env, DEAD_LETTERS, 1_000);
    let given = queue.receive(&mut session).await.unwrap_or_default();
    let mut dead = BTreeSet::new();
    for delivery in given {
        if let Ok(order) = serde_json::from_slice::<Order>(&delivery.body) {
            dead.insert(order.number);
        }
        let again = Verdict::Retry { after: Duration::ZERO, why: String::new() };
        let _ = queue.settle(DEAD_LETTERS, delivery.receipt, again).await;
    }
    dead
}
