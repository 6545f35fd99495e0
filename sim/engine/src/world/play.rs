//! Plays the script of a run: what it waits for is what goes into the digests.

use super::cuts::Cut;
use super::queue::{Event, Kind as EventKind};
use super::tasks::Waiter;
use super::{Outside, World, fault, with};
use crate::choice::hash_text;
use crate::digest::Code;
use crate::failure::{Class, Failure};
use crate::script::{Action, Io, Moment, Step, TOLD};
use std::task::{Context, Poll};

/// A script that is being played.
pub(super) struct Play {
    steps: Vec<Step>,
    /// What each step waits for, if that is something that nodes do.
    signs: Vec<Option<Sign>>,
    /// The episode of each step that has one.
    episodes: Vec<Option<u32>>,
    /// The step that is next, and how many of its signs were seen.
    next: usize,
    seen: u32,
    /// Whether its moment has come.
    due: bool,
    /// The kind of the message that leaves.
    kind: u8,
    cues: Vec<Cue>,
    held: Vec<Held>,
}

/// What goes into a node's digest when the moment of a step has come.
#[derive(Clone, Copy)]
struct Sign {
    node: u32,
    code: Code,
    /// The first detail, without the lower bits that do not matter.
    detail: Option<u64>,
    shift: u32,
    mask: u64,
    kind: Option<u8>,
    nth: u32,
}

/// What a client may wait for.
struct Cue {
    name: String,
    given: bool,
    waiters: Vec<Waiter>,
}

/// A link over which nothing arrives, and what would have.
struct Held {
    link: (u32, u32),
    events: Vec<Event>,
}

impl Io {
    /// Its number in digests.
    fn code(self) -> Option<u64> {
        match self {
            Io::Any => None,
            Io::Open => Some(1),
            Io::Close => Some(2),
            Io::Read => Some(3),
            Io::Write => Some(4),
            Io::Truncate => Some(5),
            Io::Sync => Some(6),
            Io::CreateDirectory => Some(7),
            Io::SyncDirectory => Some(8),
            Io::Rename => Some(9),
            Io::Remove => Some(10),
            Io::List => Some(11),
        }
    }
}

impl Sign {
    fn of(moment: &Moment, world: &World) -> Option<Sign> {
        let find = |name: &str| world.roster.find(name);
        let index = |name: &str| find(name).and_then(|node| world.index_of(node));
        let sign = |name: &str, code, nth| {
            let node = index(name)?;
            Some(Sign { node, code, detail: None, shift: 0, mask: u64::MAX, kind: None, nth })
        };
        match moment {
            Moment::AtNs(_) | Moment::AfterNs(_) => None,
            Moment::Asked { node, io, nth } => {
                let sign = sign(node, Code::DiskSubmit, *nth)?;
                Some(Sign { detail: io.code(), shift: 56, ..sign })
            }
            Moment::Answered { node, io, nth } => {
                Some(Sign { detail: io.code(), ..sign(node, Code::DiskDone, *nth)? })
            }
            Moment::Sent { from, to, kind, nth } => {
                let to = find(to)?;
                let detail = u64::from(to.role()) << 16 | u64::from(to.ordinal());
                let sign = sign(from, Code::Send, *nth)?;
                Some(Sign { detail: Some(detail), mask: 0xffff_ffff, kind: *kind, ..sign })
            }
            Moment::Delivered { from, to, nth } => {
                let from = u64::from(index(from)?);
                Some(Sign { detail: Some(from), shift: 32, ..sign(to, Code::Deliver, *nth)? })
            }
            Moment::Ready { node, nth } => sign(node, Code::Ready, *nth),
            Moment::Called { client, nth } => sign(client, Code::Invoke, *nth),
            Moment::Returned { client, nth } => sign(client, Code::Return, *nth),
            Moment::Reached { node, situation, nth } => {
                let detail = Some(hash_text(situation));
                Some(Sign { detail, ..sign(node, Code::Sometimes, *nth)? })
            }
        }
    }

    fn matches(&self, node: u32, code: Code, detail: u64, kind: u8) -> bool {
        self.node == node
            && self.code == code
            && self.detail.is_none_or(|wanted| wanted == detail >> self.shift & self.mask)
            && self.kind.is_none_or(|wanted| wanted == kind)
    }
}

impl World {
    /// Takes up the plan's script, if it has one: its first step waits from the beginning.
    pub(super) fn plan_script(&mut self, steps: &[Step]) {
        if steps.is_empty() {
            return;
        }
        let mut play = Play {
            steps: steps.to_vec(),
            signs: steps.iter().map(|step| Sign::of(&step.when, self)).collect(),
            episodes: Vec::new(),
            next: 0,
            seen: 0,
            due: false,
            kind: 0,
            cues: Vec::new(),
            held: Vec::new(),
        };
        let mut id = self.episodes.iter().map(|state| state.episode.id).max().unwrap_or_default();
        for step in steps {
            id = id.saturating_add(1);
            let episode = step.then.episode(id);
            play.episodes.push(episode.map(|episode| self.add_episode(&episode)));
            if let Action::Cue { name } = &step.then
                && !play.cues.iter().any(|cue| cue.name == *name)
            {
                play.cues.push(Cue { name: name.clone(), given: false, waiters: Vec::new() });
            }
        }
        self.play = Some(Box::new(play));
        self.await_step();
    }

