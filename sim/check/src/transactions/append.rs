//! Lists that transactions append to: every read shows how its version came to be.
//!
//! After Kingsbury and Alvaro, "Elle: inferring isolation anomalies from experimental
//! observations" (2020), section 4.

mod edges;

use super::anomaly::AnomalyKind;
use super::dependencies::Dependencies;
use super::history::{Fate, Op, Transactions};
use super::names::Map;
use super::words::{list, name, title, wrote};

/// A read of a list by a committed transaction.
#[derive(Clone, Copy, Debug)]
struct ListRead {
    txn: u32,
    /// The operation, by its position in the history.
    op: u32,
    key: u32,
    first: u32,
    end: u32,
    /// Whether the transaction appended to the key before.
    is_internal: bool,
}

/// What the reads of a key tell about its versions.
#[derive(Debug, Default)]
struct KeyOrder {
    /// The longest read.
    longest: (u32, u32),
    longest_reader: u32,
    /// The elements that were appended by transactions with an effect, in their order.
    versions: Vec<u32>,
    /// Where the longest read first shows what an aborted transaction appended.
    aborted_at: Option<u32>,
    /// Where it first shows what nobody appended.
    garbage_at: Option<u32>,
}

struct Analysis<'a> {
    history: &'a Transactions,
    reads: Vec<ListRead>,
    keys: Vec<KeyOrder>,
    /// The place of each version in the order of its key.
    places: Map<(u32, u32), u32>,
    found: Dependencies,
}

/// The dependencies among transactions on lists, and what is wrong without any cycle.
pub(super) fn analyse(history: &Transactions) -> Dependencies {
    let reads = all_reads(history);
    let observed = observed(history, &reads);
    let keys = (0..history.keys.len()).map(|_| KeyOrder::default()).collect();
    let found = Dependencies::new(history, &observed);
    let mut analysis = Analysis { history, reads, keys, places: Map::default(), found };
    analysis.check_internal();
    analysis.find_longest();
    analysis.order_versions();
    analysis.check_reads();
    analysis.check_lost_updates();
    analysis.relate_writes();
    analysis.relate_reads();
    analysis.found.tidy();
    analysis.found
}

fn all_reads(history: &Transactions) -> Vec<ListRead> {
    let mut reads = Vec::new();
    // Who wrote each key last, which tells whether the current transaction did.
    let mut written: Map<u32, u32> = Map::default();
    for txn in history.committed() {
        for (op, operation) in (history.txn(txn).first..).zip(history.ops(txn)) {
            match *operation {
                Op::Write { key, .. } => {
                    written.insert(key, txn);
                }
                Op::ReadList { key, first, end } => {
                    let is_internal = written.get(&key) == Some(&txn);
                    reads.push(ListRead { txn, op, key, first, end, is_internal });
                }
                Op::Read { .. } => {}
            }
        }
    }
    reads
}

/// Which transactions had an effect that some read shows.
fn observed(history: &Transactions, reads: &[ListRead]) -> Vec<bool> {
    let mut observed = vec![false; history.len()];
    let has_unknown = history.all.iter().any(|txn| txn.fate == Fate::Indeterminate);
    if !has_unknown {
        return observed;
    }
    let mut shown: Map<(u32, u32), ()> = Map::default();
    // Reads of one key mostly repeat each other's beginnings; what was seen needs no second look.
    let mut seen: Vec<&[u32]> = vec![&[]; history.keys.len()];
    for read in reads {
        let elements = history.list(read.first, read.end);
        let before = seen[read.key as usize];
        let common = before.iter().zip(elements).take_while(|(one, other)| one == other).count();
        for &element in &elements[common..] {
            shown.insert((read.key, element), ());
        }
        if elements.len() > before.len() {
            seen[read.key as usize] = elements;
        }
    }
    for &(key, element) in shown.keys() {
        if let Some(writer) = history.writer(key, element) {
            observed[writer.txn as usize] = true;
        }
    }
    observed
}

/// What a transaction must see of a key after its own operations.
#[derive(Default)]
struct Expected {
    /// The list it read, if it did.
    base: Option<(u32, u32)>,
    /// What it appended since.
    own: Vec<u32>,
}

