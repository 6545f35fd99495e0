//! The checker of transactions against a second opinion that tries every order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use squall_check::Value;
use squall_check::transactions::{
    Fate, Kind, Level, Micro, Options, Status, Transaction, Transactions, check,
};

/// An operation: a key, and what is read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Op {
    Write(u8, i64),
    /// What was read: the versions of a list, or the last of them for a register.
    Read(u8, Vec<i64>),
}

#[derive(Clone, Debug)]
struct Txn {
    process: u64,
    invoked: u64,
    returned: u64,
    fate: Fate,
    ops: Vec<Op>,
}

/// Draws small numbers from bytes; zeros once they run out.
struct Dice<'a>(std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next().map_or(0, |&byte| byte as usize % bound)
    }
}

/// A history whose reads mostly show the newest version at the time, and sometimes any other.
fn history(bytes: &[u8], kind: Kind) -> Vec<Txn> {
    let mut dice = Dice(bytes.iter());
    let (count, keys) = (1 + dice.below(6), 1 + dice.below(3));
    let mut txns: Vec<Txn> = Vec::new();
    let mut open: BTreeMap<u64, usize> = BTreeMap::new();
    let mut clock = 0;
    while txns.len() < count || !open.is_empty() {
        let process = dice.below(3) as u64;
        clock += 1;
        match open.remove(&process) {
            Some(txn) => txns[txn].returned = clock,
            None if txns.len() == count => {
                let (_, txn) = open.pop_first().unwrap_or((0, 0));
                txns[txn].returned = clock;
            }
            None => {
                let fate = match dice.below(12) {
                    0 => Fate::Aborted,
                    1 | 2 => Fate::Indeterminate,
                    _ => Fate::Committed,
                };
                open.insert(process, txns.len());
                txns.push(Txn { process, invoked: clock, returned: 0, fate, ops: Vec::new() });
            }
        }
    }
    let mut next = 1;
    for txn in &mut txns {
        for _ in 0..=dice.below(3) {
            let key = dice.below(keys) as u8;
            let is_write = dice.below(2) == 0;
            txn.ops.push(if is_write { Op::Write(key, next) } else { Op::Read(key, Vec::new()) });
            next += 1;
        }
    }
    // How many reads of one that shows any version.
    let odd = [1, 2, 4, 16][dice.below(4)];
    fill_reads(&mut txns, kind, odd, &mut dice);
    txns
}

fn fill_reads(txns: &mut [Txn], kind: Kind, odd: usize, dice: &mut Dice<'_>) {
    let mut order: Vec<usize> = (0..txns.len()).collect();
    order.sort_by_key(|&txn| txns[txn].returned);
    let mut versions: BTreeMap<u8, Vec<(u64, i64)>> = BTreeMap::new();
    for &txn in &order {
        let counts = txns[txn].fate != Fate::Aborted || dice.below(4) == 0;
        for op in txns[txn].ops.iter().filter(|_| counts) {
            if let Op::Write(key, value) = *op {
                versions.entry(key).or_default().push((txns[txn].returned, value));
            }
        }
    }
    for txn in txns {
        let mut own: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
        let returned = txn.returned;
        for op in &mut txn.ops {
            match op {
                Op::Write(key, value) => own.entry(*key).or_default().push(*value),
                Op::Read(key, seen) => {
                    let all = versions.get(key).cloned().unwrap_or_default();
                    let newest = all.iter().filter(|(at, _)| *at < returned).count();
                    let is_odd = dice.below(odd) == 0;
                    let shown = if is_odd { dice.below(all.len() + 1) } else { newest };
                    seen.extend(all[..shown].iter().map(|(_, value)| *value));
                    if dice.below(8) != 0 {
                        seen.extend(own.get(key).into_iter().flatten());
                    }
                    if dice.below(24) == 0 && kind == Kind::ListAppend {
                        seen.reverse();
                    }
                    if kind == Kind::RwRegister {
                        seen.drain(..seen.len().saturating_sub(1));
                    }
                }
            }
        }
    }
}

