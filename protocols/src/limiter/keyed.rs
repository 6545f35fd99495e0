//! A limiter for each key, and a bound on how many keys there are.

use super::flaws::Flaws;
use super::{Decision, Gcra, Limiter, Quota};
use squall_env::Instant;
use std::collections::BTreeMap;

/// A limiter for each key, all alike; at most so many. Keys that are idle go first, for to forget
/// them changes nothing. If none is idle, a new key is refused: were another forgotten, whoever
/// uses many keys would get round the limit of all of them.
///
/// Times may come in any order, as for a [`Gcra`] or a [`SlidingLog`](super::SlidingLog). A time so
/// old that its key may have been forgotten since counts as if as much had come as might have; of
/// the other limiters that count in windows, as if it were the time at which keys were forgotten
/// last.
#[derive(Clone, Debug)]
pub struct Keyed<K, L = Gcra> {
    /// A limiter through which nothing came yet.
    new: L,
    most: usize,
    limiters: BTreeMap<K, L>,
    /// When idle keys were looked for last, in vain.
    swept: Option<Instant>,
    /// Until when cells may have come of keys that were forgotten.
    forgotten: Instant,
    check: fn(&mut L, Instant, Flaws) -> Decision,
    flaws: Flaws,
}

impl<K: Ord + Clone> Keyed<K> {
    /// No keys yet, and `most` at a time, each with this quota.
    pub fn new(quota: Quota, most: usize) -> Keyed<K> {
        Keyed { check, ..Keyed::of(Gcra::new(quota), most) }
    }
}

impl<K: Ord + Clone, L: Limiter> Keyed<K, L> {
    /// No keys yet, and `most` at a time, each with a limiter like this one, through which nothing
    /// came yet.
    pub fn of(new: L, most: usize) -> Keyed<K, L> {
        Keyed {
            new,
            most: most.max(1),
            limiters: BTreeMap::new(),
            swept: None,
            forgotten: Instant::ORIGIN,
            check: |limiter, now, _| limiter.check(now),
            flaws: Flaws::default(),
        }
    }

    pub(super) fn with_flaws(self, flaws: Flaws) -> Keyed<K, L> {
        Keyed { flaws, ..self }
    }

    /// The same without its keys, and with so many at a time.
    pub(super) fn anew(&self, most: usize) -> Keyed<K, L> {
        Keyed { check: self.check, flaws: self.flaws, ..Keyed::of(self.new.clone(), most) }
    }

    /// Whether a cell of this key may come now; if so, it has.
    pub fn check(&mut self, key: &K, now: Instant) -> Decision {
        if let Some(limiter) = self.limiters.get_mut(key) {
            return (self.check)(limiter, now, self.flaws);
        }
        if self.limiters.len() >= self.most {
            self.sweep(now);
        }
        if self.limiters.len() >= self.most && self.flaws.forgets_busy {
            self.limiters.pop_first();
        }
        if self.limiters.len() >= self.most && !self.flaws.unbounded {
            return Decision::Limited { retry_at: now + self.new.interval() };
        }
        let mut limiter = match self.flaws.forgets_forgetting {
            true => self.new.clone(),
            false => self.new.unknown_until(self.forgotten),
        };
        let decision = (self.check)(&mut limiter, now, self.flaws);
        // One that was refused would be again: to remember it would only take room.
        if decision.is_allowed() {
            self.limiters.insert(key.clone(), limiter);
        }
        decision
    }

    /// Forgets idle keys. If there are none, not again within an interval: to look at all of them
    /// for each new key would make many new keys expensive.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + self.new.interval()) {
            return;
        }
        let before = self.limiters.len();
        self.limiters.retain(|_, limiter| !limiter.is_idle(now));
        if self.limiters.len() < before {
            self.forgotten = self.forgotten.max(now);
        }
        self.swept = (self.limiters.len() >= self.most).then_some(now);
    }

    /// The limiter of a key, if something came of it that is remembered: to look at it, or to take
    /// something [back](super::FixedWindow::give_back).
    pub fn get_mut(&mut self, key: &K) -> Option<&mut L> {
        self.limiters.get_mut(key)
    }

    /// Forgets what came of a key, whether that still counts or not.
    pub fn reset(&mut self, key: &K) {
        self.limiters.remove(key);
    }

    /// Forgets what came of every key.
    pub fn reset_all(&mut self) {
        *self = self.anew(self.most);
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.limiters.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.limiters.is_empty()
    }
}

fn check(limiter: &mut Gcra, now: Instant, flaws: Flaws) -> Decision {
    let never = Decision::Limited { retry_at: Instant::NEVER };
    limiter.check_flawed(1, now, flaws).unwrap_or(never)
}
