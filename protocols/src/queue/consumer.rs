//! A consumer that runs: it takes deliveries, has them handled, and settles them.

use super::backend::{Backend, Session};
use super::types::{DeadLetter, Delivery, QueueError, Receipt, Verdict};
use crate::retry::Backoff;
use serde::de::DeserializeOwned;
use squall_env::request::CallError;
use squall_env::sync::{Semaphore, Stop, Stopper, semaphore, stop};
use squall_env::{Env, HasOutcome, Outcome, Task, mutant, race};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a consumer works.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// Of which queue.
    pub queue: String,
    /// So many messages are handled at the same time.
    pub prefetch: u16,
    /// How often it says that it is still at work: well below the queue's visibility.
    pub heartbeat: Duration,
    /// How long it waits where there was nothing.
    pub idle: Duration,
    /// How long a message rests that has failed, by how often it has, and what chance does to that.
    pub backoff: Backoff,
}

impl ConsumerConfig {
    /// A consumer of a queue with this visibility, one message at a time.
    pub fn new(queue: &str, visibility: Duration) -> ConsumerConfig {
        ConsumerConfig {
            queue: queue.to_owned(),
            prefetch: 1,
            heartbeat: visibility / 3,
            idle: Duration::from_millis(20),
            backoff: Backoff::default(),
        }
    }
}

/// Why a message could not be handled.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// It may go better later.
    #[error("{0}")]
    Retry(String),
    /// It never will.
    #[error("{0}")]
    Dead(String),
    /// Its body is not what this consumer can read, and tries would change nothing: it is dead at
    /// once, as [malformed](super::DeadReason::Malformed).
    #[error("it cannot be read: {0}")]
    Malformed(String),
}

impl Delivery {
    /// What the body says, in the format of postcard. A handler can pass the error on:
    ///
    /// ```
    /// use squall_protocols::queue::{Delivery, Failure};
    ///
    /// async fn ship(delivery: Delivery) -> Result<(), Failure> {
    ///     let (order, weight): (u64, u32) = delivery.read()?;
    ///     // ...
    /// #   let _ = (order, weight);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Failure::Malformed`].
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let read = postcard::from_bytes(&self.body);
        read.map_err(|error| Failure::Malformed(error.to_string()))
    }
}

/// The deliveries under way, each with what ends its work if the lease is lost.
#[derive(Default)]
struct UnderWay(Mutex<BTreeMap<Receipt, Stopper>>);

impl UnderWay {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Receipt, Stopper>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_all(&self) {
        let all: Vec<Stopper> = self.lock().values().cloned().collect();
        all.iter().for_each(Stopper::stop);
    }
}

/// Its delivery is under way no more, however the task ends.
struct Place(Arc<UnderWay>, Receipt);

impl Drop for Place {
    fn drop(&mut self) {
        let removed = self.0.lock().remove(&self.1);
        drop(removed);
    }
}

/// Ends everything that was begun if the consumer is given up.
struct Ends(Arc<UnderWay>, Task<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end_all();
        self.1.cancel();
    }
}

/// Consumes until `stopped` says stop: then it takes nothing any more, lets what is under way
/// finish, and returns.
///
/// `handler` gets every delivery, perhaps more than once: what must happen once goes through an
/// [`Inbox`](super::Inbox) that lies beside the effect and knows the message by `receipt.id`.
/// Heartbeats keep the lease while it works, and if a lease is lost its future is dropped: somebody
/// else has the message by then. The queue sees to it that messages of one key come one behind the
/// other. A queue that does not answer is asked again.
///
/// # Errors
/// If the node has stopped.
pub async fn consume<B, H, F>(
    env: &Env,
    backend: &B,
    config: ConsumerConfig,
    mut stopped: Stop,
    handler: H,
) -> Result<(), QueueError>
where
    B: Backend,
    H: Fn(Delivery) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let under_way = Arc::new(UnderWay::default());
    let beats = heartbeats(env.clone(), backend.clone(), config.clone(), Arc::clone(&under_way));
    let ends = Ends(Arc::clone(&under_way), env.spawn("heartbeats", beats));
    let room = semaphore(env, "prefetch", usize::from(config.prefetch));
    let mut session = Session::new(env, &config.queue, config.prefetch);
    let handler = Arc::new(handler);
    while !stopped.stopped() {
        race(stopped.wait(), room.acquire()).await;
        let deliveries = match backend.receive(&mut session).await {
            Ok(deliveries) => deliveries,
            Err(error @ (QueueError::Closed(_) | QueueError::Call(CallError::Stopped))) => {
                return Err(error);
            }
            Err(error) => {
                env.trace(|| format!("cannot receive: {error}"));
                Vec::new()
            }
        };
        if deliveries.is_empty() {
            race(stopped.wait(), env.sleep(config.idle)).await;
        }
        for delivery in deliveries {
            let (stopper, lost) = stop(env, "lease");
            under_way.lock().insert(delivery.receipt, stopper);
            let place = Place(Arc::clone(&under_way), delivery.receipt);
            let work = Work {
                env: env.clone(),
                backend: backend.clone(),
                config: config.clone(),
                room: room.clone(),
                handler: Arc::clone(&handler),
            };
            env.spawn("handler", async move { work.on(delivery, place, lost).await });
        }
    }
    while !under_way.lock().is_empty() {
        env.sleep(config.idle).await;
    }
    drop(ends);
    Ok(())
}

