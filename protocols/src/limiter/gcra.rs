//! The generic cell rate algorithm (ITU-T I.371), which is a token bucket that remembers one time.

use super::flaws::Flaws;
use super::{Decision, LimitError};
use squall_env::Instant;
use std::time::Duration;

/// So many cells in a time, of which so many may come at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Quota {
    /// How far apart cells are that come as fast as they may, in nanoseconds.
    interval_ns: u64,
    burst: u32,
}

impl Quota {
    /// So many cells in this time, and all of them at once if nothing came before.
    ///
    /// # Errors
    /// If there are none, or so many in so short a time that they are less than a nanosecond apart.
    pub fn per(period: Duration, cells: u32) -> Result<Quota, LimitError> {
        let nanos = u64::try_from(period.as_nanos()).map_err(|_| LimitError::Quota)?;
        let interval_ns = nanos.checked_div(u64::from(cells)).ok_or(LimitError::Quota)?;
        if interval_ns == 0 {
            return Err(LimitError::Quota);
        }
        Ok(Quota { interval_ns, burst: cells })
    }

    /// The same pace, with so many cells at once.
    ///
    /// # Errors
    /// If there are none at once.
    pub fn with_burst(self, burst: u32) -> Result<Quota, LimitError> {
        if burst == 0 {
            return Err(LimitError::Quota);
        }
        Ok(Quota { burst, ..self })
    }

    /// How many cells may come at once.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// How far apart cells are that come as fast as they may.
    pub fn interval(self) -> Duration {
        Duration::from_nanos(self.interval_ns)
    }
}

/// A rate limiter that remembers one time: when a cell would come next if all came as fast as they
/// may (the theoretical arrival time).
///
/// In any time `w` it lets at most `burst + w / interval` cells through, and it never looks at a
/// clock: whoever has it says what time it is. Times may come in any order: the bound holds for the
/// times that were said, and what was taken at a later one stays taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Gcra {
    quota: Quota,
    next_ns: u64,
}

impl Gcra {
    /// A limiter through which nothing came yet.
    pub fn new(quota: Quota) -> Gcra {
        Gcra { quota, next_ns: 0 }
    }

    /// One through which cells may have come until then, and nobody knows how many.
    pub(super) fn unknown_until(quota: Quota, then: Instant) -> Gcra {
        Gcra::at(quota, then.as_nanos())
    }

    /// One whose next cell would come then.
    pub(super) fn at(quota: Quota, next_ns: u64) -> Gcra {
        Gcra { quota, next_ns }
    }

    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Its quota.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Whether a cell may come now; if so, it has.
    pub fn check(&mut self, now: Instant) -> Decision {
        self.check_all(1, now).unwrap_or(Decision::Limited { retry_at: Instant::NEVER })
    }

    /// Whether so many cells may come at once, all or none.
    ///
    /// # Errors
    /// If they are more than may ever come at once: nothing has changed then.
    pub fn check_all(&mut self, cells: u32, now: Instant) -> Result<Decision, LimitError> {
        self.check_flawed(cells, now, Flaws::default())
    }

    #[inline]
    pub(super) fn check_flawed(
        &mut self,
        cells: u32,
        now: Instant,
        flaws: Flaws,
    ) -> Result<Decision, LimitError> {
        let Quota { interval_ns, burst } = self.quota;
        if cells > burst {
            return Err(LimitError::Capacity { burst });
        }
        if cells == 0 {
            return Ok(Decision::Allowed);
        }
        let now = now.as_nanos();
        let latest = now.saturating_add(interval_ns.saturating_mul(u64::from(burst)));
        if flaws.follows_back {
            self.next_ns = self.next_ns.min(latest);
        }
        if flaws.takes_back {
            // Only if the clock went back is the next one so far away.
            self.next_ns += self.next_ns.saturating_sub(latest);
        }
        let ahead = interval_ns.saturating_mul(u64::from(burst - cells));
        let earliest = self.next_ns.saturating_sub(ahead);
        if now < earliest {
            if flaws.counts_refused {
                self.next_ns = self.next_ns.saturating_add(interval_ns);
            }
            return Ok(Decision::Limited { retry_at: Instant::from_nanos(earliest) });
        }
        let taken = interval_ns.saturating_mul(u64::from(cells));
        self.next_ns = self.next_ns.max(now).saturating_add(taken);
        Ok(Decision::Allowed)
    }

    /// Whether it is as if nothing had ever come: then it need not be kept.
    pub fn is_idle(&self, now: Instant) -> bool {
        self.next_ns <= now.as_nanos()
    }

    /// How many cells may come now.
    pub fn remaining(&self, now: Instant) -> u32 {
        let behind = self.next_ns.saturating_sub(now.as_nanos());
        let taken = behind.div_ceil(self.quota.interval_ns);
        self.quota.burst.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }
}
