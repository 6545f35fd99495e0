//! The clocks of a node, and its timers.

use super::queue::{Event, Kind};
use super::tasks::Waiter;
use super::{World, with};
use crate::choice::{Domain, below, chance, mix};
use crate::digest::Code;
use crate::table::Fault;
use squall_env::Instant;
use squall_env::platform::Wait;
use std::task::{Context, Poll};

const BILLION: u64 = 1_000_000_000;

/// Where the wall clocks start: 2025-01-01T00:00:00Z, in nanoseconds since the Unix epoch.
const EPOCH: i64 = 1_735_689_600_000_000_000;

/// A node's clocks as functions of the time of the run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NodeClock {
    /// What the monotonic clock showed when the run began; less what it stood still since, modulo
    /// 2^64.
    pub(crate) origin: u64,
    /// How much faster than true the monotonic clock runs, in parts per billion.
    pub(crate) rate_ppb: i64,
    pub(crate) wall_offset: i64,
    pub(crate) wall_drift_ppb: i64,
}

impl NodeClock {
    /// What the monotonic clock shows at a time of the run.
    #[inline]
    pub(crate) fn local(&self, time: u64) -> u64 {
        if self.rate_ppb == 0 {
            return self.origin.wrapping_add(time);
        }
        // By whole seconds and the rest, which keeps within 64 bits for centuries.
        let (seconds, rest) = ((time / BILLION) as i64, (time % BILLION) as i64);
        let gained = seconds * self.rate_ppb + rest * self.rate_ppb / BILLION as i64;
        self.origin.wrapping_add(time.saturating_add_signed(gained))
    }

    /// The first time of the run at which the monotonic clock shows at least `local`.
    pub(crate) fn time_of(&self, local: u64) -> u64 {
        let since = local.wrapping_sub(self.origin);
        if self.rate_ppb == 0 {
            return since;
        }
        let billion = i128::from(BILLION);
        let scaled = i128::from(since) * billion / (billion + i128::from(self.rate_ppb));
        let mut time = u64::try_from(scaled).unwrap_or(u64::MAX).saturating_sub(2);
        // Rounding is off by a little, and early by nothing.
        while time < u64::MAX && self.local(time) < local {
            time += 1;
        }
        time
    }

    pub(crate) fn wall(&self, time: u64) -> i64 {
        let drifted = i128::from(time) * i128::from(self.wall_drift_ppb) / i128::from(BILLION);
        EPOCH.saturating_add(self.wall_offset).saturating_add((i128::from(time) + drifted) as i64)
    }
}

/// A timer. A cancelled one may be parked: the next sleep of the node that ends later takes it
/// over, which spares the queue a dead entry for every timeout that did not run out.
#[derive(Default)]
pub(crate) struct Timer {
    pub(crate) era: u32,
    pub(crate) node: u32,
    /// When it is to fire; zero if it was cancelled.
    deadline: u64,
    /// When its entry in the queue comes up.
    queued: u64,
    /// What the order among events of one instant is drawn by.
    count: u64,
    waiter: Waiter,
}

const NONE: u32 = u32::MAX;

/// The node's parked timer.
#[derive(Clone, Copy)]
pub(crate) struct Parked(u32);

impl Default for Parked {
    fn default() -> Parked {
        Parked(NONE)
    }
}

impl World {
    /// Whether the sleep is over; if not, the running task waits for that, unless the waker is none
    /// of its.
    #[inline]
    fn sleep(
        &mut self,
        node: u32,
        until: Instant,
        wait: &mut Wait,
        cx: &Context<'_>,
    ) -> Option<Poll<()>> {
        if self.nodes[node as usize].clock.local(self.now) >= until.as_nanos() {
            self.cancel_timer(node, wait);
            self.nodes[node as usize].slept += 1;
            return Some(Poll::Ready(()));
        }
        let id = self.own_waker(cx)?;
        let slot = self.timer(node, until, wait);
        let before = self.timers[slot].waiter.replace_by(id);
        self.drop_foreign(before);
        self.waits("sleep", "");
        Some(Poll::Pending)
    }

    /// The timer of a sleep, which is started if there is none yet.
    #[inline]
    fn timer(&mut self, node: u32, until: Instant, wait: &mut Wait) -> u32 {
        match self.timer_of(wait) {
            Some(slot) => slot,
            None => self.start_timer(node, until.as_nanos(), wait),
        }
    }

    fn drop_waiter(&mut self, slot: u32, new: Waiter) {
        let old = std::mem::replace(&mut self.timers[slot].waiter, new);
        if let Waiter::Foreign(waker) = old {
            self.outside.push(super::Outside::DropWaker(waker));
        }
    }

    #[inline(always)]
    fn timer_of(&self, wait: &Wait) -> Option<u32> {
        let (era, slot) = ((wait.token >> 32) as u32, (wait.token as u32).checked_sub(1)?);
        let timer = self.timers.get(slot)?;
        (timer.era == era && timer.deadline != 0).then_some(slot)
    }

    /// A timer that wakes nobody yet.
    fn start_timer(&mut self, node: u32, until: u64, wait: &mut Wait) -> u32 {
        self.note(node, Code::SleepUntil, [until, 0]);
        let owner = &mut self.nodes[node as usize];
        owner.timer_count += 1;
        let mut deadline = owner.clock.time_of(until).max(self.now + 1);
        let count = owner.timer_count;
        let parked = owner.parked.0;
        if owner.slow_ns > 0 || self.weather.late_timers_ppm > 0 {
            deadline += self.late(node, count);
        }
        if parked != NONE && self.timers[parked].queued < deadline {
            self.nodes[node as usize].parked = Parked(NONE);
            let timer = &mut self.timers[parked];
            timer.era = timer.era.wrapping_add(1);
            timer.deadline = deadline;
            timer.count = count;
            wait.token = u64::from(timer.era) << 32 | u64::from(parked + 1);
            if let Some(causes) = &mut self.queue.causes {
                causes.renewed(parked);
            }
            return parked;
        }
        let tie = self.timer_tie(node, count);
        let slot = self.timers.take();
        let timer = &mut self.timers[slot];
        timer.era = timer.era.wrapping_add(1);
        timer.node = node;
        timer.deadline = deadline;
        timer.queued = deadline;
        timer.count = count;
        wait.token = u64::from(timer.era) << 32 | u64::from(slot + 1);
        self.queue.push(Event::new(deadline, tie, Kind::Timer, slot));
        slot
    }

