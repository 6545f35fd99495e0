//! The breaker as a value.

use super::config::{AfterHalfOpen, Config, ConfigError, Initial, Window};
use super::events::{Event, Listener};
use super::flaws::Flaws;
use super::window::{Call, Calls, Sum};
use squall_env::{HasOutcome, Instant, Outcome};
use std::time::Duration;

/// What a breaker does with calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// It lets them through and counts.
    Closed,
    /// It refuses them until its wait is over.
    Open,
    /// It lets some of them through, and they decide.
    HalfOpen,
    /// It lets them through and counts nothing.
    Disabled,
    /// It refuses them until somebody changes that.
    ForcedOpen,
    /// It lets them through and counts, and never opens.
    MetricsOnly,
}

impl State {
    fn text(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half-open",
            State::Disabled => "disabled",
            State::ForcedOpen => "forced open",
            State::MetricsOnly => "only counting",
        }
    }
}

/// What came of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It went well.
    Success,
    /// It went wrong in a way that says something about whoever was called.
    Failure,
    /// It says nothing about whoever was called, as a refused argument, or was never made.
    Ignored,
}

/// Why a call was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("service unavailable: the circuit breaker is {}", .state.text())]
pub struct Refused {
    /// What it does with calls.
    pub state: State,
    /// When it makes sense to try again, if the breaker knows.
    pub retry_at: Option<Instant>,
}

impl HasOutcome for Refused {
    fn outcome(&self) -> Outcome {
        Outcome::NotDone
    }
}

/// A change of state that makes no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a circuit breaker does not go from {from:?} to {to:?}")]
pub struct IllegalTransition {
    /// Its state, which it stays in.
    pub from: State,
    /// What it was asked to go to.
    pub to: State,
}

/// Leave to call. It is to be handed back with what came of the call, or as unused.
#[must_use = "a permit that is not handed back may keep a breaker half-open"]
#[derive(Debug)]
pub struct Permit {
    generation: u64,
    number: u64,
    at: Instant,
}

/// What a breaker has counted. Rates are in per cent, and there are none below the least number of
/// calls.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Metrics {
    /// The part of the calls that has failed.
    pub failure_rate: Option<f32>,
    /// The part of them that was slow.
    pub slow_rate: Option<f32>,
    /// How many calls are in the window.
    pub calls: u32,
    /// How many of them have failed.
    pub failed: u32,
    /// How many were slow.
    pub slow: u32,
    /// How many were slow and have failed.
    pub slow_failed: u32,
    /// How long they took together.
    pub took: Duration,
    /// How many were refused since the window began.
    pub refused: u64,
    /// How many results came so late that the breaker had changed its state.
    pub late: u64,
}

/// What belongs to a state, and ends with it.
struct Phase {
    state: State,
    since: Instant,
    /// When an open breaker may be tried.
    until: Instant,
    /// The calls that a half-open breaker has let through and that have not come back.
    probes: Vec<(u64, Instant)>,
    /// Whether it was said that the rates are over the thresholds.
    told: (bool, bool),
}

/// A circuit breaker (Nygard, Release It!, 2007), with the states, windows and thresholds of
/// Resilience4j. It is a value: whoever has it says what time it is.
///
/// Each state has a generation. What comes back from a call that was let through in an earlier one
/// is counted as late and changes nothing: so a burst of old failures does not open a breaker again
/// that has just been closed.
pub struct CircuitBreaker {
    config: Config,
    phase: Phase,
    generation: u64,
    calls: Calls,
    /// Fewer of them say nothing.
    calls_min: u32,
    refused: u64,
    late: u64,
    /// How often it has opened since it was closed.
    opened: u32,
    next_permit: u64,
    /// Decides what is added to waits.
    salt: u64,
    listener: Option<Listener>,
    flaws: Flaws,
}

