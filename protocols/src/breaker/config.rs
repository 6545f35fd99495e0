//! When a breaker opens, for how long, and how it is tried whether to close it again.

use std::time::Duration;

/// The longest window, in calls or seconds, and the most calls of a half-open breaker: it
/// remembers each of them.
pub const WINDOW_MAX: u32 = 100_000;

/// Over which calls the rates are taken. At most [`WINDOW_MAX`] of either.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// The last so many calls.
    Calls(u32),
    /// The calls of so many seconds, the one that has begun among them.
    Seconds(u32),
}

/// How long a breaker stays open.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Wait {
    /// The first time.
    pub first: Duration,
    /// How many times as long each time it opens again without having been closed; at least 1.
    pub factor: f64,
    /// The most.
    pub most: Duration,
    /// Up to so large a part of it is added, by chance, so that many breakers of one dependency do
    /// not try it all at once; from 0 to 1.
    pub jitter: f64,
}

impl Wait {
    /// Always the same.
    pub const fn fixed(wait: Duration) -> Wait {
        Wait { first: wait, factor: 1.0, most: wait, jitter: 0.0 }
    }

    /// Half as much again each time, up to an hour, as is Resilience4j's default.
    pub const fn exponential(first: Duration) -> Wait {
        Wait { first, factor: 1.5, most: Duration::from_secs(3_600), jitter: 0.0 }
    }
}

/// What a breaker does when nobody calls while it is half-open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterHalfOpen {
    /// It opens.
    Open,
    /// It closes.
    Close,
}

/// What a breaker does by itself at first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Initial {
    /// It lets calls through and counts.
    Closed,
    /// It refuses them until its wait is over.
    Open,
    /// It only counts.
    MetricsOnly,
}

/// How a breaker behaves. The defaults are those of Resilience4j, with one more bound: a call that
/// was let through while the breaker was half-open and does not come back counts as failed after a
/// minute, for else the breaker could stay half-open for ever.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// It opens when this part of the calls has failed, in per cent: above 0 and up to 100.
    pub failure_rate: f32,
    /// Or when this part of them was slow, in per cent: above 0 and up to 100.
    pub slow_rate: f32,
    /// A call that takes longer is slow.
    pub slow: Duration,
    /// Over which calls.
    pub window: Window,
    /// Fewer calls say nothing. No more than the window has, if that is one of calls.
    pub calls_min: u32,
    /// How long it is open.
    pub wait: Wait,
    /// How many calls it lets through while it is half-open; their rates decide. At most
    /// [`WINDOW_MAX`].
    pub half_open_calls: u32,
    /// How long it is half-open at most, if so many calls never come; at least a second.
    pub half_open_max: Option<Duration>,
    /// What it does then.
    pub after_half_open: AfterHalfOpen,
    /// After how long a call of those counts as failed that has not come back.
    pub lost_after: Duration,
    /// How it starts.
    pub initial: Initial,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            failure_rate: 50.0,
            slow_rate: 100.0,
            slow: Duration::from_secs(60),
            window: Window::Calls(100),
            calls_min: 100,
            wait: Wait::fixed(Duration::from_secs(60)),
            half_open_calls: 10,
            half_open_max: None,
            after_half_open: AfterHalfOpen::Open,
            lost_after: Duration::from_secs(60),
            initial: Initial::Closed,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// A rate is not above 0 and up to 100 per cent.
    #[error("`{0}` has to be above 0 and up to 100 per cent")]
    Rate(&'static str),
    /// A number or a time is zero.
    #[error("`{0}` has to be more than zero")]
    Zero(&'static str),
    /// A window would be longer than [`WINDOW_MAX`].
    #[error("`{0}` has to be {WINDOW_MAX} at most")]
    Window(&'static str),
    /// The breaker would be half-open for less than a second.
    #[error("`half_open_max` has to be a second at least, or nothing")]
    HalfOpenMax,
    /// The wait would get shorter, or is not a number.
    #[error("`wait.factor` has to be 1 at least, and `wait.jitter` from 0 to 1")]
    Wait,
}

impl Config {
    /// A breaker that opens when so many calls in a row have failed, and closes by one that does
    /// not.
    pub fn consecutive(failures: u32, wait: Duration) -> Config {
        Config {
            failure_rate: 100.0,
            window: Window::Calls(failures),
            calls_min: failures,
            wait: Wait::fixed(wait),
            half_open_calls: 1,
            ..Config::default()
        }
    }

    /// The same, if it makes sense.
    pub(super) fn checked(mut self) -> Result<Config, ConfigError> {
        let (Window::Calls(window) | Window::Seconds(window)) = self.window;
        for (name, rate) in [("failure_rate", self.failure_rate), ("slow_rate", self.slow_rate)] {
            if !(rate > 0.0 && rate <= 100.0) {
                return Err(ConfigError::Rate(name));
            }
        }
        let numbers = [
            ("window", window == 0),
            ("calls_min", self.calls_min == 0),
            ("half_open_calls", self.half_open_calls == 0),
            ("slow", self.slow.is_zero()),
            ("wait.first", self.wait.first.is_zero()),
            ("lost_after", self.lost_after.is_zero()),
        ];
        if let Some((name, _)) = numbers.into_iter().find(|(_, zero)| *zero) {
            return Err(ConfigError::Zero(name));
        }
        let windows = [("window", window), ("half_open_calls", self.half_open_calls)];
        if let Some((name, _)) = windows.into_iter().find(|(_, length)| *length > WINDOW_MAX) {
            return Err(ConfigError::Window(name));
        }
        if self.half_open_max.is_some_and(|most| most < Duration::from_secs(1)) {
            return Err(ConfigError::HalfOpenMax);
        }
        let grows = self.wait.factor >= 1.0 && self.wait.factor.is_finite();
        if !grows || !(0.0..=1.0).contains(&self.wait.jitter) {
            return Err(ConfigError::Wait);
        }
        if let Window::Calls(calls) = self.window {
            self.calls_min = self.calls_min.min(calls);
        }
        Ok(self)
    }
}
