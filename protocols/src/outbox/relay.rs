//! Whoever takes letters out of an outbox and publishes them.

use super::letters::Numbered;
use super::machine::{Ask, Outboxed, State, Tell};
use crate::bus::{self, Post};
use crate::queue::{Backend, Message};
pub use squall_env::machine::ServeError;
use squall_env::machine::serve_requests;
use squall_env::platform::BindError;
use squall_env::request::{CallError, Caller};
use squall_env::sync::Stop;
use squall_env::{Address, Env, Handle, NodeId, Port, mutant, open, race};
use std::future::Future;
use std::time::Duration;

/// The name of the machine's journal.
pub const NAME: &str = "outbox";

/// The name of the port where clients and relays ask.
pub const PORT: &str = "outbox-service";

/// So long a relay waits where there was nothing, or where something failed.
const IDLE: Duration = Duration::from_millis(50);

/// Where a relay finds letters.
pub trait Source: Send + Sync {
    /// The next letters, in order, if they are this relay's.
    ///
    /// # Errors
    /// What went wrong, in words; it is tried again.
    fn take(&self, relay: u64) -> impl Future<Output = Result<Vec<Numbered>, String>> + Send;

    /// Marks all letters up to this number as published.
    ///
    /// # Errors
    /// What went wrong, in words; then they are published again.
    fn sent(&self, relay: u64, upto: u64) -> impl Future<Output = Result<(), String>> + Send;
}

/// Where letters are published.
pub trait Target: Send + Sync {
    /// Publishes a letter under the message's id; whether it is known to be there already.
    ///
    /// # Errors
    /// What went wrong, in words; it is tried again.
    fn publish(&self, message: Message) -> impl Future<Output = Result<bool, String>> + Send;
}

/// A queue, by its name.
impl<B: Backend> Target for (&B, &str) {
    async fn publish(&self, message: Message) -> Result<bool, String> {
        let (backend, queue) = self;
        backend.publish(queue, message).await.map_err(|error| error.to_string())
    }
}

/// A bus, on which all letters are events of this kind, which they hold encoded.
pub struct OnBus<'a, B>(pub &'a B, pub &'a str);

impl<B: bus::Backend> Target for OnBus<'_, B> {
    async fn publish(&self, message: Message) -> Result<bool, String> {
        let OnBus(bus, kind) = self;
        let post = Post { id: message.id, kind: (*kind).to_owned(), body: message.body };
        bus.post_again(post).await.map(|_| false).map_err(|error| error.to_string())
    }
}

/// Publishes the letters of an outbox until `stopped` says stop: in order, each under its own id,
/// and marks them once the target has confirmed them. If it stops between the two, they are
/// published again, and the target or the consumer's inbox knows their ids.
///
/// `source_id` tells this outbox from all others whose letters go to the same target.
pub async fn relay<S: Source, T: Target>(
    env: &Env,
    source: &S,
    source_id: u64,
    target: T,
    mut stopped: Stop,
) {
    let me = env.random();
    while !stopped.stopped() {
        let letters = source.take(me).await.unwrap_or_default();
        let Some(last) = letters.last().map(|letter| letter.number) else {
            race(stopped.wait(), env.sleep(IDLE)).await;
            continue;
        };
        if mutant!(env, "outbox/marks-before-it-publishes") {
            let _ = source.sent(me, last).await;
        }
        let mut confirmed = None;
        for letter in &letters {
            let mut message = letter.message(source_id);
            if mutant!(env, "outbox/draws-an-id-for-every-try") {
                message.id.0 = u128::from(env.random());
            }
            match target.publish(message).await {
                Ok(known) => {
                    if known {
                        env.sometimes("a letter was published again");
                    }
                    confirmed = Some(letter.number);
                }
                // What comes behind it must not overtake it.
                Err(error) if !mutant!(env, "outbox/leaves-out-what-fails") => {
                    env.trace(|| format!("letter {} waits: {error}", letter.number));
                    break;
                }
                Err(_) => confirmed = Some(letter.number),
            }
        }
        match confirmed {
            // An error: the letters will be there again.
            Some(upto) => drop(source.sent(me, upto).await),
            None => drop(race(stopped.wait(), env.sleep(IDLE)).await),
        }
    }
}

impl<S: State> Source for Handle<Outboxed<S>> {
    async fn take(&self, relay: u64) -> Result<Vec<Numbered>, String> {
        match self.request(Ask::Take { relay }).await {
            Ok(Tell::Letters(letters)) => Ok(letters),
            Ok(_) => Err("no letters".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn sent(&self, relay: u64, upto: u64) -> Result<(), String> {
        self.request(Ask::Sent { relay, upto }).await.map(drop).map_err(|error| error.to_string())
    }
}

/// A node that keeps a state with its outbox, and serves those who command it and relays on other
/// nodes.
///
/// # Errors
/// If the machine cannot be opened or has to stop; the node should then be started anew.
pub async fn serve<S: State>(env: Env, config: super::OutboxConfig) -> Result<(), ServeError> {
    let (machine, run) = open::<Outboxed<S>>(&env, NAME, config).await?;
    let answer = |ask, back| machine.clone().answer(ask, back, None);
    serve_requests(&env, run, Port::named(PORT), answer).await
}

/// A client of a state with an outbox on another node: to command it, or to relay its letters.
pub struct OutboxClient<S: State> {
    caller: Caller<Ask<S::Command>, Tell<S::Answer>>,
    to: Address,
    limit: Duration,
}

impl<S: State> OutboxClient<S> {
    /// A client of this node that waits for so long for an answer.
    ///
    /// # Errors
    /// If its own node has stopped.
    pub fn open(env: &Env, node: NodeId, limit: Duration) -> Result<OutboxClient<S>, BindError> {
        let to = Address::new(node, Port::named(PORT));
        Ok(OutboxClient { caller: Caller::open(env)?, to, limit })
    }

    /// Has a command done: `None` if the outbox is full, and nothing was done.
    ///
    /// # Errors
    /// [`CallError`]: nobody knows whether it was done. A command that can be told from others, by
    /// an id in it, may be tried again.
    pub async fn command(&self, command: S::Command) -> Result<Option<S::Answer>, CallError> {
        match self.caller.call(self.to, Ask::Do(command), self.limit).await? {
            Tell::Done(answer) => Ok(Some(answer)),
            _ => Ok(None),
        }
    }
}

impl<S: State> Source for OutboxClient<S> {
    async fn take(&self, relay: u64) -> Result<Vec<Numbered>, String> {
        match self.caller.call(self.to, Ask::Take { relay }, self.limit).await {
            Ok(Tell::Letters(letters)) => Ok(letters),
            Ok(_) => Err("no letters".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn sent(&self, relay: u64, upto: u64) -> Result<(), String> {
        let sent = self.caller.call(self.to, Ask::Sent { relay, upto }, self.limit).await;
        sent.map(drop).map_err(|error| error.to_string())
    }
}
