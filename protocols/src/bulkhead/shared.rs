//! Bulkheads that tasks of a node share.

use super::flaws::Flaws;
use super::machine::{Bulkhead, Config, Entry, Place, Rejected, Stand, Ticket};
use squall_env::{Env, HasOutcome, Instant, Outcome, Sleep};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A bulkhead that tasks of a node share, and that tells the time by the node's clock. Clones are
/// the same bulkhead.
pub struct SharedBulkhead<K> {
    env: Env,
    name: &'static str,
    inner: Arc<Mutex<Inner<K>>>,
}

struct Inner<K> {
    bulkhead: Bulkhead<K>,
    /// Those who wait, by their tickets.
    wakers: BTreeMap<u64, Waker>,
}

/// Why a call behind a bulkhead has no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError<E> {
    /// It was not made.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// It was made and failed.
    #[error("{0}")]
    Failed(E),
}

impl<E: HasOutcome> HasOutcome for CallError<E> {
    fn outcome(&self) -> Outcome {
        match self {
            CallError::Rejected(rejected) => rejected.outcome(),
            CallError::Failed(error) => error.outcome(),
        }
    }
}

/// A place for one call; dropping it gives it to whoever waits longest.
#[must_use = "the place is given back at once"]
pub struct Held<K: Ord + Clone> {
    bulkhead: SharedBulkhead<K>,
    place: Option<Place<K>>,
}

impl<K> Clone for SharedBulkhead<K> {
    fn clone(&self) -> SharedBulkhead<K> {
        let (env, inner) = (self.env.clone(), Arc::clone(&self.inner));
        SharedBulkhead { env, name: self.name, inner }
    }
}

impl<K: Ord + Clone> SharedBulkhead<K> {
    /// All places are free. The name is what a stuck run is told to wait for.
    pub fn new(env: &Env, name: &'static str, config: Config) -> SharedBulkhead<K> {
        let bulkhead = Bulkhead::new(config).with_flaws(Flaws::of(env));
        let inner = Inner { bulkhead, wakers: BTreeMap::new() };
        SharedBulkhead { env: env.clone(), name, inner: Arc::new(Mutex::new(inner)) }
    }

    /// Waits for a place for a call of this key, behind everybody who waits already. Who stops
    /// waiting loses its turn and nothing else.
    ///
    /// # Errors
    /// If there is none in time, or too many wait.
    pub async fn acquire(&self, key: &K) -> Result<Held<K>, Rejected> {
        self.acquire_until(key, Instant::NEVER).await
    }

    /// The same for a call that is worth nothing from then on: it gets no place after that.
    ///
    /// # Errors
    /// If there is none in time, or too many wait.
    pub async fn acquire_until(&self, key: &K, until: Instant) -> Result<Held<K>, Rejected> {
        let entered = self.lock().bulkhead.enter_until(key, until, self.env.now())?;
        let ticket = match entered {
            Entry::Admitted(place) => return Ok(self.held(place)),
            Entry::Waits(ticket) => ticket,
        };
        let sleep = self.env.sleep_until(ticket.until());
        let mut waiting = Waiting { bulkhead: self, ticket: Some(ticket), sleep };
        let held = poll_fn(|cx| waiting.poll(cx)).await?;
        // It may have been given its place in time, and learn of it too late.
        if self.env.now() < until { Ok(held) } else { Err(Rejected::TimedOut) }
    }

    /// Makes a call when there is a place for it.
    ///
    /// # Errors
    /// If there is none in time, or the call fails.
    pub async fn call<T, E>(
        &self,
        key: &K,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let held = self.acquire(key).await?;
        let result = call.await;
        drop(held);
        result.map_err(CallError::Failed)
    }

    /// How many calls of a key are under way, and how many wait.
    pub fn load(&self, key: &K) -> (u32, u32) {
        self.lock().bulkhead.load(key)
    }

    fn held(&self, place: Place<K>) -> Held<K> {
        Held { bulkhead: self.clone(), place: Some(place) }
    }

    /// Wakes whoever was given a place. Nobody is woken while the bulkhead is locked.
    fn wake(&self, next: impl FnOnce(&mut Bulkhead<K>) -> Option<u64>) {
        let waker = {
            let mut inner = self.lock();
            let next = next(&mut inner.bulkhead);
            next.and_then(|number| inner.wakers.remove(&number))
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone> Drop for Held<K> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let now = self.bulkhead.env.now();
            self.bulkhead.wake(|bulkhead| bulkhead.leave(place, now));
        }
    }
}

/// Somebody who waits.
struct Waiting<'a, K: Ord + Clone> {
    bulkhead: &'a SharedBulkhead<K>,
    ticket: Option<Ticket<K>>,
    sleep: Sleep<'a>,
}

impl<K: Ord + Clone> Waiting<'_, K> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Held<K>, Rejected>> {
        let Some(ticket) = self.ticket.take() else { return Poll::Pending };
        let (number, now) = (ticket.number(), self.bulkhead.env.now());
        let mut inner = self.bulkhead.lock();
        let stand = inner.bulkhead.look(ticket, now);
        let old = match &stand {
            Stand::Waits(_) => inner.wakers.insert(number, cx.waker().clone()),
            Stand::Admitted(_) | Stand::TimedOut => inner.wakers.remove(&number),
        };
        drop(inner);
        drop(old);
        match stand {
            Stand::Admitted(place) => Poll::Ready(Ok(self.bulkhead.held(place))),
            Stand::TimedOut => Poll::Ready(Err(Rejected::TimedOut)),
            Stand::Waits(ticket) => {
                self.ticket = Some(ticket);
                self.bulkhead.env.platform().waits_for("place of", self.bulkhead.name);
                match Pin::new(&mut self.sleep).poll(cx) {
                    // It looks once more, and will find that its time is over.
                    Poll::Ready(()) => self.poll(cx),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}

impl<K: Ord + Clone> Drop for Waiting<'_, K> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let (number, now) = (ticket.number(), self.bulkhead.env.now());
        let own = self.bulkhead.lock().wakers.remove(&number);
        drop(own);
        self.bulkhead.wake(|bulkhead| bulkhead.give_up(ticket, now));
    }
}
