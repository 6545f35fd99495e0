//! Registers that transactions write and read: a read shows who wrote, but no order of writes.

use super::anomaly::AnomalyKind;
use super::dependencies::{
    Dependencies, Dependency, Hub, Open, Order, Seen, Tie, Version, final_writes,
};
use super::history::{Fate, Op, Transactions, Writer};
use super::names::Map;
use super::options::Options;
use super::register_order::KeyVersions;
use super::words::{name, title};

/// Where the value of a read comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Initial,
    Txn(Writer),
    /// Several wrote the value.
    Ambiguous,
    Nobody,
}

struct Analysis<'a> {
    history: &'a Transactions,
    options: &'a Options,
    keys: Vec<KeyVersions>,
    found: Dependencies,
}

/// The dependencies among transactions on registers, and what is wrong without any cycle.
pub(super) fn analyse(history: &Transactions, options: &Options) -> Dependencies {
    let keys: Vec<KeyVersions> = (0..history.keys.len() as u32)
        .map(|key| {
            let initial = options.initial.of(history.keys.value(key));
            KeyVersions::new(history.values.find(initial))
        })
        .collect();
    let found = Dependencies::default();
    let mut analysis = Analysis { history, options, keys, found };
    analysis.found = Dependencies::new(history, &analysis.observed());
    analysis.collect_writes();
    for txn in history.committed() {
        analysis.check_reads(txn);
    }
    analysis.check_lost_updates();
    analysis.relate();
    analysis.found.tidy();
    analysis.found
}

