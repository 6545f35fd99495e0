//! Which isolation levels a history satisfies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::anomaly::{AnomalyKind, Findings};
use super::cycles;
use super::dependencies::Dependencies;
use super::forced::Proof;
use super::graph::{Graph, Shape, Ties};
use super::history::{Kind, Transactions};
use super::level::Level;
use super::options::Options;
use super::polygraph::{Answer, Question, decide};
use super::shrink;
use super::verdict::{Status, TransactionVerdict};
use super::weak::{self, Weak};
use super::words::{name, title};
use super::{append, register};

/// Decides whether a history satisfies an isolation level, and which of the others it does.
///
/// Aborted transactions count as without effect, those with an unknown outcome only if a read
/// shows one of their writes. A read of a register that returned what nobody wrote is an anomaly
/// unless the initial state is declared unknown.
///
/// Serializability and snapshot isolation of registers are NP-complete problems, which is why the
/// check has limits; it is undecided, never a guess, when they are reached.
pub fn check(history: &Transactions, level: Level, options: &Options) -> TransactionVerdict {
    let mut dependencies = match history.kind() {
        Kind::ListAppend => append::analyse(history),
        Kind::RwRegister => register::analyse(history, options),
    };
    let findings = std::mem::take(&mut dependencies.findings);
    let statuses = BTreeMap::new();
    let deadline = options.limits.time.map(|time| Instant::now() + time);
    let mut judge = Judge { history, options, deadline, dependencies, findings, statuses };
    judge.judge();
    let Judge { findings, statuses, .. } = judge;
    TransactionVerdict {
        level,
        sessions: options.sessions,
        transactions: history.len(),
        statuses,
        anomalies: findings.into_anomalies(),
    }
}

struct Judge<'a> {
    history: &'a Transactions,
    options: &'a Options,
    deadline: Option<Instant>,
    dependencies: Dependencies,
    findings: Findings,
    statuses: BTreeMap<Level, Status>,
}

