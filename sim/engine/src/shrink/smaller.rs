//! Smaller plans one after the other, for somebody else who runs them.

use super::{Size, Verdict, calm, pieces, simplify};
use crate::plan::Plan;
use crate::scenario::Scenario;

/// Which smaller plan comes next.
#[derive(Default)]
pub(crate) struct Smaller {
    /// How many of those of the present plan were passed.
    at: usize,
    /// Whether any was taken since the first one.
    any: bool,
}

impl Smaller {
    /// The next plan that is smaller than this one; none if all were tried and none was taken.
    pub(crate) fn next(&mut self, scenario: &Scenario, plan: &Plan) -> Option<Plan> {
        let least = Verdict { fingerprint: None, strikes: 0, at_ns: 0 };
        let size = |plan: &Plan| Size::of(plan, &least, 0);
        let own = size(plan);
        loop {
            match nth(scenario, plan, self.at) {
                Some(next) if size(&next) < own => return Some(next),
                Some(_) => self.at += 1,
                None if std::mem::take(&mut self.any) => self.at = 0,
                None => return None,
            }
        }
    }

    /// The plan that came last fails as well: from now on it is the present one. What comes next
    /// has moved up to its place.
    pub(crate) fn taken(&mut self) {
        self.any = true;
    }

    /// The plan that came last does not fail.
    pub(crate) fn refused(&mut self) {
        self.at += 1;
    }
}

/// The smaller plan of this number: a calmer one, one without many pieces at once, then without
/// ever fewer, one with a simpler value.
fn nth(scenario: &Scenario, plan: &Plan, mut at: usize) -> Option<Plan> {
    let mut calmer = calm::calmer(plan);
    if at < calmer.len() {
        return Some(calmer.swap_remove(at));
    }
    at -= calmer.len();
    let kinds = [pieces::episodes, pieces::operations, pieces::all];
    for all in kinds.map(|of| of(scenario, plan)) {
        let mut together = all.len();
        while together > 0 {
            let chunks = all.len().div_ceil(together);
            if at < chunks {
                let end = all.len().min((at + 1) * together);
                return Some(pieces::without(plan, &all[at * together..end]));
            }
            at -= chunks;
            together /= 2;
        }
    }
    let mut simpler = simplify::simpler(plan, false);
    (at < simpler.len()).then(|| simpler.swap_remove(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Kind, RoleNodes, When};

    /// What is left if the plans fail for which `fails` is true.
    fn least(mut plan: Plan, fails: impl Fn(&Plan) -> bool) -> Plan {
        let scenario = Scenario::new("test/smaller");
        let (mut smaller, mut runs) = (Smaller::default(), 0);
        while let Some(next) = smaller.next(&scenario, &plan) {
            runs += 1;
            assert!(runs < 5_000, "it does not end");
            match fails(&next) {
                true => {
                    plan = next;
                    smaller.taken();
                }
                false => smaller.refused(),
            }
        }
        plan
    }

    #[test]
    fn what_is_needed_is_left() {
        let nodes = vec![RoleNodes { role: "node".to_owned(), nodes: 2 }];
        let mut plan = Plan::calm(nodes, 1_000_000_000);
        plan.weather.loss_ppm = 7;
        plan.weather.eio_ppm = 9;
        plan.episodes = (0..40)
            .map(|id| {
                let kind = Kind::Pause { node: "node-1".to_owned() };
                let (from, for_ns) = (When::AtNs(u64::from(id)), Some(1_000_000));
                crate::plan::Episode { id, kind, from, for_ns }
            })
            .collect();
        let has = |plan: &Plan, id| plan.episodes.iter().any(|episode| episode.id == id);
        let left = least(plan, |plan| {
            has(plan, 3) && has(plan, 31) && plan.weather.eio_ppm > 0 && plan.heal_at_ns > 0
        });
        assert_eq!(left.episodes.len(), 2);
        assert_eq!(left.weather.loss_ppm, 0);
        assert_eq!(left.weather.eio_ppm, 9);
    }
}
