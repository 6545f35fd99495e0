//! Plans as strategies of `proptest`: it draws them, shrinks them, and keeps what
//! failed in its usual files.
//!
//! A [`Case`] is a seed and a plan. The seed is drawn and never shrinks, since another seed is
//! another run; the plan shrinks as [`guide::shrinking`](crate::guide::shrinking) says: calmer
//! weather, fewer episodes, operations and nodes, simpler values. A failure that has another
//! fingerprint than the first one is rejected, so that shrinking does not slide to another bug.
//!
//! ```
//! use proptest::prelude::*;
//! use squall::Scenario;
//! use squall::proptest::{plans, run_plan_case};
//!
//! fn scenario() -> Scenario {
//!     let serve = |env: squall::env::Env| async move { Ok::<(), String>(env.ready()) };
//!     Scenario::new("mine/service").nodes("node", 1..=3, serve)
//! }
//!
//! proptest! {
//!     # #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
//!     // In a test, `#[test]` stands here.
//!     fn it_survives_any_weather(case in plans(scenario())) {
//!         run_plan_case(&scenario(), &case)?;
//!     }
//! }
//! # it_survives_any_weather();
//! ```
//!
//! proptest ends shrinking after so many runs as its configuration says (`max_shrink_iters`, which
//! is four times the number of cases unless it is set); a plan needs some hundreds.

use crate::plan::{Override, Plan};
use crate::report;
use crate::run::{Watch, run_plan};
use crate::scenario::Scenario;
use crate::shrink::Smaller;
use ::proptest::arbitrary::any;
use ::proptest::strategy::{NewTree, Strategy, ValueTree};
use ::proptest::test_runner::{TestCaseError, TestRunner};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A run: a seed and a plan.
#[derive(Clone)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// The plan.
    pub plan: Plan,
    /// What failed first of all that are shrunk from one.
    first: Arc<OnceLock<String>>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}", self.seed)?;
        self.plan.lines().iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl Case {
    /// What failed when the case was first run, before it was shrunk: class, property and place.
    pub fn fingerprint(&self) -> Option<&str> {
        self.first.get().map(String::as_str)
    }
}

/// The plans of a scenario, each with its seed.
pub fn plans(scenario: Scenario) -> Plans {
    Plans { scenario: Arc::new(scenario) }
}

/// See [`plans`].
#[derive(Clone)]
pub struct Plans {
    scenario: Arc<Scenario>,
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plans of {}", self.scenario.name())
    }
}

impl Strategy for Plans {
    type Tree = PlanTree;
    type Value = Case;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Plans> {
        let seed = any::<u64>().new_tree(runner)?.current();
        let plan = self.scenario.plan(seed);
        let case = Case { seed, plan, first: Arc::default() };
        Ok(PlanTree { scenario: Arc::clone(&self.scenario), case, before: None, smaller: None })
    }
}

/// A plan and what is left to try to make it smaller.
pub struct PlanTree {
    scenario: Arc<Scenario>,
    case: Case,
    /// The plan that the present one was made of.
    before: Option<Plan>,
    /// None before the first try.
    smaller: Option<Smaller>,
}

impl PlanTree {
    /// Takes the next smaller plan; `false` if there is none.
    fn next(&mut self) -> bool {
        let next = self.smaller.as_mut().and_then(|all| all.next(&self.scenario, &self.case.plan));
        let Some(next) = next else { return false };
        self.before = Some(std::mem::replace(&mut self.case.plan, next));
        true
    }

    /// Says of every client which operations it does: those that it began.
    fn name_operations(&mut self) {
        let watch = Watch { record: true, ..Watch::default() };
        let outcome = run_plan(&self.scenario, self.case.seed, &self.case.plan, watch);
        let begun = outcome.recorded.map(|recorded| recorded.operations).unwrap_or_default();
        let clients = self.scenario.client_roles();
        let plan = &mut self.case.plan;
        for nodes in plan.nodes.iter().filter(|nodes| clients.contains(&nodes.role.as_str())) {
            for ordinal in 1..=nodes.nodes {
                let client = format!("{}-{ordinal}", nodes.role);
                let own = begun.iter().filter(|(who, _)| *who == client);
                let numbers = own.map(|(_, number)| *number).collect();
                plan.overrides.push(Override::OnlyOperations { client, numbers });
            }
        }
    }
}

impl ValueTree for PlanTree {
    type Value = Case;

    fn current(&self) -> Case {
        self.case.clone()
    }

    fn simplify(&mut self) -> bool {
        match &mut self.smaller {
            Some(smaller) => smaller.taken(),
            None => {
                // A plan that only says the same in more words fails as it did.
                self.smaller = Some(Smaller::default());
                self.name_operations();
            }
        }
        self.next()
    }

    fn complicate(&mut self) -> bool {
        if let Some(before) = self.before.take() {
            self.case.plan = before;
        }
        if let Some(smaller) = &mut self.smaller {
            smaller.refused();
        }
        self.next()
    }
}

/// Runs a case. Of cases that are shrunk from one, only those that fail as the first did fail.
///
/// # Errors
/// The report of the failure; or that the case fails in another way than the first did, which
/// proptest takes for a rejected value.
///
/// # Panics
/// If a run is under way in this thread.
pub fn run_plan_case(scenario: &Scenario, case: &Case) -> Result<(), TestCaseError> {
    if let Err(error) = scenario.check_plan(&case.plan) {
        return Err(TestCaseError::reject(error.to_string()));
    }
    let watch = Watch { record: case.first.get().is_some(), ..Watch::default() };
    let outcome = run_plan(scenario, case.seed, &case.plan, watch);
    let Some(failure) = &outcome.failure else { return Ok(()) };
    let fingerprint = failure.fingerprint();
    if *case.first.get_or_init(|| fingerprint.clone()) != fingerprint {
        return Err(TestCaseError::reject(format!("it fails in another way: {fingerprint}")));
    }
    let named = (scenario.name(), case.seed);
    let lines = report::lines(named, failure, &case.plan, outcome.story());
    Err(TestCaseError::fail(lines.join("\n")))
}
