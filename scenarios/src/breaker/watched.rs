//! What a caller sees of its breaker, counted by itself: nothing of it is asked of the breaker.

use super::Wrong;
use squall_env::{Env, Instant, Shown};
use squall_protocols::breaker::{Config, Event, State, Verdict, Wait, Window};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A call that came back while the breaker was closed.
#[derive(Clone, Copy)]
struct Ended {
    at: Instant,
    failed: bool,
    slow: bool,
}

/// What has been seen.
struct Seen {
    config: Config,
    /// Since when it is open, as far as it was told.
    opened: Option<Instant>,
    /// Until when it may be open: only if something that was recorded has opened it is known when.
    until: Option<Instant>,
    /// How often it has opened since it was closed.
    times: i32,
    /// Whose calls are under way that went through while it was half-open since then.
    half_open: (Instant, u32),
    /// The last calls that came back while it was closed.
    last: VecDeque<Ended>,
    /// When somebody last had to do with it: what it has done by itself, it has done since.
    looked: Instant,
    /// What came of a call is being recorded.
    records: bool,
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
    at: Instant,
    is_over: bool,
}

impl Seen {
    /// For how long it is open at most this time, but for what is lost where times are rounded.
    fn longest(&self) -> Duration {
        let Wait { first, factor, most, jitter } = self.config.wait;
        let wait = first.mul_f64(factor.powi(self.times - 1)).min(most);
        wait.mul_f64(1.0 + jitter) + Duration::from_micros(1)
    }

    /// Whether enough of the calls in the window have failed or were slow.
    fn has_reason(&mut self, now: Instant) -> bool {
        match self.config.window {
            Window::Calls(calls) => {
                let more = self.last.len().saturating_sub(calls as usize);
                self.last.drain(..more);
            }
            Window::Seconds(seconds) => {
                let second = |at: Instant| at.as_nanos() / 1_000_000_000;
                self.last.retain(|ended| second(ended.at) + u64::from(seconds) > second(now));
            }
        }
        let calls = self.last.len();
        let count = |is: fn(&Ended) -> bool| self.last.iter().filter(|ended| is(ended)).count();
        let over = |part: usize, rate: f32| part * 100 >= rate as usize * calls;
        let Config { calls_min, failure_rate, slow_rate, .. } = self.config;
        calls >= calls_min as usize
            && (over(count(|ended| ended.failed), failure_rate)
                || over(count(|ended| ended.slow), slow_rate))
    }
}

impl Watched {
    pub(super) fn new(env: &Env, config: Config) -> Watched {
        let seen = Seen {
            config,
            opened: None,
            until: None,
            times: 0,
            half_open: (Instant::ORIGIN, 0),
            last: VecDeque::new(),
            looked: env.now(),
            records: false,
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
        if let Event::SlowRateExceeded(_) = event {
            self.env.sometimes("too many calls were slow");
        }
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
                seen.wrong.reason |= !seen.has_reason(now);
            }
            seen.last.clear();
            match to {
                State::Open => seen.times += 1,
                State::Closed => seen.times = 0,
                _ => {}
            }
            let is_known = to == State::Open && (from == State::Closed || seen.records);
            seen.until = is_known.then(|| now + seen.longest());
            // A breaker that nobody asks does what its time brings when it is asked again.
            let at = if from == State::HalfOpen && !seen.records { seen.looked } else { now };
            seen.opened = match to {
                State::Open => Some(at),
                // It may have become so too early.
                State::HalfOpen => seen.opened,
                _ => None,
            };
        });
    }

    /// A call went through, when the breaker was in this state since then.
    pub(super) fn passed(&self, state: State, since: Instant) -> Passed {
        let now = self.env.now();
        self.see(|seen| {
            seen.wrong.open |=
                seen.opened.is_some_and(|opened| now - opened < seen.config.wait.first);
            if state == State::HalfOpen {
                if seen.half_open.0 != since {
                    seen.half_open = (since, 0);
                }
                seen.half_open.1 += 1;
                seen.wrong.probes |= seen.half_open.1 > seen.config.half_open_calls;
            }
        });
        Passed { watched: self.clone(), state, since, at: now, is_over: false }
    }

    /// A call was refused, and the breaker is in this state.
    pub(super) fn refused(&self, state: State) {
        let now = self.env.now();
        self.see(|seen| {
            seen.wrong.long |= state == State::Open && seen.until.is_some_and(|until| now > until);
        });
    }

    /// Somebody has had to do with the breaker.
    pub(super) fn looked(&self) {
        let now = self.env.now();
        self.see(|seen| seen.looked = now);
    }

    /// What came of the last call is recorded.
    pub(super) fn recorded(&self) {
        self.see(|seen| (seen.late, seen.records) = (false, false));
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
        let now = self.watched.env.now();
        self.watched.see(|seen| {
            (seen.late, seen.records) = (is_late, true);
            if !is_late && self.state == State::Closed && verdict != Verdict::Ignored {
                let slow = now - self.at > seen.config.slow;
                let failed = verdict == Verdict::Failure;
                seen.last.push_back(Ended { at: now, failed, slow });
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
