//! What went over two hops, as it is seen from outside, by a clock that is right.

use crate::retry::service::Served;
use crate::retry::{BUDGET, PER_THOUSAND};
use squall_env::{NodeId, View};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Clocks of the weather are off by so much at most, in parts per million.
const CLOCK_PPM: u64 = 20_000;

/// What a caller or the gateway has done since it started, in order.
#[derive(Default)]
pub(super) struct Log {
    pub(super) events: Vec<Event>,
}

/// Something that one of them did.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// A caller begins a call that may take so long.
    Called { id: u64, limit: Duration },
    /// It sends a try of it.
    Tried { id: u64, attempt: u32 },
    /// A call went well.
    Well,
    /// The gateway has a try before it, and calls it by a number of its own.
    Took { own: u64, id: u64, attempt: u32 },
    /// It sends a try of that to the service.
    Asked { own: u64, attempt: u32 },
}

impl Log {
    /// How many calls have begun, and how many went well.
    pub(super) fn counts(&self) -> (usize, usize) {
        let count = |is: fn(&Event) -> bool| self.events.iter().filter(|event| is(event)).count();
        let called = count(|event| matches!(event, Event::Called { .. }));
        (called, count(|event| matches!(event, Event::Well)))
    }
}

/// What must not be.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error("work began {late_ns} ns after the deadline of the call that it is for")]
    Behind { late_ns: u64 },
    #[error("{asked} requests came of {calls} calls, and {allowed} may")]
    Product { asked: u64, calls: u64, allowed: u64 },
}

/// A request on its way: when it was sent, and when its call is over, both in ns of the run. What
/// the network takes is added to the end, since nobody can measure it.
#[derive(Clone, Copy)]
struct Sent {
    at: u64,
    over: u64,
}

/// What has been seen of all nodes.
#[derive(Default)]
pub(super) struct Oracle {
    /// How much of each node's log has been looked at, for its boot.
    seen: BTreeMap<NodeId, (u64, usize)>,
    /// The same for the service: what came, and what has begun.
    served: (u64, usize, usize),
    /// When calls are over.
    calls: BTreeMap<u64, u64>,
    tried: BTreeMap<(u64, u32), Sent>,
    /// When the calls are over for which the gateway works.
    taken: BTreeMap<u64, u64>,
    asked: BTreeMap<(u64, u32), Sent>,
    /// The same for what came to the service since it started.
    came: Vec<Option<u64>>,
    /// Each of them began with a full budget.
    callers: BTreeSet<(NodeId, u64)>,
    gateways: BTreeSet<u64>,
    counted: u64,
}

impl Oracle {
    /// Whether something new is wrong.
    pub(super) fn look(&mut self, view: &View<'_>) -> Option<Wrong> {
        let now = view.now_ns();
        let mut wrong = None;
        for log in view.changed::<Log>() {
            let from = self.seen.get(&log.node).filter(|(boot, _)| *boot == log.number);
            let from = from.map_or(0, |(_, from)| *from);
            for event in &log.events[from..] {
                wrong = wrong.or(self.event(*event, (log.node, log.number), now));
            }
            self.seen.insert(log.node, (log.number, log.events.len()));
        }
        for served in view.changed::<Served>() {
            wrong = wrong.or(self.served(&served, served.number, now));
        }
        wrong
    }

    fn event(&mut self, event: Event, (node, boot): (NodeId, u64), now: u64) -> Option<Wrong> {
        match event {
            Event::Called { id, limit } => {
                let limit = limit.as_nanos() as u64 * 1_000_000 / (1_000_000 - CLOCK_PPM);
                self.calls.insert(id, now + limit);
                self.callers.insert((node, boot));
            }
            Event::Tried { id, attempt } => {
                let over = self.calls.get(&id).copied().unwrap_or(u64::MAX);
                self.tried.insert((id, attempt), Sent { at: now, over });
            }
            Event::Well => {}
            Event::Took { own, id, attempt } => {
                self.gateways.insert(boot);
                match self.tried.get(&(id, attempt)) {
                    Some(sent) => {
                        self.taken.insert(own, sent.over.saturating_add(now - sent.at));
                    }
                    // Its caller crashed before anybody had seen it.
                    None => {
                        self.calls.entry(id).or_insert(u64::MAX);
                    }
                }
            }
            Event::Asked { own, attempt } => {
                let over = self.taken.get(&own).copied().unwrap_or(u64::MAX);
                self.asked.insert((own, attempt), Sent { at: now, over });
                self.counted += 1;
                return self.product();
            }
        }
        None
    }

    /// Whether there are more requests of the service than both budgets together allow.
    fn product(&self) -> Option<Wrong> {
        let (asked, calls) = (self.counted, self.calls.len() as u64);
        let allowed = allowed(calls, self.callers.len() as u64, self.gateways.len() as u64);
        (asked > allowed).then_some(Wrong::Product { asked, calls, allowed })
    }

    fn served(&mut self, served: &Served, boot: u64, now: u64) -> Option<Wrong> {
        if self.served.0 != boot {
            self.served = (boot, 0, 0);
            self.came.clear();
        }
        for request in &served.came[self.served.1..] {
            let sent = self.asked.get(request);
            self.came.push(sent.map(|sent| sent.over.saturating_add(now - sent.at)));
        }
        let begun = &served.begun[self.served.2..];
        let overs = begun.iter().filter_map(|nth| self.came[*nth]);
        let late = overs.map(|over| now.saturating_sub(over)).max().unwrap_or(0);
        self.served = (boot, served.came.len(), served.begun.len());
        // A few nanoseconds are lost where times of two clocks are rounded.
        (late > 100).then_some(Wrong::Behind { late_ns: late })
    }
}

/// How many requests of the last hop may come of so many calls: each hop adds its budget to what
/// comes to it, a full one for each time that a node of it has started, and a part of what goes
/// well, which is at most all of it.
fn allowed(calls: u64, callers: u64, gateways: u64) -> u64 {
    let hop = |thousandths: u64, starts: u64| {
        thousandths
            + thousandths * u64::from(PER_THOUSAND) / 1_000
            + u64::from(BUDGET) * starts * 1_000
    };
    hop(hop(calls * 1_000, callers), gateways) / 1_000
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn budgets_of_two_hops_multiply() {
        assert_eq!(allowed(0, 0, 0), 0);
        assert_eq!(allowed(100, 0, 0), 121);
        assert_eq!(allowed(100, 1, 1), 142);
    }
}
