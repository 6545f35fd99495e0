//! What a queue is asked, and what it answers.

use serde::{Deserialize, Serialize};
use squall_env::platform::BindError;
use squall_env::request::CallError;
use squall_env::{HasOutcome, Outcome, WallTime};
use std::fmt;
use std::time::Duration;

/// So many bytes a message's body may have.
pub const BODY_MAX: usize = 128 << 10;
/// So many bytes a name, a key and a reason may have.
pub const TEXT_MAX: usize = 1 << 10;
/// About so many bytes an answer has at most, since it has to fit into a message.
pub const ANSWER_BYTES_MAX: usize = 256 << 10;
/// So many queues a broker has at most.
pub const QUEUES_MAX: usize = 1_024;
/// So many consumers a queue knows at a time.
pub const CONSUMERS_MAX: usize = 4_096;
/// So many messages a consumer may have in its hands at most.
pub const PREFETCH_MAX: u16 = 1_024;
/// So many messages, and so many ids, a queue keeps at most.
pub const MESSAGES_MAX: u32 = 1 << 20;
/// The longest delay, back-off and lease.
pub const DELAY_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Tells messages apart, for ever: whoever publishes draws it, and uses it again to publish again
/// what was not confirmed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct MessageId(pub u128);

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:x}", self.0)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The right to settle one delivery: no two deliveries of a message ever have the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// Which message.
    pub id: MessageId,
    /// Which of its deliveries, from 1.
    pub attempt: u32,
}

/// What a queue is declared with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct QueueConfig {
    /// So often a message is delivered before it is dead: a limit of 4 means 4 deliveries.
    pub delivery_limit: u32,
    /// So long a delivery is its consumer's, unless that asks for more.
    pub visibility: Duration,
    /// So many messages there may be, the dead ones counted: burying one never lacks room.
    pub messages_max: u32,
    /// So many of the last ids that were published are known, and published again change nothing.
    pub remembers: u32,
}

impl Default for QueueConfig {
    fn default() -> QueueConfig {
        QueueConfig {
            delivery_limit: 20,
            visibility: Duration::from_secs(30),
            messages_max: 65_536,
            remembers: 65_536,
        }
    }
}

impl QueueConfig {
    /// Every message is tried once, and so many times again if that fails.
    #[must_use]
    pub fn retries(self, retries: u32) -> QueueConfig {
        QueueConfig { delivery_limit: retries.saturating_add(1), ..self }
    }

    /// Whether a broker takes it.
    pub fn is_valid(&self) -> bool {
        let holds = 1..=MESSAGES_MAX;
        self.delivery_limit > 0
            && holds.contains(&self.messages_max)
            && self.remembers <= MESSAGES_MAX
            && !self.visibility.is_zero()
            && self.visibility <= DELAY_MAX
    }
}

/// A message to be published.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Which it is.
    pub id: MessageId,
    /// Messages of one key are delivered one behind the other, in the order in which they were
    /// published.
    pub key: Option<String>,
    /// What it says.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// It is not delivered before this has passed on the broker's clock; a broker that starts
    /// anew begins with the whole of it again.
    pub delay: Duration,
}

impl Message {
    /// A message without key and delay.
    pub fn new(id: MessageId, body: impl Into<Vec<u8>>) -> Message {
        Message { id, key: None, body: body.into(), delay: Duration::ZERO }
    }

    /// The same, behind all earlier ones of this key.
    #[must_use]
    pub fn key(self, key: &str) -> Message {
        Message { key: Some(key.to_owned()), ..self }
    }

    /// The same, to be delivered later.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Message {
        Message { delay, ..self }
    }
}

/// A message in the hands of a consumer.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// With what it is settled.
    pub receipt: Receipt,
    /// How often it was delivered since it was published or redriven, this time counted.
    pub attempt: u32,
    /// Its key.
    pub key: Option<String>,
    /// What it says.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// What becomes of a delivery. Each is one record of the broker: done, or not.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// The work is done, and the message goes.
    Ack,
    /// It failed: again after a while, unless that was the last attempt.
    Retry {
        /// How long the message rests. Those behind it with its key wait, and nobody else.
        after: Duration,
        /// Why it failed.
        why: String,
    },
    /// It never will succeed: to the dead letters.
    Dead {
        /// Why.
        why: String,
    },
    /// It cannot be read, so that nobody has tried anything: to the dead letters.
    Malformed {
        /// Why.
        why: String,
    },
}

/// Why a message is dead. Journals hold the numbers of the variants: new ones come last.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum DeadReason {
    /// A consumer said so.
    Rejected(String),
    /// Its attempts are used up. How the last one failed.
    DeliveryLimit(String),
    /// A consumer could not read it. Why not.
    Malformed(String),
}

