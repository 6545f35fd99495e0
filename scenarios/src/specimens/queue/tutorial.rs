//! The tutorial's message processor, as it is taught.

use super::{DEAD_LETTERS, QUEUE};
use serde::{Deserialize, Serialize};
use squall_env::{Env, Shown};
use squall_protocols::queue::{
    Backend, Delivery, Message, MessageId, QueueClient, Receipt, Session, Verdict,
};
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

/// So often a message is tried again.
const MAX_RETRIES: u32 = 3;

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

    fn decode(body: &[u8]) -> Result<Order, String> {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }
}

/// What the reviews of a node have left where it was, as they think.
#[derive(Default)]
pub(super) struct Reviewed {
    pub(super) kept: Vec<MessageId>,
}

/// What a worker's processor is about.
#[derive(Default)]
pub(super) struct Progress {
    /// It sleeps before it publishes an order anew.
    pub(super) is_asleep: bool,
    /// The orders that it gave up, and why.
    pub(super) buried: Vec<(u64, String)>,
}

/// How a processor goes about what fails.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// How long is waited before a message is tried again, in the callback.
    pub(super) retry_delay: Duration,
    /// What cannot be read goes to the dead letters as it is, which the tutorial does not do.
    pub(super) buries_unreadable: bool,
}

/// Processes messages.
pub(super) struct Processor<'a> {
    pub(super) env: &'a Env,
    pub(super) queue: &'a QueueClient,
    pub(super) progress: Shown<Progress>,
    pub(super) rules: Rules,
}

impl Processor<'_> {
    /// Takes one message at a time, until something raises: what, is the answer.
    pub(super) async fn process_messages<F: Future<Output = Result<(), String>>>(
        &self,
        callback: impl Fn(Order) -> F,
    ) -> String {
        let mut session = Session::new(self.env, QUEUE, 1);
        loop {
            let given = self.queue.receive(&mut session).await.unwrap_or_default();
            if given.is_empty() {
                self.env.sleep(Duration::from_millis(20)).await;
            }
            for delivery in given {
                if let Err(why) = self.process(delivery, &callback).await {
                    return why;
                }
            }
        }
    }

    async fn process<F: Future<Output = Result<(), String>>>(
        &self,
        Delivery { receipt, body, .. }: Delivery,
        callback: impl Fn(Order) -> F,
    ) -> Result<(), String> {
        let done = match Order::decode(&body) {
            Ok(order) => callback(order).await,
            Err(why) => Err(why),
        };
        let Err(why) = done else {
            let _ = self.queue.settle(QUEUE, receipt, Verdict::Ack).await;
            return Ok(());
        };
        // The counter is in the body, so whoever handles the failure reads that again: what could
        // not be read raises once more, out of the handler, and nobody settles the message.
        match Order::decode(&body) {
            Ok(order) => self.fail(receipt, order, why).await,
            Err(_) if self.rules.buries_unreadable => self.bury(receipt, body).await,
            Err(again) => return Err(again),
        }
        Ok(())
    }

    /// Whatever the reason, it is the message that has failed, and is counted.
    async fn fail(&self, receipt: Receipt, order: Order, why: String) {
        let retry_count = order.retry_count + 1;
        let (to, again) = if retry_count <= MAX_RETRIES {
            self.progress.update(self.env, |progress| progress.is_asleep = true);
            self.env.sleep(self.rules.retry_delay).await;
            self.progress.update(self.env, |progress| progress.is_asleep = false);
            (QUEUE, Order { retry_count, ..order })
        } else {
            let buried = (order.number, why.clone());
            self.progress.update(self.env, |progress| progress.buried.push(buried));
            (DEAD_LETTERS, Order { failure_reason: Some(why), ..order })
        };
        // Acknowledged, and then published anew: what comes between the two loses it.
        let _ = self.queue.settle(QUEUE, receipt, Verdict::Ack).await;
        let id = MessageId(self.env.random().into());
        let _ = self.queue.publish(to, Message::new(id, again.encode())).await;
    }

    /// Moves a message to the dead letters as it is, and under its own id: twice makes one of it.
    async fn bury(&self, receipt: Receipt, body: Vec<u8>) {
        let message = Message::new(receipt.id, body);
        while self.queue.publish(DEAD_LETTERS, message.clone()).await.is_err() {}
        let _ = self.queue.settle(QUEUE, receipt, Verdict::Ack).await;
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
            let order = Order::decode(&delivery.body)?;
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
        if let Ok(order) = Order::decode(&delivery.body) {
            dead.insert(order.number);
        }
        let again = Verdict::Retry { after: Duration::ZERO, why: String::new() };
        let _ = queue.settle(DEAD_LETTERS, delivery.receipt, again).await;
    }
    dead
}
