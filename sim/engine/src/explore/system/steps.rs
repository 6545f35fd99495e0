//! What may happen to a system of machines, and what comes of it.

use super::caller::{Caller, Explorable, Out};
use super::state::{Flying, Node, State};
use super::{CALLERS, System, desk};
use crate::explore::fingerprint;
use squall_env::machine::alone::{Effect, Input, Taken, recover, snapshot, turn};
use squall_env::{Address, NodeId, Position, RequestId, codec};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Something that may happen, with what comes of it: a turn that draws has several ends.
pub struct Action<M: Explorable, C: Caller<M>> {
    what: What,
    /// What was drawn.
    drawn: Vec<u64>,
    pub(super) next: State<M, C>,
}

impl<M: Explorable, C: Caller<M>> fmt::Debug for Action<M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Action").field("what", &self.what).field("drawn", &self.drawn).finish()
    }
}

/// What may happen. Messages and timers are told by their places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Start,
    Deliver { message: usize, stays: bool },
    Lose { message: usize },
    Timer { machine: usize, timer: usize },
    Sync { machine: usize, records: usize },
    Crash { machine: usize, kept: usize },
    Begin { caller: usize, which: u32 },
}

impl<M: Explorable, C: Caller<M>> System<M, C> {
    /// The states after the first turns of all machines.
    pub(super) fn started(&self, start: State<M, C>) -> Vec<State<M, C>> {
        let mut actions = Vec::new();
        self.branch(&start, What::Start, &mut actions);
        actions.into_iter().map(|action| action.next).collect()
    }

    /// Everything that may happen now.
    pub(super) fn all_steps(&self, state: &State<M, C>, actions: &mut Vec<Action<M, C>>) {
        if state.failed.is_some() {
            return;
        }
        let (spent, most) = (&state.spent, &self.faults);
        let mut before = None;
        for (message, flying) in state.network.iter().enumerate() {
            if before.replace(flying) == Some(flying) {
                continue;
            }
            let known = actions.len();
            self.branch(state, What::Deliver { message, stays: false }, actions);
            if actions.len() > known && spent.copies < most.copies {
                self.branch(state, What::Deliver { message, stays: true }, actions);
            }
            if spent.losses < most.losses {
                self.branch(state, What::Lose { message }, actions);
            }
        }
        for (machine, node) in state.nodes.iter().enumerate() {
            if spent.timers < most.timers {
                let timers = 0..node.standing.timers.len();
                timers
                    .for_each(|timer| self.branch(state, What::Timer { machine, timer }, actions));
            }
            for records in 1..=node.pending.len() {
                self.branch(state, What::Sync { machine, records }, actions);
            }
            if spent.crashes < most.crashes {
                for kept in 0..=node.pending.len() {
                    self.branch(state, What::Crash { machine, kept }, actions);
                }
            }
        }
        for (caller, who) in state.callers.iter().enumerate() {
            let moves = 0..who.moves();
            moves.for_each(|which| self.branch(state, What::Begin { caller, which }, actions));
        }
    }

    /// Adds what may come of it, a state for each way to draw. A message of which nothing comes is
    /// left where it is: it might as well be lost.
    fn branch(&self, state: &State<M, C>, what: What, actions: &mut Vec<Action<M, C>>) {
        let mut script = Some(Vec::new());
        while let Some(answers) = script {
            desk::begin(&self.turn, &answers);
            let mut next = state.clone();
            let done = catch_unwind(AssertUnwindSafe(|| self.happen(&mut next, what)));
            let (drawn, more) = desk::chosen(&self.turn);
            script = more;
            match done {
                Ok(true) => {}
                Ok(false) => continue,
                Err(panic) => {
                    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                    let text = text.unwrap_or_else(|| "without words".to_owned());
                    next = State { failed: Some(format!("a machine panics: {text}")), ..next };
                }
            }
            actions.push(Action { what, drawn, next });
        }
    }