async fn heartbeats<B: Backend>(
    env: Env,
    backend: B,
    config: ConsumerConfig,
    under_way: Arc<UnderWay>,
) {
    loop {
        env.sleep(config.heartbeat).await;
        let receipts: Vec<Receipt> = under_way.lock().keys().copied().collect();
        if receipts.is_empty() {
            continue;
        }
        // Whether a lease is lost that nobody could be asked about, its settling will tell.
        for lost in backend.heartbeat(&config.queue, receipts).await.unwrap_or_default() {
            let stopper = under_way.lock().get(&lost).cloned();
            if let Some(stopper) = stopper {
                env.sometimes("a consumer lost a lease while it worked");
                stopper.stop();
            }
        }
    }
}

/// What it takes to work on a delivery.
struct Work<B, H> {
    env: Env,
    backend: B,
    config: ConsumerConfig,
    room: Semaphore,
    handler: Arc<H>,
}

impl<B, H, F> Work<B, H>
where
    B: Backend,
    H: Fn(Delivery) -> F,
    F: Future<Output = Result<(), Failure>>,
{
    async fn on(&self, delivery: Delivery, place: Place, mut lost: Stop) {
        race(lost.wait(), async {
            let _permit = self.room.acquire().await;
            let (receipt, attempt) = (delivery.receipt, delivery.attempt);
            if mutant!(self.env, "queue/acks-before-the-work") {
                self.settle(receipt, Verdict::Ack).await;
            }
            let verdict = match (self.handler)(delivery).await {
                Ok(()) => Verdict::Ack,
                Err(Failure::Dead(why)) => Verdict::Dead { why },
                Err(Failure::Malformed(why)) => Verdict::Malformed { why },
                Err(Failure::Retry(why)) => {
                    Verdict::Retry { after: self.config.backoff.after(attempt, &self.env), why }
                }
            };
            self.settle(receipt, verdict).await;
        })
        .await;
        drop(place);
    }

    /// Settles it, as long as it takes to hear that it is settled or another's.
    async fn settle(&self, receipt: Receipt, verdict: Verdict) {
        loop {
            let settled = self.backend.settle(&self.config.queue, receipt, verdict.clone()).await;
            match settled {
                Err(QueueError::Closed(_) | QueueError::Call(CallError::Stopped)) => return,
                Err(error) if !matches!(error, QueueError::Unclear(_)) => {
                    self.env.trace(|| format!("{receipt:?} is not settled: {error}"));
                    if error.outcome() == Outcome::NotDone {
                        return;
                    }
                    self.env.sleep(self.config.idle).await;
                }
                Ok(()) | Err(_) => return,
            }
        }
    }
}

/// What becomes of a dead letter that somebody has looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Review {
    /// It stays.
    Keep,
    /// It is seen to, and goes.
    Discard,
    /// It is tried again, behind all others and with all its attempts.
    Redrive,
}

/// Goes once through all dead letters of a queue and does with each what `look` says. A letter that
/// somebody else has redriven or discarded meanwhile is passed over.
///
/// # Errors
/// [`QueueError`]; those before it are seen to.
pub async fn review<B: Backend>(
    backend: &B,
    queue: &str,
    mut look: impl FnMut(&DeadLetter) -> Review,
) -> Result<(), QueueError> {
    let mut behind = None;
    loop {
        let letters = backend.dead_letters(queue, behind).await?;
        let Some(last) = letters.last() else { return Ok(()) };
        behind = Some(last.place);
        for letter in letters {
            let done = match look(&letter) {
                Review::Keep => Ok(()),
                Review::Discard => backend.discard(queue, letter.receipt).await,
                Review::Redrive => backend.redrive(queue, letter.receipt).await,
            };
            match done {
                Ok(()) | Err(QueueError::Refused(_) | QueueError::Unclear(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
