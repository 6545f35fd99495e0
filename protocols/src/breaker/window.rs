//! The calls of a window, added up.

use super::config::Window;
use squall_env::Instant;
use std::time::Duration;

/// What came of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Call {
    pub(super) failed: bool,
    pub(super) slow: bool,
    pub(super) took: Duration,
}

/// So many calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sum {
    pub(super) calls: u32,
    pub(super) failed: u32,
    pub(super) slow: u32,
    pub(super) slow_failed: u32,
    pub(super) took: Duration,
}

impl Sum {
    fn add(&mut self, call: Call) {
        self.calls += 1;
        self.failed += u32::from(call.failed);
        self.slow += u32::from(call.slow);
        self.slow_failed += u32::from(call.slow && call.failed);
        self.took += call.took;
    }

    fn take(&mut self, other: Sum) {
        self.calls -= other.calls;
        self.failed -= other.failed;
        self.slow -= other.slow;
        self.slow_failed -= other.slow_failed;
        self.took -= other.took;
    }

    /// The parts that failed and were slow, in per cent.
    pub(super) fn rates(&self) -> (f32, f32) {
        let rate = |part: u32| part as f32 * 100.0 / self.calls.max(1) as f32;
        (rate(self.failed), rate(self.slow))
    }
}

/// The sums of single calls or of seconds, in a ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Calls {
    ring: Vec<Sum>,
    /// Where the newest is.
    head: usize,
    /// The second that it stands for.
    second: Option<u64>,
    total: Sum,
    /// For a mutant: seconds do not leave the window.
    keeps: bool,
}

impl Calls {
    pub(super) fn new(window: Window) -> Calls {
        let (size, second) = match window {
            Window::Calls(calls) => (calls, None),
            Window::Seconds(seconds) => (seconds, Some(0)),
        };
        let ring = vec![Sum::default(); size as usize];
        Calls { ring, head: 0, second, total: Sum::default(), keeps: false }
    }

    pub(super) fn keeping(self, keeps: bool) -> Calls {
        Calls { keeps, ..self }
    }

    /// The sum of what is in the window now.
    pub(super) fn total(&mut self, now: Instant) -> Sum {
        self.look(now);
        self.total
    }

    pub(super) fn add(&mut self, call: Call, now: Instant) {
        self.look(now);
        if self.second.is_none() {
            self.turn();
        }
        self.ring[self.head].add(call);
        self.total.add(call);
    }

    /// Forgets the seconds that have left the window.
    fn look(&mut self, now: Instant) {
        let Some(second) = self.second.filter(|_| !self.keeps) else { return };
        let current = now.as_nanos() / 1_000_000_000;
        for _ in 0..current.saturating_sub(second).min(self.ring.len() as u64) {
            self.turn();
        }
        self.second = Some(current.max(second));
    }

    /// The oldest gives way to a new one.
    fn turn(&mut self) {
        self.head = (self.head + 1) % self.ring.len();
        let oldest = std::mem::take(&mut self.ring[self.head]);
        self.total.take(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Call = Call { failed: false, slow: false, took: Duration::from_millis(100) };
    const FAILED: Call = Call { failed: true, ..OK };

    fn at(millis: u64) -> Instant {
        Instant::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn the_ring_turns_and_comes_back() {
        let mut calls = Calls::new(Window::Calls(3));
        let heads = (0..5).map(|_| {
            let head = calls.head;
            calls.turn();
            head
        });
        assert_eq!(heads.collect::<Vec<usize>>(), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn the_oldest_call_gives_way() {
        let mut calls = Calls::new(Window::Calls(4));
        let rates = [FAILED, OK, OK, OK, OK].map(|call| {
            calls.add(call, at(0));
            calls.total.rates().0
        });
        assert_eq!(rates, [100.0, 50.0, 33.333_332, 25.0, 0.0]);
        let mut calls = Calls::new(Window::Calls(2));
        let slow = Call { slow: true, ..OK };
        let sums = [Call { slow: true, ..FAILED }, slow, OK, OK].map(|call| {
            calls.add(call, at(0));
            (calls.total.slow, calls.total.failed)
        });
        assert_eq!(sums, [(1, 1), (2, 1), (1, 0), (0, 0)]);
    }

    #[test]
    fn calls_add_up() {
        let mut calls = Calls::new(Window::Calls(5));
        calls.add(OK, at(0));
        let sum = calls.total(at(0));
        assert_eq!((sum.calls, sum.took, sum.rates()), (1, OK.took, (0.0, 0.0)));
        let slow = Call { slow: true, took: Duration::from_secs(10), ..OK };
        let mut calls = Calls::new(Window::Calls(5));
        for call in [slow, Call { failed: true, ..slow }, OK, OK, OK] {
            calls.add(call, at(0));
        }
        let sum = calls.total(at(0));
        assert_eq!((sum.calls, sum.failed, sum.slow, sum.slow_failed), (5, 1, 2, 1));
        assert_eq!(
            (sum.took, sum.took / 5),
            (Duration::from_millis(20_300), Duration::from_millis(4_060))
        );
        assert_eq!(sum.rates().1, 40.0);
    }

    #[test]
    fn seconds_leave_the_window_one_by_one() {
        let mut calls = Calls::new(Window::Seconds(5));
        calls.add(FAILED, at(0));
        calls.add(OK, at(100));
        let slow = Call { slow: true, took: Duration::from_secs(1), ..FAILED };
        calls.add(slow, at(800));
        let sum = calls.total(at(800));
        assert_eq!((sum.calls, sum.took / 3), (3, Duration::from_millis(400)));
        assert_eq!(calls.total(at(4_800)).calls, 3);
        assert_eq!(calls.total(at(5_800)).calls, 0);
        calls.add(OK, at(5_800));
        assert_eq!(calls.total(at(5_800)).calls, 1);
    }

    #[test]
    fn a_call_a_second_pushes_the_first_second_out() {
        let mut calls = Calls::new(Window::Seconds(5));
        for call in [FAILED, OK, OK] {
            calls.add(call, at(0));
        }
        let totals = [(1, OK), (2, OK), (3, FAILED), (4, OK), (5, OK)].map(|(second, call)| {
            calls.add(call, at(second * 1_000));
            calls.total(at(second * 1_000)).calls
        });
        assert_eq!(totals, [4, 5, 6, 7, 5]);
        calls.add(OK, at(10_000));
        assert_eq!(calls.total(at(10_000)).calls, 1, "nothing of the idle time before");
    }
}
