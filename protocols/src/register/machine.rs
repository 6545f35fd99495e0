//! A replica of the register.

use super::value::Value;
use serde::{Deserialize, Serialize};
pub use squall_env::machine::ServeError;
use squall_env::{Address, Env, Machine, Never, Turn, mutant, open};

/// The name of the replica's journal and port.
pub const NAME: &str = "register";

/// After so many stored values a replica replaces its journal by a snapshot.
const RECORDS_MAX: u64 = 32;

/// What orders the values. No two different values ever have the same tag.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Tag {
    /// One more than the greatest that the writer saw on a majority.
    pub sequence: u64,
    /// Tells writers apart. A writer that starts anew is another writer, because it has forgotten
    /// which tags it used.
    pub writer: u64,
}

/// What clients and replicas tell each other. `round` connects an answer with its question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Message {
    /// What is your newest tag, and what stands under it?
    Query {
        /// The question's number.
        round: u32,
    },
    /// Store this, unless you have something newer.
    Store {
        /// The question's number.
        round: u32,
        /// The value's tag.
        tag: Tag,
        /// The value.
        value: Value,
    },
    /// The answer to `Query`. A tag of zero stands for a register that was never written.
    Newest {
        /// The question's number.
        round: u32,
        /// The newest tag.
        tag: Tag,
        /// What stands under it.
        value: Value,
    },
    /// The answer to `Store`: this tag or a newer one is durable here.
    Stored {
        /// The question's number.
        round: u32,
    },
}

/// One replica. It remembers the highest tag it was ever asked to store.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Replica {
    tag: Tag,
    value: Value,
    since_snapshot: u64,
}

/// What a replica persists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Record {
    /// A value with its tag.
    Stored(Tag, Value),
}

impl Replica {
    /// The highest tag it was asked to store.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// What stands under that tag.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    fn store(&mut self, tag: Tag, value: Value, turn: &mut Turn<Replica>) {
        if tag <= self.tag {
            return;
        }
        let record = Record::Stored(tag, value);
        turn.trace(|| format!("persists {record:?}"));
        turn.persist(self, record);
        self.since_snapshot += 1;
        turn.watermark("records since a snapshot", self.since_snapshot);
        if self.since_snapshot >= RECORDS_MAX {
            self.since_snapshot = 0;
            turn.compact();
        }
    }
}

impl Machine for Replica {
    type Config = ();
    type Timer = Never;
    type Message = Message;
    type Request = Never;
    type Reply = Never;
    type Record = Record;
    type Snapshot = (Tag, Value);

    fn restore((): &(), snapshot: Option<(Tag, Value)>) -> Replica {
        let (tag, value) = snapshot.unwrap_or_default();
        Replica { tag, value, since_snapshot: 0 }
    }

    fn apply(&mut self, Record::Stored(tag, value): &Record) {
        self.tag = *tag;
        self.value.clone_from(value);
    }

    fn snapshot(&self) -> (Tag, Value) {
        (self.tag, self.value.clone())
    }

    fn on_message(&mut self, from: Address, message: Message, turn: &mut Turn<Replica>) {
        turn.trace(|| format!("hears {message:?}"));
        match message {
            Message::Query { round } => {
                let (tag, value) = (self.tag, self.value.clone());
                turn.send(from, Message::Newest { round, tag, value });
            }
            Message::Store { round, tag, value } => {
                if mutant!(turn, "register/acknowledges-before-durable") {
                    turn.send_early(from, Message::Stored { round });
                    self.store(tag, value, turn);
                    return;
                }
                self.store(tag, value, turn);
                // Leaves when all that was persisted before it is durable.
                turn.send(from, Message::Stored { round });
            }
            Message::Newest { .. } | Message::Stored { .. } => {
                turn.reject(from, "an answer reached a replica");
            }
        }
    }
}

/// A node that is a replica of the register.
///
/// # Errors
/// If the replica cannot be opened or has to stop; the node should then be started anew.
pub async fn serve(env: Env) -> Result<(), ServeError> {
    let (_replica, run) = open::<Replica>(&env, NAME, ()).await?;
    env.ready();
    Ok(run.await?)
}
