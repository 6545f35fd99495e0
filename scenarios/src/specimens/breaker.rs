//! A circuit breaker as tutorials have it: a count, a time and three states. It lets every call
//! through while it is half-open, counts what comes back late as if it had begun now, never forgets
//! a failure while it is closed, and knows nothing of errors that are not on its list. With a
//! `FLAG` it lets only one call through while it is half-open, and a call that ends with such an
//! error, or is given up, never takes the flag down.

use crate::breaker::{Guard, Watched};
use squall_env::{Env, Instant};
use squall_protocols::breaker::{Config, Event, State, Verdict};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many failures open it.
const THRESHOLD: u32 = 5;

/// The tutorial's breaker.
#[derive(Clone)]
pub(crate) struct Tutorial<const FLAG: bool> {
    env: Env,
    watched: Watched,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    state: State,
    since: Instant,
    failures: u32,
    last_failure: Instant,
    recovery: Duration,
    probing: bool,
}

impl<const FLAG: bool> Tutorial<FLAG> {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go(&self, inner: &mut Inner, to: State) {
        let from = std::mem::replace(&mut inner.state, to);
        if from != to {
            inner.since = self.env.now();
            inner.probing = false;
            self.watched.heard(&Event::Transition { from, to });
        }
    }
}

impl<const FLAG: bool> Guard for Tutorial<FLAG> {
    type Leave<'a> = ();

    fn new(env: &Env, config: Config, watched: Watched) -> Self {
        let inner = Inner {
            state: State::Closed,
            since: env.now(),
            failures: 0,
            last_failure: env.now(),
            recovery: config.wait.first,
            probing: false,
        };
        Tutorial { env: env.clone(), watched, inner: Arc::new(Mutex::new(inner)) }
    }

    fn acquire(&self) -> Option<()> {
        let mut inner = self.lock();
        if inner.state == State::Open && self.env.now() >= inner.last_failure + inner.recovery {
            self.go(&mut inner, State::HalfOpen);
        }
        match inner.state {
            State::Open => None,
            State::HalfOpen if FLAG && inner.probing => None,
            State::HalfOpen => {
                inner.probing = true;
                Some(())
            }
            _ => Some(()),
        }
    }

    fn state(&self) -> (State, Instant) {
        let inner = self.lock();
        (inner.state, inner.since)
    }

    fn record(&self, (): (), verdict: Verdict) {
        let mut inner = self.lock();
        match verdict {
            Verdict::Success if inner.state == State::HalfOpen => {
                inner.failures = 0;
                self.go(&mut inner, State::Closed);
            }
            Verdict::Failure => {
                inner.failures += 1;
                inner.last_failure = self.env.now();
                if inner.failures >= THRESHOLD {
                    self.go(&mut inner, State::Open);
                }
            }
            // An error that is not on the list goes to the caller and past the breaker.
            Verdict::Success | Verdict::Ignored => {}
        }
    }
}
