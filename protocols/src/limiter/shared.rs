//! Limiters that tasks of a node share.

use super::flaws::Flaws;
use super::{Decision, Gcra, Keyed, Limiter, Quota, Sharded};
use squall_env::{Env, HasOutcome, Instant, Outcome};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// A limiter for each key that tasks of a node share, and that tells the time by the node's
/// monotonic clock. Clones are the same limiter.
pub struct SharedLimiter<K, L = Gcra> {
    env: Env,
    inner: Arc<Sharded<K, L>>,
    flaws: Flaws,
}

impl<K, L> Clone for SharedLimiter<K, L> {
    fn clone(&self) -> SharedLimiter<K, L> {
        SharedLimiter { env: self.env.clone(), inner: Arc::clone(&self.inner), flaws: self.flaws }
    }
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
        SharedLimiter::of(env, Keyed::new(quota, most))
    }
}

impl<K: Ord + Clone, L: Limiter> SharedLimiter<K, L> {
    /// Limiters of any kind, behind one lock.
    pub fn of(env: &Env, keyed: Keyed<K, L>) -> SharedLimiter<K, L> {
        let flaws = Flaws::of(env);
        let inner = Arc::new(Sharded::one(keyed.with_flaws(flaws)));
        SharedLimiter { env: env.clone(), inner, flaws }
    }

    /// Limiters like this one, through which nothing came yet, for `most` keys at a time, behind so
    /// many locks ([`Sharded`]).
    pub fn sharded(env: &Env, new: L, most: usize, shards: usize) -> SharedLimiter<K, L>
    where
        K: Hash,
    {
        let flaws = Flaws::of(env);
        let keyed = Keyed::of(new, most).with_flaws(flaws);
        let inner = Arc::new(Sharded::like(&keyed, most, shards, env.random()));
        SharedLimiter { env: env.clone(), inner, flaws }
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
        match self.inner.check(key, came) {
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

    /// Forgets what came of a key, whether that still counts or not.
    pub fn reset(&self, key: &K) {
        self.inner.reset(key);
    }

    /// Forgets what came of every key.
    pub fn reset_all(&self) {
        self.inner.reset_all();
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
        self.inner.len()
    }
}
