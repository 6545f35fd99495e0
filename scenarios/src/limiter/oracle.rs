//! What a gate let through, judged by when it came: nothing of it is asked of the limiter but how
//! many keys it remembers.

use super::{BURST, INTERVAL, Key, MOST, WINDOW};
use squall_env::{Instant, WallTime};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Clocks of the weather are off by so much at most, in parts per million.
const CLOCK_PPM: u128 = 20_000;

/// What a gate has done since it started.
#[derive(Default)]
pub(super) struct Gate {
    /// How many requests have come.
    pub(super) came: usize,
    /// What was decided, in this order.
    pub(super) decided: Vec<Decided>,
    /// How many keys its limiter remembers.
    pub(super) keys: usize,
    /// When that was by its log, which goes by the wall clock.
    pub(super) logged: WallTime,
}

/// What was decided of a request.
#[derive(Clone, Copy)]
pub(super) struct Decided {
    /// Which it was of those that came, from 0.
    pub(super) nth: usize,
    pub(super) key: Key,
    /// When it came by the node's monotonic clock.
    pub(super) own: Instant,
    pub(super) admitted: bool,
}

/// What a limiter promises of each key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// In any time the burst and what the rate makes of it.
    Pace,
    /// In any window the burst.
    Windows,
}

/// What must not be.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error("{count} requests of key {key} came through within {within_ns} ns")]
    TooMany { key: Key, count: i128, within_ns: i128 },
    #[error("a request of key {key} was refused, and none had come through for long")]
    LockedOut { key: Key },
    #[error("{keys} keys are remembered")]
    Keys { keys: usize },
}

/// One gate as it is seen from outside, by a clock that is right.
pub(super) struct Oracle {
    promise: Promise,
    boot: u64,
    /// When requests came, in nanoseconds of the run.
    came: Vec<u64>,
    /// How many decisions have been looked at.
    seen: usize,
    /// Of each key what was let through: when it came, in nanoseconds of the run.
    through: BTreeMap<Key, Vec<u64>>,
    /// When what was let through had come, by the node's own clock.
    own: BTreeMap<Instant, Vec<Key>>,
    /// The latest time of which the limiter was told.
    latest: Instant,
}

impl Oracle {
    pub(super) fn new(promise: Promise) -> Oracle {
        Oracle {
            promise,
            boot: 0,
            came: Vec::new(),
            seen: 0,
            through: BTreeMap::new(),
            own: BTreeMap::new(),
            latest: Instant::ORIGIN,
        }
    }

    /// Whether something new is wrong.
    pub(super) fn look(&mut self, boot: u64, gate: &Gate, now_ns: u64) -> Option<Wrong> {
        if boot != self.boot {
            *self = Oracle { boot, ..Oracle::new(self.promise) };
        }
        self.came.resize(gate.came.max(self.came.len()), now_ns);
        let new = &gate.decided[self.seen..];
        self.seen = gate.decided.len();
        let keys = Some(Wrong::Keys { keys: gate.keys }).filter(|_| gate.keys > MOST);
        // Each of them is taken in, also behind one that is wrong.
        new.iter().fold(keys, |wrong, decided| {
            self.latest = self.latest.max(decided.own);
            let own = if decided.admitted { self.admitted(decided) } else { self.refused(decided) };
            wrong.or(own)
        })
    }

    fn admitted(&mut self, decided: &Decided) -> Option<Wrong> {
        self.own.entry(decided.own).or_default().push(decided.key);
        let through = self.through.entry(decided.key).or_default();
        through.push(self.came[decided.nth]);
        through.sort_unstable();
        let too_many = match self.promise {
            Promise::Pace => most_within(through),
            Promise::Windows => most_in_a_window(through),
        };
        let key = decided.key;
        too_many.map(|(count, within_ns)| Wrong::TooMany { key, count, within_ns })
    }

    /// Whether somebody was refused who was not too fast.
    fn refused(&self, decided: &Decided) -> Option<Wrong> {
        let is_rightly = match self.promise {
            Promise::Pace => self.is_too_fast(decided) || self.is_full(decided, WINDOW + INTERVAL),
            Promise::Windows => {
                self.is_one_too_many(decided) || self.is_full(decided, WINDOW * 2 + INTERVAL)
            }
        };
        (!is_rightly).then_some(Wrong::LockedOut { key: decided.key })
    }

