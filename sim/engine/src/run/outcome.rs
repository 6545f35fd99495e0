//! What can be asked of a run that is over.

use super::Outcome;
use crate::check::Evidence;
use crate::conditions::Struck;
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::trace::Trace;

impl Outcome {
    /// What happened in a run that was watched with [`causes`](crate::Watch::causes), each event
    /// with what caused it. The scenario, seed and plan are those of the run; the lines are given
    /// away.
    pub fn trace(&mut self, scenario: &Scenario, seed: u64, plan: &Plan) -> Option<Trace> {
        let caused = self.caused.take()?;
        Some(Trace::of(scenario, (seed, plan), self, caused))
    }

    /// What proves that the history is not allowed, if that is what failed a run that was watched
    /// with [`causes`](crate::Watch::causes).
    pub fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_ref()
    }

    /// The episodes that struck, with their times.
    pub fn struck(&self) -> &[Struck] {
        &self.strikes
    }
}