    /// Says whether anything came of it.
    fn happen(&self, next: &mut State<M, C>, what: What) -> bool {
        match what {
            What::Start => {
                (0..next.nodes.len()).for_each(|machine| self.turn(next, machine, Input::Start));
            }
            What::Deliver { message, stays } => {
                let Some(flying) = next.network.iter().nth(message).cloned() else { return false };
                let before = fingerprint(next);
                self.deliver(next, &flying);
                if fingerprint(next) == before {
                    return false;
                }
                if stays {
                    next.spent.copies += 1;
                } else {
                    next.network.remove(&flying);
                }
            }
            What::Lose { message } => {
                let Some(flying) = next.network.iter().nth(message).cloned() else { return false };
                next.network.remove(&flying);
                next.spent.losses += 1;
            }
            What::Timer { machine, timer } => {
                next.spent.timers += 1;
                let timer = next.nodes[machine].standing.timers[timer].clone();
                self.turn(next, machine, Input::Timer(timer));
            }
            What::Sync { machine, records } => self.sync(next, machine, records),
            What::Crash { machine, kept } => self.crash(next, machine, kept),
            What::Begin { caller, which } => {
                self.call(next, caller, |caller, out| caller.act(which, out));
            }
        }
        true
    }

    fn deliver(&self, next: &mut State<M, C>, flying: &Flying) {
        let Ok(message) = codec::decode(&flying.frame) else { return };
        let from = flying.from;
        let place = usize::from(flying.to.node.ordinal()) - 1;
        if flying.to.node.role() == CALLERS {
            self.call(next, place, |caller, out| caller.on_message(from, message, out));
        } else {
            self.turn(next, place, Input::Message(from, message));
        }
    }

    fn turn(&self, next: &mut State<M, C>, machine: usize, input: Input<M>) {
        let mut node = (*next.nodes[machine]).clone();
        let env = &self.envs[machine];
        let taken = turn(env, self.port, &mut node.live, &mut node.standing, input);
        let Taken { records, effects, compacts: _ } = taken;
        node.pending.extend(records);
        let after = node.standing.last.0;
        node.held.extend(effects.into_iter().map(|effect| (after, effect)));
        next.nodes[machine] = Arc::new(node);
        for (from, to, frame) in desk::early(&self.turn) {
            self.post(next, from, to, &frame);
        }
        self.release(next, machine);
        let pending = next.nodes[machine].pending.len();
        if self.syncs_at_once && pending > 0 {
            self.sync(next, machine, pending);
        }
    }

    /// Lets go what waits for nothing any more.
    fn release(&self, next: &mut State<M, C>, machine: usize) {
        let node = &next.nodes[machine];
        let durable = node.standing.durable.0;
        let free = node.held.iter().take_while(|(after, _)| *after <= durable).count();
        if free == 0 {
            return;
        }
        let mut node = (**node).clone();
        let effects: Vec<_> = node.held.drain(..free).collect();
        next.nodes[machine] = Arc::new(node);
        let from = Address::new(self.envs[machine].me(), self.port);
        for (_, effect) in effects {
            match effect {
                Effect::Send { to, frame } => self.post(next, from, to, &frame),
                Effect::Reply { id, reply } => {
                    let (caller, number) = ((id.0 >> 32) as usize, id.0 as u32);
                    self.call(next, caller, |caller, out| caller.on_reply(number, reply, out));
                }
            }
        }
    }

    fn sync(&self, next: &mut State<M, C>, machine: usize, records: usize) {
        let mut node = (*next.nodes[machine]).clone();
        match self.on_disk(machine, &node, records) {
            Ok(kept) => node.durable = Some(snapshot(&kept)),
            Err(error) => return next.failed = Some(error),
        }
        node.pending.drain(..records);
        let upto = Position(node.standing.durable.0 + records as u64);
        node.standing.durable = upto;
        next.nodes[machine] = Arc::new(node);
        self.release(next, machine);
        self.turn(next, machine, Input::Durable(upto));
    }

    /// The machine that its disk would give if so many records were kept that are not durable.
    fn on_disk(&self, machine: usize, node: &Node<M>, kept: usize) -> Result<M, String> {
        let records = node.pending[..kept].iter().map(Vec::as_slice);
        let recovered = recover(&self.configs[machine], node.durable.as_deref(), records);
        recovered.map_err(|error| format!("{} does not recover: {error}", self.name(machine)))
    }

