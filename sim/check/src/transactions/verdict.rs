//! What a checker says of a history of transactions.

use std::collections::BTreeMap;
use std::fmt;

use super::anomaly::Anomaly;
use super::level::Level;

/// Whether a history satisfies a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Holds,
    /// It does not.
    Violated,
    /// The limits came before the answer, or the history does not tell; this is why.
    Undecided(String),
}

/// What a checker says of a history of transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct TransactionVerdict {
    pub(super) level: Level,
    pub(super) sessions: bool,
    pub(super) transactions: usize,
    pub(super) statuses: BTreeMap<Level, Status>,
    pub(super) anomalies: Vec<Anomaly>,
}

impl TransactionVerdict {
    /// The level that was asked for.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether the history satisfies the level that was asked for.
    pub fn status(&self) -> &Status {
        self.status_of(self.level)
    }

    /// Whether it satisfies another one.
    pub fn status_of(&self, level: Level) -> &Status {
        self.statuses.get(&level).unwrap_or(&Status::Holds)
    }

    /// How many transactions the history has, those without effect among them.
    pub fn transactions(&self) -> usize {
        self.transactions
    }

    /// What is wrong with the history, of every level: one example of each kind.
    pub fn anomalies(&self) -> &[Anomaly] {
        &self.anomalies
    }

    /// The anomalies that the level which was asked for forbids.
    pub fn forbidden(&self) -> impl Iterator<Item = &Anomaly> {
        self.anomalies.iter().filter(|anomaly| self.forbids(anomaly))
    }

    fn forbids(&self, anomaly: &Anomaly) -> bool {
        let weakest = anomaly.kind.rules_out(self.sessions);
        weakest.iter().any(|&weakest| self.level.implies(weakest, self.sessions))
    }

    /// The violated levels that imply no other violated one. There can be several, since not every
    /// two levels compare.
    pub fn weakest_violated(&self) -> Vec<Level> {
        self.extremes(&Status::Violated, |level, other| level.implies(other, self.sessions))
    }

    /// The satisfied levels that no other satisfied one implies.
    pub fn strongest_held(&self) -> Vec<Level> {
        self.extremes(&Status::Holds, |level, other| other.implies(level, self.sessions))
    }

    fn extremes(&self, status: &Status, is_beyond: impl Fn(Level, Level) -> bool) -> Vec<Level> {
        let have: Vec<Level> =
            Level::ALL.into_iter().filter(|&level| self.status_of(level) == status).collect();
        let is_extreme =
            |level: &Level| !have.iter().any(|other| other != level && is_beyond(*level, *other));
        have.iter().copied().filter(is_extreme).collect()
    }
}

/// The verdict, the levels, and an example of every anomaly that the level forbids.
impl fmt::Display for TransactionVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status() {
            Status::Holds => write!(f, "{} holds", self.level)?,
            Status::Violated => write!(f, "{} is violated", self.level)?,
            Status::Undecided(reason) => write!(f, "{} is undecided: {reason}", self.level)?,
        }
        let weakest = self.weakest_violated();
        if !weakest.is_empty() {
            write!(f, "; the weakest level violated is {}", list(&weakest))?;
            match self.strongest_held().as_slice() {
                [] => write!(f, " and none holds")?,
                held => write!(f, " and the strongest that holds is {}", list(held))?,
            }
        }
        for anomaly in self.forbidden() {
            write!(f, "\n{anomaly}")?;
        }
        Ok(())
    }
}

fn list(levels: &[Level]) -> String {
    let names: Vec<&str> = levels.iter().map(|level| level.name()).collect();
    names.join(", ")
}
