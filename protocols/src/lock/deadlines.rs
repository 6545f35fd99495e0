//! When what has its time runs out, by one clock: volatile, and beside the table that it is about.

use super::table::Term;
use super::types::{AcquisitionId, Claim};
use squall_env::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// So many terms are over with one record.
const EXPIRE_MAX: usize = 256;

/// When each term is over.
#[derive(Default, Debug)]
pub(super) struct Deadlines {
    all: BTreeMap<Claim, Running>,
    order: BTreeSet<(Instant, Claim)>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    turn: u64,
    lasts: Duration,
    until: Instant,
}

impl Deadlines {
    /// Everything begins to run now.
    pub(super) fn of(terms: impl Iterator<Item = Term>, now: Instant) -> Deadlines {
        let mut deadlines = Deadlines::default();
        terms.for_each(|term| deadlines.begin(term, now));
        deadlines
    }

    /// What of a lock runs already runs on, what is new begins now, and the rest is forgotten.
    pub(super) fn follow(&mut self, name: &str, terms: impl Iterator<Item = Term>, now: Instant) {
        let first = Claim { name: name.to_owned(), id: AcquisitionId::FIRST };
        let known = self.all.range(first..).take_while(|(claim, _)| claim.name == name);
        let mut gone: BTreeMap<Claim, u64> =
            known.map(|(claim, running)| (claim.clone(), running.turn)).collect();
        for term in terms {
            if gone.remove(&term.claim) != Some(term.turn) {
                self.begin(term, now);
            }
        }
        gone.keys().for_each(|claim| self.forget(claim));
    }

    /// If it runs, it begins anew.
    pub(super) fn renew(&mut self, claim: &Claim, now: Instant) {
        if let Some(running) = self.all.get_mut(claim) {
            self.order.remove(&(running.until, claim.clone()));
            running.until = now + running.lasts;
            self.order.insert((running.until, claim.clone()));
        }
    }

    /// When the first of them is over.
    pub(super) fn first(&self) -> Option<Instant> {
        self.order.first().map(|(until, _)| *until)
    }

    /// What is over, each with the turn since which it ran: not more than fit into a record.
    pub(super) fn due(&self, now: Instant) -> Vec<(Claim, u64)> {
        let over = self.order.iter().take_while(|(until, _)| *until <= now);
        let over = over.take(EXPIRE_MAX);
        over.filter_map(|(_, claim)| Some((claim.clone(), self.all.get(claim)?.turn))).collect()
    }

    fn begin(&mut self, Term { claim, turn, lasts_ms }: Term, now: Instant) {
        self.forget(&claim);
        let lasts = Duration::from_millis(lasts_ms);
        let until = now + lasts;
        self.order.insert((until, claim.clone()));
        self.all.insert(claim, Running { turn, lasts, until });
    }

    fn forget(&mut self, claim: &Claim) {
        if let Some(running) = self.all.remove(claim) {
            self.order.remove(&(running.until, claim.clone()));
        }
    }
}
