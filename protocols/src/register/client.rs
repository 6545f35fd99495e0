//! Reads and writes: the two phases that a client goes through.

use super::machine::{Message, NAME, Tag};
use super::value::Value;
use squall_env::platform::{BindError, Closed};
use squall_env::{
    Address, Env, HasOutcome, Instant, Messages, Outcome, Port, Shown, Sleep, mutant,
};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The greatest tag of which a client knows that a majority has stored it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged(pub Tag);

/// After how long a client asks again those who have not answered.
const RETRY: Duration = Duration::from_millis(100);

/// A reader and writer of the register. It does one operation at a time.
pub struct RegisterClient {
    env: Env,
    messages: Messages<Message>,
    replicas: Vec<Address>,
    writer: u64,
    last_sequence: u64,
    acknowledged: Shown<Acknowledged>,
    rounds: u32,
    /// Which replicas have not answered the question that is open.
    silent: Vec<bool>,
}

/// Why an operation did not finish.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegisterError {
    /// No majority answered in time, and nothing was written.
    #[error("no majority of replicas answered in time; nothing was written")]
    NoQuorum,
    /// No majority confirmed the write in time: it may take effect or not.
    #[error("no majority of replicas confirmed the write in time; it may take effect or not")]
    Unconfirmed,
    /// The node has stopped.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl HasOutcome for RegisterError {
    fn outcome(&self) -> Outcome {
        match self {
            RegisterError::NoQuorum => Outcome::NotDone,
            RegisterError::Unconfirmed | RegisterError::Closed(_) => Outcome::Indeterminate,
        }
    }
}

impl RegisterClient {
    /// A client of the replicas that are the nodes of `role`.
    ///
    /// # Errors
    /// If the node has stopped.
    pub fn open(env: &Env, role: &str) -> Result<RegisterClient, BindError> {
        // A client that starts anew must be another writer, or it would use a tag again that its
        // predecessor left behind on a minority.
        let writer = if mutant!(env, "register/reuses-tag-after-restart") {
            u64::from(env.me().ordinal())
        } else {
            env.random()
        };
        Ok(RegisterClient {
            env: env.clone(),
            messages: env.messages(Port::ANY)?,
            replicas: env.addresses(role, Port::named(NAME)),
            writer,
            last_sequence: 0,
            acknowledged: env.show("acknowledged", Acknowledged(Tag::default())),
            rounds: env.random() as u32,
            silent: Vec::new(),
        })
    }

    fn quorum(&self) -> usize {
        if mutant!(self.env, "register/quorum-off-by-one") {
            return self.replicas.len() / 2;
        }
        self.replicas.len() / 2 + 1
    }

    /// Reads the register; `None` if it was never written.
    ///
    /// # Errors
    /// If no majority answered within `limit`.
    pub async fn read(&mut self, limit: Duration) -> Result<Option<Value>, RegisterError> {
        let deadline = self.env.now() + limit;
        let newest = self.query(deadline).await?;
        let Newest { tag, value, everywhere, asked_again } = newest;
        self.env.sometimes_each("what a read finds", &(asked_again, everywhere));
        if !everywhere && !mutant!(self.env, "register/reads-without-write-back") {
            self.env.sometimes("a read had to write back");
            match self.store(tag, value.clone(), deadline).await {
                // The reader has changed nothing that anybody could see.
                Err(RegisterError::Unconfirmed) => return Err(RegisterError::NoQuorum),
                other => other?,
            }
        }
        Ok((tag != Tag::default()).then_some(value))
    }

    /// Writes the register.
    ///
    /// # Errors
    /// If no majority answered within `limit`. The error knows whether the write may take effect.
    pub async fn write(
        &mut self,
        value: impl Into<Value>,
        limit: Duration,
    ) -> Result<(), RegisterError> {
        let value = value.into();
        let deadline = self.env.now() + limit;
        let Newest { tag, .. } = self.query(deadline).await?;
        // A tag of an earlier write of its own may have reached only a minority.
        let sequence = tag.sequence.max(self.last_sequence) + 1;
        self.last_sequence = sequence;
        self.store(Tag { sequence, writer: self.writer }, value, deadline).await
    }

