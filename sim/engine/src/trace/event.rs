//! A trace as what happened, in words, each with its cause.

use super::{Caused, Graph};
use crate::check::Evidence;
use crate::digest::{Code, Entry};
use crate::failure::Failure;
use crate::plan::Plan;
use crate::repro::build_id;
use crate::run::Outcome;
use crate::scenario::Scenario;
use crate::words::Words;
use crate::world::Line;
use serde::{Deserialize, Serialize};
use squall_env::NodeId;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What happened in a run, in its order, each event with what caused it.
#[derive(Clone, PartialEq, Debug)]
pub struct Trace {
    /// Whose trace it is.
    pub about: About,
    /// The events. Their numbers follow each other, from [`About::left_out`] on.
    pub events: Vec<Event>,
}

/// The run of a trace.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// The build that ran it: [`build_id`].
    pub build: String,
    /// The nodes in the order of the roster, and last the world, which has events of its own.
    pub nodes: Vec<String>,
    /// The run's digest, in hexadecimal digits.
    pub digest: String,
    /// When the run ended, in nanoseconds from its start.
    pub end_ns: u64,
    /// How many events before the first one are not kept.
    pub left_out: u64,
    /// What went wrong.
    pub failure: Option<Failure>,
    /// The calls and returns that prove it, by the numbers of their events.
    pub offending: Vec<u64>,
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its number in the run, from 0.
    pub id: u64,
    /// When, in nanoseconds from the start of the run.
    pub at_ns: u64,
    /// Where: the place in [`About::nodes`].
    pub node: u16,
    /// What kind of thing, as in `send`.
    pub kind: Cow<'static, str>,
    /// The number of the event that made it happen.
    pub cause: Option<u64>,
    /// The other node of a message or connection.
    pub peer: Option<u16>,
    /// What happened, in words, without time and node.
    pub text: String,
}

/// So many events of a chain are told.
const CHAIN: usize = 16;

/// The kinds of events by their codes.
const KINDS: [(Code, &str); 58] = [
    (Code::Boot, "boot"),
    (Code::Crash, "crash"),
    (Code::Exit, "exit"),
    (Code::Poll, "poll"),
    (Code::Spawn, "spawn"),
    (Code::TaskEnd, "task-end"),
    (Code::Bind, "bind"),
    (Code::Unbind, "unbind"),
    (Code::Send, "send"),
    (Code::Deliver, "deliver"),
    (Code::Receive, "receive"),
    (Code::Lost, "lost"),
    (Code::Duplicated, "duplicated"),
    (Code::Delayed, "delayed"),
    (Code::Corrupted, "corrupted"),
    (Code::Cut, "cut"),
    (Code::NoSocket, "no-socket"),
    (Code::Overflow, "overflow"),
    (Code::SleepUntil, "sleep"),
    (Code::TimerFired, "timer"),
    (Code::TimerDropped, "timer-dropped"),
    (Code::ReadClock, "clock"),
    (Code::ReadWall, "wall-clock"),
    (Code::Random, "random"),
    (Code::DiskSubmit, "disk"),
    (Code::DiskDone, "disk-done"),
    (Code::DiskFault, "disk-fault"),
    (Code::Blocking, "blocking"),
    (Code::Ready, "ready"),
    (Code::Sometimes, "sometimes"),
    (Code::Buggify, "buggify"),
    (Code::Knob, "knob"),
    (Code::FaultStrikes, "fault"),
    (Code::FaultEnds, "fault-ends"),
    (Code::FaultRefused, "fault-refused"),
    (Code::Invoke, "call"),
    (Code::Return, "return"),
    (Code::Heal, "heal"),
    (Code::Rejected, "rejected"),
    (Code::Panic, "panic"),
    (Code::Show, "show"),
    (Code::Property, "property"),
    (Code::CrashKept, "crash-kept"),
    (Code::Damaged, "damaged"),
    (Code::ScriptStep, "script-step"),
    (Code::Listen, "listen"),
    (Code::Unlisten, "unlisten"),
    (Code::Connect, "connect"),
    (Code::ConnectEnd, "connected"),
    (Code::Accept, "accept"),
    (Code::SegmentSent, "segment-sent"),
    (Code::SegmentArrives, "segment"),
    (Code::SegmentWaits, "segment-waits"),
    (Code::StreamRead, "stream-read"),
    (Code::StreamBreaks, "stream-breaks"),
    (Code::StreamShut, "stream-shut"),
    (Code::StreamClose, "stream-close"),
    (Code::StreamFault, "stream-fault"),
];

fn kind(code: Code) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == code).map_or("other", |(_, name)| name)
}

/// The nodes of a roster by their places in it.
struct Places(BTreeMap<(u16, u16), u16>);

impl Places {
    fn of(&self, packed: u64) -> Option<u16> {
        let id = NodeId::new((packed >> 16) as u16, packed as u16);
        self.0.get(&(id.role(), id.ordinal())).copied()
    }

    /// The other node of a message or connection.
    fn peer(&self, entry: &Entry) -> Option<u16> {
        let [a, b] = entry.details;
        match entry.code {
            Code::Send | Code::Connect => self.of(a),
            Code::Rejected if b != 0 => self.of(a),
            Code::Deliver => Some((a >> 32) as u16),
            Code::Cut => Some(a as u16),
            Code::Accept if b > 0 => Some((b - 1) as u16),
            _ => None,
        }
    }
}

