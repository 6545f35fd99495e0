//! What a caller has done, counted by itself.

use super::{BUDGET, PER_THOUSAND};
use squall_env::{Env, Instant, Shown};
use squall_protocols::retry::Left;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What a caller has done since it started.
#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) calls: u64,
    pub(super) tries: u64,
    /// Of one call.
    pub(super) tries_most: u32,
    pub(super) successes: u64,
    /// Calls of which it was told that they are not done.
    pub(super) denied: Vec<u64>,
    /// A try had more time than was left of its call, or began when none was.
    pub(super) late: bool,
    /// Calls that have begun and of which no try has been made yet.
    untried: u64,
}

impl Seen {
    /// How many tries were repeats.
    pub(super) fn retries(&self) -> u64 {
        self.tries - (self.calls - self.untried)
    }

    /// How many may have been.
    pub(super) fn allowed(&self) -> u64 {
        u64::from(BUDGET) + self.successes * u64::from(PER_THOUSAND) / 1_000
    }
}

/// A caller's own view.
#[derive(Clone)]
pub(super) struct Watched {
    env: Env,
    shown: Arc<Shown<Seen>>,
}

/// A call that is under way.
pub(super) struct Call {
    watched: Watched,
    limit: Duration,
    since: Instant,
    tries: AtomicU32,
}

impl Watched {
    pub(super) fn new(env: &Env) -> Watched {
        let shown = Arc::new(env.show("seen", Seen::default()));
        Watched { env: env.clone(), shown }
    }

    /// How many calls have begun, and how many have gone well.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.shown.read(|seen| (seen.calls, seen.successes))
    }

    /// A call begins, which may take so long.
    pub(super) fn begins(&self, limit: Duration) -> Call {
        self.shown.update(&self.env, |seen| {
            seen.calls += 1;
            seen.untried += 1;
        });
        Call { watched: self.clone(), limit, since: self.env.now(), tries: AtomicU32::new(0) }
    }

    /// The caller was told that a call is not done.
    pub(super) fn denied(&self, id: u64) {
        self.shown.update(&self.env, |seen| seen.denied.push(id));
    }
}

impl Call {
    /// It is tried, and so much time is left for that. Which try it is.
    pub(super) fn tries(&self, left: Left) -> u32 {
        let tries = self.tries.fetch_add(1, Ordering::Relaxed) + 1;
        let Watched { env, shown } = &self.watched;
        let rest = self.limit.saturating_sub(env.now() - self.since);
        shown.update(env, |seen| {
            seen.tries += 1;
            seen.untried -= u64::from(tries == 1);
            seen.tries_most = seen.tries_most.max(tries);
            seen.late |= left.duration() > rest || rest.is_zero();
        });
        tries
    }

    pub(super) fn went_well(&self) {
        let Watched { env, shown } = &self.watched;
        if self.tries.load(Ordering::Relaxed) > 1 {
            env.sometimes("a call was repeated and went well");
        }
        shown.update(env, |seen| seen.successes += 1);
    }
}
