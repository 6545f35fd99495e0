//! How far a search may go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::Reason;

/// The bounds of a search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<'a> {
    pub(super) steps: u64,
    /// In bytes.
    pub(super) memory: usize,
    pub(super) deadline: Option<Instant>,
    /// The first part that is known to be wrong, and the number of this part: a part behind it
    /// need not be searched, since the first wrong part is the one that is reported.
    pub(super) part: Option<(&'a AtomicUsize, usize)>,
}

/// Counts steps against the bounds.
#[derive(Debug, Default)]
pub(super) struct Meter {
    steps: u64,
    bound: u64,
    /// The number of steps at which the slower bounds are looked at.
    check: u64,
    deadline: Option<Instant>,
}

/// How many steps pass between two looks at the clock.
const STEPS_PER_CHECK: u64 = 4096;

impl Meter {
    pub(super) fn start(&mut self, bounds: Bounds<'_>) {
        self.steps = 0;
        self.bound = bounds.steps;
        self.deadline = bounds.deadline;
        self.check = STEPS_PER_CHECK;
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn step(&mut self) -> Result<(), Reason> {
        if self.steps >= self.bound {
            return Err(Reason::Steps);
        }
        self.steps += 1;
        if self.steps >= self.check {
            self.check = self.steps + STEPS_PER_CHECK;
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Reason::Time);
            }
        }
        Ok(())
    }
}

impl Bounds<'_> {
    /// Whether an earlier part is known to be wrong.
    pub(super) fn is_moot(&self) -> bool {
        self.part.is_some_and(|(wrong, part)| wrong.load(Ordering::Relaxed) < part)
    }
}
