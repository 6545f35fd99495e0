//! A limiter that remembers when each hit came.

use super::Decision;
use squall_env::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// So many hits in any window of this length, exactly: it remembers when each of them came, for two
/// lengths.
///
/// Times may come in any order: the limit holds for the times that were said, and nobody is refused
/// whose windows all have room. But who comes a length or more before the latest hit is refused,
/// for what came around it may be forgotten. So a clock that was set back gives nobody more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlidingLog {
    limit: u32,
    length: Duration,
    /// When hits came, the earliest first.
    hits: VecDeque<Instant>,
    /// Hits may be forgotten that came two lengths before it, or earlier.
    from: Instant,
}

impl SlidingLog {
    /// So many hits in any time of this length; with a limit of 0, none ever. It remembers at most
    /// twice as many times.
    pub fn new(limit: u32, length: Duration) -> SlidingLog {
        SlidingLog { limit, length, hits: VecDeque::new(), from: Instant::ORIGIN }
    }

    /// One that has forgotten what came until then, when it was idle.
    pub(super) fn unknown_until(&self, then: Instant) -> SlidingLog {
        SlidingLog { from: then, ..SlidingLog::new(self.limit, self.length) }
    }

    /// Whether nothing that came counts any more, for anybody who may yet come.
    pub fn is_idle(&self, now: Instant) -> bool {
        self.hits.back().is_none_or(|last| self.is_past(*last, now))
    }

    /// How many hits there are in a time of its length.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How long that is.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// Whether a hit is within the limit; if so, it counts.
    pub fn check(&mut self, now: Instant) -> Decision {
        let retry_at = self.next(now);
        if now < retry_at || self.limit == 0 {
            return Decision::Limited { retry_at };
        }
        self.hits.insert(self.hits.partition_point(|hit| *hit <= now), now);
        let latest = *self.hits.back().unwrap_or(&now);
        while self.hits.front().is_some_and(|hit| self.is_past(*hit, latest)) {
            self.hits.pop_front();
        }
        Decision::Allowed
    }

    /// Whether a hit is in no window of anybody who comes less than a length before that.
    fn is_past(&self, hit: Instant, latest: Instant) -> bool {
        hit + self.length + self.length <= latest
    }

    /// From when on a hit fits that comes then or later, if nothing comes until then.
    fn next(&self, now: Instant) -> Instant {
        if self.limit == 0 {
            return Instant::NEVER;
        }
        let latest = self.hits.back().map_or(self.from, |last| self.from.max(*last));
        let mut next = now;
        if now < latest && now + self.length <= latest {
            next = latest - self.length + Duration::from_nanos(1);
        }
        while let Some(first) = self.full(next) {
            next = first + self.length;
        }
        next
    }

    /// When the first came of as many hits as may come, if there is a window that has all of them
    /// and this time too; and of several such, of the last.
    fn full(&self, at: Instant) -> Option<Instant> {
        let limit = self.limit as usize;
        let before = self.hits.partition_point(|hit| *hit <= at);
        let last = before.min(self.hits.len().checked_sub(limit)?);
        let mut firsts = (before.saturating_sub(limit)..=last).rev();
        let full = firsts.find(|first| {
            let (first, last) = (self.hits[*first], self.hits[first + limit - 1]);
            at.max(last) < at.min(first) + self.length
        })?;
        Some(self.hits[full])
    }
}