fn build(txns: &[Txn], kind: Kind) -> Transactions {
    let mut history = Transactions::new(kind);
    for txn in txns {
        let micro = |op: &Op| {
            let key = |key: u8| Value::Int(key.into());
            match (op, kind) {
                (Op::Write(at, value), Kind::ListAppend) => {
                    Micro::Append(key(*at), (*value).into())
                }
                (Op::Write(at, value), Kind::RwRegister) => Micro::Write(key(*at), (*value).into()),
                (Op::Read(at, seen), Kind::ListAppend) => {
                    let seen = seen.iter().map(|&value| value.into()).collect();
                    Micro::Read(key(*at), Value::List(seen))
                }
                (Op::Read(at, seen), Kind::RwRegister) => {
                    let last = seen.last().map_or(Value::Int(0), |&value| value.into());
                    Micro::Read(key(*at), last)
                }
            }
        };
        history
            .push(Transaction {
                process: Some(txn.process),
                number: None,
                invoked: Some(txn.invoked),
                returned: Some(txn.returned),
                fate: txn.fate,
                micros: txn.ops.iter().map(micro).collect(),
            })
            .unwrap();
    }
    history
}

/// A candidate for what happened: the transactions with an effect, in the order they committed.
struct Run<'a> {
    kind: Kind,
    sessions: bool,
    txns: &'a [Txn],
    order: &'a [usize],
}