    /// Whether there is no script, or it has been told or is over.
    pub(crate) fn script_is_over(&self) -> bool {
        self.healed || self.play.as_ref().is_none_or(|play| play.next == play.steps.len())
    }

    /// The next step begins to wait.
    fn await_step(&mut self) {
        let now = self.now;
        let Some(play) = &mut self.play else { return };
        play.seen = 0;
        let at = match play.steps.get(play.next).map(|step| &step.when) {
            Some(Moment::AtNs(at)) => Some(*at),
            Some(Moment::AfterNs(time)) => Some(now.saturating_add(*time)),
            _ => None,
        };
        let listens = play.signs.get(play.next).is_some_and(Option::is_some);
        if let Some(at) = at {
            play.due = at <= now;
            let slot = play.next as u32;
            if at > now {
                self.queue.push(Event::new(at, 0, EventKind::Script, slot));
            }
        }
        self.heeded = listens || self.log.is_some() || self.recorder.is_some();
    }

    /// Something goes into a digest that the script may wait for. The world is in the middle of it,
    /// so the step itself comes a little later: for what a node does, in the middle of its poll,
    /// and for what happens to it, before it is told.
    pub(super) fn heed(&mut self, node: u32, code: Code, detail: u64) {
        let Some(play) = &mut self.play else { return };
        let Some(Some(sign)) = play.signs.get(play.next) else { return };
        if play.due || !sign.matches(node, code, detail, play.kind) {
            return;
        }
        play.seen += 1;
        if play.seen < sign.nth {
            return;
        }
        play.due = true;
        self.outside.push(Outside::Script);
        if matches!(code, Code::Send | Code::DiskSubmit) {
            self.nodes[node as usize].triggers.push(fault::Trigger::SCRIPT);
        }
    }

    /// A message of this kind is about to leave.
    #[cold]
    pub(super) fn heed_kind(&mut self, node: u32, port: u32, kind: u8) {
        if let Some(log) = &mut self.log {
            log.sent(node, port, kind);
        }
        if let Some(play) = &mut self.play {
            play.kind = kind;
        }
    }

    pub(super) fn script_event(&mut self, event: Event) {
        let Some(play) = &mut self.play else { return };
        if self.healed || play.next != event.slot() as usize {
            return;
        }
        play.due = true;
        self.advance(event.time());
        self.outside.push(Outside::Script);
    }

    /// In the middle of a node's poll: does a step whose moment has come just now.
    #[inline]
    pub(crate) fn play_if_due(&mut self) {
        if self.heeded {
            self.play_on();
        }
    }

    /// Does the steps whose moments have come.
    pub(crate) fn play_on(&mut self) {
        while let Some(play) = &mut self.play
            && play.due
            && !self.healed
            && self.failure.is_none()
        {
            let (number, episode) = (play.next, play.episodes[play.next]);
            let action = play.steps[number].then.clone();
            play.due = false;
            play.next += 1;
            self.note(self.itself(), Code::ScriptStep, [number as u64, 0]);
            match action {
                Action::Fault { .. } => self.strike_as_told(number, episode),
                Action::End { name } => self.end_as_told(&name),
                Action::Hold { from, to } => self.hold(&from, &to),
                Action::Release { from, to } => self.release(&from, &to),
                Action::Cue { name } => self.give_cue(&name),
                Action::Nothing {} => {}
            }
            self.await_step();
        }
    }

    fn strike_as_told(&mut self, number: usize, episode: Option<u32>) {
        let Some(slot) = episode else { return };
        self.strike(slot);
        let state = &self.episodes[slot as usize];
        if state.active || state.ended.is_some() {
            return;
        }
        let impaired: Vec<String> =
            self.nodes.iter().filter(|n| n.impaired).map(|n| self.roster.name(n.id)).collect();
        let impaired = match impaired.is_empty() {
            true => "no node is impaired".to_owned(),
            false => format!("impaired are {}", impaired.join(", ")),
        };
        self.not_told(number, &format!("the ledger refuses it, or it hits nothing; {impaired}"));
    }

    fn end_as_told(&mut self, wanted: &str) {
        let Some(play) = &self.play else { return };
        let named = play.steps.iter().position(|step| match &step.then {
            Action::Fault { name, .. } => name.as_deref() == Some(wanted),
            _ => false,
        });
        if let Some(slot) = named.and_then(|at| play.episodes[at]) {
            self.end(slot);
        }
    }

