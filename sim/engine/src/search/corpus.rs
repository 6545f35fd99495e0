//! The search by what is new: plans that reached something are kept and altered.
//!
//! It goes in generations, each of which hangs on those before it and on nothing else: neither on
//! the number of processors nor on which run ends first.

use super::mutate::alter;
use super::{Candidate, Reached, Strategy};
use crate::choice::Stream;
use crate::scenario::Scenario;
use std::collections::BTreeMap;

/// How many plans are tried together.
pub(crate) const GENERATION: u64 = 16;

/// How many of them are drawn anew, so that the search does not stay where it began.
const FRESH: u64 = 5;

/// So many plans are kept.
const CORPUS_MAX: usize = 1_024;

/// Of so many things that were reached the rarest is gone after.
const RAREST_OF: u64 = 4;

/// Something that was reached.
struct Thing {
    /// How many runs reached it.
    runs: u64,
    /// Which plan of the corpus did first, and when.
    by: usize,
    at_ns: u64,
}

/// A search by what is new.
pub(crate) struct Search<'a> {
    scenario: &'a Scenario,
    stream: Stream,
    next_seed: u64,
    corpus: Vec<Candidate>,
    /// All that was reached, by its number.
    things: BTreeMap<u64, Thing>,
}

impl<'a> Search<'a> {
    /// A search that draws its fresh plans from this seed on.
    pub(crate) fn new(scenario: &'a Scenario, seed: u64) -> Search<'a> {
        let stream = Stream::new(seed, "coverage");
        let (corpus, things) = (Vec::new(), BTreeMap::new());
        Search { scenario, stream, next_seed: seed, corpus, things }
    }

    /// How many plans are kept, and how many things they reached.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.corpus.len(), self.things.len())
    }

    /// The next plans to try. The first generation is drawn by chance alone.
    pub(crate) fn generation(&mut self) -> Vec<Candidate> {
        let fresh = if self.corpus.is_empty() { GENERATION } else { FRESH };
        (0..GENERATION)
            .map(|place| if place < fresh { self.fresh() } else { self.altered() })
            .collect()
    }

    fn fresh(&mut self) -> Candidate {
        let seed = self.next_seed;
        self.next_seed += 1;
        Candidate::drawn(self.scenario, seed, Strategy::Random)
    }

    /// A plan that reached something rare, with a few changes.
    fn altered(&mut self) -> Candidate {
        let rarest = (0..RAREST_OF)
            .filter_map(|_| {
                let place = self.stream.between(0, self.things.len().saturating_sub(1) as u64);
                self.things.values().nth(place as usize)
            })
            .min_by_key(|thing| (thing.runs, thing.by));
        let Some(&Thing { by, at_ns, .. }) = rarest else { return self.fresh() };
        let other = self.stream.between(0, self.corpus.len() as u64 - 1) as usize;
        let (parent, other) = (&self.corpus[by], &self.corpus[other]);
        alter(self.scenario, &mut self.stream, (parent, at_ns), other)
    }

    /// Learns what a run of a plan has reached. Runs are learnt of in the order of their plans.
    pub(crate) fn learn(&mut self, candidate: &Candidate, reached: &Reached) {
        let is_full = self.corpus.len() >= CORPUS_MAX;
        let by = self.corpus.len();
        let mut is_new = false;
        for (thing, at_ns) in reached {
            match self.things.get_mut(thing) {
                Some(known) => known.runs += 1,
                None if is_full => {}
                None => {
                    is_new = true;
                    self.things.insert(*thing, Thing { runs: 1, by, at_ns: *at_ns });
                }
            }
        }
        if is_new {
            self.corpus.push(candidate.clone());
        }
    }
}