impl Run<'_> {
    fn place(&self, txn: usize) -> usize {
        self.order.iter().position(|&other| other == txn).unwrap()
    }

    /// What the first transactions of the order leave behind.
    fn state(&self, count: usize) -> BTreeMap<u8, Vec<i64>> {
        let mut state: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
        for &txn in &self.order[..count] {
            for op in &self.txns[txn].ops {
                if let Op::Write(key, value) = *op {
                    state.entry(key).or_default().push(value);
                }
            }
        }
        state
    }

    fn same(&self, one: &[i64], other: &[i64]) -> bool {
        match self.kind {
            Kind::ListAppend => one == other,
            Kind::RwRegister => one.last() == other.last(),
        }
    }

    /// Whether a transaction reads what this state and its own writes give.
    fn fits(&self, txn: usize, mut state: BTreeMap<u8, Vec<i64>>) -> bool {
        let is_known = self.txns[txn].fate == Fate::Committed;
        self.txns[txn].ops.iter().all(|op| match op {
            Op::Write(key, value) => {
                state.entry(*key).or_default().push(*value);
                true
            }
            Op::Read(key, seen) => {
                !is_known || self.same(seen, state.get(key).map_or(&[], Vec::as_slice))
            }
        })
    }

    fn process_before(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.txns[one], &self.txns[other]);
        one.process == other.process && one.invoked < other.invoked
    }

    fn time_before(&self, one: usize, other: usize) -> bool {
        let (before, after) = (&self.txns[one], &self.txns[other]);
        let has_ended = before.fate == Fate::Committed && before.returned < after.invoked;
        has_ended || self.process_before(one, other)
    }

    fn keeps(&self, before: impl Fn(usize, usize) -> bool) -> bool {
        let pairs = self.order.iter().enumerate();
        let mut pairs =
            pairs.flat_map(|(at, &one)| self.order[at..].iter().map(move |&o| (one, o)));
        pairs.all(|(one, other)| !before(other, one))
    }

    fn is_serial(&self, before: impl Fn(usize, usize) -> bool) -> bool {
        self.keeps(before)
            && (0..self.order.len()).all(|at| self.fits(self.order[at], self.state(at)))
    }

    fn writes(&self, txn: usize) -> BTreeSet<u8> {
        let key = |op: &Op| match op {
            Op::Write(key, _) => Some(*key),
            Op::Read(..) => None,
        };
        self.txns[txn].ops.iter().filter_map(key).collect()
    }

    /// Whether each transaction has a snapshot, after which no other committed that writes the
    /// same keys.
    fn is_snapshot(&self, before: impl Fn(usize, usize) -> bool) -> bool {
        (0..self.order.len()).all(|at| {
            let txn = self.order[at];
            (0..=at).any(|start| {
                let between = &self.order[start..at];
                let own = self.writes(txn);
                let is_first = between.iter().all(|&other| own.is_disjoint(&self.writes(other)));
                let unseen = &self.order[start..];
                let sees_past = unseen.iter().all(|&other| !before(other, txn));
                is_first && sees_past && self.fits(txn, self.state(start))
            })
        })
    }

    /// Who wrote the version that the first read of a key shows, if the transaction did not write
    /// it itself before; `None` for the initial version.
    fn sources(&self, txn: usize) -> Vec<(u8, Option<usize>)> {
        let mut met = BTreeSet::new();
        let mut sources = Vec::new();
        if self.txns[txn].fate != Fate::Committed {
            return sources;
        }
        for op in &self.txns[txn].ops {
            match op {
                Op::Write(key, _) => {
                    met.insert(*key);
                }
                Op::Read(key, seen) if met.insert(*key) => {
                    sources.push((*key, seen.last().map(|&value| self.writer(value))));
                }
                Op::Read(..) => {}
            }
        }
        sources
    }

    fn writer(&self, value: i64) -> usize {
        let writes = |txn: &Txn| {
            txn.ops.iter().any(|op| matches!(op, Op::Write(_, other) if *other == value))
        };
        self.txns.iter().position(writes).unwrap()
    }

    /// Whether all reads are of whole, final versions in this order, and nobody reads from later.
    fn is_committed(&self) -> bool {
        let state = self.state(self.order.len());
        self.order.iter().all(|&txn| {
            let ops = &self.txns[txn].ops;
            let is_known = self.txns[txn].fate == Fate::Committed;
            ops.iter().enumerate().filter(|_| is_known).all(|(at, op)| {
                let Op::Read(key, seen) = op else { return true };
                let Some(&last) = seen.last() else { return true };
                let writer = self.writer(last);
                let Some(place) = self.order.iter().position(|&other| other == writer) else {
                    return false;
                };
                let later = if writer == txn { at } else { usize::MAX };
                let own_later = |op: &Op| matches!(op, Op::Write(_, value) if seen.contains(value));
                if ops.iter().skip(at).any(own_later) {
                    return false;
                }
                let last_of_writer = self.txns[writer].ops.iter().rev().find_map(|op| match op {
                    Op::Write(other, value) if other == key => Some(*value),
                    _ => None,
                });
                let is_final = last_of_writer == Some(last) || later != usize::MAX;
                let is_prefix = self.kind == Kind::RwRegister
                    || state.get(key).is_some_and(|all| all.starts_with(seen));
                is_final && is_prefix && (writer == txn || place < self.place(txn))
            })
        })
    }

    /// Whether reads agree with what the same transaction did before.
    fn is_internal(&self) -> bool {
        self.order.iter().all(|&txn| {
            let mut known: BTreeMap<u8, (Option<Vec<i64>>, Vec<i64>)> = BTreeMap::new();
            let is_known = self.txns[txn].fate == Fate::Committed;
            self.txns[txn].ops.iter().filter(|_| is_known).all(|op| match op {
                Op::Write(key, value) => {
                    known.entry(*key).or_default().1.push(*value);
                    true
                }
                Op::Read(key, seen) => {
                    let Some((base, own)) = known.insert(*key, (Some(seen.clone()), Vec::new()))
                    else {
                        return true;
                    };
                    let whole = [base.clone().unwrap_or_default(), own.clone()].concat();
                    let is_suffix = base.is_none() && seen.ends_with(&own) && !own.is_empty();
                    is_suffix && self.kind == Kind::ListAppend || self.same(&whole, seen)
                }
            })
        })
    }

    /// Biswas and Enea's axiom: a visible writer of a key comes before whose version is read.
    fn is_visible(&self, sessions: bool, is_transitive: bool) -> bool {
        let count = self.txns.len();
        let mut sees = vec![vec![false; count]; count];
        for &txn in self.order {
            for source in self.sources(txn).into_iter().filter_map(|(_, source)| source) {
                sees[source][txn] = source != txn;
            }
            for &other in self.order.iter().filter(|_| sessions) {
                sees[other][txn] |= self.process_before(other, txn);
            }
        }
        for middle in (0..count).filter(|_| is_transitive) {
            for from in 0..count {
                for to in 0..count {
                    sees[from][to] |= sees[from][middle] && sees[middle][to];
                }
            }
        }
        let keeps = self.keeps(|one, other| sees[one][other]);
        keeps
            && self.order.iter().all(|&txn| {
                self.sources(txn).iter().all(|&(key, source)| {
                    let visible = self.order.iter().filter(|&&other| sees[other][txn]);
                    let mut writers = visible.filter(|&&other| self.writes(other).contains(&key));
                    writers.all(|&other| match source {
                        Some(source) => other == source || self.place(other) < self.place(source),
                        None => false,
                    })
                })
            })
    }

    fn satisfies(&self, level: Level) -> bool {
        let sessions = self.sessions;
        let session = |one, other| sessions && self.process_before(one, other);
        let time = |one, other| self.time_before(one, other);
        match level {
            Level::ReadCommitted => self.is_committed() && self.keeps(session),
            Level::ReadAtomic => {
                self.is_committed() && self.is_internal() && self.is_visible(sessions, false)
            }
            Level::Causal => {
                self.is_committed() && self.is_internal() && self.is_visible(true, true)
            }
            Level::SnapshotIsolation => self.keeps(session) && self.is_snapshot(session),
            Level::StrongSnapshotIsolation => self.keeps(time) && self.is_snapshot(time),
            Level::StrictSerializable => self.is_serial(time),
            _ => self.is_serial(session),
        }
    }
}