impl CircuitBreaker {
    /// A new breaker. `salt` decides by how much its waits differ from those of others: a random
    /// number.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(config: Config, salt: u64, now: Instant) -> Result<CircuitBreaker, ConfigError> {
        let config = config.checked()?;
        let state = match config.initial {
            Initial::Closed | Initial::Open => State::Closed,
            Initial::MetricsOnly => State::MetricsOnly,
        };
        let phase =
            Phase { state, since: now, until: now, probes: Vec::new(), told: (false, false) };
        let calls = Calls::new(config.window);
        let opens = config.initial == Initial::Open;
        let mut breaker = CircuitBreaker {
            calls_min: config.calls_min,
            config,
            phase,
            generation: 0,
            calls,
            refused: 0,
            late: 0,
            opened: 0,
            next_permit: 0,
            salt,
            listener: None,
            flaws: Flaws::default(),
        };
        if opens {
            breaker.open(now);
        }
        Ok(breaker)
    }

    /// The same, which tells what happens to it.
    #[must_use]
    pub fn with_listener(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    pub(super) fn listen(&mut self, listener: Listener) {
        self.listener = Some(listener);
    }

    pub(super) fn with_flaws(mut self, flaws: Flaws) -> CircuitBreaker {
        self.flaws = flaws;
        self.calls = self.calls.keeping(flaws.keeps_seconds);
        self
    }

    /// What it does with calls. To ask changes nothing: an open breaker whose wait is over is open
    /// until somebody wants to call.
    pub fn state(&mut self, now: Instant) -> State {
        self.look(now);
        self.phase.state
    }

    /// Since when it has been in this state.
    pub fn since(&self) -> Instant {
        self.phase.since
    }

    /// What it has counted.
    pub fn metrics(&mut self, now: Instant) -> Metrics {
        self.look(now);
        let sum = self.calls.total(now);
        let enough = sum.calls >= self.calls_min;
        let (failure_rate, slow_rate) = sum.rates();
        let Sum { calls, failed, slow, slow_failed, took } = sum;
        Metrics {
            failure_rate: enough.then_some(failure_rate),
            slow_rate: enough.then_some(slow_rate),
            calls,
            failed,
            slow,
            slow_failed,
            took,
            refused: self.refused,
            late: self.late,
        }
    }

    /// Leave to call, or why not.
    ///
    /// # Errors
    /// If the breaker is open, or half-open and has let enough calls through.
    pub fn acquire(&mut self, now: Instant) -> Result<Permit, Refused> {
        self.look(now);
        if self.phase.state == State::Open && now >= self.phase.until {
            self.go(State::HalfOpen, now);
        }
        let granted = match self.phase.state {
            State::Closed | State::MetricsOnly | State::Disabled => true,
            State::Open | State::ForcedOpen => self.flaws.lets_through,
            State::HalfOpen => self.probes_left(now) > 0 || self.flaws.any_probe,
        };
        if !granted {
            self.refused += 1;
            self.tell(Event::Refused);
            let open = self.phase.state == State::Open;
            let retry_at = open.then_some(self.phase.until);
            return Err(Refused { state: self.phase.state, retry_at });
        }
        let number = self.next_permit;
        self.next_permit += 1;
        if self.phase.state == State::HalfOpen {
            self.phase.probes.push((number, now));
        }
        Ok(Permit { generation: self.generation, number, at: now })
    }

    /// Takes a permit back with what came of the call, which lasted until now.
    pub fn record(&mut self, permit: Permit, verdict: Verdict, now: Instant) {
        let took = now.since(permit.at);
        self.record_lasting(permit, verdict, took, now);
    }

    /// The same of a call whose length somebody else has measured.
    pub fn record_lasting(
        &mut self,
        permit: Permit,
        verdict: Verdict,
        took: Duration,
        now: Instant,
    ) {
        self.look(now);
        let is_late = permit.generation != self.generation;
        let keeps = verdict == Verdict::Ignored && self.flaws.keeps_ignored;
        if (is_late || !keeps && !self.takes_back(&permit)) && !self.flaws.counts_late {
            self.late += 1;
            return;
        }
        if self.phase.state == State::Disabled {
            return;
        }
        let failed = match verdict {
            Verdict::Ignored => return self.tell(Event::Ignored),
            Verdict::Success => false,
            Verdict::Failure => true,
        };
        self.tell(if failed { Event::Failure(took) } else { Event::Success(took) });
        self.count(Call { failed, slow: took > self.config.slow, took }, now);
    }

    /// Takes a permit back that was not used.
    pub fn release(&mut self, permit: Permit, now: Instant) {
        self.look(now);
        if permit.generation == self.generation && !self.flaws.keeps_dropped {
            self.takes_back(&permit);
        }
    }

    /// Opens, and stays so for its wait.
    pub fn open(&mut self, now: Instant) {
        let wait = self.wait(self.opened);
        self.open_until(now + wait, now);
    }

    /// Opens, and stays so for so long.
    pub fn open_for(&mut self, wait: Duration, now: Instant) {
        self.open_until(now + wait, now);
    }

    /// Opens, and stays so until then.
    pub fn open_until(&mut self, until: Instant, now: Instant) {
        self.opened = self.opened.saturating_add(1);
        self.go(State::Open, now);
        self.phase.until = until;
    }

    /// Lets some calls through from now on.
    ///
    /// # Errors
    /// If it is neither open nor half-open: from where nothing was refused there is nothing to try.
    pub fn half_open(&mut self, now: Instant) -> Result<(), IllegalTransition> {
        match self.state(now) {
            State::Open | State::ForcedOpen => {
                self.go(State::HalfOpen, now);
                Ok(())
            }
            // It would let more calls through than it may.
            State::HalfOpen => Ok(()),
            from => Err(IllegalTransition { from, to: State::HalfOpen }),
        }
    }

    /// Closes, and forgets what it has counted.
    pub fn close(&mut self, now: Instant) {
        self.go(State::Closed, now);
    }

    /// Refuses everything until it is told otherwise.
    pub fn force_open(&mut self, now: Instant) {
        self.go(State::ForcedOpen, now);
    }

    /// Lets everything through and counts nothing, until it is told otherwise.
    pub fn disable(&mut self, now: Instant) {
        self.go(State::Disabled, now);
    }

    /// Lets everything through and counts, until it is told otherwise.
    pub fn only_count(&mut self, now: Instant) {
        self.go(State::MetricsOnly, now);
    }

    /// Closes and forgets everything, as if it were new.
    pub fn reset(&mut self, now: Instant) {
        self.go(State::Closed, now);
        self.tell(Event::Reset);
    }

    fn tell(&self, event: Event) {
        if self.phase.state != State::Disabled
            && let Some(listener) = &self.listener
        {
            listener(&event);
        }
    }

    /// What happens by itself: calls that were let through and never came back, and a breaker that
    /// nobody calls while it is half-open.
    fn look(&mut self, now: Instant) {
        while self.phase.state == State::HalfOpen {
            let lost = self.phase.probes.first().map(|(_, at)| *at + self.config.lost_after);
            let over = self.config.half_open_max.map(|most| self.phase.since + most);
            match (lost, over) {
                (Some(lost), over)
                    if lost <= now
                        && !self.flaws.waits()
                        && over.is_none_or(|over| lost <= over) =>
                {
                    self.phase.probes.remove(0);
                    let took = self.config.lost_after;
                    let call = Call { failed: true, slow: took > self.config.slow, took };
                    self.count(call, lost);
                }
                (_, Some(over)) if over <= now => match self.config.after_half_open {
                    AfterHalfOpen::Open => self.open(over),
                    AfterHalfOpen::Close => self.close(over),
                },
                _ => return,
            }
        }
    }

    /// Whether this permit was still waited for.
    fn takes_back(&mut self, permit: &Permit) -> bool {
        if self.phase.state != State::HalfOpen {
            return true;
        }
        let waits = self.phase.probes.iter().position(|(number, _)| *number == permit.number);
        waits.map(|at| self.phase.probes.remove(at)).is_some()
    }

    /// How many more calls a half-open breaker lets through.
    fn probes_left(&mut self, now: Instant) -> u32 {
        let taken = self.calls.total(now).calls + self.phase.probes.len() as u32;
        self.config.half_open_calls.saturating_sub(taken)
    }

    fn count(&mut self, call: Call, now: Instant) {
        if !self.flaws.never_forgets || call.failed || self.phase.state != State::Closed {
            self.calls.add(call, now);
        }
        let sum = self.calls.total(now);
        if sum.calls < self.calls_min {
            return;
        }
        let (failed, slow) = sum.rates();
        let over = (failed >= self.config.failure_rate, slow >= self.config.slow_rate);
        let told = std::mem::replace(&mut self.phase.told, over);
        if self.phase.state == State::MetricsOnly {
            self.phase.told = (told.0 || over.0, told.1 || over.1);
        }
        if over.0 && !told.0 {
            self.tell(Event::FailureRateExceeded(failed));
        }
        if over.1 && !told.1 {
            self.tell(Event::SlowRateExceeded(slow));
        }
        match (self.phase.state, over) {
            (State::Closed | State::HalfOpen, (true, _) | (_, true)) => self.open(now),
            (State::HalfOpen, _) => self.close(now),
            _ => {}
        }
    }

    /// Another state begins, or the same anew. What an open breaker has counted is what opened it.
    fn go(&mut self, to: State, now: Instant) {
        let from = self.phase.state;
        if from != to {
            self.tell(Event::Transition { from, to });
        }
        if to != State::Open {
            let half_open = Window::Calls(self.config.half_open_calls);
            (self.calls, self.calls_min) = match to {
                State::HalfOpen => {
                    let least = match self.flaws.keeps_minimum {
                        true => self.config.calls_min,
                        false => self.config.calls_min.min(self.config.half_open_calls),
                    };
                    (Calls::new(half_open), least)
                }
                _ => {
                    let calls = Calls::new(self.config.window);
                    (calls.keeping(self.flaws.keeps_seconds), self.config.calls_min)
                }
            };
            (self.refused, self.late) = (0, 0);
        }
        if to != State::Open && to != State::HalfOpen {
            self.opened = 0;
        }
        self.generation += 1;
        let probes = Vec::new();
        self.phase = Phase { state: to, since: now, until: now, probes, told: (false, false) };
        if from == State::Disabled {
            self.tell(Event::Transition { from, to });
        }
    }

    /// The wait after it has opened so many times.
    fn wait(&self, opened: u32) -> Duration {
        let wait = self.config.wait;
        let grown = wait.first.as_secs_f64() * wait.factor.powi(opened.min(1_000) as i32);
        let most = wait.most.as_secs_f64().max(wait.first.as_secs_f64());
        let drawn = mix(self.salt.wrapping_add(u64::from(opened))) >> 11;
        let part = wait.jitter * (drawn as f64 / (1u64 << 53) as f64);
        Duration::from_secs_f64(grown.min(most) * (1.0 + part))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
