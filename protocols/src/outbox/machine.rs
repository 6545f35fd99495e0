//! A state with an outbox beside it, as a machine.

use super::claim::Claim;
use super::letters::{Letter, Numbered, Outbox};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use squall_env::machine::RequestId;
use squall_env::{Machine, Never, Turn, mutant};
use std::time::Duration;

/// So many records, and a snapshot replaces them.
const RECORDS_MAX: u32 = 64;

/// So many letters a relay is given at a time.
pub(super) const LETTERS: usize = 16;

/// A state whose changes are told to others.
pub trait State: Clone + Default + Send + Serialize + DeserializeOwned + 'static {
    /// What it is asked to do.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What becomes of it.
    type Change: Clone + Serialize + DeserializeOwned + Send + 'static;
    /// What whoever asked is told.
    type Answer: Serialize + DeserializeOwned + Send + 'static;

    /// What a command changes, if anything, which letters tell of it, and the answer.
    fn decide(&self, command: &Self::Command) -> Decision<Self>;

    /// Makes the change.
    fn apply(&mut self, change: &Self::Change);
}

/// What a state makes of a command.
pub struct Decision<S: State> {
    /// The change, with the letters that tell of it.
    pub change: Option<(S::Change, Vec<Letter>)>,
    /// The answer.
    pub answer: S::Answer,
}

/// How an outbox is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutboxConfig {
    /// So many letters wait at most: commands that would write more are refused.
    pub letters_max: u32,
    /// So long the letters are one relay's. If it is not heard of any more, they are the next
    /// one's.
    pub claim: Duration,
}

impl Default for OutboxConfig {
    fn default() -> OutboxConfig {
        OutboxConfig { letters_max: 4_096, claim: Duration::from_secs(10) }
    }
}

/// A durable change of the state, of the outbox, or of both as one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Record<C> {
    /// The state changed, and these letters tell of it.
    Changed(C, Vec<Letter>),
    /// All letters up to this number are published.
    Sent(u64),
}

/// What the machine is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ask<C> {
    /// Do this.
    Do(C),
    /// A relay asks for letters.
    Take {
        /// Which: drawn anew whenever one starts.
        relay: u64,
    },
    /// A relay has published all letters up to a number.
    Sent {
        /// Which relay.
        relay: u64,
        /// The number.
        upto: u64,
    },
}

/// What it answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Tell<A> {
    /// The state's answer, with everything durable that it tells of.
    Done(A),
    /// The outbox is full: nothing was done.
    Full,
    /// The letters to be published next: none if there are none, or if they are another relay's.
    Letters(Vec<Numbered>),
    /// It is noted.
    Noted,
}

/// A state and its outbox, which change in one record.
pub struct Outboxed<S: State> {
    state: S,
    outbox: Outbox,
    claim: Claim,
    since_snapshot: u32,
}

impl<S: State> Outboxed<S> {
    /// The state.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The letters that wait.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    fn persist(&mut self, record: Record<S::Change>, turn: &mut Turn<Self>) {
        turn.persist(self, record);
        self.since_snapshot += 1;
        if self.since_snapshot >= RECORDS_MAX {
            self.since_snapshot = 0;
            turn.compact();
        }
    }

    fn execute(&mut self, command: &S::Command, turn: &mut Turn<Self>) -> Tell<S::Answer> {
        let Decision { change, answer } = self.state.decide(command);
        let Some((change, letters)) = change else { return Tell::Done(answer) };
        if !self.outbox.has_room(letters.len()) {
            turn.sometimes("an outbox was full");
            return Tell::Full;
        }
        self.persist(Record::Changed(change, letters), turn);
        Tell::Done(answer)
    }

    fn take(&mut self, relay: u64, turn: &mut Turn<Self>) -> Tell<S::Answer> {
        let now = turn.now();
        let is_next = !self.claim.is_new() && !self.claim.is_of(relay);
        let keeps_for_the_dead = mutant!(turn, "outbox/keeps-letters-for-a-dead-relay");
        if is_next && keeps_for_the_dead || !self.claim.take(relay, now) {
            return Tell::Letters(Vec::new());
        }
        if is_next {
            turn.sometimes("the letters of a dead relay became another's");
        }
        Tell::Letters(self.outbox.first(LETTERS))
    }
}

impl<S: State> Machine for Outboxed<S> {
    type Config = OutboxConfig;
    type Timer = Never;
    type Message = Never;
    type Request = Ask<S::Command>;
    type Reply = Tell<S::Answer>;
    type Record = Record<S::Change>;
    type Snapshot = (S, Outbox);

    fn restore(config: &OutboxConfig, snapshot: Option<(S, Outbox)>) -> Outboxed<S> {
        let new = || (S::default(), Outbox::new(config.letters_max));
        let (state, outbox) = snapshot.unwrap_or_else(new);
        Outboxed { state, outbox, claim: Claim::new(config.claim), since_snapshot: 0 }
    }

    fn apply(&mut self, record: &Record<S::Change>) {
        match record {
            Record::Changed(change, letters) => {
                self.state.apply(change);
                self.outbox.put(letters.iter().cloned());
            }
            Record::Sent(upto) => self.outbox.sent(*upto),
        }
    }

    fn snapshot(&self) -> (S, Outbox) {
        (self.state.clone(), self.outbox.clone())
    }

    fn on_request(&mut self, id: RequestId, ask: Ask<S::Command>, turn: &mut Turn<Self>) {
        let told = match ask {
            Ask::Do(command) => self.execute(&command, turn),
            Ask::Take { relay } => self.take(relay, turn),
            Ask::Sent { relay, upto } => {
                self.claim.keep(relay, turn.now());
                // Whoever says so has the queue's confirmation: it counts whosever the letters are.
                if self.outbox.first(1).first().is_some_and(|first| first.number <= upto) {
                    self.persist(Record::Sent(upto), turn);
                }
                Tell::Noted
            }
        };
        turn.reply(id, told);
    }
}
