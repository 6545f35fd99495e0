//! What every queue can do, whoever keeps it.

use super::types::{
    Ask, DeadLetter, Delivery, Depth, Message, QueueConfig, QueueError, Receipt, Tell, Verdict,
};
use squall_env::Env;
use std::future::Future;

/// A consumer as the queue knows it.
#[derive(Debug)]
pub struct Session {
    queue: String,
    consumer: u64,
    call: u64,
    /// Whether its last call was answered: else it is made again, for what it was given is lost
    /// to everybody until the lease ends.
    is_answered: bool,
    prefetch: u16,
}

impl Session {
    /// A consumer of a queue that takes so many messages at a time into its hands. One that starts
    /// anew is another one.
    pub fn new(env: &Env, queue: &str, prefetch: u16) -> Session {
        let (queue, consumer) = (queue.to_owned(), env.random());
        Session { queue, consumer, call: 0, is_answered: true, prefetch }
    }

    /// Its queue.
    pub fn queue(&self) -> &str {
        &self.queue
    }
}

/// A queue that confirms what is durable, lends messages, and counts attempts by itself. Whoever
/// keeps one answers what is [asked](Backend::ask); the rest follows. What the answers have to be,
/// the [`contract`](super::contract) tells.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Asks something of a queue.
    ///
    /// # Errors
    /// [`QueueError`], which knows the outcome.
    fn ask(&self, queue: &str, ask: Ask) -> impl Future<Output = Result<Tell, QueueError>> + Send;

    /// Makes a queue; if it is there with the same configuration, nothing.
    ///
    /// # Errors
    /// [`QueueError`], which knows the outcome; [`Refused::Differs`](super::Refused::Differs) if it
    /// is there with another one.
    fn declare(
        &self,
        queue: &str,
        config: QueueConfig,
    ) -> impl Future<Output = Result<(), QueueError>> + Send {
        async move { done(self.ask(queue, Ask::Declare(config)).await?) }
    }

    /// Publishes, and answers when the message is durable; and whether its id was known already.
    /// To try again, the same message is published again.
    ///
    /// # Errors
    /// [`QueueError`], which knows the outcome.
    fn publish(
        &self,
        queue: &str,
        message: Message,
    ) -> impl Future<Output = Result<bool, QueueError>> + Send {
        async move {
            match self.ask(queue, Ask::Publish(message)).await? {
                Tell::Published { known } => Ok(known),
                _ => Err(QueueError::Foreign),
            }
        }
    }

    /// Takes what there is, as long as the consumer has room in its hands: perhaps nothing.
    ///
    /// # Errors
    /// [`QueueError`].
    fn receive(
        &self,
        session: &mut Session,
    ) -> impl Future<Output = Result<Vec<Delivery>, QueueError>> + Send {
        async move {
            session.call += u64::from(session.is_answered);
            session.is_answered = false;
            let (consumer, call, prefetch) = (session.consumer, session.call, session.prefetch);
            match self.ask(&session.queue, Ask::Receive { consumer, call, prefetch }).await? {
                Tell::Delivered(deliveries) => {
                    session.is_answered = true;
                    Ok(deliveries)
                }
                _ => Err(QueueError::Foreign),
            }
        }
    }

    /// Keeps deliveries for another lease from now. Those that are lost already are given back.
    ///
    /// # Errors
    /// [`QueueError`].
    fn heartbeat(
        &self,
        queue: &str,
        receipts: Vec<Receipt>,
    ) -> impl Future<Output = Result<Vec<Receipt>, QueueError>> + Send {
        async move {
            match self.ask(queue, Ask::Heartbeat(receipts)).await? {
                Tell::Lost(lost) => Ok(lost),
                _ => Err(QueueError::Foreign),
            }
        }
    }

    /// Ends a delivery. A receipt of an earlier delivery changes nothing.
    ///
    /// # Errors
    /// [`QueueError`], which knows the outcome; [`Refused::Stale`](super::Refused::Stale) if the
    /// delivery is another's by now.
    fn settle(
        &self,
        queue: &str,
        receipt: Receipt,
        verdict: Verdict,
    ) -> impl Future<Output = Result<(), QueueError>> + Send {
        async move { done(self.ask(queue, Ask::Settle(receipt, verdict)).await?) }
    }

    /// Some dead letters, in order, from behind a place on.
    ///
    /// # Errors
    /// [`QueueError`].
    fn dead_letters(
        &self,
        queue: &str,
        behind: Option<u64>,
    ) -> impl Future<Output = Result<Vec<DeadLetter>, QueueError>> + Send {
        async move {
            match self.ask(queue, Ask::DeadLetters { behind }).await? {
                Tell::DeadLetters(letters) => Ok(letters),
                _ => Err(QueueError::Foreign),
            }
        }
    }

    /// Puts a dead letter behind all that is queued, with all its attempts.
    ///
    /// # Errors
    /// [`QueueError`], which knows the outcome; [`Refused::NotDead`](super::Refused::NotDead) if no
    /// dead letter has this receipt.
    fn redrive(
        &self,
        queue: &str,
        receipt: Receipt,
    ) -> impl Future<Output = Result<(), QueueError>> + Send {
        async move { done(self.ask(queue, Ask::Redrive(receipt)).await?) }
    }

    /// Takes a dead letter out.
    ///
    /// # Errors
    /// As [`Backend::redrive`].
    fn discard(
        &self,
        queue: &str,
        receipt: Receipt,
    ) -> impl Future<Output = Result<(), QueueError>> + Send {
        async move { done(self.ask(queue, Ask::Discard(receipt)).await?) }
    }

    /// Counts.
    ///
    /// # Errors
    /// [`QueueError`].
    fn depth(&self, queue: &str) -> impl Future<Output = Result<Depth, QueueError>> + Send {
        async move {
            match self.ask(queue, Ask::Depth).await? {
                Tell::Depth(depth) => Ok(depth),
                _ => Err(QueueError::Foreign),
            }
        }
    }
}

fn done(tell: Tell) -> Result<(), QueueError> {
    match tell {
        Tell::Done => Ok(()),
        _ => Err(QueueError::Foreign),
    }
}