    async fn query(&mut self, deadline: Instant) -> Result<Newest, RegisterError> {
        let round = self.next_round();
        let mut newest = (Tag::default(), Value::default());
        let mut least = None;
        let quorum = self.quorum();
        let mut question = self.question(Message::Query { round }, deadline);
        let heed = |answer: &Message| match answer {
            Message::Newest { round: of, tag, value } if *of == round => {
                least = Some(least.map_or(*tag, |least: Tag| least.min(*tag)));
                if *tag > newest.0 {
                    newest = (*tag, value.clone());
                }
                true
            }
            _ => false,
        };
        if !question.is_answered_by(quorum, heed).await? {
            return Err(RegisterError::NoQuorum);
        }
        let everywhere = least == Some(newest.0);
        let asked_again = question.asked > 1;
        Ok(Newest { tag: newest.0, value: newest.1, everywhere, asked_again })
    }

    async fn store(
        &mut self,
        tag: Tag,
        value: Value,
        deadline: Instant,
    ) -> Result<(), RegisterError> {
        let round = self.next_round();
        let quorum = self.quorum();
        let mut question = self.question(Message::Store { round, tag, value }, deadline);
        let heed = |answer: &Message| *answer == Message::Stored { round };
        if !question.is_answered_by(quorum, heed).await? {
            return Err(RegisterError::Unconfirmed);
        }
        drop(question);
        self.acknowledged.update(&self.env, |newest| newest.0 = newest.0.max(tag));
        Ok(())
    }

    fn next_round(&mut self) -> u32 {
        self.rounds = self.rounds.wrapping_add(1);
        self.rounds
    }

    /// Asks all replicas.
    fn question(&mut self, message: Message, deadline: Instant) -> Question<'_> {
        self.silent.clear();
        self.silent.resize(self.replicas.len(), true);
        let mut question = Question {
            env: &self.env,
            messages: &mut self.messages,
            replicas: &self.replicas,
            again: self.env.sleep_until(deadline.min(self.env.now() + RETRY)),
            silent: &mut self.silent,
            answered: 0,
            asked: 0,
            message,
            deadline,
        };
        question.ask();
        question
    }
}

/// A question to all replicas, until enough have answered it.
struct Question<'a> {
    env: &'a Env,
    messages: &'a mut Messages<Message>,
    replicas: &'a [Address],
    message: Message,
    deadline: Instant,
    /// When those who are silent are asked again.
    again: Sleep<'a>,
    /// Which replicas have not answered; each counts once.
    silent: &'a mut [bool],
    answered: usize,
    /// How often the silent ones were asked.
    asked: u32,
}

impl Question<'_> {
    fn ask(&mut self) {
        self.asked = self.asked.saturating_add(1);
        let all = self.replicas.iter().zip(self.silent.iter());
        let silent = all.filter(|(_, silent)| **silent).map(|(replica, _)| *replica);
        self.env.trace(|| format!("asks {:?}", self.message));
        self.messages.send_all(silent, &self.message);
    }

    /// Waits until so many replicas have answered; `false` if the deadline comes first. `heed`
    /// hears what comes from those who have not, and says whether it is an answer. Every now and
    /// then they are asked again.
    async fn is_answered_by(
        &mut self,
        quorum: usize,
        mut heed: impl FnMut(&Message) -> bool,
    ) -> Result<bool, RegisterError> {
        poll_fn(|cx| self.poll_answers(quorum, &mut heed, cx)).await
    }

    fn poll_answers(
        &mut self,
        quorum: usize,
        heed: &mut impl FnMut(&Message) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, RegisterError>> {
        while self.answered < quorum {
            let heard = self.messages.poll_look(cx, |from, message| {
                self.env.trace(|| format!("is answered {message:?}"));
                // Whoever else answers is no replica and does not count.
                let place = self.replicas.iter().position(|replica| *replica == from);
                place.filter(|place| self.silent[*place] && heed(message))
            });
            match heard {
                Poll::Ready(Ok(Some(place))) => {
                    self.silent[place] = false;
                    self.answered += 1;
                }
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(closed)) => return Poll::Ready(Err(closed.into())),
                Poll::Pending => {
                    ready!(Pin::new(&mut self.again).poll(cx));
                    let now = self.env.now();
                    if now >= self.deadline {
                        return Poll::Ready(Ok(false));
                    }
                    self.ask();
                    self.again = self.env.sleep_until(self.deadline.min(now + RETRY));
                }
            }
        }
        Poll::Ready(Ok(true))
    }
}

struct Newest {
    tag: Tag,
    value: Value,
    /// Whether the whole majority has this tag, so that no write-back is needed.
    everywhere: bool,
    /// Whether somebody was silent for long, before a majority had answered.
    asked_again: bool,
}