impl Judge<'_> {
    fn judge(&mut self) {
        self.mark_findings();
        // Most histories are as good as it gets, and then nothing else needs a look.
        let strict = self.by_order(Level::StrictSerializable);
        if strict != Status::Holds {
            self.find_cycles();
            self.mark_findings();
            for level in [Level::ReadUncommitted, Level::ReadCommitted] {
                self.settle(level, |judge| judge.by_flow(level));
            }
            self.settle(Level::ReadAtomic, Self::by_visibility);
            self.settle(Level::Causal, Self::by_causality);
            self.settle(Level::Serializable, |judge| judge.by_order(Level::Serializable));
            let serializable = self.statuses.get(&Level::Serializable).cloned();
            for level in [Level::SnapshotIsolation, Level::StrongSnapshotIsolation] {
                self.settle(level, |judge| judge.by_order(level));
            }
            self.settle(Level::RepeatableRead, |_| serializable.unwrap_or(Status::Holds));
        }
        self.settle(Level::StrictSerializable, |_| strict);
        if let Some(gap) = self.dependencies.gap.clone() {
            for status in self.statuses.values_mut().filter(|status| **status == Status::Holds) {
                *status = Status::Undecided(gap.clone());
            }
        }
    }

    /// Notes the status of a level and what follows for the others, unless it is known.
    fn settle(&mut self, level: Level, decide: impl FnOnce(&mut Self) -> Status) {
        if self.statuses.contains_key(&level) {
            return;
        }
        let status = decide(self);
        self.note(level, status);
    }

    fn note(&mut self, level: Level, status: Status) {
        let sessions = self.options.sessions;
        for other in Level::ALL {
            let follows = match status {
                Status::Holds => level.implies(other, sessions),
                Status::Violated => other.implies(level, sessions),
                Status::Undecided(_) => level == other,
            };
            let known = self.statuses.get(&other);
            let is_open = known.is_none_or(|known| matches!(known, Status::Undecided(_)));
            if follows && is_open {
                self.statuses.insert(other, status.clone());
            }
        }
    }

    fn mark_findings(&mut self) {
        let kinds: Vec<AnomalyKind> = self.findings.kinds().collect();
        for kind in kinds {
            for &level in kind.rules_out(self.options.sessions) {
                self.note(level, Status::Violated);
            }
        }
    }

    fn find_cycles(&mut self) {
        let (history, dependencies) = (self.history, &self.dependencies);
        let plain = Graph::new(history, dependencies, Shape::Plain, Ties::TIME);
        if plain.components(Ties::DATA.with(Ties::TIME)).has_cycle() {
            let snapshot = Graph::new(history, dependencies, Shape::Snapshot, Ties::TIME);
            cycles::find(history, &plain, &snapshot, &mut self.findings);
        }
    }

    fn sessions(&self) -> Ties {
        if self.options.sessions { Ties::PROCESS } else { Ties::NOTHING }
    }

    /// Levels about writes, and about reads from each other.
    fn by_flow(&mut self, level: Level) -> Status {
        let (ties, extra) = match level {
            Level::ReadUncommitted => (Ties::WRITES, Ties::NOTHING),
            _ => (Ties::FLOW, self.sessions()),
        };
        let graph = Graph::new(self.history, &self.dependencies, Shape::Plain, extra);
        let has_cycle = graph.components(ties.with(extra)).has_cycle();
        if has_cycle { Status::Violated } else { Status::Holds }
    }

    fn by_visibility(&mut self) -> Status {
        let sessions = self.options.sessions;
        let findings = &mut self.findings;
        status(weak::read_atomic(self.history, &self.dependencies, sessions, findings))
    }

    fn by_causality(&mut self) -> Status {
        let room = self.options.limits.memory;
        status(weak::causal(self.history, &self.dependencies, room, &mut self.findings))
    }

    /// Levels that ask for one order of all transactions.
    fn by_order(&mut self, level: Level) -> Status {
        if self.statuses.get(&level) == Some(&Status::Violated) {
            return Status::Violated;
        }
        let (shape, extra) = match level {
            Level::SnapshotIsolation => (Shape::Snapshot, self.sessions()),
            Level::StrongSnapshotIsolation => (Shape::Snapshot, Ties::TIME),
            Level::StrictSerializable => (Shape::Plain, Ties::TIME),
            _ => (Shape::Plain, self.sessions()),
        };
        let (limits, deadline) = (self.options.limits, self.deadline);
        let question = Question { shape, extra, limits, deadline };
        {
            let graph = Graph::new(self.history, &self.dependencies, shape, extra);
            if graph.components(Ties::DATA.with(extra)).has_cycle() {
                return Status::Violated;
            }
        }
        if self.dependencies.open.is_empty() {
            return Status::Holds;
        }
        match decide(self.history, &self.dependencies, question) {
            Answer::Possible => Status::Holds,
            Answer::Undecided(reason) => Status::Undecided(reason),
            Answer::Impossible(proof) => {
                self.report(level, question, proof);
                Status::Violated
            }
        }
    }

    /// Reports that no order of the writes fits, in as few transactions as possible.
    fn report(&mut self, level: Level, question: Question, proof: Proof) {
        let kind = AnomalyKind::NoVersionOrder(level);
        let proof = shrink::shrink(self.history, &self.dependencies, question, proof);
        let history = self.history;
        let involved: Vec<u32> = proof.involved.iter().copied().collect();
        self.findings.add(kind, &involved, || lines(history, &proof, &involved));
    }
}

fn status(weak: Weak) -> Status {
    match weak {
        Weak::Holds => Status::Holds,
        Weak::Violated => Status::Violated,
        Weak::Undecided => {
            Status::Undecided("the causal past of so many transactions is too large".to_owned())
        }
    }
}

fn lines(history: &Transactions, proof: &Proof, involved: &[u32]) -> Vec<String> {
    let Some(cycle) = &proof.cycle else {
        let count = involved.len();
        let mut lines = vec![format!("no order of the writes of these {count} transactions fits")];
        lines.extend(involved.iter().map(|&txn| title(history, txn)));
        return lines;
    };
    let mut lines = cycles::describe_with(history, cycle, &[]);
    lines[0] = format!("whatever the order of the writes: {}", lines[0]);
    let mut told: BTreeSet<(u32, u32)> = BTreeSet::new();
    for (dependency, path) in &proof.otherwise {
        let (from, to) = (dependency.from, dependency.to);
        if !told.insert((from, to)) {
            continue;
        }
        let steps: Vec<String> = path
            .iter()
            .map(|step| {
                let sentence = super::words::sentence(history, step);
                format!("{} before {}: {sentence}", name(step.from), name(step.to))
            })
            .collect();
        lines.push(format!(
            "{} before {} and not after it, because {}",
            name(from),
            name(to),
            steps.join("; ")
        ));
    }
    lines.extend(involved.iter().map(|&txn| title(history, txn)));
    lines
}