    fn link_of(&self, from: &str, to: &str) -> Option<(u32, u32)> {
        let index = |name| self.roster.find(name).and_then(|node| self.index_of(node));
        index(from).zip(index(to))
    }

    fn hold(&mut self, from: &str, to: &str) {
        let Some(link) = self.link_of(from, to) else { return };
        if let Some(play) = &mut self.play {
            play.held.push(Held { link, events: Vec::new() });
            self.cuts.push(Cut::held(link));
        }
    }

    fn release(&mut self, from: &str, to: &str) {
        let Some(link) = self.link_of(from, to) else { return };
        let Some(play) = &mut self.play else { return };
        let Some(at) = play.held.iter().position(|held| held.link == link) else { return };
        let held = play.held.remove(at);
        self.cuts.retain(|cut| !cut.holds(link));
        // One nanosecond after the other keeps them in their order.
        for (at, event) in (self.now..).zip(held.events) {
            self.queue.push(event.at(at));
        }
    }

    /// Whether what is to arrive over a link is held on it; it is then kept.
    pub(super) fn holds_back(&mut self, event: Event, link: (u32, u32)) -> bool {
        let pending = self.queue.len();
        let Some(play) = &mut self.play else { return false };
        let kept: usize = play.held.iter().map(|held| held.events.len()).sum();
        let Some(held) = play.held.iter_mut().find(|held| held.link == link) else { return false };
        held.events.push(event);
        // What is held waits as well, and so counts as what is pending.
        if self.guard.is_full(pending + kept) {
            self.too_much_pending();
        }
        true
    }

    fn give_cue(&mut self, name: &str) {
        let Some(play) = &mut self.play else { return };
        let Some(cue) = play.cues.iter_mut().find(|cue| cue.name == name) else { return };
        cue.given = true;
        for waiter in std::mem::take(&mut cue.waiters) {
            self.tell(waiter);
        }
    }

    /// The world heals: the script is over, and whoever or whatever waits for it waits no more.
    pub(super) fn end_script(&mut self) {
        let Some(play) = &mut self.play else { return };
        let next = play.next;
        let links: Vec<(u32, u32)> = play.held.iter().map(|held| held.link).collect();
        let cues: Vec<String> = play.cues.iter().map(|cue| cue.name.clone()).collect();
        for (from, to) in links {
            let [from, to] = [from, to].map(|node| self.roster.name(self.nodes[node as usize].id));
            self.release(&from, &to);
        }
        cues.iter().for_each(|name| self.give_cue(name));
        if self.play.as_ref().is_some_and(|play| next < play.steps.len()) {
            self.not_told(next, "the world healed before it came");
        }
    }

    /// Says which step was not reached, if the run ended before its script did.
    pub(crate) fn check_script(&mut self) {
        if !self.script_is_over()
            && let Some(next) = self.play.as_ref().map(|play| play.next)
        {
            self.not_told(next, "the run ended before it came");
        }
    }

    fn not_told(&mut self, step: usize, why: &str) {
        let Some(play) = &self.play else { return };
        let line = play.steps[step].line();
        let story = vec![format!("step {} of {}, {line}: {why}", step + 1, play.steps.len())];
        self.fail(Failure {
            class: Class::Property,
            property: TOLD.to_owned(),
            place: String::new(),
            story,
            at_ns: self.now,
        });
    }

    fn wait_for_cue(&mut self, name: &str, waiter: Waiter) {
        let play = self.play.as_mut();
        let cue = play.and_then(|play| play.cues.iter_mut().find(|cue| cue.name == name));
        let Some(cue) = cue else { return };
        let known = cue.waiters.iter().any(|old| old.is_same(&waiter));
        match waiter {
            Waiter::Foreign(waker) if known => self.outside.push(Outside::DropWaker(waker)),
            _ if known => {}
            waiter => cue.waiters.push(waiter),
        }
        self.waits("a cue", "");
    }
}

/// Ready once the script has given this cue; at once if no step does.
pub(crate) fn poll_cue((node, token): (u32, u64), name: &str, cx: &mut Context<'_>) -> Poll<()> {
    let mut foreign = None;
    loop {
        let polled = with(|world| {
            if !world.alive(node, token) {
                return Some(Poll::Pending);
            }
            let cues = world.play.iter().flat_map(|play| &play.cues);
            if !cues.filter(|cue| cue.name == name).any(|cue| !cue.given) {
                return Some(Poll::Ready(()));
            }
            let waiter = match (world.own_waker(cx), foreign.take()) {
                (Some(id), _) => Waiter::Task(id),
                (None, Some(waker)) => Waiter::Foreign(waker),
                (None, None) => return None,
            };
            world.wait_for_cue(name, waiter);
            Some(Poll::Pending)
        });
        match polled {
            None => return Poll::Pending,
            Some(Some(polled)) => return polled,
            // A foreign waker is cloned outside: its code is not ours.
            Some(None) => foreign = Some(cx.waker().clone()),
        }
    }
}
