//! Runs that would never end: time moves on, and there is always more to do.
//!
//! Two bounds end them: so many events of a run, and so many events that wait at once. Shortly
//! before either is reached a census begins, of who does what, so that the end can say what
//! multiplies. A run that stays away from its bounds pays one comparison for each event and for
//! each message.

use super::World;
use crate::digest::{Code, Entry};
use crate::failure::{Class, Failure};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The property of a run that does not end.
pub(crate) const RUN_ENDS: &str = "the run ends";

/// The bounds are looked at again after so many events.
const STRIDE: u64 = 1_024;

/// The census is over so many events, unless what waits grows faster than that.
const CENSUS: u64 = 100_000;

/// So many lines say what there was most of.
const LINES: usize = 5;

/// How far a run may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) events: u64,
    pub(crate) pending: usize,
}

pub(crate) struct Guard {
    bounds: Bounds,
    next_look: u64,
}

impl Guard {
    pub(crate) fn new(bounds: Bounds) -> Guard {
        Guard { bounds, next_look: STRIDE.min(bounds.events) }
    }

    /// Whether it is time to look at the bounds.
    #[inline]
    pub(crate) fn is_due(&self, events: u64) -> bool {
        events >= self.next_look
    }

    /// Whether nothing more may be queued.
    #[inline]
    pub(crate) fn is_full(&self, pending: usize) -> bool {
        pending >= self.bounds.pending
    }
}

/// What was done, and by which node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Deed {
    Sends { port: u32, kind: u8 },
    Timer,
    Disk,
    Blocking,
    Boot,
    Connect,
    Segment,
}

/// Who did what how often.
#[derive(Default)]
pub(crate) struct Census {
    deeds: BTreeMap<(u32, Deed), u64>,
    since_event: u64,
}

impl Census {
    /// One that begins behind so many events of the run.
    pub(crate) fn since(event: u64) -> Census {
        Census { deeds: BTreeMap::new(), since_event: event }
    }

    pub(crate) fn sent(&mut self, node: u32, port: u32, kind: u8) {
        self.count(node, Deed::Sends { port, kind });
    }

    pub(crate) fn take(&mut self, entry: &Entry) {
        let deed = match entry.code {
            Code::TimerFired => Deed::Timer,
            Code::DiskDone => Deed::Disk,
            Code::Blocking => Deed::Blocking,
            Code::Boot => Deed::Boot,
            Code::Connect => Deed::Connect,
            Code::SegmentSent => Deed::Segment,
            _ => return,
        };
        self.count(u32::from(entry.node), deed);
    }

    fn count(&mut self, node: u32, deed: Deed) {
        *self.deeds.entry((node, deed)).or_default() += 1;
    }

    /// The commonest first.
    fn ranked(&self) -> Vec<(u32, Deed, u64)> {
        let mut all: Vec<_> =
            self.deeds.iter().map(|((node, deed), count)| (*node, *deed, *count)).collect();
        all.sort_by_key(|(node, deed, count)| (Reverse(*count), *node, *deed));
        all
    }
}

impl World {
    /// Looks whether the run comes near to its bounds. Says whether it has reached one.
    #[cold]
    pub(crate) fn is_out_of_bounds(&mut self) -> bool {
        let (events, pending) = (self.counters.events, self.queue.len());
        let bounds = self.guard.bounds;
        if events >= bounds.events {
            self.run_away(format!("{events} events, and no end of them"));
            return true;
        }
        if self.guard.is_full(pending) {
            self.too_much_pending();
            return true;
        }
        if events + CENSUS >= bounds.events || pending >= bounds.pending / 2 {
            self.log.get_or_insert_default().begin_census(events);
            self.heeded = true;
        }
        self.guard.next_look = (events + STRIDE).min(bounds.events);
        false
    }

    /// More is to come than may wait.
    #[cold]
    pub(crate) fn too_much_pending(&mut self) {
        if self.failure.is_none() {
            let pending = self.queue.len();
            self.run_away(format!("{pending} messages and timers wait, and they become more"));
        }
    }

    fn run_away(&mut self, what: String) {
        let census = self.log.as_mut().and_then(|log| log.end_census()).unwrap_or_default();
        let ranked = census.ranked();
        let over = self.counters.events - census.since_event;
        let mut story = vec![what];
        if !ranked.is_empty() {
            story.push(format!("in the last {over} events there were most of these:"));
        }
        let lines = ranked.iter().take(LINES);
        story.extend(lines.map(|(node, deed, count)| self.deed_line(*node, *deed, *count)));
        if let Some(task) = self.current {
            let task = &self.tasks[task.slot];
            let node = self.roster.name(self.nodes[task.node as usize].id);
            story.push(format!("it ends in task {:?} of {node}", task.name));
        }
        let place = ranked.first().map(|(node, deed, _)| self.deed_place(*node, *deed));
        self.fail(Failure {
            class: Class::Runaway,
            property: RUN_ENDS.to_owned(),
            place: place.unwrap_or_default(),
            story,
            at_ns: self.now,
        });
    }

    fn deed_line(&self, node: u32, deed: Deed, count: u64) -> String {
        let name = self.nodes.get(node as usize).map(|node| self.roster.name(node.id));
        let name = name.unwrap_or_else(|| "the world".to_owned());
        match deed {
            Deed::Sends { port, kind } => {
                format!("{name} sends {count} messages of kind {kind} to port {port}")
            }
            Deed::Timer => format!("{name} has {count} timers run out"),
            Deed::Disk => format!("{name} has {count} disk operations done"),
            Deed::Blocking => format!("{name} does blocking work {count} times"),
            Deed::Boot => format!("{name} boots {count} times"),
            Deed::Connect => format!("{name} connects {count} times"),
            Deed::Segment => format!("{name} sends {count} segments of streams"),
        }
    }

    /// The same without values: what two failures of one bug have in common.
    fn deed_place(&self, node: u32, deed: Deed) -> String {
        let node = self.nodes.get(node as usize);
        let role = node.and_then(|node| self.roster.roles().nth(usize::from(node.id.role())));
        let role = role.map_or("the world", |(role, _)| role);
        match deed {
            Deed::Sends { port, kind } => format!("{role} sends kind {kind} to port {port}"),
            Deed::Timer => format!("timers of {role}"),
            Deed::Disk => format!("disk operations of {role}"),
            Deed::Blocking => format!("blocking work of {role}"),
            Deed::Boot => format!("boots of {role}"),
            Deed::Connect => format!("connects of {role}"),
            Deed::Segment => format!("segments of {role}"),
        }
    }
}
