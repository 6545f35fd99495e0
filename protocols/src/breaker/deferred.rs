//! Calls that are made later, kept on disk.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use squall_env::{Machine, Never, RequestId, Turn, mutant};
use std::collections::VecDeque;

/// After so many records the journal is replaced by a snapshot.
const RECORDS_MAX: u32 = 64;

/// What a call that is put off is made of.
pub trait Body: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<B: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Body for B {}

/// A queue of calls that survives crashes. A call is known by its key, and is in it once at most.
pub struct Deferred<B> {
    /// The oldest first.
    calls: VecDeque<(u64, B)>,
    most: usize,
    records: u32,
    /// Who waits for a call to make.
    waits: Option<RequestId>,
    /// Calls that a crash takes along: there are none, but in a mutant.
    volatile: VecDeque<(u64, B)>,
}

/// What is asked of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask<B> {
    /// Keep this call.
    Put(u64, B),
    /// Which is the oldest? The answer waits until there is one.
    Oldest,
    /// This one is settled.
    Settled(u64),
    /// This one could not be settled: it goes behind the others.
    Again(u64),
}

/// How it answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told<B> {
    /// It is kept, and that is durable; or there is no room.
    Put {
        /// Whether it is kept.
        kept: bool,
    },
    /// The oldest call.
    Oldest(u64, B),
    /// So be it.
    Done,
}

/// What it writes down.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Record<B> {
    /// A call is kept.
    Put(u64, B),
    /// It is kept no longer.
    Settled(u64),
    /// It goes behind the others.
    Again(u64),
}

impl<B: Body> Deferred<B> {
    /// How many calls it keeps.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether it keeps none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    fn write(&mut self, record: Record<B>, turn: &mut Turn<Self>) {
        turn.persist(self, record);
        self.records += 1;
        if self.records >= RECORDS_MAX {
            self.records = 0;
            turn.compact();
        }
    }

    /// Whether a call is kept from now on.
    fn put(&mut self, key: u64, body: B, turn: &mut Turn<Self>) -> bool {
        if self.calls.iter().any(|(known, _)| *known == key) {
            return true;
        }
        if self.calls.len() >= self.most {
            return false;
        }
        if mutant!(turn, "breaker/queues-in-memory") {
            self.volatile.push_back((key, body));
        } else {
            self.write(Record::Put(key, body), turn);
        }
        true
    }

    /// Tells whoever waits for it which call is the oldest.
    fn tell(&mut self, turn: &mut Turn<Self>) {
        let oldest = self.calls.front().or(self.volatile.front()).cloned();
        if let Some((id, (key, body))) = self.waits.zip(oldest) {
            self.waits = None;
            turn.reply(id, Told::Oldest(key, body));
        }
    }
}

impl<B: Body> Machine for Deferred<B> {
    type Config = usize;
    type Timer = Never;
    type Message = Never;
    type Request = Ask<B>;
    type Reply = Told<B>;
    type Record = Record<B>;
    type Snapshot = VecDeque<(u64, B)>;

    fn restore(most: &usize, snapshot: Option<VecDeque<(u64, B)>>) -> Deferred<B> {
        let calls = snapshot.unwrap_or_default();
        Deferred { calls, most: *most, records: 0, waits: None, volatile: VecDeque::new() }
    }

    fn apply(&mut self, record: &Record<B>) {
        let (Record::Put(key, _) | Record::Settled(key) | Record::Again(key)) = record;
        let at = self.calls.iter().position(|(known, _)| known == key);
        let known = at.and_then(|at| self.calls.remove(at));
        match record {
            Record::Put(key, body) => self.calls.push_back((*key, body.clone())),
            Record::Settled(_) => {}
            Record::Again(_) => self.calls.extend(known),
        }
    }

    fn snapshot(&self) -> VecDeque<(u64, B)> {
        self.calls.clone()
    }

    fn on_request(&mut self, id: RequestId, request: Ask<B>, turn: &mut Turn<Self>) {
        match request {
            Ask::Put(key, body) => {
                let kept = self.put(key, body, turn);
                turn.reply(id, Told::Put { kept });
            }
            // Whoever asked before has stopped waiting: there is one who makes the calls.
            Ask::Oldest => self.waits = Some(id),
            Ask::Settled(key) => {
                self.volatile.retain(|(known, _)| *known != key);
                self.write(Record::Settled(key), turn);
                turn.reply(id, Told::Done);
            }
            Ask::Again(key) => {
                self.write(Record::Again(key), turn);
                turn.reply(id, Told::Done);
            }
        }
        self.tell(turn);
    }
}
