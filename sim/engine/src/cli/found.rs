//! A failure that a sweep has found.

use crate::failure::{Class, Failure};
use crate::plan::Plan;
use crate::report::NOT_REPRODUCIBLE;
use crate::search::Strategy;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A seed and its failure.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) seed: u64,
    pub(super) failure: Failure,
    /// None if the run did not end.
    pub(super) digest: Option<String>,
    /// Which way of looking has found it.
    pub(super) strategy: Strategy,
    /// The plan, if it is not the seed's.
    pub(super) plan: Option<Box<Plan>>,
    /// Where that plan was written to.
    pub(super) file: Option<PathBuf>,
}

impl Found {
    /// When it failed, in nanoseconds of the run; unknown of a run that did not end.
    pub(super) fn at_ns(&self) -> Option<u64> {
        self.digest.is_some().then_some(self.failure.at_ns)
    }

    /// A process that ended, or hung, in this seed.
    pub(super) fn dead(seed: u64, class: Class, story: Vec<String>) -> Found {
        let property = match class {
            Class::Hang => "every poll returns",
            _ => "the process lives on",
        };
        let failure =
            Failure { class, property: property.to_owned(), place: String::new(), story, at_ns: 0 };
        let (strategy, plan) = (Strategy::of(seed), None);
        Found { seed, failure, digest: None, strategy, plan, file: None }
    }

    /// The same seed, which a fresh process has seen end in another way.
    pub(super) fn not_reproducible(&self, fresh: Option<&Found>) -> Found {
        let words = |found: &Found| {
            let digest = found.digest.as_deref().unwrap_or("none");
            format!("{}, digest {digest}", found.failure.fingerprint())
        };
        let fresh = fresh.map_or_else(|| "no failure".to_owned(), words);
        let story = vec![
            format!("in the sweep:       {}", words(self)),
            format!("in a fresh process: {fresh}"),
        ];
        self.unlike(NOT_REPRODUCIBLE, story)
    }

    /// The same seed, with this property broken by how it was run and not within the run.
    pub(super) fn unlike(&self, property: &str, story: Vec<String>) -> Found {
        let failure = Failure {
            class: Class::Property,
            property: property.to_owned(),
            place: String::new(),
            story,
            at_ns: self.failure.at_ns,
        };
        Found { failure, ..self.clone() }
    }

    /// Whether two processes have seen the same failure.
    pub(super) fn is_like(&self, other: &Found) -> bool {
        self.failure.fingerprint() == other.failure.fingerprint() && self.digest == other.digest
    }
}
