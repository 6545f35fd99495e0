//! Less of what breaks a property: delta debugging over a plan and its workload (Zeller and
//! Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
//!
//! A plan is taken for smaller if it has fewer faults, or as many and fewer operations, and so on
//! ([`Size`]). Of what is tried only that is kept which breaks the same property in the same place
//! and is not larger. First the weather goes calm, as a whole, by group and by fault; messages that
//! it still has to strike are then named one by one. Episodes, steps, operations, nodes and such
//! messages are left out in ever smaller pieces, and at the end one by one, until nothing can go.
//!
//! What is left out may have to be made up for by other timing. So a plan that does not break the
//! property is tried again under a few salts of how long things take and what goes first; the salt
//! is a part of the plan.

mod calm;
#[cfg(test)]
mod changed;
mod children;
#[cfg(test)]
mod inside;
mod pieces;
mod simplify;
mod size;
#[cfg(any(test, feature = "proptest"))]
mod smaller;
#[cfg(test)]
mod tests;

use crate::failure::Class;
use crate::plan::{Override, Plan};
use crate::scenario::Scenario;
use crate::script::TOLD;
use crate::world::Recorded;
pub(crate) use calm::strikes;
#[cfg(feature = "cli")]
pub(crate) use calm::without;
pub(crate) use children::{CHILD_VARIABLE, Children, Subject, serve};
use pieces::Piece;
use serde::{Deserialize, Serialize};
pub(crate) use size::Size;
#[cfg(feature = "proptest")]
pub(crate) use smaller::Smaller;
use std::collections::BTreeMap;

/// How many plans are tried together. It is the same on every machine, and of those that break the
/// property the first is taken: so the result does not depend on the number of processors.
const BATCH: usize = 8;

/// As many, of runs that end with the death of their process or with a hang, which cost most if
/// they do what is looked for.
const DEADLY_BATCH: usize = 2;

/// Under how many salts a plan is tried.
const SALTS: u64 = 8;

/// What came of a plan.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// What failed, if anything did; a run that died has another than any that did not.
    pub(crate) fingerprint: Option<String>,
    /// How often the weather struck.
    pub(crate) strikes: u64,
    /// When it failed, in nanoseconds.
    pub(crate) at_ns: u64,
}

/// Runs plans.
pub(crate) trait Oracle {
    /// What comes of each plan, in their order.
    fn verdicts(&mut self, plans: &[Plan]) -> Result<Vec<Verdict>, String>;

    /// What a run of this plan is made of.
    fn record(&mut self, plan: &Plan) -> Result<Recorded, String>;

    /// Whether there is no more time.
    fn is_over(&self) -> bool {
        false
    }
}

/// What became of a plan.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Shrunk {
    pub(crate) plan: Plan,
    /// The size at first and at last.
    pub(crate) sizes: (Size, Size),
    /// How many runs it took.
    pub(crate) runs: u64,
    /// Whether nothing more can be left out for itself; otherwise the budget was used up.
    pub(crate) is_minimal: bool,
}

impl Shrunk {
    /// In words.
    pub(crate) fn lines(&self) -> Vec<String> {
        let (from, to) = self.sizes;
        let minimal = match self.is_minimal {
            true => "nothing more can be left out for itself",
            false => "not minimal: runs or time were used up",
        };
        vec![
            format!("  found:  {}", from.words()),
            format!("  shrunk: {}, in {} runs; {minimal}", to.words(), self.runs),
        ]
    }
}

/// So many runs are enough for what is not to be seen as endless.
pub(crate) const RUNS_MAX: u64 = 20_000;

/// Why a plan is not shrunk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// It breaks nothing, or something else.
    #[error("the run does not fail as it should: {0}")]
    NotReproduced(String),
    /// A plan could not be run.
    #[error("{0}")]
    Oracle(String),
    /// The budget is used up. Never leaves this module.
    #[error("the budget is used up")]
    Spent,
}

/// Shrinks a plan of a scenario that fails with this fingerprint, in so many runs at most. `tell`
/// is told of each smaller plan.
pub(crate) fn shrink(
    scenario: &Scenario,
    (plan, fingerprint): (&Plan, &str),
    runs_max: u64,
    oracle: &mut dyn Oracle,
    tell: &mut dyn FnMut(&str, &Size, u64),
) -> Result<Shrunk, Trouble> {
    let plans = std::slice::from_ref(plan);
    let verdict = oracle.verdicts(plans).map_err(Trouble::Oracle)?.pop();
    let verdict = verdict.filter(|verdict| verdict.fingerprint.as_deref() == Some(fingerprint));
    let Some(verdict) = verdict else {
        return Err(Trouble::NotReproduced(fingerprint.to_owned()));
    };
    let recorded = oracle.record(plan).map_err(Trouble::Oracle)?;
    let size = Size::of(plan, &verdict, recorded.operations.len() as u64);
    let mut shrinker = Shrinker {
        scenario,
        fingerprint,
        batch: if is_deadly(fingerprint) { DEADLY_BATCH } else { BATCH },
        oracle,
        tell,
        best: plan.clone(),
        size,
        verdict,
        runs: 2,
        runs_max,
        tried: BTreeMap::new(),
    };
    let is_minimal = match shrinker.shrink(&recorded) {
        Ok(()) => true,
        Err(Trouble::Spent) => false,
        Err(trouble) => return Err(trouble),
    };
    let (runs, last) = (shrinker.runs, shrinker.size);
    Ok(Shrunk { plan: shrinker.best, sizes: (size, last), runs, is_minimal })
}