impl Analysis<'_> {
    fn source(&self, key: u32, value: u32) -> Source {
        let is_initial = self.keys[key as usize].initial == Some(value);
        match self.history.writer(key, value) {
            Some(writer) if writer.ambiguous => Source::Ambiguous,
            Some(writer) if is_initial => match self.history.txn(writer.txn).fate {
                Fate::Aborted => Source::Initial,
                Fate::Indeterminate | Fate::Committed => Source::Ambiguous,
            },
            Some(writer) => Source::Txn(writer),
            None if is_initial => Source::Initial,
            None => Source::Nobody,
        }
    }

    /// Which transactions had an effect that some read shows.
    fn observed(&self) -> Vec<bool> {
        let mut observed = vec![false; self.history.len()];
        for txn in self.history.committed() {
            for op in self.history.ops(txn) {
                let Op::Read { key, value } = *op else { continue };
                if let Source::Txn(writer) = self.source(key, value) {
                    observed[writer.txn as usize] = true;
                }
            }
        }
        observed
    }

    fn collect_writes(&mut self) {
        for txn in (0..self.history.len() as u32).filter(|&txn| self.found.is_present(txn)) {
            for (key, value) in final_writes(self.history, txn) {
                self.keys[key as usize].writes.push((txn, value));
            }
        }
    }

    fn check_reads(&mut self, txn: u32) {
        let history = self.history;
        // What the transaction knows of each key, and whether it wrote that itself.
        let mut known: Map<u32, (u32, bool)> = Map::default();
        for (op, operation) in (history.txn(txn).first..).zip(history.ops(txn)) {
            match *operation {
                Op::Write { key, value } => {
                    known.insert(key, (value, true));
                }
                Op::Read { key, value } => {
                    let before = known.get(&key).copied();
                    if let Some((expected, _)) = before.filter(|&(expected, _)| expected != value) {
                        self.report_internal(txn, key, expected, value);
                    }
                    let is_own = before.is_some_and(|(_, is_own)| is_own);
                    if before.is_none_or(|(expected, _)| expected != value) {
                        self.check_read(txn, op, key, value, is_own);
                    }
                    known.insert(key, (value, is_own));
                }
                Op::ReadList { .. } => {}
            }
        }
    }

    fn report_internal(&mut self, txn: u32, key: u32, expected: u32, value: u32) {
        let history = self.history;
        self.found.findings.add(AnomalyKind::Internal, &[txn], || {
            let (key, value) = (history.keys.shown(key), history.values.shown(value));
            let expected = history.values.shown(expected);
            let what = format!("{} had {key} = {expected} and then read {value}", name(txn));
            vec![what, title(history, txn)]
        });
    }

    /// Looks at a read of which the transaction did not know the value yet.
    fn check_read(&mut self, txn: u32, op: u32, key: u32, value: u32, is_own: bool) {
        let history = self.history;
        let source = self.source(key, value);
        let writer = match source {
            Source::Ambiguous => {
                let (key, value) = (history.keys.shown(key), history.values.shown(value));
                self.found.gap.get_or_insert_with(|| {
                    format!(
                        "{key} = {value} may come from several writes, so a read of it \
                             does not tell from which"
                    )
                });
                return;
            }
            Source::Nobody => {
                if self.options.initial.default.is_some() {
                    self.report_garbage(txn, key, value);
                }
                if !is_own {
                    self.keys[key as usize].reads.push((txn, Some(value), op));
                }
                return;
            }
            Source::Initial => None,
            Source::Txn(writer) => Some(writer),
        };
        if let Some(writer) = writer {
            if writer.txn == txn && writer.op > op {
                self.report_future(txn, key, value);
            }
            if writer.txn == txn {
                return;
            }
            self.check_writer(txn, writer, key, value);
        }
        let version = writer.map(|_| value);
        let writer = writer.map(|writer| writer.txn);
        if let Some(from) = writer {
            let (tie, order) = (Tie::Wr, Order::Observed);
            let (before, after) = (version, version);
            self.found.add(Dependency { from, to: txn, tie, key, before, after, order });
        }
        if is_own {
            return;
        }
        self.keys[key as usize].reads.push((txn, version, op));
        if writer.is_none_or(|writer| self.found.is_present(writer)) {
            self.found.seen.push(Seen { reader: txn, key, writer });
        }
    }

    fn check_writer(&mut self, txn: u32, writer: Writer, key: u32, value: u32) {
        let history = self.history;
        let titles = || vec![title(history, writer.txn), title(history, txn)];
        let (reader, writer_name) = (name(txn), name(writer.txn));
        let (key_name, value) = (history.keys.shown(key), history.values.shown(value));
        let shown = [writer.txn, txn];
        if history.txn(writer.txn).fate == Fate::Aborted {
            self.found.findings.add(AnomalyKind::G1a, &shown, || {
                let what =
                    format!("{reader} read {key_name} = {value}, which {writer_name} aborted");
                [vec![what], titles()].concat()
            });
        } else if history.is_overwritten(writer.txn, writer.op, key) {
            self.found.findings.add(AnomalyKind::G1b, &shown, || {
                let what = format!(
                    "{reader} read {key_name} = {value}, which {writer_name} overwrote itself"
                );
                [vec![what], titles()].concat()
            });
        }
    }

    fn report_garbage(&mut self, txn: u32, key: u32, value: u32) {
        let history = self.history;
        self.found.findings.add(AnomalyKind::GarbageRead, &[txn], || {
            let (key, value) = (history.keys.shown(key), history.values.shown(value));
            let what = format!("{} read {key} = {value}, which nobody wrote", name(txn));
            vec![what, title(history, txn)]
        });
    }

    fn report_future(&mut self, txn: u32, key: u32, value: u32) {
        let history = self.history;
        self.found.findings.add(AnomalyKind::FutureRead, &[txn], || {
            let (key, value) = (history.keys.shown(key), history.values.shown(value));
            let what = format!("{} read {key} = {value} and wrote that only later", name(txn));
            vec![what, title(history, txn)]
        });
    }

    /// Two transactions that read one version of a key and then both write it.
    fn check_lost_updates(&mut self) {
        let history = self.history;
        for (key, versions) in (0..).zip(&self.keys) {
            let mut updates: Map<Option<u32>, u32> = Map::default();
            for &(txn, version, op) in &versions.reads {
                if !history.is_overwritten(txn, op, key) {
                    continue;
                }
                let other = *updates.entry(version).or_insert(txn);
                if other == txn {
                    continue;
                }
                self.found.findings.add(AnomalyKind::LostUpdate, &[other, txn], || {
                    let key_name = history.keys.shown(key);
                    let seen = version.map_or_else(
                        || format!("the initial value of {key_name}"),
                        |version| format!("{key_name} = {}", history.values.shown(version)),
                    );
                    let both = format!("{} and {}", name(other), name(txn));
                    let what = format!("{both} both read {seen} and then wrote it");
                    vec![what, title(history, other), title(history, txn)]
                });
            }
        }
    }

    /// Turns the known orders of versions into dependencies, and notes where none is known.
    fn relate(&mut self) {
        for key in 0..self.keys.len() as u32 {
            let versions = std::mem::take(&mut self.keys[key as usize]);
            let readers = versions.readers();
            let writers: Map<u32, u32> =
                versions.writes.iter().map(|&(txn, value)| (value, txn)).collect();
            let known = versions.order(self.history, self.options, key);
            if let Some(cycle) = known.cycle {
                self.report_cyclic(key, &cycle);
            }
            for (before, successors) in known.later {
                let order = successors.first().map_or(Order::Initial, |&(_, order)| order);
                let next: Vec<(u32, u32)> = successors
                    .iter()
                    .filter_map(|(after, _)| Some((*writers.get(after)?, *after)))
                    .collect();
                if let Some(&from) = before.and_then(|before| writers.get(&before)) {
                    for &(after, order) in &successors {
                        let Some(&to) = writers.get(&after) else { continue };
                        let (tie, after) = (Tie::Ww, Some(after));
                        self.found.add(Dependency { from, to, tie, key, before, after, order });
                    }
                }
                let readers = readers.get(&before).cloned().unwrap_or_default();
                self.found.add_hub(Hub { key, before, readers, writers: next, order });
            }
            if versions.writes.len() > 1 && self.options.commit_order.is_empty() {
                let open = versions.writes.iter().map(|&(writer, value)| {
                    let readers = readers.get(&Some(value)).cloned().unwrap_or_default();
                    Version { value, writer, readers }
                });
                self.found.open.push(Open { key, versions: open.collect() });
            }
        }
    }

    fn report_cyclic(&mut self, key: u32, cycle: &[(Option<u32>, Order)]) {
        let history = self.history;
        let involved: Vec<u32> = cycle
            .iter()
            .filter_map(|&(version, _)| history.writer(key, version?).map(|writer| writer.txn))
            .collect();
        self.found.findings.add(AnomalyKind::CyclicVersions, &involved, || {
            let versions: Vec<String> = cycle
                .iter()
                .map(|&(version, _)| {
                    version.map_or_else(
                        || "the initial value".to_owned(),
                        |version| history.values.shown(version).to_string(),
                    )
                })
                .collect();
            let key_name = history.keys.shown(key);
            let what = format!(
                "the versions of {key_name} must come in the order {}, and then {} again",
                versions.join(", "),
                versions.first().map_or("", String::as_str)
            );
            let mut lines = vec![what];
            lines.extend(involved.iter().map(|&txn| title(history, txn)));
            lines
        });
    }
}
