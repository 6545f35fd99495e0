//! What the work of a queue changes: accounts, with the inbox of those who change them.

use serde::{Deserialize, Serialize};
use squall_env::machine::RequestId;
use squall_env::platform::BindError;
use squall_env::request::{CallError, Caller, Responder};
use squall_env::{Address, Either, Env, Machine, Never, Port, Turn, mutant, open, race};
use squall_protocols::queue::{Inbox, MessageId};
use std::collections::BTreeMap;
use std::time::Duration;

const NAME: &str = "ledger";
const PORT: &str = "entries";

/// Whose inbox it is.
const CONSUMER: &str = "booking";

/// So many ids are remembered: more than a run has messages.
const HORIZON: u32 = 256;

/// So many records, and a snapshot replaces them.
const RECORDS_MAX: u32 = 16;

/// Books every message once.
pub(super) struct Ledger {
    inbox: Inbox,
    /// How often each message was booked.
    booked: BTreeMap<MessageId, u32>,
    since_snapshot: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Record {
    /// A message is booked, and the inbox knows it: one record, so both or neither.
    Booked(MessageId),
    /// A message is booked, and the inbox does not know it.
    BookedAlone(MessageId),
}

/// What is asked: that a message be booked, or how often it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    Book(MessageId),
    Count(MessageId),
}

impl Ledger {
    pub(super) fn booked(&self) -> impl Iterator<Item = (MessageId, u32)> {
        self.booked.iter().map(|(id, times)| (*id, *times))
    }

    pub(super) fn times(&self, id: MessageId) -> u32 {
        self.booked.get(&id).copied().unwrap_or_default()
    }

    fn book(&mut self, id: MessageId) {
        *self.booked.entry(id).or_default() += 1;
    }
}

impl Machine for Ledger {
    type Config = ();
    type Timer = Never;
    type Message = Never;
    type Request = Entry;
    type Reply = u32;
    type Record = Record;
    type Snapshot = (Inbox, BTreeMap<MessageId, u32>);

    fn restore((): &(), snapshot: Option<Self::Snapshot>) -> Ledger {
        let (inbox, booked) = snapshot.unwrap_or((Inbox::new(HORIZON), BTreeMap::new()));
        Ledger { inbox, booked, since_snapshot: 0 }
    }

    fn apply(&mut self, record: &Record) {
        match *record {
            Record::Booked(id) => {
                if self.inbox.record(CONSUMER, id) {
                    self.book(id);
                }
            }
            Record::BookedAlone(id) => self.book(id),
        }
    }

    fn snapshot(&self) -> Self::Snapshot {
        (self.inbox.clone(), self.booked.clone())
    }

    fn on_request(&mut self, id: RequestId, entry: Entry, turn: &mut Turn<Ledger>) {
        let (Entry::Book(message) | Entry::Count(message)) = entry;
        if entry == Entry::Book(message) {
            if mutant!(turn, "queue/books-without-an-inbox") {
                turn.persist(self, Record::BookedAlone(message));
            } else if self.inbox.has(CONSUMER, message) {
                turn.sometimes("an inbox knew a message");
            } else {
                turn.persist(self, Record::Booked(message));
            }
            self.since_snapshot += 1;
            if self.since_snapshot >= RECORDS_MAX {
                self.since_snapshot = 0;
                turn.compact();
            }
        }
        turn.reply(id, self.times(message));
    }
}

/// A node that keeps the ledger.
pub(super) async fn serve(env: Env) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let (ledger, run) = open::<Ledger>(&env, NAME, ()).await.map_err(|error| text(&error))?;
    let mut asked: Responder<Entry, u32> =
        Responder::open(&env, Port::named(PORT)).map_err(|error| text(&error))?;
    env.ready();
    let serving = async {
        while let Ok((entry, back)) = asked.receive().await {
            let ledger = ledger.clone();
            env.spawn("entry", async move {
                if let Ok(times) = ledger.request(entry).await {
                    back.reply(times);
                }
            });
        }
    };
    match race(run, serving).await {
        Either::Left(ended) => ended.map_err(|error| text(&error)),
        Either::Right(()) => Err("the node has stopped".to_owned()),
    }
}

/// Whoever has messages booked.
pub(super) struct Books {
    env: Env,
    caller: Caller<Entry, u32>,
}

impl Books {
    pub(super) fn open(env: &Env) -> Result<Books, BindError> {
        Ok(Books { env: env.clone(), caller: Caller::open(env)? })
    }

    /// How often the message is booked once the entry is made, or has been before.
    pub(super) async fn ask(&self, entry: Entry, limit: Duration) -> Result<u32, CallError> {
        let ledger: Address = self.env.addresses("ledger", Port::named(PORT))[0];
        self.caller.call(ledger, entry, limit).await
    }
}
