//! What a consumer has done already, beside what it did.

use super::types::MessageId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The messages that took effect, for each consumer apart.
///
/// It belongs into the same state as the effects, and changes in the same record or transaction:
/// then a message that is delivered again finds its effect and its id, or neither. It remembers the
/// last ids of every consumer, as many as its horizon: a message may come again and is known as
/// long as no more than so many others took effect in between.
///
/// ```
/// use squall_protocols::queue::{Inbox, MessageId};
///
/// let mut inbox = Inbox::new(1_000);
/// assert!(inbox.record("billing", MessageId(1)));
/// assert!(!inbox.record("billing", MessageId(1)), "it was delivered again");
/// assert!(inbox.record("shipping", MessageId(1)), "another consumer");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Inbox {
    horizon: u32,
    consumers: BTreeMap<String, Seen>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
struct Seen {
    ids: BTreeSet<MessageId>,
    order: VecDeque<MessageId>,
}

impl Inbox {
    /// An inbox that remembers so many ids of each consumer.
    pub fn new(horizon: u32) -> Inbox {
        Inbox { horizon, consumers: BTreeMap::new() }
    }

    /// Whether the message took effect already, as far as is remembered.
    pub fn has(&self, consumer: &str, id: MessageId) -> bool {
        self.consumers.get(consumer).is_some_and(|seen| seen.ids.contains(&id))
    }

    /// Notes that the message takes effect: `false` if it did already, and must not again.
    pub fn record(&mut self, consumer: &str, id: MessageId) -> bool {
        if self.has(consumer, id) {
            return false;
        }
        let seen = self.consumers.entry(consumer.to_owned()).or_default();
        seen.ids.insert(id);
        seen.order.push_back(id);
        while seen.order.len() > self.horizon as usize {
            if let Some(oldest) = seen.order.pop_front() {
                seen.ids.remove(&oldest);
            }
        }
        true
    }
}
