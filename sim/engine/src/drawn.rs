//! The plans that a scenario draws.

use crate::choice::mix;
use crate::plan::{self, Episode, Frame, More, Override, Plan, Reroll};
use crate::scenario::{Scenario, Start};
use crate::search::{Strategy, priorities};
use crate::table::Fault;
use std::collections::{BTreeMap, BTreeSet};

/// An episode of this kind with this number is the first crash of the one that is less by so many.
const FIRST_OF_TWO: u32 = 5_000;

/// Episodes beside those of a seed are counted from here.
const MORE: u64 = 100;

impl Scenario {
    /// The plan of a seed. Of eight seeds one, the last, has [priorities](crate::plan::Pct);
    /// everything else is left to chance.
    pub fn plan(&self, seed: u64) -> Plan {
        self.plan_by(seed, Strategy::of(seed))
    }

    /// The plan that a strategy draws from a seed. [`Strategy::Coverage`] begins with chance.
    pub fn plan_by(&self, seed: u64, strategy: Strategy) -> Plan {
        let mut plan = self.framed(|frame| plan::draw(seed, frame));
        plan.mutant = self.mutant.map(str::to_owned);
        match &self.script {
            // What is told step by step is told.
            Some(script) => plan.script = script.steps().to_vec(),
            None => plan.pct = priorities(seed, strategy),
        }
        plan
    }

    fn framed<T>(&self, draw: impl FnOnce(&Frame<'_>) -> T) -> T {
        let roles: Vec<_> = self
            .roles
            .iter()
            .map(|role| {
                let client = matches!(role.start, Start::Client(_));
                let (low, high) = self.size(role);
                (role.name.clone(), low, high, client)
            })
            .collect();
        let impairable = self.tolerance.roles();
        draw(&Frame {
            roles: &roles,
            forecast: &self.forecast,
            tolerated: self.tolerance.faults(),
            impairable: &impairable,
            has_leader: self.leader.is_some(),
            heal_at_ns: self.heal_after.as_nanos() as u64,
        })
    }

    /// So many episodes of a kind for the nodes of a plan, drawn as those of a seed are, from a
    /// time on.
    pub(crate) fn episodes(
        &self,
        seed: u64,
        (fault, count): (Fault, u64),
        from_ns: u64,
        plan: &Plan,
    ) -> Vec<Episode> {
        let more = More { fault, first: MORE, count, from_ns };
        self.framed(|frame| plan::more_episodes(seed, more, frame, &plan.nodes))
    }

    /// The plan with another future from a time on. Episodes that have begun by then, as `began`
    /// says, stay; in place of the others there are as many of each kind, each drawn anew: when it
    /// begins, how long it lasts, whom it strikes. What names a message that is sent later is left
    /// out; operations that are left out stay out.
    pub(crate) fn rerolled(
        &self,
        plan: &Plan,
        reroll: Reroll,
        began: &dyn Fn(&Episode) -> u64,
    ) -> Plan {
        let Reroll { from_ns, salt } = reroll;
        let mut plan = plan.clone();
        let later = |episode: &Episode| began(episode) >= from_ns;
        let second: BTreeSet<u32> = plan
            .episodes
            .iter()
            .filter(|episode| later(episode) && episode.kind.fault() == Fault::CrashInRecovery)
            .map(|episode| episode.id.saturating_add(FIRST_OF_TWO))
            .collect();
        let mut counts: BTreeMap<Fault, u64> = BTreeMap::new();
        for episode in plan.episodes.iter().filter(|episode| later(episode)) {
            // The crash before one in the recovery is drawn with that.
            if !second.contains(&episode.id) {
                *counts.entry(episode.kind.fault()).or_default() += 1;
            }
        }
        plan.episodes.retain(|episode| !later(episode));
        for (fault, count) in counts {
            let seed = mix(salt ^ (fault as u64) << 32);
            for drawn in self.episodes(seed, (fault, count), from_ns, &plan) {
                plan.add(drawn);
            }
        }
        plan.overrides.retain(|change| match change {
            Override::Message { at_ns, .. } => at_ns.is_none_or(|at_ns| at_ns < from_ns),
            _ => true,
        });
        plan.rerolls.retain(|earlier| earlier.from_ns < from_ns);
        plan.rerolls.push(reroll);
        plan
    }
}
