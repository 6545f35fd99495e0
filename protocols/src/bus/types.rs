//! What a bus is asked, and what it answers.

use crate::queue::{Failure, MessageId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use squall_env::platform::BindError;
use squall_env::request::CallError;
use squall_env::{HasOutcome, Outcome, WallTime};
use std::collections::BTreeSet;
use std::time::Duration;

/// So many bytes the body of a post may have.
pub const BODY_MAX: usize = 64 << 10;
/// So many bytes a name or a reason may have.
pub const TEXT_MAX: usize = 1 << 10;
/// So many posts a reader is given at a time, and so many parked ones are listed.
pub const BATCH: usize = 8;
/// So many subscriptions a bus has at most.
pub const SUBSCRIPTIONS_MAX: usize = 1_024;

/// Something that is said on a bus: its type has a name there.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use squall_protocols::bus::Event;
///
/// #[derive(Serialize, Deserialize)]
/// struct OrderPlaced {
///     order: u64,
///     total_cents: u64,
/// }
///
/// impl Event for OrderPlaced {
///     const KIND: &'static str = "order-placed";
/// }
/// ```
pub trait Event: Serialize + DeserializeOwned {
    /// The name of the type, the same for all versions of it that can be read.
    const KIND: &'static str;
}

/// What is posted.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Post {
    /// Tells it from all others: posted again under the same id, it is not posted again.
    pub id: MessageId,
    /// What kind of event it is.
    pub kind: String,
    /// The event.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl Post {
    /// An event under this id.
    ///
    /// # Errors
    /// If the event cannot be encoded.
    pub fn of<E: Event>(id: MessageId, event: &E) -> Result<Post, postcard::Error> {
        Ok(Post { id, kind: E::KIND.to_owned(), body: postcard::to_stdvec(event)? })
    }
}

/// A post in the hands of a reader.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Given {
    /// Where it stands on the bus.
    pub position: u64,
    /// Whether it was parked and is tried again, out of order.
    pub is_replay: bool,
    /// When it was posted, by the wall clock of the bus. It is not known of what was posted under a
    /// version that did not write it down.
    pub posted: Option<WallTime>,
    /// What was posted.
    pub post: Post,
}

impl Given {
    /// The event, if it is of this kind.
    ///
    /// # Errors
    /// [`Failure::Malformed`] if it claims to be of this kind and cannot be read. A handler can
    /// pass it on: the post is parked at once.
    pub fn read<E: Event>(&self) -> Result<Option<E>, Failure> {
        if self.post.kind != E::KIND {
            return Ok(None);
        }
        let read = postcard::from_bytes(&self.post.body);
        read.map(Some).map_err(|error| Failure::Malformed(error.to_string()))
    }
}

/// A post that failed too often for a subscription, or once and for good, which has gone on without
/// it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Parked {
    /// Where it stood.
    pub position: u64,
    /// What was posted.
    pub post: Post,
    /// When it was posted, as with [`Given::posted`].
    pub posted: Option<WallTime>,
    /// How it failed the last time.
    pub why: String,
    /// Since when it is parked, by the wall clock of the bus.
    pub since: WallTime,
}

/// Where a new subscription begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Begin {
    /// With the oldest post that is still there.
    Oldest,
    /// With the next post.
    Next,
}

/// How a bus is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BusConfig {
    /// So many posts wait at most for the slowest subscription: then posts are refused.
    pub posts_max: u32,
    /// So many of the last ids are known.
    pub remembers: u32,
    /// So often a post is given to a subscription before it is parked.
    pub attempts_max: u32,
    /// So many posts a subscription parks at most: then it stands still until somebody looks.
    pub parked_max: u32,
    /// So long a subscription is one reader's after its last sign of life.
    pub claim: Duration,
}

impl Default for BusConfig {
    fn default() -> BusConfig {
        BusConfig {
            posts_max: 16_384,
            remembers: 16_384,
            attempts_max: 5,
            parked_max: 1_024,
            claim: Duration::from_secs(30),
        }
    }
}

/// A request to a bus.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Posts something.
    Post(Post),
    /// Makes a subscription to these kinds, or to all if there are none; if it is there, nothing.
    Subscribe(String, BTreeSet<String>, Begin),
    /// Ends a subscription, and what it has parked is gone.
    Unsubscribe(String),
    /// A reader asks for posts.
    Fetch {
        /// For which subscription.
        name: String,
        /// Who: drawn anew whenever one starts.
        reader: u64,
        /// Which of its calls. The same again gets the same again.
        call: u64,
    },
    /// The post at this position is done, and so are all before it.
    Done(String, u64),
    /// The post at this position failed, for this reason.
    Failed(String, u64, String),
    /// Lists what is parked behind a position.
    Parked(String, Option<u64>),
    /// Has a parked post tried again.
    Replay(String, u64),
    /// Drops a parked post.
    Drop(String, u64),
    /// Where a subscription stands.
    Standing(String),
    /// The post at this position cannot be handled, however often it is given: for this reason it
    /// is parked at once.
    Park(String, u64, String),
}

/// What a bus answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Tell {
    /// It is done, and durable.
    Ok,
    /// The post is durable and stands at this position.
    Posted(u64),
    /// The next posts, in order: none if there are none, or if another reader has the subscription.
    Given(Vec<Given>),
    /// Some of what is parked, in order.
    Parked(Vec<Parked>),
    /// The first position that is not done, and how many posts are parked or tried again.
    Standing(u64, u32),
    /// Nothing was done.
    Refused(Refused),
}

/// Why a bus refuses a request; then it has done nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// The slowest subscription is too far behind.
    #[error("the bus is full")]
    Full,
    /// There is no such subscription.
    #[error("there is no such subscription")]
    NoSubscription,
    /// It was made for other kinds.
    #[error("the subscription is there for other kinds")]
    Differs,
    /// There are [`SUBSCRIPTIONS_MAX`].
    #[error("there are too many subscriptions")]
    TooMany,
    /// A name, a reason or a body is too large, or a name is empty.
    #[error("the request is too large")]
    TooLarge,
    /// No such post is parked.
    #[error("no such post is parked")]
    NotParked,
    /// The bus has too much to do.
    #[error("the bus is busy")]
    Busy,
    /// Nothing is posted there yet.
    #[error("there is no such post")]
    NoPost,
}

/// Why an operation on a bus failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BusError {
    /// The bus refused; nothing was done.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The bus refused, but an earlier try was not answered and may have been done.
    #[error("{0}, and an earlier try was not answered")]
    Unclear(Refused),
    /// No answer came in time.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The node has stopped.
    #[error(transparent)]
    Closed(#[from] BindError),
    /// The bus's store failed.
    #[error("the store of the bus: {0}")]
    Store(String),
    /// Somebody answers what no bus does.
    #[error("another program answers")]
    Foreign,
}

impl HasOutcome for BusError {
    fn outcome(&self) -> Outcome {
        match self {
            BusError::Refused(_) => Outcome::NotDone,
            _ => Outcome::Indeterminate,
        }
    }
}
