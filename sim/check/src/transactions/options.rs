//! What a checker of transactions may assume, and how much it may do.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::value::Value;

/// What a checker of transactions may assume, and how much it may do.
#[derive(Clone, Debug)]
pub struct Options {
    /// What registers hold before the first transaction. Lists are empty.
    pub initial: Initial,
    /// Whether the order in which a process ran its transactions is part of every level, as in the
    /// definitions that speak of sessions. Without it, only causal consistency and the levels with
    /// real time heed that order.
    pub sessions: bool,
    /// Whether a register's version that a transaction read comes before the one it then wrote.
    pub writes_follow_reads: bool,
    /// Whether each register by itself is sequentially consistent.
    pub sequential_keys: bool,
    /// Whether each register by itself is linearizable.
    pub linearizable_keys: bool,
    /// The order in which the transactions committed: the rank of each by its position in the
    /// history. Empty if that is not known.
    pub commit_order: BTreeMap<usize, u64>,
    /// How much work a check may do.
    pub limits: TransactionLimits,
}

/// What registers hold before the first transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initial {
    /// The value of every key that is not in `keys`. If it is `None`, nobody knows, and a read of
    /// what nobody wrote proves nothing; nil still comes before every value.
    pub default: Option<Value>,
    /// The values of some keys.
    pub keys: BTreeMap<Value, Value>,
}

/// How much work a check of transactions may do before it is undecided.
///
/// The bounds but the last count work and not time, so the verdict is the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLimits {
    /// How many numbers of 32 bits may be stored, about, beside the history itself.
    pub memory: usize,
    /// How many pairs of versions, edges and nodes the search for an order may look at.
    pub steps: u64,
    /// How many steps more may go into making a violation smaller.
    pub minimise_steps: u64,
    /// How long the search for an order may take; a bound on time makes a verdict depend on the
    /// machine.
    pub time: Option<Duration>,
}

impl Default for TransactionLimits {
    fn default() -> Self {
        Self { memory: 100_000_000, steps: 2_000_000_000, minimise_steps: 200_000_000, time: None }
    }
}

impl Initial {
    /// Every register starts with this value.
    pub fn value(value: Value) -> Self {
        Self { default: Some(value), keys: BTreeMap::new() }
    }

    /// Nobody knows what the registers start with.
    pub fn unknown() -> Self {
        Self { default: None, keys: BTreeMap::new() }
    }

    pub(super) fn of<'a>(&'a self, key: &Value) -> &'a Value {
        self.keys.get(key).or(self.default.as_ref()).unwrap_or(&Value::Nil)
    }
}

impl Options {
    /// Registers that start with this value, and nothing else assumed.
    pub fn new(initial: Value) -> Self {
        Self {
            initial: Initial::value(initial),
            sessions: false,
            writes_follow_reads: false,
            sequential_keys: false,
            linearizable_keys: false,
            commit_order: BTreeMap::new(),
            limits: TransactionLimits::default(),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new(Value::Nil)
    }
}
