//! Histories that are judged as a whole, by what was read of everything in the end.

use squall::check::{Judge, Judgement, Operations, Trial, count};
use squall_check::{History, Model, Recorder};
use std::any::Any;

type Verdict<M> = fn(&History<<M as Model>::Input, <M as Model>::Output>) -> Result<(), String>;

/// Judges the history of a model by one function.
pub struct Whole<M: Model> {
    name: &'static str,
    verdict: Verdict<M>,
}

impl<M: Model> Whole<M> {
    /// The property of this name.
    pub fn new(name: &'static str, verdict: Verdict<M>) -> Whole<M> {
        Whole { name, verdict }
    }
}

struct WholeTrial<M: Model> {
    recorder: Recorder<M::Input, M::Output>,
    verdict: Verdict<M>,
}

impl<M: Model> Judge for Whole<M> {
    fn name(&self) -> &str {
        self.name
    }

    fn begin(&self) -> Box<dyn Trial> {
        Box::new(WholeTrial::<M> { recorder: Recorder::new(), verdict: self.verdict })
    }
}

impl<M: Model> Trial for WholeTrial<M> {
    fn recorder(&self) -> &(dyn Any + Send + Sync) {
        &self.recorder
    }

    fn judge(&self, wanted: bool) -> (Judgement, Operations) {
        let history = self.recorder.finish();
        let operations = count(&history);
        let judgement = match wanted.then(|| (self.verdict)(&history)) {
            None | Some(Ok(())) => Judgement::Fine,
            Some(Err(why)) => Judgement::Wrong(vec![why]),
        };
        (judgement, operations)
    }
}
