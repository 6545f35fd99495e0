//! A breaker by hand, with a clock and an ear.

use squall_env::Instant;
use squall_protocols::breaker::{
    CircuitBreaker, Config, Event, Permit, State, Verdict, Wait, Window,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn config() -> Config {
    Config {
        slow_rate: 50.0,
        slow: s(4.0),
        window: Window::Seconds(20),
        calls_min: 5,
        wait: Wait::fixed(s(5.0)),
        half_open_calls: 4,
        half_open_max: Some(s(1.0)),
        lost_after: s(3_600.0),
        ..Config::default()
    }
}

/// The same that waits for calls as long as it takes.
pub(crate) fn patient() -> Config {
    Config { half_open_max: None, ..config() }
}

/// Failure rate or -1, calls that went well, calls, failures, refusals.
pub(crate) type Tuple = (f32, u32, u32, u32, u64);

/// A breaker with a clock, and what it tells.
pub(crate) struct Bench {
    pub(crate) breaker: CircuitBreaker,
    pub(crate) now: Instant,
    told: Arc<Mutex<Vec<Event>>>,
}

impl Bench {
    pub(crate) fn of(config: Config) -> Bench {
        let now = Instant::ORIGIN + s(1_000.0);
        let told: Arc<Mutex<Vec<Event>>> = Arc::default();
        let sink = Arc::clone(&told);
        let breaker = CircuitBreaker::new(config, 7, now).unwrap();
        let breaker = breaker.with_listener(move |event| sink.lock().unwrap().push(*event));
        Bench { breaker, now, told }
    }

    pub(crate) fn pass(&mut self, seconds: f64) {
        self.now += s(seconds);
    }

    pub(crate) fn state(&mut self) -> State {
        self.breaker.state(self.now)
    }

    pub(crate) fn metrics(&mut self) -> Tuple {
        let metrics = self.breaker.metrics(self.now);
        let well = metrics.calls - metrics.failed;
        (metrics.failure_rate.unwrap_or(-1.0), well, metrics.calls, metrics.failed, metrics.refused)
    }

    pub(crate) fn is_refused(&mut self) -> bool {
        match self.breaker.acquire(self.now) {
            Err(_) => true,
            Ok(permit) => {
                self.breaker.release(permit, self.now);
                false
            }
        }
    }

    /// So many permits at once.
    pub(crate) fn permits(&mut self, wanted: usize) -> Vec<Permit> {
        (0..wanted).filter_map(|_| self.breaker.acquire(self.now).ok()).collect()
    }

    /// A call that lasts so long by somebody else's measure.
    pub(crate) fn call(&mut self, verdict: Verdict, took: f64) {
        let permit = self.breaker.acquire(self.now).expect("leave to call");
        self.breaker.record_lasting(permit, verdict, s(took), self.now);
    }

    pub(crate) fn calls(&mut self, verdicts: &str) {
        for verdict in verdicts.chars() {
            self.call(verdict_of(verdict), 0.1);
        }
    }

    /// How many events there were like this.
    pub(crate) fn told(&self, like: impl Fn(&Event) -> bool) -> usize {
        self.told.lock().unwrap().iter().filter(|event| like(event)).count()
    }

    pub(crate) fn half_open(config: Config) -> Bench {
        let mut bench = Bench::of(config);
        bench.breaker.open(bench.now);
        bench.breaker.half_open(bench.now).unwrap();
        bench
    }
}

pub(crate) fn verdict_of(letter: char) -> Verdict {
    match letter {
        'o' => Verdict::Success,
        'e' => Verdict::Failure,
        'i' => Verdict::Ignored,
        other => panic!("{other}"),
    }
}