/// Whether a run that fails so takes its process with it.
fn is_deadly(fingerprint: &str) -> bool {
    let class = fingerprint.split('/').next().unwrap_or_default();
    [Class::Hang, Class::Abort].iter().any(|deadly| deadly.to_string() == class)
}

struct Shrinker<'a> {
    scenario: &'a Scenario,
    fingerprint: &'a str,
    batch: usize,
    oracle: &'a mut dyn Oracle,
    tell: &'a mut dyn FnMut(&str, &Size, u64),
    best: Plan,
    size: Size,
    verdict: Verdict,
    runs: u64,
    runs_max: u64,
    /// What came of the plans that were tried, by their text.
    tried: BTreeMap<String, Verdict>,
}

impl Shrinker<'_> {
    fn shrink(&mut self, recorded: &Recorded) -> Result<(), Trouble> {
        // With less of a story, or of the time for it, it is not told either: only what disturbs it
        // goes.
        if self.fingerprint.split('/').nth(1) == Some(TOLD) {
            self.calm_down()?;
            return self.leave_out("episodes", &pieces::episodes).map(drop);
        }
        self.name_operations(recorded)?;
        self.drop_what_comes_later()?;
        loop {
            let before = self.size;
            self.calm_down()?;
            self.leave_out("episodes", &pieces::episodes)?;
            self.leave_out("steps of the script", &pieces::steps)?;
            self.leave_out("operations", &pieces::operations)?;
            self.name_messages()?;
            self.leave_out("messages", &pieces::messages)?;
            self.leave_out("nodes", &pieces::nodes)?;
            self.simplify()?;
            if self.size == before {
                break;
            }
        }
        // One by one, whatever it is.
        while self.leave_out("any one thing", &pieces::all)? {}
        Ok(())
    }

    /// Says of every client which operations it does: those that it began.
    fn name_operations(&mut self, recorded: &Recorded) -> Result<(), Trouble> {
        let mut plan = self.best.clone();
        let only = |change: &Override| matches!(change, Override::OnlyOperations { .. });
        if plan.overrides.iter().any(only) {
            return Ok(());
        }
        for role in self.scenario.client_roles() {
            let count = plan.nodes.iter().find(|nodes| nodes.role == role);
            for ordinal in 1..=count.map_or(0, |nodes| nodes.nodes) {
                let client = format!("{role}-{ordinal}");
                let own = recorded.operations.iter().filter(|(who, _)| *who == client);
                let numbers = own.map(|(_, number)| *number).collect();
                plan.overrides.push(Override::OnlyOperations { client, numbers });
            }
        }
        self.say("operations by name", plan)
    }

    /// Leaves out what begins after the end.
    fn drop_what_comes_later(&mut self) -> Result<(), Trouble> {
        let mut plan = self.best.clone();
        let end = self.verdict.at_ns;
        plan.episodes.retain(|episode| episode.from.earliest_ns() <= end);
        self.first("episodes after the end", vec![plan], 0).map(drop)
    }

    /// Switches the weather off: all of it, by group, by fault.
    fn calm_down(&mut self) -> Result<(), Trouble> {
        let mut passed = 0;
        loop {
            let plans = calm::calmer(&self.best);
            let Some(rest) = plans.get(passed..).filter(|rest| !rest.is_empty()) else {
                return Ok(());
            };
            let some: Vec<Plan> = rest.iter().take(self.batch).cloned().collect();
            match self.first("weather", some, SALTS)? {
                Some(_) => passed = 0,
                None => passed += self.batch,
            }
        }
    }

    /// Names the messages that the weather still strikes, and lets no others be struck.
    fn name_messages(&mut self) -> Result<(), Trouble> {
        let Some(mut plan) = calm::without_strikes(&self.best) else { return Ok(()) };
        let recorded = self.oracle.record(&self.best).map_err(Trouble::Oracle)?;
        let struck = recorded.messages.into_iter().filter(|message| message.is_struck);
        plan.overrides.extend(struck.map(|message| message.as_override));
        self.say("messages by name", plan)
    }

    /// Takes a plan that says in more words what this one says too, if it breaks the same.
    fn say(&mut self, what: &str, plan: Plan) -> Result<(), Trouble> {
        let Some(verdict) = self.try_all(std::slice::from_ref(&plan))?.pop() else { return Ok(()) };
        let size = Size::of(&plan, &verdict, self.size.operations);
        let breaks = verdict.fingerprint.as_deref() == Some(self.fingerprint);
        if breaks && !size.is_more_than(&self.size) {
            self.take(what, plan, size, verdict);
        }
        Ok(())
    }

    fn take(&mut self, what: &str, plan: Plan, size: Size, verdict: Verdict) {
        (self.best, self.size, self.verdict) = (plan, size, verdict);
        (self.tell)(what, &self.size, self.runs);
    }

    /// Makes values simpler.
    fn simplify(&mut self) -> Result<(), Trouble> {
        let mut passed = 0;
        loop {
            let keeps_heal = self.verdict.at_ns > self.best.heal_at_ns;
            let plans = simplify::simpler(&self.best, keeps_heal);
            let Some(rest) = plans.get(passed..).filter(|rest| !rest.is_empty()) else {
                return Ok(());
            };
            let some: Vec<Plan> = rest.iter().take(self.batch).cloned().collect();
            let of = some.len();
            match self.first("values", some, 0)? {
                Some(_) => {}
                None => passed += of,
            }
        }
    }

    /// Leaves out pieces of a kind, at first many at a time. `true` if any could go.
    fn leave_out(
        &mut self,
        what: &str,
        pieces_of: &dyn Fn(&Scenario, &Plan) -> Vec<Piece>,
    ) -> Result<bool, Trouble> {
        let mut together = pieces_of(self.scenario, &self.best).len();
        let mut any = false;
        while together > 0 {
            let (mut at, mut some) = (0, false);
            loop {
                let pieces = pieces_of(self.scenario, &self.best);
                let starts = (at..pieces.len()).step_by(together).take(self.batch);
                let plans: Vec<Plan> = starts
                    .map(|start| {
                        let end = pieces.len().min(start + together);
                        pieces::without(&self.best, &pieces[start..end])
                    })
                    .collect();
                if plans.is_empty() {
                    break;
                }
                match self.first(what, plans, SALTS)? {
                    // What follows has moved up to its place.
                    Some(found) => (at, some) = (at + found * together, true),
                    None => at += self.batch * together,
                }
            }
            any |= some;
            together = match (together, some) {
                (1, false) => 0,
                (1, true) => 1,
                _ => together / 2,
            };
        }
        Ok(any)
    }

    /// Takes the first of these plans that breaks the same and is smaller, if one does: as it is,
    /// or else under one of so many salts.
    fn first(
        &mut self,
        what: &str,
        plans: Vec<Plan>,
        salts: u64,
    ) -> Result<Option<usize>, Trouble> {
        let mut all: Vec<(usize, Plan)> = plans.into_iter().enumerate().collect();
        let salted: Vec<(usize, Plan)> = (all.iter())
            .flat_map(|(at, plan)| {
                let salts = (0..=salts).filter(|salt| *salt != plan.salt);
                salts.map(move |salt| (*at, Plan { salt, ..plan.clone() }))
            })
            .collect();
        if salts > 0 {
            all.extend(salted);
        }
        // What cannot be smaller whatever comes of it needs no run.
        let least = Verdict { fingerprint: None, strikes: 0, at_ns: 0 };
        all.retain(|(_, plan)| Size::of(plan, &least, self.size.operations) < self.size);
        for batch in all.chunks(self.batch) {
            let plans: Vec<Plan> = batch.iter().map(|(_, plan)| plan.clone()).collect();
            let verdicts = self.try_all(&plans)?;
            for ((at, plan), verdict) in batch.iter().zip(verdicts) {
                let size = Size::of(plan, &verdict, self.size.operations);
                if verdict.fingerprint.as_deref() == Some(self.fingerprint) && size < self.size {
                    self.take(what, plan.clone(), size, verdict);
                    return Ok(Some(*at));
                }
            }
        }
        Ok(None)
    }

    /// What comes of these plans; none is run twice.
    fn try_all(&mut self, plans: &[Plan]) -> Result<Vec<Verdict>, Trouble> {
        let roles = self.scenario.role_names();
        let text = |plan: &Plan| serde_json::to_string(plan).unwrap_or_default();
        let texts: Vec<String> = plans.iter().map(text).collect();
        let mut new: Vec<(String, Plan)> = Vec::new();
        for (text, plan) in texts.iter().zip(plans) {
            let known = self.tried.contains_key(text) || new.iter().any(|(known, _)| known == text);
            if !known && plan.check(&roles).is_ok() {
                new.push((text.clone(), plan.clone()));
            }
        }
        if self.runs + new.len() as u64 > self.runs_max || self.oracle.is_over() {
            return Err(Trouble::Spent);
        }
        self.runs += new.len() as u64;
        let (names, wanted): (Vec<String>, Vec<Plan>) = new.into_iter().unzip();
        let verdicts = match wanted.is_empty() {
            true => Vec::new(),
            false => self.oracle.verdicts(&wanted).map_err(Trouble::Oracle)?,
        };
        self.tried.extend(names.into_iter().zip(verdicts));
        let invalid = Verdict { fingerprint: None, strikes: 0, at_ns: 0 };
        Ok(texts.iter().map(|text| self.tried.get(text).unwrap_or(&invalid).clone()).collect())
    }
}
