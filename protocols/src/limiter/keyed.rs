//! A limiter for each key, and a bound on how many keys there are.

use super::{Decision, Gcra, Quota};
use squall_env::Instant;
use std::collections::BTreeMap;

/// A limiter for each key, all alike; at most so many. Keys that are idle go first, for to forget
/// them changes nothing. If none is idle, a new key is refused: were another forgotten, whoever
/// uses many keys would get round the limit of all of them.
#[derive(Clone, Debug)]
pub struct Keyed<K> {
    quota: Quota,
    most: usize,
    limiters: BTreeMap<K, Gcra>,
    /// When idle keys were looked for last, in vain.
    swept: Option<Instant>,
}

impl<K: Ord + Clone> Keyed<K> {
    /// No keys yet, and `most` at a time.
    pub fn new(quota: Quota, most: usize) -> Keyed<K> {
        Keyed { quota, most: most.max(1), limiters: BTreeMap::new(), swept: None }
    }

    /// Whether a cell of this key may come now; if so, it has.
    pub fn check(&mut self, key: &K, now: Instant) -> Decision {
        if let Some(limiter) = self.limiters.get_mut(key) {
            return limiter.check(now);
        }
        if self.limiters.len() >= self.most {
            self.sweep(now);
        }
        if self.limiters.len() >= self.most {
            return Decision::Limited { retry_at: now + self.quota.interval() };
        }
        let mut limiter = Gcra::new(self.quota);
        let decision = limiter.check(now);
        self.limiters.insert(key.clone(), limiter);
        decision
    }

    /// Forgets idle keys; not again before another one can have become idle.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + self.quota.interval()) {
            return;
        }
        self.limiters.retain(|_, limiter| !limiter.is_idle(now));
        self.swept = (self.limiters.len() >= self.most).then_some(now);
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.limiters.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.limiters.is_empty()
    }
}
