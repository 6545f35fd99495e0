//! What can be asked of a run that is over.

use super::Outcome;
use crate::check::Evidence;
use crate::conditions::Struck;
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::words::Words;
use crate::world::Line;

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
        &self.struck
    }

    /// What the code under test said in a run that was watched with [`log`](crate::Watch::log), a
    /// line each: the texts of [`Env::trace`](squall_env::Env::trace) and the events of `tracing`,
    /// with time and node. The scenario and the plan are those of the run.
    ///
    /// These are words of the code's own, and no numbers of the simulator: they can be compared
    /// with a text that was kept.
    pub fn said(&self, scenario: &Scenario, plan: &Plan) -> Vec<String> {
        let words = Words::of(scenario, plan);
        let said = self.log.iter().filter(|line| !matches!(line, Line::Entry(_)));
        said.map(|line| words.line(line)).collect()
    }
}
