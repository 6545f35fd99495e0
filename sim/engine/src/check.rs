//! Histories of what clients saw, judged at the end of a run.

use squall_check::{History, Limits, Model, Recorder, Verdict, linearizable as check};
use std::any::Any;
use std::marker::PhantomData;

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
}

impl<M: Model + Clone> Judge for Linearizable<M> {
    fn name(&self) -> &str {
        "the history is linearizable"
    }

    fn begin(&self) -> Box<dyn Trial> {
        Box::new(LinearizableTrial { model: self.model.clone(), recorder: Recorder::new() })
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
            Verdict::Violation(violation) => Judgement::Wrong(violation.lines()),
            Verdict::Undecided { reason, explored, .. } => Judgement::Undecided(format!(
                "the checker stopped at its bound ({reason:?}) after {explored} steps"
            )),
        };
        (judgement, operations)
    }
}

/// Counts how the operations of a history ended.
pub fn count<I, O>(history: &History<I, O>) -> Operations {
    let counts = history.counts();
    Operations { ok: counts.ok as u64, fail: counts.fail as u64, unknown: counts.unknown as u64 }
}