    /// Whether there may be so many keys which are not forgotten yet.
    fn is_full(&self, decided: &Decided, kept: Duration) -> bool {
        let recent = self.own.range(decided.own - kept..);
        let busy: BTreeSet<&Key> = recent.flat_map(|(_, keys)| keys).collect();
        busy.len() >= MOST
    }

    /// Whether it came so soon after another of its key, or so long ago that its key may have been
    /// forgotten since.
    fn is_too_fast(&self, decided: &Decided) -> bool {
        let mut recent = self.own.range(decided.own - INTERVAL..);
        decided.own + INTERVAL * (BURST - 1) < self.latest
            || recent
                .any(|(came, keys)| *came + INTERVAL > decided.own && keys.contains(&decided.key))
    }

    /// Whether it is one more than may be in a window, or came a whole window ago.
    fn is_one_too_many(&self, decided: &Decided) -> bool {
        let around = self.own.range(decided.own - WINDOW..decided.own + WINDOW);
        let mut times: Vec<Instant> = around
            .flat_map(|(came, keys)| keys.iter().map(move |key| (*came, *key)))
            .filter_map(|(came, key)| (key == decided.key).then_some(came))
            .chain([decided.own])
            .collect();
        times.sort_unstable();
        let most = BURST as usize;
        decided.own + WINDOW <= self.latest
            || times.windows(most + 1).any(|times| times[most] < times[0] + WINDOW)
    }
}

/// Whether more came in a window than may, by a clock that may run as fast as any; and then how
/// many, and in how long a time. The times are in order.
fn most_in_a_window(through: &[u64]) -> Option<(i128, i128)> {
    let most = BURST as usize;
    let took = through.windows(most + 1).map(|times| u128::from(times[most] - times[0]));
    // A few nanoseconds are lost where times of two clocks are rounded.
    let is_short =
        |took: &u128| took * (1_000_000 + CLOCK_PPM) / 1_000_000 + 100 < WINDOW.as_nanos();
    let took = took.min().filter(is_short)?;
    Some((i128::from(BURST) + 1, i128::try_from(took).unwrap_or(i128::MAX)))
}

/// Whether in any time more came than the burst and the rate allow, by a clock that may run as fast
/// as any; and then how many, and in how long a time. The times are in order.
fn most_within(through: &[u64]) -> Option<(i128, i128)> {
    let interval = INTERVAL.as_nanos() as i128;
    let mut first = (0, 0);
    let mut least = i128::MAX;
    for (nth, at) in (0..).zip(through) {
        let fast = (u128::from(*at) * (1_000_000 + CLOCK_PPM) / 1_000_000) as i128;
        // How far it is ahead of requests that come one by one.
        let ahead = i128::from(nth) * interval - fast;
        if ahead < least {
            (least, first) = (ahead, (nth, *at));
        }
        // A few nanoseconds are lost where times of two clocks are rounded.
        if ahead - least + interval > i128::from(BURST) * interval + 100 {
            let count = i128::from(nth) - i128::from(first.0) + 1;
            return Some((count, i128::from(*at) - i128::from(first.1)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_burst_and_the_rate_are_allowed_and_one_more_is_not() {
        let paced = (1..40).map(|nth| nth * 50 * MS);
        let mut through: Vec<u64> = [0; 4].into_iter().chain(paced).collect();
        assert_eq!(most_within(&through), None);
        through.insert(20, through[20]);
        assert!(most_within(&through).is_some_and(|(count, _)| count > 4));
    }

    #[test]
    fn a_window_has_room_for_its_limit_and_not_for_one_more() {
        let times = [0, 50, 50, 199, 205, 250, 255];
        let mut through = times.map(|ms| ms * MS).to_vec();
        assert_eq!(most_in_a_window(&through), None);
        through.insert(5, 245 * MS);
        assert_eq!(most_in_a_window(&through), Some((5, 56 * 1_000_000)));
    }

    #[test]
    fn a_window_counts_wherever_it_begins() {
        let early = [0, 2_000, 4_000];
        let late = [10_000, 10_001, 10_002, 10_003, 10_004];
        let through: Vec<u64> = early.into_iter().chain(late).map(|ms| ms * MS).collect();
        assert_eq!(most_within(&through), Some((5, i128::from(4 * MS))));
        assert_eq!(most_within(&through[..7]), None);
    }
}