impl Analysis<'_> {
    fn check_internal(&mut self) {
        let mut expected: Map<u32, Expected> = Map::default();
        for txn in self.history.committed() {
            let ops = self.history.ops(txn);
            if ops.len() < 2 {
                continue;
            }
            expected.clear();
            for (at, op) in ops.iter().enumerate() {
                match *op {
                    Op::Write { key, value } => {
                        expected.entry(key).or_default().own.push(value);
                    }
                    Op::ReadList { key, first, end } => {
                        self.check_future(txn, at as u32, key, (first, end));
                        let state = expected.entry(key).or_default();
                        if !self.fits(state, first, end) {
                            self.report_internal(txn, key, state, first, end);
                        }
                        *state = Expected { base: Some((first, end)), own: Vec::new() };
                    }
                    Op::Read { .. } => {}
                }
            }
        }
    }

    fn fits(&self, expected: &Expected, first: u32, end: u32) -> bool {
        let seen = self.history.list(first, end);
        let Some(rest) = seen.strip_suffix(expected.own.as_slice()) else { return false };
        expected.base.is_none_or(|(first, end)| self.history.list(first, end) == rest)
    }

    fn report_internal(&mut self, txn: u32, key: u32, state: &Expected, first: u32, end: u32) {
        let history = self.history;
        self.found.findings.add(AnomalyKind::Internal, &[txn], || {
            let own: Vec<String> =
                state.own.iter().map(|&value| history.values.shown(value).to_string()).collect();
            let base = state.base.map(|(first, end)| list(history, first, end));
            let should = match (base, own.is_empty()) {
                (Some(base), true) => format!("after it had read {base}"),
                (Some(base), false) => {
                    format!("after it had read {base} and appended {}", own.join(", "))
                }
                (None, _) => format!("after it had appended {}", own.join(", ")),
            };
            let key = history.keys.shown(key);
            let seen = list(history, first, end);
            vec![format!("{} read {key} = {seen} {should}", name(txn)), title(history, txn)]
        });
    }

    /// Looks in a read for what the same transaction appends only later.
    fn check_future(&mut self, txn: u32, at: u32, key: u32, (first, end): (u32, u32)) {
        let history = self.history;
        let op = history.txn(txn).first + at;
        if !history.is_overwritten(txn, op, key) {
            return;
        }
        let is_later = |value: &&u32| {
            history.writer(key, **value).is_some_and(|writer| writer.txn == txn && writer.op > op)
        };
        let Some(&value) = history.list(first, end).iter().find(is_later) else { return };
        self.found.findings.add(AnomalyKind::FutureRead, &[txn], || {
            let (key, seen) = (history.keys.shown(key), list(history, first, end));
            let (reader, value) = (name(txn), history.values.shown(value));
            let what = format!("{reader} read {key} = {seen} and appended {value} only after that");
            vec![what, title(history, txn)]
        });
    }

    fn find_longest(&mut self) {
        for read in &self.reads {
            let order = &mut self.keys[read.key as usize];
            if read.end - read.first > order.longest.1 - order.longest.0 {
                order.longest = (read.first, read.end);
                order.longest_reader = read.txn;
            }
        }
    }

    /// Takes the longest read of each key as the order of its versions.
    fn order_versions(&mut self) {
        let history = self.history;
        for key in 0..self.keys.len() as u32 {
            let (first, end) = self.keys[key as usize].longest;
            let mut aborted = None;
            for (at, &element) in (0..).zip(history.list(first, end)) {
                let order = &mut self.keys[key as usize];
                if self.places.contains_key(&(key, element)) {
                    continue;
                }
                let Some(writer) = history.writer(key, element) else {
                    order.garbage_at.get_or_insert(at);
                    continue;
                };
                if history.txn(writer.txn).fate == Fate::Aborted {
                    order.aborted_at.get_or_insert(at);
                    aborted.get_or_insert((writer.txn, element));
                    continue;
                }
                self.places.insert((key, element), order.versions.len() as u32);
                let before = order.versions.last().and_then(|&last| history.writer(key, last));
                order.versions.push(element);
                let reader = order.longest_reader;
                if before.is_some_and(|one| one.txn == writer.txn && one.op > writer.op) {
                    self.report_reversed(key, writer.txn, element, reader);
                }
                if let Some(dirty) = aborted.filter(|_| history.is_committed(writer.txn)) {
                    self.report_dirty_update(key, dirty, (writer.txn, element), reader);
                }
            }
        }
    }

    fn report_reversed(&mut self, key: u32, txn: u32, element: u32, reader: u32) {
        let history = self.history;
        let (first, end) = self.keys[key as usize].longest;
        self.found.findings.add(AnomalyKind::IncompatibleOrder, &[txn, reader], || {
            let (writer, seer) = (name(txn), name(reader));
            let (key, seen) = (history.keys.shown(key), list(history, first, end));
            let value = history.values.shown(element);
            let what = format!("{seer} read {key} = {seen}, but {writer} appended {value} earlier");
            vec![what, title(history, txn), title(history, reader)]
        });
    }

    fn report_dirty_update(&mut self, key: u32, dirty: (u32, u32), on: (u32, u32), reader: u32) {
        let history = self.history;
        self.found.findings.add(AnomalyKind::DirtyUpdate, &[dirty.0, on.0, reader], || {
            let what = format!(
                "{} aborted, but {} {} on top of its {}, as {} read",
                name(dirty.0),
                name(on.0),
                wrote(history, key, on.1),
                history.values.shown(dirty.1),
                name(reader),
            );
            let shown = [dirty.0, on.0, reader];
            let mut lines = vec![what];
            lines.extend(shown.map(|txn| title(history, txn)));
            lines
        });
    }

    /// Compares every read with the longest of its key.
    fn check_reads(&mut self) {
        let history = self.history;
        for at in 0..self.reads.len() {
            let read = self.reads[at];
            let seen = history.list(read.first, read.end);
            let order = &self.keys[read.key as usize];
            let reader = order.longest_reader;
            let longest = history.list(order.longest.0, order.longest.1);
            let fits = longest.starts_with(seen);
            let (aborted, garbage) = if fits {
                let shown =
                    |at: Option<u32>| at.map(|at| at as usize).filter(|&at| at < seen.len());
                (shown(order.aborted_at), shown(order.garbage_at))
            } else {
                let writer = |element: u32| history.writer(read.key, element);
                let is_aborted = |element: u32| {
                    writer(element).is_some_and(|one| history.txn(one.txn).fate == Fate::Aborted)
                };
                let aborted = seen.iter().position(|&element| is_aborted(element));
                (aborted, seen.iter().position(|&element| writer(element).is_none()))
            };
            if !fits {
                self.report_incompatible(&read, reader);
            }
            if let Some(at) = aborted {
                self.report_aborted(&read, seen[at]);
            }
            if let Some(at) = garbage {
                self.report_garbage(&read, seen[at]);
            }
            self.check_intermediate(&read, seen);
            if !fits || seen.len() == longest.len() {
                self.check_duplicates(&read, seen);
            }
        }
    }

    fn report_incompatible(&mut self, read: &ListRead, longest_reader: u32) {
        let history = self.history;
        let (first, end) = self.keys[read.key as usize].longest;
        let shown = [longest_reader, read.txn];
        self.found.findings.add(AnomalyKind::IncompatibleOrder, &shown, || {
            let key = history.keys.shown(read.key);
            let longest = list(history, first, end);
            let seen = list(history, read.first, read.end);
            let [longer, shorter] = shown.map(name);
            let what =
                format!("{longer} read {key} = {longest}, but {shorter} read {key} = {seen}");
            vec![what, title(history, shown[0]), title(history, shown[1])]
        });
    }

    fn report_aborted(&mut self, read: &ListRead, element: u32) {
        let history = self.history;
        let Some(writer) = history.writer(read.key, element) else { return };
        self.found.findings.add(AnomalyKind::G1a, &[writer.txn, read.txn], || {
            let (key, value) = (history.keys.shown(read.key), history.values.shown(element));
            let (reader, writer_name) = (name(read.txn), name(writer.txn));
            let what = format!("{reader} read {value} of {key}, which {writer_name} aborted");
            vec![what, title(history, writer.txn), title(history, read.txn)]
        });
    }

    fn report_garbage(&mut self, read: &ListRead, element: u32) {
        let history = self.history;
        self.found.findings.add(AnomalyKind::GarbageRead, &[read.txn], || {
            let (key, value) = (history.keys.shown(read.key), history.values.shown(element));
            let reader = name(read.txn);
            let what = format!("{reader} read {value} of {key}, which nobody appended");
            vec![what, title(history, read.txn)]
        });
    }

    fn check_intermediate(&mut self, read: &ListRead, seen: &[u32]) {
        let history = self.history;
        let Some(&last) = seen.last() else { return };
        let Some(writer) = history.writer(read.key, last) else { return };
        if writer.txn == read.txn || !history.is_overwritten(writer.txn, writer.op, read.key) {
            return;
        }
        self.found.findings.add(AnomalyKind::G1b, &[writer.txn, read.txn], || {
            let (key, seen) = (history.keys.shown(read.key), list(history, read.first, read.end));
            let (reader, writer_name) = (name(read.txn), name(writer.txn));
            let what =
                format!("{reader} read {key} = {seen}, and {writer_name} appended more after that");
            vec![what, title(history, writer.txn), title(history, read.txn)]
        });
    }

    fn check_duplicates(&mut self, read: &ListRead, seen: &[u32]) {
        let mut sorted = seen.to_vec();
        sorted.sort_unstable();
        let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) else { return };
        let (history, element) = (self.history, pair[0]);
        self.found.findings.add(AnomalyKind::DuplicateElements, &[read.txn], || {
            let (key, value) = (history.keys.shown(read.key), history.values.shown(element));
            let seen = list(history, read.first, read.end);
            let what = format!("{} read {key} = {seen}, with {value} twice", name(read.txn));
            vec![what, title(history, read.txn)]
        });
    }

    /// Two transactions that read one version and both append to it.
    fn check_lost_updates(&mut self) {
        let history = self.history;
        let mut updates: Map<(u32, Option<u32>, u32), u32> = Map::default();
        let mut last: Option<(u32, u32)> = None;
        for read in &self.reads {
            if read.is_internal || !history.is_overwritten(read.txn, read.op, read.key) {
                continue;
            }
            if last == Some((read.txn, read.key)) {
                continue;
            }
            last = Some((read.txn, read.key));
            let seen = history.list(read.first, read.end);
            let version = (read.key, seen.last().copied(), seen.len() as u32);
            let other = *updates.entry(version).or_insert(read.txn);
            if other == read.txn {
                continue;
            }
            self.found.findings.add(AnomalyKind::LostUpdate, &[other, read.txn], || {
                let (key, seen) =
                    (history.keys.shown(read.key), list(history, read.first, read.end));
                let both = format!("{} and {}", name(other), name(read.txn));
                let what = format!("{both} both read {key} = {seen} and then appended to it");
                vec![what, title(history, other), title(history, read.txn)]
            });
        }
    }
}
