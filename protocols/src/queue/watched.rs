//! A queue whose clients show what they asked and were told: what the properties go by.

use super::backend::Backend;
use super::types::{Ask, MessageId, QueueError, Receipt, Tell, Verdict};
use squall_env::{Env, Shown};
use std::sync::Arc;
use std::time::Duration;

/// Something that a client asked or was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// It is about to publish a message with this id and key.
    Publishing(MessageId, Option<String>),
    /// It was told that the message is durable.
    Confirmed(MessageId),
    /// A consumer with this number has room for so many messages.
    Consumes(u64, u16),
    /// It was given this delivery.
    Given(Receipt, Option<String>),
    /// It is about to settle a delivery.
    Settling(Receipt, Verdict),
    /// It was told that the delivery is settled.
    Settled(Receipt, Verdict),
    /// It was told that the receipt settles nothing.
    Refused(Receipt, Verdict),
    /// It is about to redrive a dead letter.
    Redriving(Receipt),
    /// It is about to discard a dead letter.
    Discarding(Receipt),
}

/// What the clients of one queue on a node asked and were told, in order.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Which queue.
    pub queue: String,
    /// What happened.
    pub events: Vec<Event>,
}

/// A backend whose use of one queue is on show. Its memory grows with every operation: it is for
/// tests.
#[derive(Clone)]
pub struct Watched<B> {
    env: Env,
    inner: B,
    told: Arc<Shown<Told>>,
}

impl<B: Backend> Watched<B> {
    /// Shows what is asked of and told by `inner` about this queue.
    pub fn new(env: &Env, queue: &str, inner: B) -> Watched<B> {
        let told = Told { queue: queue.to_owned(), events: Vec::new() };
        Watched { env: env.clone(), inner, told: Arc::new(env.show("told", told)) }
    }

    fn note(&self, event: Event) {
        self.env.trace(|| format!("queue: {event:?}"));
        self.told.update(&self.env, |told| told.events.push(event));
    }
}

impl<B: Backend> Watched<B> {
    /// Shows what is about to be asked, and lets everybody see it: a node that crashes in the
    /// moment in which it asks would show nothing of it any more.
    async fn announce(&self, event: Event) {
        self.note(event);
        self.env.sleep(Duration::from_nanos(1)).await;
    }
}

impl<B: Backend> Backend for Watched<B> {
    async fn ask(&self, queue: &str, ask: Ask) -> Result<Tell, QueueError> {
        match &ask {
            Ask::Publish(message) => {
                self.note(Event::Publishing(message.id, message.key.clone()));
            }
            Ask::Receive { consumer, call: 1, prefetch } => {
                self.note(Event::Consumes(*consumer, *prefetch));
            }
            Ask::Settle(receipt, verdict) => {
                self.announce(Event::Settling(*receipt, verdict.clone())).await;
            }
            Ask::Redrive(receipt) => self.announce(Event::Redriving(*receipt)).await,
            Ask::Discard(receipt) => self.announce(Event::Discarding(*receipt)).await,
            _ => {}
        }
        let told = self.inner.ask(queue, ask.clone()).await;
        match (ask, &told) {
            (Ask::Publish(message), Ok(_)) => self.note(Event::Confirmed(message.id)),
            (_, Ok(Tell::Delivered(deliveries))) => {
                for delivery in deliveries {
                    self.note(Event::Given(delivery.receipt, delivery.key.clone()));
                }
            }
            (Ask::Settle(receipt, verdict), Ok(_)) => {
                self.note(Event::Settled(receipt, verdict));
            }
            (Ask::Settle(receipt, verdict), Err(QueueError::Refused(_))) => {
                self.note(Event::Refused(receipt, verdict));
            }
            _ => {}
        }
        told
    }
}
