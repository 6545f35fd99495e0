//! What a caller sees of its bulkhead, counted by itself: nothing of it is asked of the bulkhead.

use super::CONFIG;
use squall_env::{Env, Instant, Shown};
use squall_protocols::bulkhead::Rejected;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many may have been given a place and not know it yet.
const WOKEN: usize = CONFIG.calls as usize;

/// What has been seen that must not be.
#[derive(Clone, Default)]
pub(super) struct Wrong {
    pub(super) limit: bool,
    pub(super) queue: bool,
    pub(super) starved: bool,
    pub(super) order: bool,
    pub(super) late: bool,
    /// The last of it in words.
    pub(super) story: String,
}

/// The calls of one service that have been asked for and are not over.
#[derive(Default)]
struct Calls {
    /// Who waits, in the order in which they came.
    waiting: BTreeMap<u64, Waits>,
    under_way: u32,
    /// Who went past others that had come before it, and when.
    overtook: Option<(u64, Instant)>,
}

/// One who waits.
#[derive(Clone, Copy)]
struct Waits {
    since: Instant,
    /// Whether there was a time, before its own was over, when there was a place for it.
    had_room: bool,
}

#[derive(Default)]
struct Seen {
    next: u64,
    services: BTreeMap<u16, Calls>,
    wrong: Wrong,
}

/// A caller's own view.
#[derive(Clone)]
pub(super) struct Watched {
    env: Env,
    seen: Arc<Mutex<Seen>>,
    shown: Arc<Shown<Wrong>>,
}

/// A call that has been asked for, until it is under way, rejected or given up.
pub(super) struct Asked {
    watched: Watched,
    service: u16,
    number: u64,
    since: Instant,
}

/// A call that is under way.
pub(super) struct Passed(Watched, u16);

impl Calls {
    /// Places that are neither taken nor due to somebody who came earlier.
    fn find_room(&mut self, now: Instant) {
        let free = CONFIG.calls.saturating_sub(self.under_way) as usize;
        for waits in self.waiting.values_mut().take(free) {
            waits.had_room |= now < waits.since + CONFIG.wait_max;
        }
    }
}

impl Watched {
    pub(super) fn new(env: &Env) -> Watched {
        let shown = env.show("wrong", Wrong::default());
        Watched { env: env.clone(), seen: Arc::default(), shown: Arc::new(shown) }
    }

    fn see<R>(&self, service: u16, look: impl FnOnce(&mut Calls, &mut Wrong) -> R) -> R {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { services, wrong, .. } = &mut *seen;
        let calls = services.entry(service).or_default();
        let result = look(calls, wrong);
        calls.find_room(self.env.now());
        let wrong = wrong.clone();
        drop(seen);
        if !wrong.story.is_empty() {
            self.shown.update(&self.env, |shown| *shown = wrong);
        }
        result
    }

    /// Somebody is about to ask for a place.
    pub(super) fn asks(&self, service: u16) -> Asked {
        let since = self.env.now();
        let number = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.next += 1;
            seen.next
        };
        self.see(service, |calls, wrong| {
            // Whose time is over may not know it yet.
            let in_time = |waits: &&Waits| since < waits.since + CONFIG.wait_max;
            let waiting = calls.waiting.values().filter(in_time).count();
            if waiting > CONFIG.waiting as usize + WOKEN {
                wrong.queue = true;
                wrong.story = format!("{waiting} calls wait");
            }
            calls.waiting.insert(number, Waits { since, had_room: false });
        });
        Asked { watched: self.clone(), service, number, since }
    }
}

impl Asked {
    /// It has a place.
    pub(super) fn passes(&self) -> Passed {
        let env = &self.watched.env;
        let now = env.now();
        if now > self.since {
            env.sometimes("a call waited and went through");
        }
        self.watched.see(self.service, |calls, wrong| {
            calls.waiting.remove(&self.number);
            calls.under_way += 1;
            if calls.under_way > CONFIG.calls {
                wrong.limit = true;
                wrong.story = format!("{} calls are under way", calls.under_way);
            }
            if now > self.since + CONFIG.wait_max {
                wrong.late = true;
                wrong.story = format!("one that waited for {:?} went", now - self.since);
            }
            self.overtakes(calls, wrong, now);
        });
        Passed(self.watched.clone(), self.service)
    }

    /// Two that were given a place at the same moment go in any order. Whoever still waits a moment
    /// later was passed over.
    fn overtakes(&self, calls: &mut Calls, wrong: &mut Wrong, now: Instant) {
        if let Some((by, at)) = calls.overtook.filter(|(_, at)| *at < now) {
            calls.overtook = None;
            let mut passed_over = calls.waiting.range(..by).map(|(_, waits)| waits.since);
            // Its own time may have been over then.
            if passed_over.any(|since| at < since + CONFIG.wait_max) {
                wrong.order = true;
                wrong.story = format!("one that came later went at {at}, and {now} others wait");
            }
        }
        if calls.waiting.keys().next().is_some_and(|first| *first < self.number) {
            calls.overtook = calls.overtook.or(Some((self.number, now)));
        }
    }

    /// It was told that there is no place.
    pub(super) fn rejected(&self, rejected: Rejected) {
        let waited = self.watched.env.now() - self.since;
        self.watched.see(self.service, |calls, wrong| {
            let own = calls.waiting.remove(&self.number);
            let others = calls.under_way + calls.waiting.len() as u32;
            let rightly = match rejected {
                Rejected::Full => others >= CONFIG.calls + CONFIG.waiting,
                Rejected::TimedOut => {
                    waited >= CONFIG.wait_max && own.is_some_and(|own| !own.had_room)
                }
                // There are as many keys as there are services.
                Rejected::Keys => false,
            };
            if !rightly {
                wrong.starved = true;
                wrong.story = format!(
                    "{rejected:?} after {waited:?}, and of service {} {others} calls are there",
                    self.service
                );
            }
        });
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let waiting = |calls: &mut Calls, _: &mut Wrong| calls.waiting.remove(&self.number);
        if self.watched.see(self.service, waiting).is_some() {
            self.watched.env.sometimes("a call was given up while it waited");
        }
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        self.0.see(self.1, |calls, _| calls.under_way -= 1);
    }
}