/// A message that is delivered no more until somebody has looked at it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it stands: dead letters are listed in this order.
    pub place: u64,
    /// Its last receipt, with which it is redriven or discarded: who looked at an earlier death
    /// decides nothing about a later one.
    pub receipt: Receipt,
    /// Its key.
    pub key: Option<String>,
    /// What it says, as it was published.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// Why it is dead.
    pub reason: DeadReason,
    /// When it was published, by the broker's wall clock.
    pub published: WallTime,
    /// When an attempt failed for the first time, also before it was redriven, by the broker's wall
    /// clock: that of one which was lost when the broker noticed. It is not known of messages that
    /// failed more than once under a version that did not write it down.
    pub first_failed: Option<WallTime>,
    /// When it died, by the broker's wall clock.
    pub died: WallTime,
}

/// What a queue holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Depth {
    /// Messages that are to be delivered, those in flight and those that rest counted.
    pub queued: u32,
    /// Messages in the hands of consumers.
    pub in_flight: u32,
    /// Dead letters.
    pub dead: u32,
}

/// A request to a broker.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Makes a queue, if it is not there.
    Declare(QueueConfig),
    /// Puts a message in.
    Publish(Message),
    /// Takes messages out.
    Receive {
        /// Who: drawn anew whenever a consumer starts.
        consumer: u64,
        /// Which of its calls. The same again gets the same messages again.
        call: u64,
        /// So many it has in its hands at most, those that it has already counted.
        prefetch: u16,
    },
    /// Keeps deliveries for another lease.
    Heartbeat(Vec<Receipt>),
    /// Ends a delivery.
    Settle(Receipt, Verdict),
    /// Lists dead letters behind a place.
    DeadLetters {
        /// Behind this one; from the first, if there is none.
        behind: Option<u64>,
    },
    /// Puts a dead letter behind all that is queued, with all its attempts.
    Redrive(Receipt),
    /// Takes a dead letter out.
    Discard(Receipt),
    /// Counts.
    Depth,
}

/// What a broker answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Tell {
    /// It is done, and durable.
    Done,
    /// The message is in the queue, durably; and whether it had been published before.
    Published {
        /// Whether the id was known already.
        known: bool,
    },
    /// These are the consumer's now.
    Delivered(Vec<Delivery>),
    /// Of the deliveries that were to be kept these are lost.
    Lost(Vec<Receipt>),
    /// Some dead letters, in order.
    DeadLetters(Vec<DeadLetter>),
    /// What the queue holds.
    Depth(Depth),
    /// Nothing was done.
    Refused(Refused),
}

/// Why a broker refuses a request; then it has done nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// Nobody has declared the queue.
    #[error("there is no such queue")]
    NoQueue,
    /// It was declared otherwise: so.
    #[error("the queue is there with another configuration: {0:?}")]
    Differs(QueueConfig),
    /// A number of the configuration is zero or too large, or a prefetch is.
    #[error("the configuration makes no sense")]
    BadConfig,
    /// There are [`QUEUES_MAX`] queues.
    #[error("there are too many queues")]
    TooManyQueues,
    /// There are [`CONSUMERS_MAX`] consumers.
    #[error("there are too many consumers")]
    TooManyConsumers,
    /// The queue holds as many messages as it may.
    #[error("the queue is full")]
    Full,
    /// A body, a text, a delay or a list is too large.
    #[error("the request is too large")]
    TooLarge,
    /// The delivery is not this receipt's any more: it was settled otherwise, or the message was
    /// delivered again, or it is dead.
    #[error("the receipt is stale")]
    Stale,
    /// No dead letter has this receipt.
    #[error("there is no such dead letter")]
    NotDead,
    /// A later call of the same consumer was there before.
    #[error("a later call came first")]
    Overtaken,
    /// The broker has too much to do.
    #[error("the broker is busy")]
    Busy,
}

/// Why an operation on a queue failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue refused; nothing was done.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The queue refused, but an earlier try was not answered and may have been done.
    #[error("{0}, and an earlier try was not answered")]
    Unclear(Refused),
    /// No answer came in time.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The node has stopped.
    #[error(transparent)]
    Closed(#[from] BindError),
    /// The queue's store failed.
    #[error("the store of the queue: {0}")]
    Store(String),
    /// Somebody answers what no queue does.
    #[error("another program answers")]
    Foreign,
}

impl HasOutcome for QueueError {
    fn outcome(&self) -> Outcome {
        match self {
            QueueError::Refused(_) => Outcome::NotDone,
            _ => Outcome::Indeterminate,
        }
    }
}
