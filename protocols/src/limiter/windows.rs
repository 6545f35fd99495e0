//! Limiters that count what comes in windows of time.

use super::Decision;
use squall_env::Instant;
use std::time::Duration;

/// So many hits in a window that begins with the first hit, and the next one with the first after
/// its end. Around an end, twice as many may come within a window's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FixedWindow {
    limit: u32,
    length: Duration,
    /// How many hits there were, and when the window ends.
    current: Option<(u32, Instant)>,
    /// What comes before counts as if it came then.
    from: Instant,
}

impl FixedWindow {
    /// So many hits in so long a window; with a limit of 0, none ever.
    pub fn new(limit: u32, length: Duration) -> FixedWindow {
        FixedWindow { limit, length, current: None, from: Instant::ORIGIN }
    }

    /// One that has forgotten what came until then, when its window had ended.
    pub(super) fn unknown_until(&self, then: Instant) -> FixedWindow {
        FixedWindow { from: then, ..FixedWindow::new(self.limit, self.length) }
    }

    /// How many hits there are in a window.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How long a window is.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// Whether a hit is within the limit. One that is not counts as well.
    pub fn check(&mut self, now: Instant) -> Decision {
        let now = now.max(self.from);
        let (hits, ends) = match self.current {
            Some((hits, ends)) if now < ends => (hits.saturating_add(1), ends),
            _ => (1, now + self.length),
        };
        self.current = Some((hits, ends));
        if hits <= self.limit { Decision::Allowed } else { Decision::Limited { retry_at: ends } }
    }

    /// Takes a hit back, if its window has not ended: the one that was said to
    /// [reset](FixedWindow::resets_at) then when it came.
    pub fn give_back(&mut self, resets_at: Instant, now: Instant) {
        if let Some((hits, ends)) = &mut self.current
            && resets_at == *ends
            && now < *ends
        {
            *hits = hits.saturating_sub(1);
        }
    }

    /// How many hits there were in the window.
    pub fn hits(&self, now: Instant) -> u32 {
        self.current.filter(|(_, ends)| now < *ends).map_or(0, |(hits, _)| hits)
    }

    /// How many more may come in it.
    pub fn remaining(&self, now: Instant) -> u32 {
        self.limit.saturating_sub(self.hits(now))
    }

    /// When the window ends, if there is one.
    pub fn resets_at(&self, now: Instant) -> Option<Instant> {
        self.current.map(|(_, ends)| ends).filter(|ends| now < *ends)
    }

    /// Forgets what came.
    pub fn reset(&mut self) {
        self.current = None;
    }
}

/// About so many hits in any window of this length: it remembers two counts, and takes the hits of
/// the window before for evenly spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlidingCounter {
    limit: u32,
    length_ns: u64,
    /// Which window it is, counted from the clock's start.
    window: u64,
    before: u32,
    hits: u32,
}

impl SlidingCounter {
    /// About so many hits in any time of this length, which is at least a nanosecond.
    pub fn new(limit: u32, length: Duration) -> SlidingCounter {
        let length_ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX).max(1);
        SlidingCounter { limit, length_ns, window: 0, before: 0, hits: 0 }
    }

    /// One that has forgotten what came until then, when nothing of it counted any more.
    pub(super) fn unknown_until(&self, then: Instant) -> SlidingCounter {
        let window = then.as_nanos() / self.length_ns;
        SlidingCounter { window, before: 0, hits: 0, ..*self }
    }

    /// Whether nothing that came counts any more.
    pub fn is_idle(&self, now: Instant) -> bool {
        match (now.as_nanos() / self.length_ns).saturating_sub(self.window) {
            0 => self.hits == 0 && self.before == 0,
            1 => self.hits == 0,
            _ => true,
        }
    }

    /// About how many hits there are in a time of its length.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How long that is.
    pub fn length(&self) -> Duration {
        Duration::from_nanos(self.length_ns)
    }

    /// Whether a hit is within the limit; if so, it counts. The hits of this window and, in the
    /// part that still reaches into the time, of the one before are less than the limit then.
    pub fn check(&mut self, now: Instant) -> Decision {
        let (window, elapsed) = (now.as_nanos() / self.length_ns, now.as_nanos() % self.length_ns);
        if window > self.window {
            self.before = if window == self.window + 1 { self.hits } else { 0 };
            (self.window, self.hits) = (window, 0);
        }
        // A clock that went back stands where it was.
        let elapsed = if window < self.window { 0 } else { elapsed };
        let left = u128::from(self.length_ns - elapsed);
        let length = u128::from(self.length_ns);
        let taken = u128::from(self.hits) * length + u128::from(self.before) * left;
        if taken + length <= u128::from(self.limit) * length {
            self.hits += 1;
            return Decision::Allowed;
        }
        Decision::Limited { retry_at: self.retry_at(window.max(self.window)) }
    }

    /// When one more hit fits, if nothing comes until then.
    fn retry_at(&self, window: u64) -> Instant {
        let free = |hits: u32| self.limit.saturating_sub(1).checked_sub(hits);
        // A part of the window before, or this one when it is the one before, has to be over.
        let (from, of, free) = match free(self.hits) {
            Some(free) if self.limit > 0 => (window, self.before, free),
            _ if self.limit > 0 => (window + 1, self.hits, self.limit - 1),
            _ => return Instant::NEVER,
        };
        let start = u128::from(from) * u128::from(self.length_ns);
        let part = u128::from(of.saturating_sub(free)) * u128::from(self.length_ns);
        let at = start + part.div_ceil(u128::from(of.max(1)));
        Instant::from_nanos(u64::try_from(at).unwrap_or(u64::MAX))
    }
}
