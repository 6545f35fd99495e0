//! A bank in which transfers move money and never make or lose it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{SHOWN, Status};
use crate::history::{History, Outcome};

/// What a client asks of a bank.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BankCall<A> {
    /// The balances of all accounts.
    Read,
    /// Move money.
    Transfer {
        /// The account that pays.
        from: A,
        /// The account that is paid.
        to: A,
        /// How much.
        amount: i64,
    },
}

/// What a bank answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[serde(bound(deserialize = "A: Deserialize<'de> + Ord"))]
pub enum BankReturn<A> {
    /// The balance of each account.
    Balances(BTreeMap<A, i64>),
    /// The money is moved.
    Done,
}

/// What is wrong with a read of all balances.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wrong<A> {
    Total(i128),
    Negative(A, i64),
    Missing(A),
    Unknown(A),
}

/// The reads of a bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankReport<A> {
    /// How many reads there were.
    pub reads: usize,
    total: i128,
    errors: Vec<(u64, u64, Wrong<A>)>,
}

/// Whether every read of all balances adds up to the same total, and is one of all accounts.
///
/// `initial` holds the accounts and what each has at first. A negative balance is an error unless
/// `may_be_negative`.
pub fn bank<A: Ord + Clone>(
    initial: &BTreeMap<A, i64>,
    may_be_negative: bool,
    history: &History<BankCall<A>, BankReturn<A>>,
) -> BankReport<A> {
    let sum = |balances: &BTreeMap<A, i64>| balances.values().map(|&one| i128::from(one)).sum();
    let mut report = BankReport { reads: 0, total: sum(initial), errors: Vec::new() };
    for operation in history.operations() {
        let Outcome::Ok(BankReturn::Balances(balances)) = &operation.outcome else { continue };
        report.reads += 1;
        let total: i128 = sum(balances);
        let missing = initial.keys().find(|account| !balances.contains_key(account));
        let unknown = balances.keys().find(|account| !initial.contains_key(account));
        let negative = balances.iter().find(|&(_, &balance)| balance < 0 && !may_be_negative);
        let wrong = match (missing, unknown, negative) {
            (Some(account), ..) => Some(Wrong::Missing(account.clone())),
            (_, Some(account), _) => Some(Wrong::Unknown(account.clone())),
            _ if total != report.total => Some(Wrong::Total(total)),
            (.., Some((account, &balance))) => Some(Wrong::Negative(account.clone(), balance)),
            _ => None,
        };
        let at = (operation.process, operation.invoked.index);
        report.errors.extend(wrong.map(|wrong| (at.0, at.1, wrong)));
    }
    report
}

impl<A> BankReport<A> {
    /// How many reads are wrong.
    pub fn wrong(&self) -> usize {
        self.errors.len()
    }

    /// Violated if a read is wrong.
    pub fn status(&self) -> Status {
        if self.errors.is_empty() { Status::Holds } else { Status::Violated }
    }
}

impl<A: fmt::Debug> fmt::Display for BankReport<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (total, reads) = (self.total, self.reads);
        if self.errors.is_empty() {
            return write!(f, "all {reads} reads add up to {total}");
        }
        write!(f, "{} of {reads} reads are wrong", self.errors.len())?;
        for (process, invoked, wrong) in self.errors.iter().take(SHOWN) {
            write!(f, "\n  process {process} (event {invoked}) ")?;
            match wrong {
                Wrong::Total(found) => write!(f, "read {found} in all instead of {total}")?,
                Wrong::Negative(account, balance) => {
                    write!(f, "read {balance} in the account {account:?}")?;
                }
                Wrong::Missing(account) => write!(f, "missed the account {account:?}")?,
                Wrong::Unknown(account) => {
                    write!(f, "read the account {account:?}, which does not exist")?;
                }
            }
        }
        Ok(())
    }
}
