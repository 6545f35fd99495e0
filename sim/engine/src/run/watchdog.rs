//! A thread that notices a poll which does not return.
//!
//! Nothing inside the world could: the one thread there is stuck. The watchdog prints which
//! scenario and seed it was and aborts the process; a sweep books that as a hang.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::Duration;

/// How long a single poll may take before it is taken for a hang, in seconds of real time.
pub(crate) const POLL_MAX_S: u64 = 10;

/// Overrides [`POLL_MAX_S`], for tests of the tester itself.
pub(crate) const POLL_MAX_VARIABLE: &str = "SQUALL_POLL_MAX_S";

/// The line that a hanging process leaves on its standard error.
pub(crate) const HANG: &str = "squall: a poll does not return";

struct Progress {
    /// Odd while a poll is under way.
    polls: AtomicU64,
    scenario: String,
    seed: u64,
}

static WATCHED: Mutex<Vec<Weak<Progress>>> = Mutex::new(Vec::new());

/// A run under watch.
pub(crate) struct Watch(Arc<Progress>);

impl Watch {
    pub(crate) fn new(scenario: &str, seed: u64) -> Watch {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let started = std::thread::Builder::new().name("watchdog".into()).spawn(watch);
            drop(started);
        });
        let (polls, scenario) = (AtomicU64::new(0), scenario.to_owned());
        let progress = Arc::new(Progress { polls, scenario, seed });
        let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|run| run.strong_count() > 0);
        watched.push(Arc::downgrade(&progress));
        Watch(progress)
    }

    #[inline]
    pub(crate) fn enter(&self) {
        self.step();
    }

    #[inline]
    pub(crate) fn leave(&self) {
        self.step();
    }

    #[inline]
    fn step(&self) {
        // Only this thread writes, so a load and a store do.
        let polls = self.0.polls.load(Ordering::Relaxed);
        self.0.polls.store(polls + 1, Ordering::Relaxed);
    }
}

fn poll_max_s() -> u64 {
    let wanted = std::env::var(POLL_MAX_VARIABLE).ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(POLL_MAX_S)
}

fn watch() {
    let poll_max_s = poll_max_s();
    let mut seen: Vec<(usize, u64, u64)> = Vec::new();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let runs: Vec<Arc<Progress>> = {
            let watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
            watched.iter().filter_map(Weak::upgrade).collect()
        };
        let mut now = Vec::new();
        for run in &runs {
            let polls = run.polls.load(Ordering::Relaxed);
            let key = Arc::as_ptr(run) as usize;
            let before = seen.iter().find(|(k, p, _)| *k == key && *p == polls);
            let seconds = before.map_or(0, |(_, _, seconds)| seconds + 1);
            if polls % 2 == 1 && seconds >= poll_max_s {
                let (scenario, seed) = (&run.scenario, run.seed);
                eprintln!("{HANG}: {scenario} seed {seed} (for {seconds} s)");
                std::process::abort();
            }
            now.push((key, polls, seconds));
        }
        seen = now;
    }
}
