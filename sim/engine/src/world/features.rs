//! What a run has reached, as numbers, for a search that goes by what is new.

use super::{Steps, World};
use crate::choice::{hash_text, mix};
use std::collections::BTreeMap;

/// So many things that one run reaches are kept.
const FEATURES_MAX: usize = 4_096;

/// What was reached, and when at first.
#[derive(Default)]
pub(crate) struct Features(BTreeMap<u64, u64>);

impl Features {
    fn reach(&mut self, feature: u64, now: u64) {
        if self.0.len() < FEATURES_MAX {
            self.0.entry(feature).or_insert(now);
        }
    }

    pub(crate) fn into_list(self) -> Vec<(u64, u64)> {
        self.0.into_iter().collect()
    }
}

/// What is noted of a run for those who want to know.
#[derive(Default)]
pub(crate) struct Noted {
    /// How many I/O steps each node has taken.
    pub(crate) steps: Vec<Steps>,
    /// What was reached.
    pub(crate) features: Option<Features>,
}

/// Counts and heights that differ by less than a doubling are the same.
fn size(number: u64) -> u64 {
    u64::from(u64::BITS - number.leading_zeros())
}

impl World {
    /// Something with a name was reached so many times.
    #[inline]
    pub(super) fn reached(&mut self, name: &str, values: &[&str], number: u64) {
        if self.noted.features.is_some() {
            self.reach(name, values, number);
        }
    }

    #[cold]
    fn reach(&mut self, name: &str, values: &[&str], number: u64) {
        let named = values.iter().fold(hash_text(name), |hash, value| mix(hash ^ hash_text(value)));
        let now = self.now;
        if let Some(features) = &mut self.noted.features {
            features.reach(mix(named ^ size(number)), now);
        }
    }

    /// An abstraction of the state has a value.
    pub(crate) fn abstracted(&mut self, name: &str, value: u64) {
        let now = self.now;
        if let Some(features) = &mut self.noted.features {
            features.reach(mix(mix(value) ^ hash_text(name)), now);
        }
    }
}
