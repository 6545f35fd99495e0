//! Accounts of queues: what went in must come out.

use std::fmt;

use super::{Bag, Status, add, common, size, values, without};
use crate::history::{Edge, History, Outcome};
use crate::model::queue::{QueueCall, QueueReturn};

/// What became of the elements of a queue that was drained in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueReport<V> {
    /// How many elements somebody tried to put in.
    pub attempted: usize,
    /// How many were acknowledged to be in.
    pub acknowledged: usize,
    /// How many of the attempted came out, each as often as it was attempted.
    pub ok: usize,
    /// Elements that were acknowledged and never came out.
    pub lost: Bag<V>,
    /// Elements that came out and nobody ever tried to put in.
    pub unexpected: Bag<V>,
    /// Elements that came out more often than somebody tried to put them in. Queues that deliver
    /// at least once may do that.
    pub duplicated: Bag<V>,
    /// Elements that came out although nobody heard that they were in.
    pub recovered: Bag<V>,
}

/// Accounts for all elements of a queue, in any order.
///
/// The history must end with the queue drained, or what is still in it counts as lost.
pub fn total_queue<V: Ord + Clone>(
    history: &History<QueueCall<V>, QueueReturn<V>>,
) -> QueueReport<V> {
    let (mut attempts, mut acknowledged, mut out) = (Bag::new(), Bag::new(), Bag::new());
    for operation in history.operations() {
        match (&operation.input, &operation.outcome) {
            (QueueCall::Enqueue(element), outcome) => {
                add(&mut attempts, element);
                if matches!(outcome, Outcome::Ok(_)) {
                    add(&mut acknowledged, element);
                }
            }
            (QueueCall::Dequeue, Outcome::Ok(QueueReturn::Item(element))) => add(&mut out, element),
            (QueueCall::Dequeue, _) => {}
        }
    }
    let ok = common(&out, &attempts);
    let mut unexpected = out.clone();
    unexpected.retain(|element, _| !attempts.contains_key(element));
    QueueReport {
        attempted: size(&attempts),
        acknowledged: size(&acknowledged),
        ok: size(&ok),
        lost: without(&acknowledged, &out),
        duplicated: without(&without(&out, &attempts), &unexpected),
        recovered: without(&ok, &acknowledged),
        unexpected,
    }
}

impl<V> QueueReport<V> {
    /// Violated if an element was lost or came out of nowhere. Duplicates are only reported.
    pub fn status(&self) -> Status {
        let is_right = self.lost.is_empty() && self.unexpected.is_empty();
        if is_right { Status::Holds } else { Status::Violated }
    }
}

impl<V: fmt::Debug> fmt::Display for QueueReport<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let acknowledged = self.acknowledged;
        if !self.lost.is_empty() {
            let (count, lost) = (size(&self.lost), values(self.lost.keys()));
            parts.push(format!("{count} of {acknowledged} acknowledged elements lost: {lost}"));
        }
        if !self.unexpected.is_empty() {
            let unexpected = values(self.unexpected.keys());
            parts.push(format!("came out without having been put in: {unexpected}"));
        }
        if !self.duplicated.is_empty() {
            parts.push(format!("came out too often: {}", values(self.duplicated.keys())));
        }
        if !self.recovered.is_empty() {
            let recovered = values(self.recovered.keys());
            parts.push(format!("came out without having been acknowledged: {recovered}"));
        }
        if parts.is_empty() {
            return write!(f, "all {acknowledged} acknowledged elements came out");
        }
        f.write_str(&parts.join("; "))
    }
}

/// Whether every element that comes out had been put in, and not taken out since, in any order.
///
/// Every attempt to put in is taken to have worked at once. The first element without one is
/// returned.
///
/// # Errors
///
/// With the element that comes out of nowhere and the event at which it does.
pub fn unordered_queue<V: Ord + Clone>(
    history: &History<QueueCall<V>, QueueReturn<V>>,
) -> Result<(), (V, u64)> {
    let mut inside: Bag<V> = Bag::new();
    for (moment, edge, operation) in history.events() {
        match (&operation.input, edge, &operation.outcome) {
            (QueueCall::Enqueue(element), Edge::Invoke, _) => add(&mut inside, element),
            (QueueCall::Dequeue, Edge::Return, Outcome::Ok(QueueReturn::Item(element))) => {
                match inside.get_mut(element) {
                    Some(count) if *count > 0 => *count -= 1,
                    _ => return Err((element.clone(), moment.index)),
                }
            }
            _ => {}
        }
    }
    Ok(())
}