    fn crash(&self, next: &mut State<M, C>, machine: usize, kept: usize) {
        next.spent.crashes += 1;
        let mut node = (*next.nodes[machine]).clone();
        match self.on_disk(machine, &node, kept) {
            Ok(live) => node.live = live,
            Err(error) => return next.failed = Some(error),
        }
        if kept > 0 {
            node.durable = Some(snapshot(&node.live));
        }
        let durable = Position(node.standing.durable.0 + kept as u64);
        node.standing.durable = durable;
        node.standing.last = durable;
        node.standing.timers.clear();
        node.pending.clear();
        node.held.clear();
        next.nodes[machine] = Arc::new(node);
        let me = self.envs[machine].me();
        for caller in 0..next.callers.len() {
            self.call(next, caller, |caller, out| caller.on_crash(me, out));
        }
        self.turn(next, machine, Input::Start);
    }

    fn call(
        &self,
        next: &mut State<M, C>,
        caller: usize,
        act: impl FnOnce(&mut C, &mut Out<M, C::Event>),
    ) {
        let mut out = Out::new();
        act(&mut next.callers[caller], &mut out);
        let me = Address::new(NodeId::new(CALLERS, caller as u16 + 1), self.port);
        next.history.extend(out.events);
        let stale = |flying: &Flying| {
            (flying.from == me || flying.to == me) && self.is_stale(next, caller, &flying.frame)
        };
        let gone: Vec<Flying> = next.network.iter().filter(|one| stale(one)).cloned().collect();
        for flying in &gone {
            next.network.remove(flying);
        }
        let mut frame = Vec::new();
        for (to, message) in out.sends {
            if codec::encode(&message, &mut frame).is_ok() {
                self.post(next, me, to, &frame);
            }
        }
        for (machine, number, request) in out.requests {
            let Some(at) = self.addresses().iter().position(|one| one.node == machine) else {
                continue;
            };
            let id = RequestId((caller as u64) << 32 | u64::from(number));
            self.turn(next, at, Input::Request(id, request));
        }
    }

    fn is_stale(&self, state: &State<M, C>, caller: usize, frame: &[u8]) -> bool {
        codec::decode(frame).is_ok_and(|message| state.callers[caller].is_stale(&message))
    }

    /// Puts a message under way, if there is anybody at its end to whom it matters.
    fn post(&self, next: &mut State<M, C>, from: Address, to: Address, frame: &[u8]) {
        let callers = self.nodes(CALLERS, next.callers.len());
        let caller = callers.iter().position(|caller| *caller == to);
        let stale = caller.is_some_and(|caller| self.is_stale(next, caller, frame));
        if !stale && (caller.is_some() || self.addresses().contains(&to)) {
            next.network.insert(Flying { from, to, frame: frame.into() });
        }
    }

    fn name(&self, machine: usize) -> String {
        self.roster.name(self.envs[machine].me())
    }

    /// What happens, in words.
    pub(super) fn sentence(&self, before: &State<M, C>, action: &Action<M, C>) -> String {
        let flying = |message: usize| {
            let Some(flying) = before.network.iter().nth(message) else { return String::new() };
            let name = |address: Address| self.roster.name(address.node);
            let message = match codec::decode::<M::Message>(&flying.frame) {
                Ok(message) => format!("{message:?}"),
                Err(error) => error.to_string(),
            };
            format!("{} gets {message} from {}", name(flying.to), name(flying.from))
        };
        let many = |count: usize| match count {
            1 => "1 record".to_owned(),
            many => format!("{many} records"),
        };
        let mut text = match action.what {
            What::Start => "all machines start".to_owned(),
            What::Deliver { message, stays: false } => flying(message),
            What::Deliver { message, stays: true } => {
                format!("{}, and will get it again", flying(message))
            }
            What::Lose { message } => format!("lost: {}", flying(message)),
            What::Timer { machine, timer } => {
                let timer = &before.nodes[machine].standing.timers[timer];
                format!("{}'s timer {timer:?} runs out", self.name(machine))
            }
            What::Sync { machine, records } => {
                format!("{}'s disk has synced {}", self.name(machine), many(records))
            }
            What::Crash { machine, kept } => {
                let name = self.name(machine);
                match before.nodes[machine].pending.len() - kept {
                    0 => format!("{name} crashes and is back"),
                    lost => {
                        let lost = many(lost);
                        format!("{name} crashes and is back; {lost} it had not synced are lost")
                    }
                }
            }
            What::Begin { caller, which } => {
                format!("client-{} {}", caller + 1, before.callers[caller].say(which))
            }
        };
        if !action.drawn.is_empty() {
            text.push_str(&format!(" (it draws {:?})", action.drawn));
        }
        text
    }
}
