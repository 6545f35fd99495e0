//! Properties weaker than linearizability, or beside it.
//!
//! Most take one pass over the history and work for histories of any length; sequential
//! consistency alone is a search with limits. The rules of the accounts of queues and sets, of
//! counters, banks, long forks and causal reversal are those of the checkers that Jepsen made
//! known (Kingsbury, since 2013), so that their results compare.
//!
//! Each function returns a report with what was counted, a [`Status`] and, by its `Display`, the
//! answer in words. Operations that failed count as without effect, and those with an unknown
//! outcome as possible.
//!
//! ```
//! use squall_check::properties::{Status, total_queue};
//! use squall_check::{QueueCall, QueueReturn, Recorder};
//!
//! let recorder = Recorder::new();
//! let put = recorder.invoke(0, QueueCall::Enqueue("a letter"), 0);
//! recorder.ok(put, QueueReturn::Done, 1);
//! let drain = recorder.invoke(1, QueueCall::Dequeue, 2);
//! recorder.ok(drain, QueueReturn::Empty, 3);
//!
//! let report = total_queue(&recorder.finish());
//! assert_eq!(report.status(), Status::Violated);
//! assert_eq!(report.to_string(), "1 of 1 acknowledged elements lost: \"a letter\"");
//! ```

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};

mod bank;
mod counter;
mod ids;
mod key_order;
mod long_fork;
mod monotonic;
mod queue;
mod sequential;
mod session;
mod set;
mod set_full;

pub use crate::transactions::Status;
pub use bank::{BankCall, BankReport, BankReturn, bank};
pub use counter::{CounterRead, CounterReport, counter};
pub use ids::{IdReport, unique_ids};
pub use key_order::{KeyOrderReport, Missing, causal_reverse, sequential_keys};
pub use long_fork::{Fork, LongForkReport, long_fork};
pub use monotonic::{MonotonicReport, Step, monotonic, strictly_monotonic};
pub use queue::{QueueReport, total_queue, unordered_queue};
pub use sequential::{SequentialLimits, SequentialReport, sequentially_consistent};
pub use session::{Guarantee, Met, SessionReport, register_access, session_guarantees};
pub use set::{SetReport, set};
pub use set_full::{ElementFate, SetFullReport, set_full};

/// How many examples a sentence names.
const SHOWN: usize = 10;

/// A list of values, cut short.
fn values<V: Debug>(values: impl ExactSizeIterator<Item = V>) -> String {
    let count = values.len();
    let mut text = String::new();
    for (at, value) in values.take(SHOWN).enumerate() {
        let _ = write!(text, "{}{value:?}", if at == 0 { "" } else { ", " });
    }
    if count > SHOWN {
        let _ = write!(text, " and {} more", count - SHOWN);
    }
    text
}

/// How often each value occurs.
type Bag<V> = BTreeMap<V, usize>;

fn add<V: Ord + Clone>(bag: &mut Bag<V>, value: &V) {
    *bag.entry(value.clone()).or_default() += 1;
}

fn size<V>(bag: &Bag<V>) -> usize {
    bag.values().sum()
}

/// What is in one bag and not in another.
fn without<V: Ord + Clone>(one: &Bag<V>, other: &Bag<V>) -> Bag<V> {
    let left = |(value, count): (&V, &usize)| {
        let left = count.saturating_sub(other.get(value).copied().unwrap_or(0));
        (left > 0).then(|| (value.clone(), left))
    };
    one.iter().filter_map(left).collect()
}

/// What is in both bags.
fn common<V: Ord + Clone>(one: &Bag<V>, other: &Bag<V>) -> Bag<V> {
    let shared = |(value, count): (&V, &usize)| {
        let shared = (*count).min(other.get(value).copied().unwrap_or(0));
        (shared > 0).then(|| (value.clone(), shared))
    };
    one.iter().filter_map(shared).collect()
}
