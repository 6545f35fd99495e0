//! A node's clocks: monotonic time that counts suspended time where the system can, and wall time.

use squall_env::platform::Wait;
use squall_env::{Instant, WallTime};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;

/// The longest time that a sleep trusts the runtime's timer, which may stand still while the system
/// is suspended. So a sleep that a suspension overtook is late by this much at most.
const RECHECK: Duration = Duration::from_secs(10);

/// The clocks of one node. The monotonic one is at its origin when the node starts.
pub(crate) struct SystemClock {
    origin: system::Moment,
    slept: AtomicU64,
}

impl SystemClock {
    pub(crate) fn new() -> SystemClock {
        SystemClock { origin: system::now(), slept: AtomicU64::new(0) }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::ORIGIN + system::since(self.origin)
    }

    pub(crate) fn wall(&self) -> WallTime {
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        WallTime::from_unix_nanos(match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => nanos(after),
            Err(before) => -nanos(before.duration()),
        })
    }

    /// How many sleeps have been found to be over.
    pub(crate) fn slept(&self) -> u64 {
        self.slept.load(Ordering::Relaxed)
    }

    /// The runtime's timer only says when to look again; this clock alone says when it is time.
    pub(crate) fn poll_sleep(
        &self,
        runtime: &Handle,
        until: Instant,
        wait: &mut Wait,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let left = until - self.now();
            if left.is_zero() {
                wait.own = None;
                self.slept.fetch_add(1, Ordering::Relaxed);
                return Poll::Ready(());
            }
            let timer = wait.own.get_or_insert_with(|| {
                // Whoever polls may be on a thread that is none of the runtime's.
                let _within = runtime.enter();
                Box::pin(tokio::time::sleep(left.min(RECHECK)))
            });
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            wait.own = None;
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use rustix::time::{ClockId, clock_gettime};
    use std::time::Duration;

    pub(super) type Moment = Duration;

    /// The time since the system started, suspended time included.
    pub(super) fn now() -> Moment {
        let time = clock_gettime(ClockId::Boottime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    pub(super) fn since(origin: Moment) -> Duration {
        now().saturating_sub(origin)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::time::{Duration, Instant};

    pub(super) type Moment = Instant;

    pub(super) fn now() -> Moment {
        Instant::now()
    }

    pub(super) fn since(origin: Moment) -> Duration {
        origin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_starts_at_its_origin_and_never_goes_back() {
        let clock = SystemClock::new();
        let mut last = clock.now();
        assert!(last < Instant::ORIGIN + Duration::from_secs(60));
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn the_wall_clock_is_in_this_century() {
        let year_2020 = 1_577_836_800_000_000_000;
        assert!(SystemClock::new().wall().as_unix_nanos() > year_2020);
    }
}
