//! How long to wait before the next try.

use squall_env::Env;
use std::time::Duration;

/// After so many tries waits have long come to where they stay.
const TRIES_MAX: u32 = 64;

/// How chance spreads the waits, so that those who failed together do not come back together
/// (Brooker, "Exponential Backoff And Jitter", 2015).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Jitter {
    /// Not at all.
    None,
    /// From nothing to the whole wait.
    Full,
    /// From half of the wait to the whole.
    Equal,
    /// From the first wait to three times the one before.
    Decorrelated,
}

/// Waits that double from one try to the next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Backoff {
    /// The first wait, before chance has its part.
    pub first: Duration,
    /// The longest.
    pub most: Duration,
    /// What chance does.
    pub jitter: Jitter,
}

/// The waits of one call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Waits {
    backoff: Backoff,
    /// How many there were.
    before: u32,
    last: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::new(Duration::from_millis(500), Duration::from_secs(60))
    }
}

impl Backoff {
    /// Waits that double from the first to the longest, with [`Jitter::Equal`].
    pub const fn new(first: Duration, most: Duration) -> Backoff {
        Backoff { first, most, jitter: Jitter::Equal }
    }

    /// A wait after so many tries, from 1, for whoever remembers nothing of the waits before. Where
    /// one depends on that before it ([`Jitter::Decorrelated`]), those are drawn anew.
    pub fn after(self, tries: u32, env: &Env) -> Duration {
        let mut waits = self.waits();
        if self.jitter == Jitter::Decorrelated {
            for _ in 1..tries.min(TRIES_MAX) {
                waits.next_wait(env.random());
            }
        }
        waits.before = tries.saturating_sub(1);
        waits.next_wait(env.random())
    }

    /// The waits of a call, beginning with the first.
    pub fn waits(self) -> Waits {
        Waits { backoff: self, before: 0, last: self.first }
    }
}

impl Waits {
    /// The next wait. `random` is 64 random bits.
    pub fn next_wait(&mut self, random: u64) -> Duration {
        let Backoff { first, most, jitter } = self.backoff;
        let factor = 1u32.checked_shl(self.before).unwrap_or(u32::MAX);
        let whole = first.saturating_mul(factor).min(most);
        let wait = match jitter {
            Jitter::None => whole,
            Jitter::Full => between(Duration::ZERO, whole, random),
            Jitter::Equal => between(whole / 2, whole, random),
            Jitter::Decorrelated => {
                between(first, self.last.saturating_mul(3).max(first), random).min(most)
            }
        };
        self.before = self.before.saturating_add(1);
        self.last = wait;
        wait
    }
}

/// A time from `low` to `high`, both included, by multiplication, so that it is the same on every
/// platform. Beyond 584 years it makes no difference.
fn between(low: Duration, high: Duration, random: u64) -> Duration {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (low, high) = (nanos(low), nanos(high));
    let choices = u128::from(high.saturating_sub(low)) + 1;
    let drawn = (u128::from(random) * choices) >> 64;
    Duration::from_nanos(low.saturating_add(drawn as u64))
}