/// Every order of these things.
fn orders(things: &[usize]) -> Vec<Vec<usize>> {
    let Some((&first, rest)) = things.split_first() else { return vec![Vec::new()] };
    let insert = |order: Vec<usize>| {
        (0..=order.len()).map(move |at| {
            let mut order = order.clone();
            order.insert(at, first);
            order
        })
    };
    orders(rest).into_iter().flat_map(insert).collect()
}

/// Which levels some order of the transactions satisfies, each of unknown outcome in or out.
fn brute_force(txns: &[Txn], kind: Kind, sessions: bool) -> BTreeSet<Level> {
    let unknown: Vec<usize> =
        (0..txns.len()).filter(|&txn| txns[txn].fate == Fate::Indeterminate).collect();
    let mut satisfied = BTreeSet::new();
    for subset in 0..1_u32 << unknown.len() {
        let has_effect = |txn: &usize| match unknown.iter().position(|other| other == txn) {
            Some(bit) => subset & (1 << bit) != 0,
            None => txns[*txn].fate == Fate::Committed,
        };
        let present: Vec<usize> = (0..txns.len()).filter(has_effect).collect();
        for order in orders(&present) {
            let run = Run { kind, sessions, txns, order: &order };
            let levels = Level::ALL.into_iter().filter(|&level| level != Level::ReadUncommitted);
            let open: Vec<Level> = levels.filter(|level| !satisfied.contains(level)).collect();
            satisfied.extend(open.into_iter().filter(|&level| run.satisfies(level)));
        }
    }
    satisfied
}

fn compare(bytes: &[u8], kind: Kind, sessions: bool) {
    let txns = history(bytes, kind);
    let expected = brute_force(&txns, kind, sessions);
    let options = Options { sessions, ..Options::new(Value::Int(0)) };
    let verdict = check(&build(&txns, kind), Level::StrictSerializable, &options);
    for level in Level::ALL.into_iter().skip(1) {
        let status = if expected.contains(&level) { Status::Holds } else { Status::Violated };
        assert_eq!(verdict.status_of(level), &status, "{level}: {verdict}\n{txns:#?}");
    }
    if let Some(name) = verdict.weakest_violated().first() {
        assert!(!expected.contains(name), "{name} is said to be violated: {verdict}");
        assert!(!verdict.anomalies().is_empty(), "nothing is said to be wrong: {txns:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn lists_get_the_levels_that_some_order_satisfies(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        sessions in any::<bool>(),
    ) {
        compare(&bytes, Kind::ListAppend, sessions);
    }

    #[test]
    fn registers_get_the_levels_that_some_order_satisfies(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        sessions in any::<bool>(),
    ) {
        compare(&bytes, Kind::RwRegister, sessions);
    }
}
