//! Makes the proof that no order of writes exists smaller.

use std::collections::BTreeSet;

use super::dependencies::{Dependencies, Hub, Open, Version};
use super::forced::Proof;
use super::history::Transactions;
use super::polygraph::{Answer, Question, decide};

/// A proof with as few transactions as leaving them out one by one gives.
///
/// If all transactions have an order, so has any part of them, with the reads from the others left
/// out; so what is impossible in a part is impossible in the whole.
pub(super) fn shrink(
    history: &Transactions,
    dependencies: &Dependencies,
    question: Question,
    proof: Proof,
) -> Proof {
    let mut budget = question.limits.minimise_steps;
    let mut try_out = |kept: &BTreeSet<u32>| -> Option<Proof> {
        let part = restrict(dependencies, kept);
        let cost = history.len() + part.edges.len() + 1;
        budget = budget.checked_sub(cost as u64)?;
        let mut question = question;
        question.limits.steps = budget;
        match decide(history, &part, question) {
            Answer::Impossible(proof) => Some(proof),
            Answer::Possible | Answer::Undecided(_) => None,
        }
    };
    let mut kept = proof.involved.clone();
    let Some(mut best) = try_out(&kept) else { return proof };
    for txn in proof.involved {
        if !kept.remove(&txn) {
            continue;
        }
        match try_out(&kept) {
            Some(smaller) => {
                let fewer: BTreeSet<u32> = smaller.involved.intersection(&kept).copied().collect();
                best = smaller;
                if let Some(smaller) = try_out(&fewer) {
                    best = smaller;
                    kept = fewer;
                }
            }
            None => {
                kept.insert(txn);
            }
        }
    }
    best.involved = kept;
    best
}

/// The dependencies among some transactions.
fn restrict(dependencies: &Dependencies, kept: &BTreeSet<u32>) -> Dependencies {
    let has = |txn: &u32| kept.contains(txn);
    let mut present = vec![false; dependencies.present.len()];
    for &txn in kept {
        present[txn as usize] = dependencies.is_present(txn);
    }
    let edges = dependencies.edges.iter().filter(|edge| has(&edge.from) && has(&edge.to));
    let hubs = dependencies.hubs.iter().map(|hub| Hub {
        readers: hub.readers.iter().copied().filter(has).collect(),
        writers: hub.writers.iter().copied().filter(|(writer, _)| has(writer)).collect(),
        ..*hub
    });
    let open = dependencies.open.iter().map(|open| {
        let versions = open.versions.iter().filter(|version| has(&version.writer));
        let versions = versions.map(|version| Version {
            readers: version.readers.iter().copied().filter(has).collect(),
            ..*version
        });
        Open { key: open.key, versions: versions.collect() }
    });
    Dependencies {
        edges: edges.copied().collect(),
        hubs: hubs.filter(|hub| !hub.readers.is_empty() && !hub.writers.is_empty()).collect(),
        open: open.filter(|open| open.versions.len() > 1).collect(),
        present,
        ..Dependencies::default()
    }
}
