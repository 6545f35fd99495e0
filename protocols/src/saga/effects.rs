//! The side of those who take part: what they have done for sagas, beside what it did to them.

use super::definition::Kind;
use super::event::SagaId;
use serde::{Deserialize, Serialize};
use squall_env::{Machine, Turn, mutant};
use std::collections::BTreeMap;

/// What a saga asks of somebody who takes part. Saga, step and direction are the idempotency key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Call {
    /// For which saga.
    pub saga: SagaId,
    /// For which step, by name.
    pub step: String,
    /// Whether the step is to be undone.
    pub is_undo: bool,
    /// Of which kind the step is: what was refused of one that can be turned back from stays
    /// refused.
    pub kind: Kind,
    /// The token of whoever owns the saga. A smaller one comes from somebody who was overtaken.
    pub token: u64,
    /// What the saga was started with.
    pub input: Vec<u8>,
    /// What came of the steps that are done, by name.
    pub outputs: BTreeMap<String, Vec<u8>>,
}

/// What somebody who takes part answers. Nothing else is known: neither a deadline nor a lost reply
/// says [`Answer::Refused`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It is done, and this came of it; or it is undone, or never was done and never will be.
    Done(Vec<u8>),
    /// It had no effect, and its participant knows that. Said of an undo, it says that what was
    /// done still is.
    Refused(String),
    /// Somebody owns the saga under a greater token.
    Overtaken,
    /// Nobody knows whether it was done.
    Unknown,
}

/// What was done for a step of a saga.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Effect {
    /// It was done, and this came of it.
    Done(Vec<u8>),
    /// It was refused, for this reason, and stays so: a copy of the call that comes late must not
    /// find that it is possible now, since nobody will undo it.
    Refused(String),
    /// It was undone, or was to be before it was done: a tombstone, so that it never is.
    Undone,
}

/// What is to be remembered of a call: part of the record that also holds what it changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark {
    saga: SagaId,
    token: u64,
    effect: Option<(String, Effect)>,
}

/// What a participant does about a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Served<C> {
    /// What to answer, once mark and change are durable.
    pub answer: Answer,
    /// What to remember, in the same record as the change.
    pub mark: Option<Mark>,
    /// What to change. It is there only if there is a mark.
    pub change: Option<C>,
}

