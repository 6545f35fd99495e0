//! Limiters that tasks of a node share.

use super::flaws::Flaws;
use super::{Decision, Keyed, Quota};
use squall_env::{Env, HasOutcome, Instant, Outcome};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A limiter for each key that tasks of a node share, and that tells the time by the node's
/// monotonic clock. Clones are the same limiter.
#[derive(Clone)]
pub struct SharedLimiter<K> {
    env: Env,
    inner: Arc<Mutex<Keyed<K>>>,
    flaws: Flaws,
}

/// It comes too fast, and was not let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("too many requests: the next one is allowed in {retry_after:?}")]
pub struct Limited {
    /// How long to wait, if nothing else comes until then.
    pub retry_after: Duration,
}

impl HasOutcome for Limited {
    fn outcome(&self) -> Outcome {
        Outcome::NotDone
    }
}

impl<K: Ord + Clone> SharedLimiter<K> {
    /// No keys yet, and `most` at a time.
    pub fn new(env: &Env, quota: Quota, most: usize) -> SharedLimiter<K> {
        let flaws = Flaws::of(env);
        let keyed = Keyed::new(quota, most).with_flaws(flaws);
        SharedLimiter { env: env.clone(), inner: Arc::new(Mutex::new(keyed)), flaws }
    }

    /// Whether a cell of this key may come now; if so, it has.
    ///
    /// # Errors
    /// If it has to wait.
    pub fn check(&self, key: &K) -> Result<(), Limited> {
        self.check_at(key, self.now())
    }

    /// The same for one that came at this moment of the node's [clock](SharedLimiter::now), which
    /// may be before that of others that were checked already: what those took stays taken.
    ///
    /// # Errors
    /// If it has to wait.
    pub fn check_at(&self, key: &K, came: Instant) -> Result<(), Limited> {
        match self.lock().check(key, came) {
            Decision::Allowed => Ok(()),
            Decision::Limited { retry_at } => Err(Limited { retry_after: retry_at.since(came) }),
        }
    }

    /// Waits until a cell of this key may come, but not beyond `until`. Those who wait for one key
    /// are served in no order.
    ///
    /// # Errors
    /// If it would have to wait longer than that: it then does not wait at all.
    pub async fn ready(&self, key: &K, until: Instant) -> Result<(), Limited> {
        loop {
            let now = self.now();
            let limited = match self.check_at(key, now) {
                Ok(()) => return Ok(()),
                Err(limited) if now + limited.retry_after > until => return Err(limited),
                Err(limited) => limited,
            };
            self.env.sleep(limited.retry_after).await;
        }
    }

    /// The clock by which it tells the time.
    pub fn now(&self) -> Instant {
        if self.flaws.wall_clock {
            let nanos = u64::try_from(self.env.wall().as_unix_nanos()).unwrap_or_default();
            return Instant::from_nanos(nanos);
        }
        self.env.now()
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Keyed<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