impl Trace {
    pub(crate) fn of(
        scenario: &Scenario,
        (seed, plan): (u64, &Plan),
        outcome: &Outcome,
        caused: Caused,
    ) -> Trace {
        let words = Words::of(scenario, plan).with(&caused.names);
        let roster = plan.roster();
        let places = roster.all().enumerate();
        let places = places.map(|(at, id)| ((id.role(), id.ordinal()), at as u16));
        let places = Places(places.collect());
        let mut nodes: Vec<String> = roster.all().map(|node| roster.name(node)).collect();
        nodes.push("the world".to_owned());
        let offending = outcome.evidence().map(|found| offending(&caused, found));
        let lines = caused.lines.iter().zip(caused.first..);
        let events = lines.map(|((line, cause), id)| event(&words, &places, line, id, *cause));
        let about = About {
            scenario: scenario.name().to_owned(),
            seed,
            build: build_id().to_owned(),
            nodes,
            digest: outcome.digest.to_string(),
            end_ns: outcome.end_ns,
            left_out: caused.first,
            failure: outcome.failure.clone(),
            offending: offending.unwrap_or_default(),
        };
        let mut trace = Trace { about, events: events.collect() };
        trace.tell_operations();
        trace
    }

    /// Adds to each call what is asked, and to each return what is told.
    fn tell_operations(&mut self) {
        for at in 0..self.events.len() {
            let remark = &self.events[at];
            let cause = remark.cause.and_then(|cause| cause.checked_sub(self.about.left_out));
            if let ("asks" | "told", Some(cause)) = (&*remark.kind, cause) {
                let text = format!(": {}", remark.text);
                self.events[cause as usize].text.push_str(&text);
            }
        }
    }

    /// The event of this number, if it is kept.
    pub fn event(&self, id: u64) -> Option<&Event> {
        self.events.get(usize::try_from(id.checked_sub(self.about.left_out)?).ok()?)
    }

    /// The event at which the run's failure shows: the return, or the call, of the last operation
    /// that proves it, or where the property was seen to break. The last event, if nothing failed;
    /// none, if there is none.
    pub fn focus(&self) -> Option<&Event> {
        let offending = self.about.offending.iter().rev().find_map(|id| self.event(*id));
        let broken = || self.events.iter().rev().find(|event| event.kind == "property");
        offending.or_else(broken).or(self.events.last())
    }

    /// The causes of this event, from the first to the event itself.
    pub fn chain(&self, id: u64) -> Vec<&Event> {
        let chain = Graph::of(self).chain(id);
        chain.into_iter().filter_map(|id| self.event(id)).collect()
    }

    /// What led to the run's failure, in sentences: each event caused the next one. How tasks were
    /// run is left out, and of a long chain the beginning. Nothing, if nothing failed.
    pub fn why(&self) -> Vec<String> {
        let Some(focus) = self.focus().filter(|_| self.about.failure.is_some()) else {
            return Vec::new();
        };
        let told = |event: &&&Event| !matches!(&*event.kind, "poll" | "spawn" | "receive");
        let chain = self.chain(focus.id);
        let lines: Vec<&&Event> = chain.iter().filter(told).collect();
        let left_out = lines.len().saturating_sub(CHAIN);
        let mut why = vec!["what led there, each event because of the one before:".to_owned()];
        if left_out > 0 {
            why.push(format!("  ... {left_out} events before these ..."));
        }
        why.extend(lines[left_out..].iter().map(|event| format!("  {}", self.sentence(event))));
        why
    }

    /// An event with its time and node, as a sentence.
    pub fn sentence(&self, event: &Event) -> String {
        let at = crate::words::seconds(event.at_ns);
        format!("{at} {} {}", self.about.name(event.node), event.text)
    }
}

impl About {
    /// The name of a node.
    pub fn name(&self, node: u16) -> &str {
        self.nodes.get(usize::from(node)).map_or("?", String::as_str)
    }
}

/// The calls and returns of these operations.
fn offending(caused: &Caused, found: &Evidence) -> Vec<u64> {
    let mut open: Vec<u64> = Vec::new();
    let mut ids = Vec::new();
    for ((line, _), id) in caused.lines.iter().zip(caused.first..) {
        let Line::Entry(entry) = line else { continue };
        let process = entry.details[0];
        match entry.code {
            Code::Invoke if found.operations.contains(&(process, entry.time)) => {
                open.push(process);
                ids.push(id);
            }
            Code::Return => {
                if let Some(at) = open.iter().position(|other| *other == process) {
                    open.swap_remove(at);
                    ids.push(id);
                }
            }
            _ => {}
        }
    }
    ids
}

fn event(words: &Words, places: &Places, line: &Line, id: u64, cause: Option<u64>) -> Event {
    let (at_ns, node, kind, peer, text) = match line {
        Line::Entry(entry) => {
            let (peer, text) = (places.peer(entry), words.what(entry));
            (entry.time, entry.node, kind(entry.code), peer, text)
        }
        Line::Text { time, node, text } => (*time, *node, "text", None, text.clone()),
        Line::Event { time, node, text, .. } => (*time, *node, "log", None, text.clone()),
        Line::Remark { time, node, kind, text, .. } => (*time, *node, *kind, None, text.clone()),
    };
    Event { id, at_ns, node, kind: Cow::Borrowed(kind), cause, peer, text }
}
