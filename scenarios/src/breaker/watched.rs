//! What a caller sees of its breaker, counted by itself: nothing of it is asked of the breaker.

use super::Wrong;
use squall_env::{Env, Instant, Shown};
use squall_protocols::breaker::{Event, State, Verdict};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The calls of a breaker's window.
pub(super) const CALLS: u32 = 8;

/// How many calls decide while it is half-open.
pub(super) const HALF_OPEN: u32 = 3;

/// How long it is open at least: less than a call takes, so that calls come back late.
pub(super) const WAIT: Duration = Duration::from_millis(60);

/// What has been seen.
struct Seen {
    /// Since when it is open, as far as it was told.
    opened: Option<Instant>,
    /// Whose calls are under way that went through while it was half-open since then.
    half_open: (Instant, u32),
    /// The last calls that came back while it was closed, and whether they failed.
    last: VecDeque<bool>,
    /// A call that came back and began in an earlier state is being recorded.
    late: bool,
    wrong: Wrong,
}

/// A caller's own view of its breaker.
#[derive(Clone)]
pub(crate) struct Watched {
    env: Env,
    seen: Arc<Mutex<Seen>>,
    shown: Arc<Shown<Wrong>>,
}

/// A call that went through.
pub(super) struct Passed {
    watched: Watched,
    state: State,
    since: Instant,
    is_over: bool,
}

impl Watched {
    pub(super) fn new(env: &Env) -> Watched {
        let seen = Seen {
            opened: None,
            half_open: (Instant::ORIGIN, 0),
            last: VecDeque::new(),
            late: false,
            wrong: Wrong::default(),
        };
        let shown = env.show("wrong", Wrong::default());
        Watched { env: env.clone(), seen: Arc::new(Mutex::new(seen)), shown: Arc::new(shown) }
    }

    fn see<R>(&self, look: impl FnOnce(&mut Seen) -> R) -> R {
        let (result, wrong) = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let result = look(&mut seen);
            (result, seen.wrong)
        };
        self.shown.update(&self.env, |shown| *shown = wrong);
        result
    }

    /// What the breaker tells.
    pub(crate) fn heard(&self, event: &Event) {
        let Event::Transition { from, to } = *event else { return };
        let now = self.env.now();
        match (from, to) {
            (State::HalfOpen, State::Open) => {
                self.env.sometimes("a breaker opened again while it was half-open");
            }
            (_, State::Open) => self.env.sometimes("a breaker opened"),
            (_, State::Closed) => self.env.sometimes("a breaker closed again"),
            _ => {}
        }
        self.see(|seen| {
            seen.wrong.late |= seen.late;
            if from == State::Closed && to == State::Open {
                let failed = seen.last.iter().filter(|failed| **failed).count();
                seen.wrong.reason |= failed * 2 < CALLS as usize;
            }
            seen.last.clear();
            seen.opened = (to == State::Open).then_some(now);
        });
    }

    /// A call went through, when the breaker was in this state since then.
    pub(super) fn passed(&self, state: State, since: Instant) -> Passed {
        let now = self.env.now();
        self.see(|seen| {
            seen.wrong.open |= seen.opened.is_some_and(|opened| now - opened < WAIT);
            if state == State::HalfOpen {
                if seen.half_open.0 != since {
                    seen.half_open = (since, 0);
                }
                seen.half_open.1 += 1;
                seen.wrong.probes |= seen.half_open.1 > HALF_OPEN;
            }
        });
        Passed { watched: self.clone(), state, since, is_over: false }
    }

    /// What came of the last call is recorded.
    pub(super) fn recorded(&self) {
        self.see(|seen| seen.late = false);
    }
}

impl Passed {
    /// The call came back, and is about to be recorded with a breaker that has been in its state
    /// since then.
    pub(super) fn ends(mut self, since: Instant, verdict: Verdict) {
        self.is_over = true;
        let is_late = since != self.since;
        if is_late {
            self.watched.env.sometimes("a result came late");
        }
        self.watched.see(|seen| {
            seen.late = is_late;
            if !is_late && self.state == State::Closed && verdict != Verdict::Ignored {
                seen.last.push_back(verdict == Verdict::Failure);
                while seen.last.len() > CALLS as usize {
                    seen.last.pop_front();
                }
            }
        });
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        if self.state != State::HalfOpen {
            return;
        }
        if !self.is_over {
            self.watched.env.sometimes("a probe was given up");
        }
        self.watched.see(|seen| {
            if seen.half_open.0 == self.since {
                seen.half_open.1 -= 1;
            }
        });
    }
}
