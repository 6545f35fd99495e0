//! Ways to look for trouble: chance alone, priorities, and what is new.
//!
//! A strategy is a way to draw plans, so a plan says all about a run whichever drew it.

#[cfg(feature = "cli")]
mod corpus;
#[cfg(feature = "cli")]
mod mutate;

use crate::plan::{Pct, Plan};
use crate::run::Outcome;
use crate::scenario::Scenario;
#[cfg(feature = "cli")]
pub(crate) use corpus::{GENERATION, Search};
use serde::{Deserialize, Serialize};

/// One seed in so many has priorities; all others are left to chance.
const PCT_ONE_IN: u64 = 8;

/// How plans are drawn.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Each seed has a random subset of the faults and random times for everything (swarm testing).
    #[default]
    Random,
    /// The same with priorities in place of random orders ([`Pct`]).
    Pct,
    /// Plans are altered that reached something new.
    Coverage,
}

impl Strategy {
    /// The strategy of a seed: of eight seeds one has priorities.
    pub fn of(seed: u64) -> Strategy {
        if seed % PCT_ONE_IN == PCT_ONE_IN - 1 { Strategy::Pct } else { Strategy::Random }
    }

    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Random => "random",
            Strategy::Pct => "pct",
            Strategy::Coverage => "coverage",
        }
    }
}

/// A plan to be tried.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Candidate {
    pub(crate) seed: u64,
    pub(crate) plan: Plan,
}

impl Candidate {
    /// The plan of a seed by a strategy that needs nothing but the seed.
    pub(crate) fn drawn(scenario: &Scenario, seed: u64, strategy: Strategy) -> Candidate {
        Candidate { seed, plan: scenario.plan_by(seed, strategy) }
    }
}

/// What a run has reached: each thing as a number, and when it was at first, in nanoseconds.
pub(crate) type Reached = Vec<(u64, u64)>;

/// What a run has reached, with the way in which it failed.
pub(crate) fn reached(outcome: &mut Outcome) -> Reached {
    let mut reached = std::mem::take(&mut outcome.reached);
    if let Some(failure) = &outcome.failure {
        reached.push((failure.fingerprint_hash(), failure.at_ns));
    }
    reached
}

/// The priorities of a seed, if its strategy has any.
pub(crate) fn priorities(seed: u64, strategy: Strategy) -> Option<Pct> {
    (strategy == Strategy::Pct).then(|| Pct::draw(seed))
}
