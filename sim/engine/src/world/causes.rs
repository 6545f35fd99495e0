//! Why things happen: which line of a trace made another one happen.
//!
//! Nothing of this is kept in a run that nobody reads. What a task does is caused by its being
//! run, or by what it has received or begun since; that it runs, by what woke it up; and what
//! comes out of the queue, by what put it there.

use super::queue::{Event, Kind};
use crate::digest::{Code, Entry};
use std::collections::BTreeMap;

/// The number of a line in a trace, from 0.
pub(crate) type LineId = u64;

#[derive(Default)]
pub(crate) struct Causes {
    next: LineId,
    /// What the next thing to happen is caused by.
    context: Context,
    /// The last entry, if it belongs to the same step.
    last: Option<LineId>,
    /// The last entry of each kind that puts something into the queue.
    sent: Option<LineId>,
    slept: Option<LineId>,
    asked: Option<LineId>,
    blocked: Option<LineId>,
    /// What put an event into the queue, by its kind and slot, with its tie.
    queued: BTreeMap<(u8, u32), (u32, Option<LineId>)>,
    /// What woke a task that has not run since.
    woken: BTreeMap<u64, Option<LineId>>,
    /// The task that was just started.
    started: Option<(u64, LineId)>,
    /// When each message was delivered, by its slot.
    delivered: BTreeMap<u32, LineId>,
    /// The event that happens, by its kind and slot, and whether anything came of it yet.
    taken: (u8, u32),
    is_untouched: bool,
    /// The message that is being received.
    receives: Option<LineId>,
}

#[derive(Clone, Copy, Default)]
struct Context {
    line: Option<LineId>,
    code: Option<Code>,
    cause: Option<LineId>,
}

impl Context {
    fn of(line: Option<LineId>) -> Context {
        Context { line, code: None, cause: None }
    }
}

impl Causes {
    /// An event goes into the queue. What was held back and comes again keeps its cause.
    pub(super) fn queued(&mut self, event: Event) {
        let name = (event.kind() as u8, event.slot());
        let known = self.queued.get(&name);
        let cause = match event.kind() {
            // It was too early for it.
            _ if self.is_untouched && self.taken == name => self.context.line,
            Kind::Message | Kind::Disk | Kind::Stream | Kind::Timer | Kind::Blocking
                if known.is_some_and(|(tie, _)| *tie == event.tie()) =>
            {
                return;
            }
            Kind::Message => self.sent,
            Kind::Timer => self.slept,
            Kind::Disk => self.asked,
            Kind::Blocking => self.blocked,
            Kind::Stream => self.last.or(self.context.line),
            // An episode goes on and ends because it began, not because of a crash of its own.
            Kind::EpisodeBegins | Kind::EpisodeEnds if self.context.code == Some(Code::Crash) => {
                self.context.cause
            }
            _ => self.context.line,
        };
        self.queued.insert(name, (event.tie(), cause));
    }

    /// A timer that was taken off stands for another sleep.
    pub(super) fn renewed(&mut self, slot: u32) {
        let cause = self.slept;
        if let Some(queued) = self.queued.get_mut(&(Kind::Timer as u8, slot)) {
            queued.1 = cause;
        }
    }

    /// An event comes out of the queue.
    pub(super) fn taken(&mut self, event: Event) {
        self.taken = (event.kind() as u8, event.slot());
        self.is_untouched = true;
        let cause = self.queued.get(&self.taken);
        self.context = Context::of(cause.and_then(|(_, cause)| *cause));
        self.last = None;
    }

    /// A task is woken.
    pub(super) fn woken(&mut self, entity: u64) {
        let started = self.started.take().filter(|(task, _)| *task == entity);
        let cause = started.map(|(_, line)| line).or(self.context.line);
        self.woken.insert(entity, cause);
    }

    /// The message in this slot is about to be received.
    pub(super) fn receives(&mut self, slot: u32) {
        self.receives = self.delivered.get(&slot).copied();
    }

    /// What sent the message that is on its way in this slot.
    pub(super) fn sender_of(&self, slot: u32) -> Option<LineId> {
        self.queued.get(&(Kind::Message as u8, slot)).and_then(|(_, cause)| *cause)
    }

    /// A line that is no entry; what caused it.
    pub(super) fn line(&mut self) -> Option<LineId> {
        self.next += 1;
        self.context.line
    }

    /// An entry; what caused it.
    pub(super) fn entry(&mut self, entry: &Entry) -> Option<LineId> {
        let line = self.next;
        self.next += 1;
        let cause = self.cause_of(entry);
        self.last = Some(line);
        self.is_untouched = false;
        match entry.code {
            Code::Send => self.sent = Some(line),
            Code::SleepUntil => self.slept = Some(line),
            Code::DiskSubmit => self.asked = Some(line),
            Code::Blocking if entry.details[1] == 0 => self.blocked = Some(line),
            Code::Spawn => self.started = Some((entry.details[0], line)),
            Code::Deliver => {
                self.delivered.insert(self.taken.1, line);
            }
            _ => {}
        }
        if leads_on(entry) {
            self.context = Context { line: Some(line), code: Some(entry.code), cause };
        }
        cause
    }

    fn cause_of(&mut self, entry: &Entry) -> Option<LineId> {
        let node = u32::from(entry.node);
        match entry.code {
            Code::Poll => self.woken.remove(&entry.details[0]).flatten(),
            Code::Receive => self.receives.take().or(self.context.line),
            Code::Boot => match self.queued.remove(&(Kind::Restart as u8, node)) {
                Some((_, cause)) => cause,
                None => None,
            },
            // What becomes of a message is noted when it is sent, or when it would arrive.
            Code::Lost | Code::Delayed | Code::Duplicated | Code::Corrupted => self.sent,
            Code::Cut if self.last.is_some() && self.last == self.sent => self.sent,
            // Several of them in one step have one cause: the first is none of the second.
            Code::FaultStrikes | Code::FaultEnds | Code::Crash | Code::DiskDone
                if self.context.code == Some(entry.code) =>
            {
                self.context.cause
            }
            _ => self.context.line,
        }
    }
}

/// Whether what comes after an entry, in the same step, is caused by it.
fn leads_on(entry: &Entry) -> bool {
    match entry.code {
        Code::Boot | Code::Crash | Code::Exit | Code::Poll | Code::Deliver | Code::Receive => true,
        Code::TimerFired | Code::DiskDone | Code::Invoke | Code::Return | Code::Heal => true,
        Code::FaultStrikes | Code::FaultEnds | Code::ScriptStep | Code::Accept => true,
        Code::ConnectEnd | Code::SegmentArrives | Code::StreamBreaks | Code::Panic => true,
        Code::Blocking => entry.details[1] == 1,
        _ => false,
    }
}
