//! Whether a queue is linearizable if each element is put in once, without a search.
//!
//! Such a history is linearizable exactly if none of these patterns is in it (Henzinger, Sezgin and
//! Vafeiadis, "Aspect-oriented linearizability proofs", 2013): an element comes out before it is
//! put in, or twice; of two elements, the one that was put in first comes out last or never; or the
//! queue is found empty while there is always some element in it.

use std::collections::HashMap;
use std::hash::Hash;

use super::{QueueCall, QueueReturn};
use crate::model::Interval;

/// When an element was put in and when it was taken out: the events of invocation and return.
#[derive(Clone, Copy)]
struct Stay {
    put: Option<(u64, u64)>,
    taken: Option<(u64, u64)>,
}

/// An event that never comes.
const NEVER: u64 = u64::MAX;

/// Whether the operations on a queue have a legal order; `None` if an element is put in twice, or
/// somebody may have taken an element without being seen.
pub(super) fn decide<V: Eq + Hash>(
    part: &[Interval<'_, QueueCall<V>, QueueReturn<V>>],
) -> Option<bool> {
    let mut stays: HashMap<&V, Stay> = HashMap::with_capacity(part.len());
    let mut found_empty = Vec::new();
    for operation in part {
        let when = (operation.invoked, operation.returned.unwrap_or(NEVER));
        match (operation.input, operation.output) {
            (QueueCall::Enqueue(item), None | Some(QueueReturn::Done)) => {
                let stay = stays.entry(item).or_insert(Stay { put: None, taken: None });
                if stay.put.replace(when).is_some() {
                    return None;
                }
            }
            (QueueCall::Dequeue, Some(QueueReturn::Item(item))) => {
                let stay = stays.entry(item).or_insert(Stay { put: None, taken: None });
                if stay.taken.replace(when).is_some() {
                    // Unless it was put in twice as well, which is for the search to see.
                    return enqueued_once(part).then_some(false);
                }
            }
            (QueueCall::Dequeue, Some(QueueReturn::Empty)) => found_empty.push(when),
            (QueueCall::Dequeue, None) => return None,
            // An answer that does not belong to the question.
            _ => return Some(false),
        }
    }
    let mut whole = Vec::with_capacity(stays.len());
    for stay in stays.into_values() {
        match (stay.put, stay.taken) {
            (Some(put), Some(taken)) if taken.1 < put.0 => return Some(false),
            (Some(put), Some(taken)) => whole.push((put, taken)),
            // Who never learnt that it is in, and nobody saw it, may not have put it in.
            (Some((_, NEVER)), None) => {}
            (Some(put), None) => whole.push((put, (NEVER, NEVER))),
            (None, _) => return Some(false),
        }
    }
    Some(is_in_order(&mut whole) && is_ever_empty(&whole, &found_empty))
}

fn enqueued_once<V: Eq + Hash>(part: &[Interval<'_, QueueCall<V>, QueueReturn<V>>]) -> bool {
    let mut seen = std::collections::HashSet::new();
    let mut enqueued = part.iter().filter_map(|operation| match operation.input {
        QueueCall::Enqueue(item) => Some(item),
        QueueCall::Dequeue => None,
    });
    enqueued.all(|item| seen.insert(item))
}

type Whole = ((u64, u64), (u64, u64));

/// Whether no element that was put in before another comes out after it.
fn is_in_order(stays: &mut [Whole]) -> bool {
    let mut by_return = stays.to_vec();
    by_return.sort_unstable_by_key(|(put, _)| put.1);
    stays.sort_unstable_by_key(|(put, _)| put.0);
    let mut before = by_return.into_iter().peekable();
    // When the last of the elements that are certainly ahead begins to be taken out.
    let mut latest = 0;
    for (put, taken) in stays {
        while let Some((_, ahead)) = before.next_if(|(ahead, _)| ahead.1 < put.0) {
            latest = latest.max(ahead.0);
        }
        if taken.1 < latest {
            return false;
        }
    }
    true
}

/// Whether, whenever the queue is found empty, there is a moment at which no element is certainly
/// in it.
fn is_ever_empty(stays: &[Whole], found_empty: &[(u64, u64)]) -> bool {
    // An element is certainly in from the return of who put it in to the call of who takes it out.
    let mut full: Vec<(u64, u64)> =
        stays.iter().map(|(put, taken)| (put.1, taken.0)).filter(|(from, to)| from < to).collect();
    full.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (from, to) in full {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    found_empty.iter().all(|&(invoked, returned)| {
        let after = merged.partition_point(|&(from, _)| from <= invoked);
        let covering = after.checked_sub(1).map(|at| merged[at]);
        covering.is_none_or(|(_, to)| to < returned)
    })
}
