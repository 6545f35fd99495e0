//! What all kinds of limiters have in common.

use super::{Decision, FixedWindow, Gcra, SlidingCounter, SlidingLog};
use squall_env::Instant;
use std::time::Duration;

/// A kind of limiter, of which [`Keyed`](super::Keyed) has one for each key.
pub trait Limiter: Clone {
    /// Whether something may come now; if so, it has.
    fn check(&mut self, now: Instant) -> Decision;

    /// Whether it is as if nothing had ever come: then it need not be kept.
    fn is_idle(&self, now: Instant) -> bool;

    /// One of the same kind that is idle then, and of which nobody knows what came before.
    #[must_use]
    fn unknown_until(&self, then: Instant) -> Self;

    /// How far apart things are that come as fast as they may, one by one.
    fn interval(&self) -> Duration;
}

impl Limiter for Gcra {
    fn check(&mut self, now: Instant) -> Decision {
        Gcra::check(self, now)
    }

    fn is_idle(&self, now: Instant) -> bool {
        Gcra::is_idle(self, now)
    }

    fn unknown_until(&self, then: Instant) -> Gcra {
        Gcra::unknown_until(self.quota(), then)
    }

    fn interval(&self) -> Duration {
        self.quota().interval()
    }
}

impl Limiter for FixedWindow {
    fn check(&mut self, now: Instant) -> Decision {
        FixedWindow::check(self, now)
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.resets_at(now).is_none()
    }

    fn unknown_until(&self, then: Instant) -> FixedWindow {
        FixedWindow::unknown_until(self, then)
    }

    fn interval(&self) -> Duration {
        self.length() / self.limit().max(1)
    }
}

impl Limiter for SlidingLog {
    fn check(&mut self, now: Instant) -> Decision {
        SlidingLog::check(self, now)
    }

    fn is_idle(&self, now: Instant) -> bool {
        SlidingLog::is_idle(self, now)
    }

    fn unknown_until(&self, then: Instant) -> SlidingLog {
        SlidingLog::unknown_until(self, then)
    }

    fn interval(&self) -> Duration {
        self.length() / self.limit().max(1)
    }
}

impl Limiter for SlidingCounter {
    fn check(&mut self, now: Instant) -> Decision {
        SlidingCounter::check(self, now)
    }

    fn is_idle(&self, now: Instant) -> bool {
        SlidingCounter::is_idle(self, now)
    }

    fn unknown_until(&self, then: Instant) -> SlidingCounter {
        SlidingCounter::unknown_until(self, then)
    }

    fn interval(&self) -> Duration {
        self.length() / self.limit().max(1)
    }
}
