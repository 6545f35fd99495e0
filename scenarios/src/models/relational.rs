//! An event store in a relational database with many writers. A number is drawn from a sequence
//! when an event is inserted, and is seen when its transaction commits: perhaps after greater ones,
//! and never, if it is rolled back. Streams that are deleted take their numbers with them. So a
//! number that is missing is yet to come, or will never come, and the rows do not say which.

use serde::{Deserialize, Serialize};
use squall_env::request::Responder;
use squall_env::{Env, Port, Shown};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The name of the port where clients ask.
pub const PORT: &str = "events";

/// So long a transaction takes at most.
pub const TRANSACTION_MAX: Duration = Duration::from_millis(300);

/// What the database is asked.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Inserts an event of this stream, in a transaction of its own.
    Append {
        /// The stream.
        stream: u64,
        /// Whether the transaction is rolled back.
        rolled_back: bool,
    },
    /// Deletes a stream with all its events.
    Delete(u64),
    /// Reads what stands behind this number.
    Behind(u64),
}

/// What was read, as of one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Page {
    /// The numbers of the events, in order.
    pub numbers: Vec<u64>,
    /// Below this number nothing comes any more: the oldest one that a transaction has drawn which
    /// is still under way, or else the next one.
    pub settled: u64,
}

/// The rows, and the transactions that are under way.
#[derive(Default)]
pub struct Events {
    last: u64,
    under_way: BTreeSet<u64>,
    /// The stream of each event.
    committed: BTreeMap<u64, u64>,
}

impl Events {
    /// The numbers of all events that can be read.
    pub fn committed(&self) -> impl Iterator<Item = u64> {
        self.committed.keys().copied()
    }

    fn draw(&mut self) -> u64 {
        self.last += 1;
        self.under_way.insert(self.last);
        self.last
    }

    fn end(&mut self, number: u64, stream: Option<u64>) {
        self.under_way.remove(&number);
        self.committed.extend(stream.map(|stream| (number, stream)));
    }

    fn page(&self, after: u64) -> Page {
        let numbers = self.committed.range(after + 1..).map(|(number, _)| *number).collect();
        Page { numbers, settled: self.under_way.first().copied().unwrap_or(self.last + 1) }
    }
}

/// A node that is such a database. It shows its [`Events`].
///
/// # Errors
/// If the node has stopped.
pub async fn serve(env: Env) -> Result<(), String> {
    let events = Arc::new(env.show("events", Events::default()));
    let opened = Responder::<Request, Page>::open(&env, Port::named(PORT));
    let mut responder = opened.map_err(|error| error.to_string())?;
    env.ready();
    loop {
        let (request, reply) = responder.receive().await.map_err(|error| error.to_string())?;
        match request {
            Request::Behind(after) => reply.reply(events.read(|events| events.page(after))),
            Request::Delete(stream) => {
                events.update(&env, |events| events.committed.retain(|_, of| *of != stream));
                reply.reply(Page::default());
            }
            Request::Append { stream, rolled_back } => {
                let (own, events) = (env.clone(), Arc::clone(&events));
                env.spawn("transaction", async move {
                    transact(&own, &events, (!rolled_back).then_some(stream)).await;
                    reply.reply(Page::default());
                });
            }
        }
    }
}

/// One transaction: most are short, and some are not.
async fn transact(env: &Env, events: &Shown<Events>, stream: Option<u64>) {
    let number = events.update(env, Events::draw);
    let most = if env.random_below(8) == 0 { TRANSACTION_MAX } else { TRANSACTION_MAX / 60 };
    env.sleep(Duration::from_nanos(env.random_below(most.as_nanos() as u64))).await;
    events.update(env, |events| events.end(number, stream));
}
