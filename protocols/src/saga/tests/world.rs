//! A saga's log and its participants as values, and an owner that can crash between any two things
//! that it does.

use super::super::*;
use std::collections::BTreeMap;

/// What is wrong with a participant, beside its keeping its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// It has no room.
    Refuses,
    /// Its first answers are lost: the step is done, and nobody knows.
    LosesAnswers(u32),
    /// The first calls are lost: the step is not done, and nobody knows.
    LosesCalls(u32),
    /// It first refuses to undo.
    RefusesUndo(u32),
}

/// What has an effect: a step, and whether it was undone.
pub(super) type Deed = (String, bool);

#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) log: Vec<Vec<u8>>,
    pub(super) effects: Effects,
    /// What had an effect, in order.
    pub(super) deeds: Vec<Deed>,
    pub(super) trouble: BTreeMap<String, Trouble>,
    /// Every call ever made.
    pub(super) calls: Vec<Call>,
    /// Every call is carried out twice.
    pub(super) twice: bool,
    /// Of those beside each other the last is answered first.
    pub(super) last_first: bool,
}

/// How an owner's work ended.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Stopped {
    Crashed,
    Stuck(Halt),
    Over(Ending),
}

const SAGA: SagaId = SagaId(7);

impl World {
    pub(super) fn started(definition: &Definition) -> World {
        let mut world = World::default();
        world.record(
            0,
            Event::Started {
                definition: definition.name().to_owned(),
                version: definition.version(),
                fingerprint: definition.fingerprint(),
                input: b"two apples".to_vec(),
            },
        );
        world
    }

    pub(super) fn record(&mut self, token: u64, event: Event) {
        self.log.push(Entry { token, event }.encode());
    }

    pub(super) fn state(&self) -> State {
        State::read(&self.log).expect("the log makes sense")
    }

    fn troubled(&mut self, call: &Call) -> Option<Trouble> {
        let trouble = self.trouble.get_mut(&call.step)?;
        let now = *trouble;
        match (trouble, call.is_undo) {
            (Trouble::Refuses, false) => Some(now),
            (Trouble::LosesAnswers(n) | Trouble::LosesCalls(n), false)
            | (Trouble::RefusesUndo(n), true) => {
                let left = *n > 0;
                *n = n.saturating_sub(1);
                left.then_some(now)
            }
            _ => None,
        }
    }

    /// What a participant does about a call that reaches it.
    pub(super) fn carry_out(&mut self, call: &Call, trouble: Option<Trouble>) -> Answer {
        let step = call.step.clone();
        let served = self.effects.judge(
            call,
            || match trouble {
                Some(Trouble::Refuses) => Err("no room".to_owned()),
                _ => Ok(((step.clone(), false), format!("{step} was done").into_bytes())),
            },
            |output| {
                assert_eq!(output, format!("{step} was done").as_bytes());
                match trouble {
                    Some(Trouble::RefusesUndo(_)) => Err("not today".to_owned()),
                    _ => Ok((step.clone(), true)),
                }
            },
        );
        assert!(served.mark.is_some() || served.change.is_none());
        served.mark.iter().for_each(|mark| self.effects.apply(mark));
        self.deeds.extend(served.change);
        served.answer
    }

    fn call(&mut self, call: &Call) -> Answer {
        self.calls.push(call.clone());
        let trouble = self.troubled(call);
        if let Some(Trouble::LosesCalls(_)) = trouble {
            return Answer::Unknown;
        }
        let answer = self.carry_out(call, trouble);
        if self.twice {
            assert_eq!(self.carry_out(call, trouble), answer, "{call:?} differs the second time");
        }
        match trouble {
            Some(Trouble::LosesAnswers(_)) => Answer::Unknown,
            _ => answer,
        }
    }

    /// Works under this token until there is nothing to do, or for so many things.
    pub(super) fn work(&mut self, definition: &Definition, token: u64, most: usize) -> Stopped {
        let mut owner = Owner { world: self, definition, token, left: most };
        owner.work().unwrap_or(Stopped::Crashed)
    }
}

struct Owner<'a> {
    world: &'a mut World,
    definition: &'a Definition,
    token: u64,
    left: usize,
}

impl Owner<'_> {
    /// One more thing, unless it is the one at which the owner crashes.
    fn goes_on(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        Some(())
    }

    fn record(&mut self, event: Event) -> Option<()> {
        self.goes_on()?;
        self.world.record(self.token, event);
        Some(())
    }

    fn work(&mut self) -> Option<Stopped> {
        if self.world.state().ending().is_none() {
            self.record(Event::Claimed)?;
        }
        let mut open = Vec::new();
        loop {
            match self.world.state().next(self.definition) {
                Next::Over(ending) => return Some(Stopped::Over(ending)),
                Next::Stuck(halt) => return Some(Stopped::Stuck(halt)),
                Next::Record(event) => {
                    if let Event::TurnedBack { .. } = event {
                        // They are on their way all the same.
                        for ask in open.drain(..) {
                            let call = self.call_of(ask);
                            self.world.calls.push(call);
                        }
                    }
                    self.record(event)?;
                }
                Next::Ask(asks) if asks.is_empty() => {
                    let at = if self.world.last_first { open.len() - 1 } else { 0 };
                    let ask = open.remove(at);
                    self.ask(ask)?;
                }
                Next::Ask(asks) => {
                    for ask in asks {
                        self.record(ask.intent())?;
                        open.push(ask);
                    }
                }
            }
        }
    }

    fn call_of(&self, ask: Ask) -> Call {
        let state = self.world.state();
        let done = state.completed().iter();
        let named = |step| self.definition.name_of(step).to_owned();
        Call {
            saga: SAGA,
            step: named(ask.step),
            is_undo: ask.is_undo,
            kind: self.definition.kind_of(ask.step),
            token: self.token,
            input: state.beginning().input.clone(),
            outputs: done.map(|(step, output)| (named(*step), output.clone())).collect(),
        }
    }

    fn ask(&mut self, ask: Ask) -> Option<()> {
        self.goes_on()?;
        let call = self.call_of(ask);
        let step = ask.step;
        let event = match (self.world.call(&call), ask.is_undo) {
            (Answer::Done(output), false) => Event::Done { step, output },
            (Answer::Done(_), true) => Event::Undone { step },
            (Answer::Refused(reason), false) => Event::Refused { step, reason },
            (Answer::Refused(reason), true) => Event::NotUndone { step, reason: Some(reason) },
            (Answer::Unknown, false) => Event::Unknown { step },
            (Answer::Unknown, true) => Event::NotUndone { step, reason: None },
            (Answer::Overtaken, _) => panic!("nobody has overtaken it"),
        };
        // It has had its effect, and the log does not say so yet.
        self.record(event)
    }
}