    /// How late a timer is.
    fn late(&mut self, node: u32, count: u64) -> u64 {
        let slow_ns = self.nodes[node as usize].slow_ns;
        let occasion = self.choices.occasion(self.nodes[node as usize].boot_entity, count);
        let mut late = below(occasion.draw(Domain::SlowNode), slow_ns);
        let bits = occasion.draw(Domain::LateTimer);
        if chance(bits, self.weather.late_timers_ppm) {
            late += below(mix(bits), self.weather.late_timers_ns);
            self.fired(Fault::LateTimers);
        }
        late
    }

    fn timer_tie(&self, node: u32, count: u64) -> u32 {
        let boot = self.nodes[node as usize].boot_entity;
        (self.choices.draw(Domain::EventOrder, boot, count) >> 32) as u32
    }

    #[inline(always)]
    pub(crate) fn cancel_timer(&mut self, node: u32, wait: &mut Wait) {
        if let Some(slot) = self.timer_of(wait) {
            self.take_timer_off(node, slot);
        }
        wait.token = 0;
    }

    fn take_timer_off(&mut self, node: u32, slot: u32) {
        self.note(node, Code::TimerDropped, [0, 0]);
        self.timers[slot].deadline = 0;
        self.drop_waiter(slot, Waiter::Nobody);
        let parked = &mut self.nodes[node as usize].parked;
        if parked.0 == NONE {
            parked.0 = slot;
        }
    }

    /// A timer's entry has come up.
    pub(crate) fn timer_event(&mut self, event: Event) {
        let slot = event.slot();
        let timer = &mut self.timers[slot];
        let node = timer.node;
        if timer.deadline > event.time() {
            // It was taken over by a later sleep.
            timer.queued = timer.deadline;
            let (deadline, count) = (timer.deadline, timer.count);
            let tie = self.timer_tie(node, count);
            self.queue.push(Event::new(deadline, tie, Kind::Timer, slot));
            return;
        }
        let owner = &mut self.nodes[node as usize];
        if timer.deadline == 0 {
            if owner.parked.0 == slot {
                owner.parked.0 = NONE;
            }
            self.timers.give_back(slot);
            return;
        }
        if owner.paused > 0 {
            owner.held.push(event);
            return;
        }
        timer.deadline = 0;
        timer.era = timer.era.wrapping_add(1);
        let waiter = std::mem::take(&mut timer.waiter);
        self.timers.give_back(slot);
        self.advance(event.time());
        self.note(node, Code::TimerFired, [0, 0]);
        self.tell(waiter);
    }

    /// How many sleeps of the node have been found to be over.
    pub(crate) fn slept(&self, node: u32) -> u64 {
        self.nodes[node as usize].slept
    }

    /// Forgets every timer of a node that goes down.
    pub(crate) fn drop_timers(&mut self, node: u32) {
        for slot in 0..self.timers.len() {
            let timer = &self.timers[slot];
            if timer.node != node || timer.deadline == 0 {
                continue;
            }
            self.timers[slot].deadline = 0;
            let era = self.timers[slot].era.wrapping_add(1);
            self.timers[slot].era = era;
            self.drop_waiter(slot, Waiter::Nobody);
        }
    }
}

/// A sleep polled by whoever holds the context; see [`World::poll_sleep`].
pub(crate) fn poll_sleep(
    node: u32,
    token: u64,
    until: Instant,
    wait: &mut Wait,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let polled = with(|world| match world.alive(node, token) {
        true => world.sleep(node, until, wait, cx),
        false => Some(Poll::Pending),
    });
    match polled {
        None => Poll::Pending,
        Some(Some(polled)) => polled,
        Some(None) => sleep_with((node, token), until, wait, cx),
    }
}

/// A foreign waker is cloned outside: its code is not ours.
#[cold]
fn sleep_with(
    (node, token): (u32, u64),
    until: Instant,
    wait: &mut Wait,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let mut waker = Some(cx.waker().clone());
    with(|world| {
        if world.alive(node, token)
            && let Some(waker) = waker.take()
        {
            let slot = world.timer(node, until, wait);
            world.drop_waiter(slot, Waiter::Foreign(waker));
            world.waits("sleep", "");
        }
    });
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_never_early_on_any_clock() {
        for rate_ppb in [0, 1, -1, 20_000_000, -20_000_000, 999, -123_457] {
            let clock = NodeClock { origin: 17, rate_ppb, ..NodeClock::default() };
            for local in (17..5_000_000_000_000u64).step_by(77_777_777_777) {
                let time = clock.time_of(local);
                assert!(clock.local(time) >= local, "{rate_ppb} {local}");
                assert!(time == 0 || clock.local(time - 1) < local, "{rate_ppb} {local}");
            }
        }
    }

    #[test]
    fn a_fast_clock_gains_what_its_rate_says() {
        let clock = NodeClock { rate_ppb: 1_000_000, ..NodeClock::default() };
        assert_eq!(clock.local(1_000_000_000), 1_001_000_000);
    }
}