impl<C> Served<C> {
    fn answer(answer: Answer, mark: Option<Mark>) -> Served<C> {
        Served { answer, mark, change: None }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
struct OfSaga {
    token: u64,
    steps: BTreeMap<String, Effect>,
}

/// Everything that was done for sagas: a part of a machine's durable state.
///
/// Its machine asks [`Effects::serve`] what to do about a call, persists mark and change in one
/// record, and applies the mark with [`Effects::apply`]: so a crash leaves both or none.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Effects(BTreeMap<SagaId, OfSaga>);

/// What goes wrong in mutants.
#[derive(Clone, Copy, Default)]
struct EffectFlaws {
    admits_overtaken: bool,
    leaves_no_tombstone: bool,
    forgets_refusals: bool,
    does_again: bool,
    undoes_again: bool,
}

impl Effects {
    /// What to do about a call. `act` says what the step would change and what comes of it, or why
    /// not; `undo` is told what came of it, and says what has to change so that it is undone, or
    /// why that cannot be. Neither is asked about what was done before.
    pub fn serve<M: Machine, C>(
        &self,
        call: &Call,
        turn: &Turn<M>,
        act: impl FnOnce() -> Result<(C, Vec<u8>), String>,
        undo: impl FnOnce(&[u8]) -> Result<C, String>,
    ) -> Served<C> {
        let flaws = EffectFlaws {
            admits_overtaken: mutant!(turn, "saga/admits-overtaken-owners"),
            leaves_no_tombstone: mutant!(turn, "saga/undoes-without-tombstone"),
            forgets_refusals: mutant!(turn, "saga/forgets-refusals"),
            does_again: mutant!(turn, "saga/does-again-what-was-done"),
            undoes_again: mutant!(turn, "saga/refunds-again-what-was-undone"),
        };
        if !call.is_undo && self.effect(call.saga, &call.step) == Some(&Effect::Undone) {
            turn.sometimes("a step came later than its undo");
        }
        self.decide(call, flaws, act, undo)
    }

    /// The same, for those who are no machine.
    pub fn judge<C>(
        &self,
        call: &Call,
        act: impl FnOnce() -> Result<(C, Vec<u8>), String>,
        undo: impl FnOnce(&[u8]) -> Result<C, String>,
    ) -> Served<C> {
        self.decide(call, EffectFlaws::default(), act, undo)
    }

    fn decide<C>(
        &self,
        call: &Call,
        flaws: EffectFlaws,
        act: impl FnOnce() -> Result<(C, Vec<u8>), String>,
        undo: impl FnOnce(&[u8]) -> Result<C, String>,
    ) -> Served<C> {
        let token = self.token(call.saga);
        if call.token < token && !flaws.admits_overtaken {
            return Served::answer(Answer::Overtaken, None);
        }
        let mark = |effect| {
            let (saga, token) = (call.saga, call.token);
            Mark { saga, token, effect: Option::map(effect, |e| (call.step.clone(), e)) }
        };
        // Who owns the saga must be known before it is answered, also if nothing else is new.
        let newer = (call.token > token).then(|| mark(None));
        match (self.effect(call.saga, &call.step), call.is_undo) {
            (Some(Effect::Done(output)), false) if !flaws.does_again => {
                Served::answer(Answer::Done(output.clone()), newer)
            }
            (Some(Effect::Refused(reason)), false) => {
                Served::answer(Answer::Refused(reason.clone()), newer)
            }
            (Some(Effect::Undone), false) => {
                Served::answer(Answer::Refused("it was undone before".to_owned()), newer)
            }
            (None | Some(Effect::Done(_)), false) => match act() {
                Ok((change, output)) => Served {
                    answer: Answer::Done(output.clone()),
                    mark: Some(mark(Some(Effect::Done(output)))),
                    change: Some(change),
                },
                Err(reason) if call.kind == Kind::Retriable || flaws.forgets_refusals => {
                    Served::answer(Answer::Refused(reason), newer)
                }
                Err(reason) => {
                    let mark = mark(Some(Effect::Refused(reason.clone())));
                    Served::answer(Answer::Refused(reason), Some(mark))
                }
            },
            (Some(Effect::Undone), true) if flaws.undoes_again => Served {
                answer: Answer::Done(Vec::new()),
                mark: Some(mark(Some(Effect::Undone))),
                change: undo(&[]).ok(),
            },
            (Some(Effect::Done(output)), true) => match undo(output) {
                Ok(change) => Served {
                    answer: Answer::Done(Vec::new()),
                    mark: Some(mark(Some(Effect::Undone))),
                    change: Some(change),
                },
                Err(reason) => Served::answer(Answer::Refused(reason), newer),
            },
            (None, true) if flaws.leaves_no_tombstone => {
                Served::answer(Answer::Done(Vec::new()), newer)
            }
            (Some(Effect::Refused(_) | Effect::Undone), true) => {
                Served::answer(Answer::Done(Vec::new()), newer)
            }
            (None, true) => {
                Served::answer(Answer::Done(Vec::new()), Some(mark(Some(Effect::Undone))))
            }
        }
    }

    /// Remembers what was done. For [`Machine::apply`] alone.
    pub fn apply(&mut self, mark: &Mark) {
        let of = self.0.entry(mark.saga).or_default();
        of.token = of.token.max(mark.token);
        if let Some((step, effect)) = &mark.effect {
            of.steps.insert(step.clone(), effect.clone());
        }
    }

    /// The greatest token that came with a call for this saga; zero if none did.
    pub fn token(&self, saga: SagaId) -> u64 {
        self.0.get(&saga).map_or(0, |of| of.token)
    }

    /// What was done for a step of a saga; nothing if it was never asked for.
    pub fn effect(&self, saga: SagaId, step: &str) -> Option<&Effect> {
        self.0.get(&saga)?.steps.get(step)
    }
}
