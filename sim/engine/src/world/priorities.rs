//! Priorities of tasks and links, under a plan that has them.

use super::World;
use super::cuts::draw_latency;
use crate::choice::{Domain, Entity, Occasion, between, exponential, mix};
use crate::plan::{Latency, Pct};
use std::collections::BTreeMap;

/// Who goes first.
pub(super) struct Priorities {
    salt: u64,
    /// The change points to come, the last first.
    changes: Vec<u64>,
    step: u64,
    /// Who has lost its priority, and as the how-manieth.
    demoted: BTreeMap<u64, u64>,
}

impl Priorities {
    pub(super) fn new(plan: &Pct) -> Box<Priorities> {
        let mut changes = plan.change_at.clone();
        changes.sort_unstable_by(|one, other| other.cmp(one));
        Box::new(Priorities { salt: mix(plan.salt), changes, step: 0, demoted: BTreeMap::new() })
    }

    /// Takes a step for someone: the lower the number, the sooner. Whoever was demoted comes after
    /// all others, and the last of these last of all.
    fn take(&mut self, who: Entity) -> u64 {
        self.step += 1;
        while self.changes.last().is_some_and(|change| *change <= self.step) {
            self.changes.pop();
            let place = self.demoted.len() as u64;
            self.demoted.insert(who.0, place);
        }
        match self.demoted.get(&who.0) {
            Some(place) => u64::MAX - u64::from(u16::MAX) + place,
            None => mix(self.salt ^ who.0).min(u64::MAX - u64::from(u16::MAX) - 1),
        }
    }
}

impl World {
    /// From here on everything is drawn anew but what holds for the whole run.
    pub(crate) fn reroll(&mut self, salt: u64) {
        self.choices.reroll(salt);
        if let Some(priorities) = &mut self.priorities {
            priorities.salt = mix(priorities.salt ^ mix(salt));
        }
        for slot in 0..self.tasks.len() {
            // Its next random number begins another stream.
            self.tasks[slot].rng = None;
        }
    }

    /// The place of a ready task among others; the lowest goes first.
    #[inline]
    pub(super) fn task_order(&mut self, entity: Entity, wakes: u64) -> u64 {
        match &mut self.priorities {
            None => self.choices.draw(Domain::TaskOrder, entity, wakes),
            Some(priorities) => priorities.take(entity),
        }
    }

    /// How long something takes on a link, that of a client or another.
    #[inline]
    pub(super) fn travel_time(&mut self, link: (u32, u32), client: bool, bits: Occasion) -> u64 {
        if self.priorities.is_some() {
            return self.time_by_priority(link, client);
        }
        let weather = &self.weather;
        let latency = if client { &weather.client_latency } else { &weather.latency };
        draw_latency(latency, bits.draw(Domain::Latency))
    }

    #[cold]
    fn time_by_priority(&mut self, (from, to): (u32, u32), client: bool) -> u64 {
        let link = self.link(from, to).named("priority");
        let place = self.priorities.as_mut().map_or(0, |priorities| priorities.take(link));
        let latency = if client { &self.weather.client_latency } else { &self.weather.latency };
        latency_at(latency, place)
    }
}

/// The time below which a distribution has this share of its times, in parts of `u64::MAX`.
fn latency_at(latency: &Latency, share: u64) -> u64 {
    match *latency {
        Latency::Uniform { low_ns, high_ns } => between(share, low_ns, high_ns),
        Latency::Exponential { low_ns, mean_ns } => low_ns + exponential(!share, mean_ns),
        Latency::Tail { low_ns, high_ns, tail_ns, tail_ppm } => {
            let tail = u64::from(tail_ppm) * (u64::MAX / 1_000_000);
            match share.checked_sub(u64::MAX - tail) {
                // Within the tail, and within the rest, every time is as likely.
                Some(into) => between(scaled(into, tail), high_ns, tail_ns),
                None => between(scaled(share, u64::MAX - tail), low_ns, high_ns),
            }
        }
    }
}

/// A part of a whole in parts of `u64::MAX`.
fn scaled(part: u64, whole: u64) -> u64 {
    let scaled = u128::from(part) * u128::from(u64::MAX) / u128::from(whole.max(1));
    scaled.min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_greater_share_is_a_longer_time_and_all_of_them_are_the_distribution() {
        let (low_ns, high_ns) = (MS, 10 * MS);
        for latency in [
            Latency::Uniform { low_ns, high_ns },
            Latency::Exponential { low_ns, mean_ns: 3 * MS },
            Latency::Tail { low_ns, high_ns, tail_ns: 200 * MS, tail_ppm: 50_000 },
        ] {
            let shares = (0..=1_000).map(|n| u64::MAX / 1_000 * n);
            let times: Vec<u64> = shares.map(|share| latency_at(&latency, share)).collect();
            assert!(times.is_sorted(), "{latency:?}");
            assert!(times[0] <= low_ns + MS / 10, "{latency:?}: {}", times[0]);
            // The median is that of what is drawn.
            let mut drawn: Vec<u64> = (0..10_001).map(|n| draw_latency(&latency, mix(n))).collect();
            drawn.sort_unstable();
            let off = times[500].abs_diff(drawn[5_000]);
            assert!(off < times[500] / 20, "{latency:?}: {} and {}", times[500], drawn[5_000]);
        }
    }

    #[test]
    fn who_takes_a_change_point_falls_behind_all_others() {
        let plan = Pct { salt: 7, change_at: vec![5, 3] };
        let mut priorities = Priorities::new(&plan);
        let (one, other) = (Entity(1), Entity(2));
        let first = priorities.take(one);
        assert_eq!(priorities.take(one), first);
        let demoted = priorities.take(one);
        let whole = priorities.take(other);
        assert!(demoted > whole && first < demoted);
        assert!(priorities.take(other) > demoted, "who falls later falls deeper");
        assert_eq!(priorities.take(one), demoted);
    }
}
