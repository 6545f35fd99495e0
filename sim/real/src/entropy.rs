//! A node's randomness: seeded once by the operating system, and fast from then on.

use crate::error::RunError;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The generator of one node. Its numbers cannot be guessed from those that it gave before.
pub(crate) struct Entropy(Mutex<ChaCha12Rng>);

impl Entropy {
    pub(crate) fn new() -> Result<Entropy, RunError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| RunError::System { what: "entropy", source: error.into() })?;
        Ok(Entropy(Mutex::new(ChaCha12Rng::from_seed(seed))))
    }

    pub(crate) fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// A random duration from half of `whole` to `whole`, so that nodes that fail together do not
    /// try again together.
    pub(crate) fn jitter(&self, whole: Duration) -> Duration {
        let half = whole / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        let drawn = (u128::from(self.next_u64()) * (u128::from(nanos) + 1)) >> 64;
        half + Duration::from_nanos(drawn as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_draw_different_numbers() {
        let (one, other) = (Entropy::new().unwrap(), Entropy::new().unwrap());
        assert_ne!(
            [one.next_u64(), one.next_u64()],
            [other.next_u64(), other.next_u64()],
            "two seeds of 256 bits are equal"
        );
    }

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let (entropy, whole) = (Entropy::new().unwrap(), Duration::from_millis(100));
        for _ in 0..1000 {
            let drawn = entropy.jitter(whole);
            assert!(drawn >= whole / 2 && drawn <= whole);
        }
        assert_eq!(entropy.jitter(Duration::ZERO), Duration::ZERO);
    }
}
