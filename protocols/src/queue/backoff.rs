//! How long to wait before the next attempt.

use squall_env::Env;
use std::time::Duration;

/// Waits that double, with jitter: of consumers that fail together not all come back together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Backoff {
    /// The first wait, at most.
    pub base: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { base: Duration::from_millis(500), max: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// The longest wait after so many attempts, from 1.
    pub fn ceiling(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.max)
    }

    /// A wait after so many attempts: at random between half of the longest and all of it ("equal
    /// jitter", Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
    pub fn after(&self, attempts: u32, env: &Env) -> Duration {
        let half = self.ceiling(attempts) / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(env.random_below(nanos.saturating_add(1)))
    }
}
