//! What becomes of calls that a breaker refuses: they are put off, and made once it lets them
//! through.

use super::deferred::{Ask, Body, Deferred, Told};
use super::machine::Verdict;
use super::shared::SharedBreaker;
use squall_env::machine::{OpenError, RequestError, StopReason};
use squall_env::{Env, Handle, HasOutcome, Instant, Outcome, mutant, open};
use std::future::Future;
use std::time::Duration;

/// How long to wait before a call of the queue is made again, if the breaker does not say.
const PAUSE: Duration = Duration::from_millis(20);

/// Makes calls through a breaker, and puts off those that are refused or fail in a way that may go
/// by: in a queue on disk, from which they are made again under the same key. Clones are the same
/// fallback.
///
/// *Needs* a callee that knows calls by their key and does each once, for a call of which nobody
/// knows whether it was made is put off as well; and somebody who runs
/// [`drain`](Fallback::drain), which goes on as soon as the breaker lets a call through.
pub struct Fallback<B: Body> {
    env: Env,
    breaker: SharedBreaker,
    calls: Handle<Deferred<B>>,
}

/// What came of a call. Whoever is told that it is queued knows no result yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a call that is queued has no result yet"]
pub enum Accepted<T> {
    /// It was made.
    Done(T),
    /// It will be, if it was not already: that is durable.
    Queued,
}

/// What to do about a call that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// Make it again later.
    PutOff,
    /// Say so: it would fail again, as for a card that is declined.
    Fail,
}

/// Why a call was neither made nor put off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FallbackError<E> {
    /// It was made and failed for good.
    #[error("{0}")]
    Failed(E),
    /// There is no more room in the queue.
    #[error("the queue is full")]
    Full(Outcome),
    /// The queue did not answer.
    #[error("the queue has stopped: {0}")]
    Stopped(RequestError, Outcome),
}

impl<E: HasOutcome> HasOutcome for FallbackError<E> {
    fn outcome(&self) -> Outcome {
        match self {
            FallbackError::Failed(error) => error.outcome(),
            FallbackError::Full(call) => *call,
            FallbackError::Stopped(queue, call) => match (queue.outcome(), call) {
                (Outcome::NotDone, call) => *call,
                (queue, _) => queue,
            },
        }
    }
}

impl<B: Body> Clone for Fallback<B> {
    fn clone(&self) -> Fallback<B> {
        let (env, breaker) = (self.env.clone(), self.breaker.clone());
        Fallback { env, breaker, calls: self.calls.clone() }
    }
}

impl<B: Body> Fallback<B> {
    /// Opens the queue of this name, with room for so many calls, and what it has kept. The second
    /// part is to be run for as long as it is used.
    ///
    /// # Errors
    /// If the queue cannot be read.
    pub async fn open(
        env: &Env,
        name: &'static str,
        breaker: SharedBreaker,
        most: usize,
    ) -> Result<(Fallback<B>, impl Future<Output = Result<(), StopReason>> + use<B>), OpenError>
    {
        let (calls, run) = open::<Deferred<B>>(env, name, most).await?;
        Ok((Fallback { env: env.clone(), breaker, calls }, run))
    }

    /// The queue, for whoever wants to look at it.
    pub fn queue(&self) -> &Handle<Deferred<B>> {
        &self.calls
    }

    /// Makes a call if the breaker lets it through, and puts it off if not, or if it fails in a way
    /// that `judge` says may go by. The key is the call's own: `attempt` hands it to the callee, as
    /// [`drain`](Fallback::drain) does.
    ///
    /// # Errors
    /// If it failed for good, or could not be put off.
    pub async fn call<T, E: HasOutcome>(
        &self,
        (key, body): (u64, B),
        judge: impl Fn(&E) -> (Verdict, Then),
        attempt: impl Future<Output = Result<T, E>>,
    ) -> Result<Accepted<T>, FallbackError<E>> {
        let mut outcome = Outcome::NotDone;
        if let Ok(leave) = self.breaker.acquire() {
            match attempt.await {
                Ok(result) => {
                    leave.record(Verdict::Success);
                    return Ok(Accepted::Done(result));
                }
                Err(error) => {
                    let (verdict, then) = judge(&error);
                    leave.record(verdict);
                    if then == Then::Fail && !mutant!(self.env, "breaker/puts-anything-off") {
                        return Err(FallbackError::Failed(error));
                    }
                    outcome = error.outcome();
                }
            }
        }
        match self.calls.request(Ask::Put(key, body)).await {
            Ok(Told::Put { kept: true }) => Ok(Accepted::Queued),
            Ok(_) => Err(FallbackError::Full(outcome)),
            Err(error) => Err(FallbackError::Stopped(error, outcome)),
        }
    }

    /// Makes the calls of the queue, the oldest first and one at a time, whenever the breaker lets
    /// them through, and tells `settled` what came of those that are done with: at least once, and
    /// again if the node crashes before the queue knows. One task does this, for as long as the
    /// queue runs; if another begins, the first gets no more calls.
    ///
    /// # Errors
    /// If the queue stops.
    pub async fn drain<T, E, F>(
        &self,
        judge: impl Fn(&E) -> (Verdict, Then),
        attempt: impl Fn(u64, B) -> F,
        settled: impl Fn(u64, Result<T, E>),
    ) -> Result<(), RequestError>
    where
        F: Future<Output = Result<T, E>>,
    {
        loop {
            let Told::Oldest(key, body) = self.calls.request(Ask::Oldest).await? else {
                return Err(RequestError::Stopped);
            };
            if mutant!(self.env, "breaker/drains-nothing") {
                std::future::pending::<()>().await;
            }
            let leave = match self.breaker.acquire() {
                Ok(leave) => leave,
                Err(refused) => {
                    let now = self.env.now();
                    let again = refused.retry_at.unwrap_or(Instant::ORIGIN).max(now + PAUSE);
                    self.env.sleep_until(again).await;
                    continue;
                }
            };
            if mutant!(self.env, "breaker/settles-before-the-call") {
                self.calls.request(Ask::Settled(key)).await?;
            }
            let own = match mutant!(self.env, "breaker/drains-under-another-key") {
                true => self.env.random(),
                false => key,
            };
            let result = attempt(own, body).await;
            let (verdict, then) =
                result.as_ref().err().map_or((Verdict::Success, Then::Fail), &judge);
            leave.record(verdict);
            if then == Then::PutOff {
                self.calls.request(Ask::Again(key)).await?;
                self.env.sleep(PAUSE).await;
                continue;
            }
            settled(key, result);
            self.calls.request(Ask::Settled(key)).await?;
        }
    }
}
