//! How long to wait before the next try.

use std::time::Duration;

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

impl Backoff {
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
