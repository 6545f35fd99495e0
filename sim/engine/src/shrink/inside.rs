//! Plans that are tried in this process, one after the other. A run that hangs or dies takes this
//! process with it, so this is for failures that do neither.

use super::children::verdict;
use super::{Oracle, Verdict};
use crate::plan::Plan;
use crate::run::{Watch, run_plan};
use crate::scenario::Scenario;
use crate::world::Recorded;

/// Runs plans of a scenario under a seed.
pub(crate) struct Inside<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) seed: u64,
}

impl Oracle for Inside<'_> {
    fn verdicts(&mut self, plans: &[Plan]) -> Result<Vec<Verdict>, String> {
        let run = |plan| run_plan(self.scenario, self.seed, plan, Watch::default());
        Ok(plans.iter().map(|plan| verdict(plan, &run(plan))).collect())
    }

    fn record(&mut self, plan: &Plan) -> Result<Recorded, String> {
        let watch = Watch { record: true, ..Watch::default() };
        let outcome = run_plan(self.scenario, self.seed, plan, watch);
        Ok(outcome.recorded.unwrap_or_default())
    }
}
