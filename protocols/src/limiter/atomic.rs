//! A limiter that threads share without a lock.

use super::{Decision, Gcra, LimitError, Quota};
use squall_env::Instant;
use std::sync::atomic::{AtomicU64, Ordering};

/// A [`Gcra`] whose one time is an atomic number: threads that ask at the same moment do not wait
/// for each other, and together take no more than one of them could.
#[derive(Debug)]
pub struct AtomicGcra {
    quota: Quota,
    next_ns: AtomicU64,
}

impl AtomicGcra {
    /// A limiter through which nothing came yet.
    pub fn new(quota: Quota) -> AtomicGcra {
        AtomicGcra { quota, next_ns: AtomicU64::new(0) }
    }

    /// Its quota.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Whether a cell may come now; if so, it has.
    pub fn check(&self, now: Instant) -> Decision {
        self.check_all(1, now).unwrap_or(Decision::Limited { retry_at: Instant::NEVER })
    }

    /// Whether so many cells may come at once, all or none.
    ///
    /// # Errors
    /// If they are more than may ever come at once: nothing has changed then.
    pub fn check_all(&self, cells: u32, now: Instant) -> Result<Decision, LimitError> {
        // One number has one order of its own: nothing else is read by it.
        let mut before = self.next_ns.load(Ordering::Relaxed);
        loop {
            let mut limiter = Gcra::at(self.quota, before);
            let decision = limiter.check_all(cells, now)?;
            let after = limiter.next_ns();
            if after == before {
                return Ok(decision);
            }
            let order = Ordering::Relaxed;
            match self.next_ns.compare_exchange_weak(before, after, order, order) {
                Ok(_) => return Ok(decision),
                Err(other) => before = other,
            }
        }
    }

    /// How many cells may come now.
    pub fn remaining(&self, now: Instant) -> u32 {
        Gcra::at(self.quota, self.next_ns.load(Ordering::Relaxed)).remaining(now)
    }
}
