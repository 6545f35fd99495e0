//! Histories of what clients saw, judged at the end of a run.

use squall_check::{History, Limits, Model, Recorder, Verdict, Violation, linearizable as check};
use std::any::Any;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

/// What a judge says.
pub enum Judgement {
    /// Nothing is wrong.
    Fine,
    /// The history is not allowed, and why, in sentences.
    Wrong(Vec<String>),
    /// The checker reached its bounds.
    Undecided(String),
}

/// How operations of a history ended.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Operations {
    /// Took effect.
    pub ok: u64,
    /// Did not.
    pub fail: u64,
    /// Nobody knows.
    pub unknown: u64,
}

/// What proves that a history is not allowed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Evidence {
    /// The operations that no order explains: the process of each, and when it was called, in
    /// nanoseconds from the start of the run.
    pub operations: Vec<(u64, u64)>,
    /// Why no order is allowed, in sentences.
    pub reasons: Vec<String>,
    /// The operations drawn over time, as an `svg` element.
    pub drawing: String,
}

/// A kind of history and its checker.
pub trait Judge: Send + Sync {
    /// The property, as in "the history is linearizable".
    fn name(&self) -> &str;
    /// A fresh history for a run.
    fn begin(&self) -> Box<dyn Trial>;
}

/// The history of one run.
pub trait Trial: Send + Sync {
    /// The recorder, for a client that knows its type.
    fn recorder(&self) -> &(dyn Any + Send + Sync);
    /// Ends the history and judges it. `who` names the process of a number.
    fn judge(&self, check: bool) -> (Judgement, Operations);
    /// What proves the last judgement, if it found something wrong and there is more to say.
    fn evidence(&self) -> Option<Evidence> {
        None
    }
}

/// Judges that the history is linearizable against a model (Herlihy and Wing, 1990).
pub fn linearizable<M: Model + Clone>(model: M) -> impl Judge {
    Linearizable { model, of: PhantomData }
}

/// A history that is only recorded, for processes whose histories are judged together.
pub fn recording<M: Model>(recorder: Recorder<M::Input, M::Output>) -> Box<dyn Trial> {
    Box::new(Recording::<M>(recorder))
}

struct Recording<M: Model>(Recorder<M::Input, M::Output>);

impl<M: Model> Trial for Recording<M> {
    fn recorder(&self) -> &(dyn Any + Send + Sync) {
        &self.0
    }

    fn judge(&self, _check: bool) -> (Judgement, Operations) {
        (Judgement::Fine, count(&self.0.finish()))
    }
}

struct Linearizable<M: Model> {
    model: M,
    of: PhantomData<M>,
}

struct LinearizableTrial<M: Model> {
    model: M,
    recorder: Recorder<M::Input, M::Output>,
    found: Mutex<Option<Violation<M::Input, M::Output>>>,
}

impl<M: Model + Clone> Judge for Linearizable<M> {
    fn name(&self) -> &str {
        "the history is linearizable"
    }

    fn begin(&self) -> Box<dyn Trial> {
        let (model, found) = (self.model.clone(), Mutex::default());
        Box::new(LinearizableTrial { model, recorder: Recorder::new(), found })
    }
}

impl<M: Model> Trial for LinearizableTrial<M> {
    fn recorder(&self) -> &(dyn Any + Send + Sync) {
        &self.recorder
    }

    fn judge(&self, wanted: bool) -> (Judgement, Operations) {
        let history = self.recorder.finish();
        let operations = count(&history);
        if !wanted {
            return (Judgement::Fine, operations);
        }
        let judgement = match check(&self.model, &history, &Limits::default()) {
            Verdict::Ok => Judgement::Fine,
            Verdict::Violation(violation) => {
                let lines = violation.lines();
                *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(violation);
                Judgement::Wrong(lines)
            }
            Verdict::Undecided { reason, explored, .. } => Judgement::Undecided(format!(
                "the checker stopped at its bound ({reason:?}) after {explored} steps"
            )),
        };
        (judgement, operations)
    }

    fn evidence(&self) -> Option<Evidence> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let operations = found.operations().iter();
        Some(Evidence {
            operations: operations.map(|one| (one.process, one.invoked.time_ns)).collect(),
            reasons: found.reasons().to_vec(),
            drawing: found.drawing(),
        })
    }
}

/// Counts how the operations of a history ended.
pub fn count<I, O>(history: &History<I, O>) -> Operations {
    let counts = history.counts();
    Operations { ok: counts.ok as u64, fail: counts.fail as u64, unknown: counts.unknown as u64 }
}
