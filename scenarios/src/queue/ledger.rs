//! What the work of a queue changes: accounts, with the inbox of those who change them.

use serde::{Deserialize, Serialize};
use squall_env::machine::RequestId;
use squall_env::platform::BindError;
use squall_env::request::{CallError, Caller, Responder};
use squall_env::{Address, Either, Env, Machine, Never, Port, Turn, View, mutant, open, race};
use squall_protocols::queue::{Inbox, MessageId};
use std::collections::BTreeSet;
use std::time::Duration;

const NAME: &str = "ledger";
const PORT: &str = "entries";

/// Whose inbox it is.
const CONSUMER: &str = "booking";

/// So many ids are remembered: more than a run has messages.
const HORIZON: u32 = 256;

/// So many records, and a snapshot replaces them.
const RECORDS_MAX: u32 = 16;

/// What a message does: books something.
pub(crate) type Effect = u128;

/// Books what messages say, every message once.
pub(crate) struct Ledger {
    inbox: Inbox,
    /// What was booked, in order.
    booked: Vec<Effect>,
    since_snapshot: u32,
    /// What an inbox knows that is not kept with the effects: nothing, if all is right.
    remembered: BTreeSet<MessageId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// It is booked, and the inbox knows the message: one record, so both or neither.
    Booked(MessageId, Effect),
    /// It is booked, and the inbox does not know of it.
    BookedAlone(Effect),
}

/// What is asked: that something be booked for a message, or how often it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry {
    Book(MessageId, Effect),
    /// The same, by somebody who has no inbox.
    BookAlone(Effect),
    Count(Effect),
}

impl Ledger {
    /// What is booked, in order.
    pub(crate) fn booked(&self) -> &[Effect] {
        &self.booked
    }

    pub(crate) fn times(&self, effect: Effect) -> u32 {
        self.booked.iter().filter(|booked| **booked == effect).count() as u32
    }
}

impl Machine for Ledger {
    type Config = ();
    type Timer = Never;
    type Message = Never;
    type Request = Entry;
    type Reply = u32;
    type Record = Record;
    type Snapshot = (Inbox, Vec<Effect>);

    fn restore((): &(), snapshot: Option<Self::Snapshot>) -> Ledger {
        let (inbox, booked) = snapshot.unwrap_or((Inbox::new(HORIZON), Vec::new()));
        Ledger { inbox, booked, since_snapshot: 0, remembered: BTreeSet::new() }
    }

    fn apply(&mut self, record: &Record) {
        match *record {
            Record::Booked(id, effect) => {
                if self.inbox.record(CONSUMER, id) {
                    self.booked.push(effect);
                }
            }
            Record::BookedAlone(effect) => self.booked.push(effect),
        }
    }

    fn snapshot(&self) -> Self::Snapshot {
        (self.inbox.clone(), self.booked.clone())
    }

    fn on_request(&mut self, id: RequestId, entry: Entry, turn: &mut Turn<Ledger>) {
        let (Entry::Book(_, effect) | Entry::BookAlone(effect) | Entry::Count(effect)) = entry;
        let record = match entry {
            Entry::Book(..) if mutant!(turn, "queue/books-without-an-inbox") => {
                Some(Record::BookedAlone(effect))
            }
            Entry::Book(message, _) if mutant!(turn, "queue/keeps-its-inbox-in-memory") => {
                let is_new = self.remembered.insert(message);
                is_new.then_some(Record::BookedAlone(effect))
            }
            Entry::Book(message, _) if self.inbox.has(CONSUMER, message) => {
                turn.sometimes("an inbox knew a message");
                None
            }
            Entry::Book(message, _) => Some(Record::Booked(message, effect)),
            Entry::BookAlone(_) => Some(Record::BookedAlone(effect)),
            Entry::Count(_) => None,
        };
        if let Some(record) = record {
            turn.persist(self, record);
            self.since_snapshot += 1;
            if self.since_snapshot >= RECORDS_MAX {
                self.since_snapshot = 0;
                turn.compact();
            }
        }
        turn.reply(id, self.times(effect));
    }
}

/// A node that keeps the ledger.
pub(crate) async fn serve(env: Env) -> Result<(), String> {
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
pub(crate) struct Books {
    env: Env,
    caller: Caller<Entry, u32>,
}

impl Books {
    pub(crate) fn open(env: &Env) -> Result<Books, BindError> {
        Ok(Books { env: env.clone(), caller: Caller::open(env)? })
    }

    /// How often the message is booked once the entry is made, or has been before.
    pub(crate) async fn ask(&self, entry: Entry, limit: Duration) -> Result<u32, CallError> {
        let ledger: Address = self.env.addresses("ledger", Port::named(PORT))[0];
        self.caller.call(ledger, entry, limit).await
    }
}

/// Nothing is booked twice.
pub(crate) fn books_once(view: &View<'_>) -> Result<(), String> {
    for ledger in view.changed::<Ledger>() {
        if let Some(effect) = ledger.booked().iter().find(|one| ledger.times(**one) > 1) {
            return Err(format!("{effect:x} is booked {} times", ledger.times(*effect)));
        }
    }
    Ok(())
}
