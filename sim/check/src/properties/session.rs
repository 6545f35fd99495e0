//! The four session guarantees, on registers each of whose values is written once.
//!
//! After Terry et al., "Session guarantees for weakly consistent replicated data" (1994). A
//! session is a process. Nothing shows the order in which writes were taken, so a guarantee counts
//! as kept if some order keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use petgraph::algo::kosaraju_scc;
use petgraph::graphmap::DiGraphMap;

use super::Status;
use crate::history::{History, Operation, Outcome};
use crate::model::register::{RegisterCall, RegisterReturn};

/// What a session may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guarantee {
    /// A read shows what the session last wrote to the key, or something later.
    ReadYourWrites,
    /// A read shows what the session last read of the key, or something later.
    MonotonicReads,
    /// Who sees a write sees what its session had last written to each key before it, or later.
    MonotonicWrites,
    /// Who sees a write sees what its session had last read of each key before it, or later.
    WritesFollowReads,
}

/// What an operation met: a key, and the value that it wrote or read. A read of `None` shows that
/// the key was not written yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met<K, V> {
    /// The operation wrote the value.
    Wrote(K, V),
    /// The operation read it.
    Read(K, Option<V>),
}

/// Which guarantees were broken, each with an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// What shows that a guarantee was broken.
    pub broken: BTreeMap<Guarantee, String>,
    /// A value that was written more than once, so that nothing can be said.
    pub ambiguous: Option<String>,
}

/// A write, by its position among all; the state before any write is `None`.
type Write = Option<usize>;

/// One write must come before another.
#[derive(Clone, Copy, Debug)]
struct Before {
    guarantee: Guarantee,
    one: Write,
    other: Write,
    /// The operation that asks for it.
    by: usize,
}

/// An operation on a register.
struct Step {
    /// Its position in the history.
    at: usize,
    process: u64,
    key: usize,
    write: Write,
    is_read: bool,
}

/// What a session has met.
#[derive(Default)]
struct Session {
    /// The last write and the last version read of each key.
    writes: BTreeMap<usize, Write>,
    reads: BTreeMap<usize, Write>,
    /// For each key and session, what reads must not fall behind from now on, and the write of
    /// that session which brought it along.
    floors: BTreeMap<(usize, u64, Guarantee), (usize, Write)>,
}

/// Which session guarantees a history keeps. `met` tells what an operation that took effect, or
/// may have, did to which register; `None` if it did nothing to any.
pub fn session_guarantees<I, O, K: Ord + Clone + fmt::Debug, V: Ord + Clone + fmt::Debug>(
    history: &History<I, O>,
    met: impl Fn(&I, Option<&O>) -> Option<Met<K, V>>,
) -> SessionReport {
    let mut report = SessionReport { broken: BTreeMap::new(), ambiguous: None };
    let operations = history.operations();
    let all: Vec<Option<Met<K, V>>> = operations.iter().map(|one| effect(one, &met)).collect();
    let mut writes: BTreeMap<(&K, &V), usize> = BTreeMap::new();
    for (at, one) in all.iter().enumerate() {
        if let Some(Met::Wrote(key, value)) = one
            && writes.insert((key, value), at).is_some()
        {
            report.ambiguous = Some(format!("{key:?} = {value:?} was written twice"));
            return report;
        }
    }
    let mut keys: BTreeMap<&K, usize> = BTreeMap::new();
    let mut steps = Vec::new();
    for (at, one) in all.iter().enumerate() {
        let (key, write, is_read) = match one {
            Some(Met::Wrote(key, _)) => (key, Some(at), false),
            Some(Met::Read(key, None)) => (key, None, true),
            Some(Met::Read(key, Some(value))) => match writes.get(&(key, value)) {
                Some(&write) => (key, Some(write), true),
                None => {
                    report.ambiguous = Some(format!("nobody wrote {key:?} = {value:?}"));
                    return report;
                }
            },
            None => continue,
        };
        let next = keys.len();
        let key = *keys.entry(key).or_insert(next);
        steps.push(Step { at, process: operations[at].process, key, write, is_read });
    }
    let orders = orders(&steps);
    let show = |write: Write| match write.and_then(|at| all[at].as_ref()) {
        Some(Met::Wrote(key, value)) => format!("{key:?} = {value:?}"),
        _ => "the state before any write".to_owned(),
    };
    for (guarantee, cycle) in broken(&orders) {
        let parts = cycle.iter().map(|before| {
            let process = operations[before.by].process;
            let event = operations[before.by].invoked.index;
            format!(
                "{} before {} for process {process} (event {event})",
                show(before.one),
                show(before.other)
            )
        });
        report.broken.insert(guarantee, parts.collect::<Vec<_>>().join(", but "));
    }
    report
}

/// What a register was asked and answered, for [`session_guarantees`]; a read of the initial value
/// shows that nothing was written yet.
pub fn register_access<V: PartialEq + Clone>(
    initial: V,
) -> impl Fn(&RegisterCall<V>, Option<&RegisterReturn<V>>) -> Option<Met<(), V>> {
    move |input, output| match (input, output) {
        (RegisterCall::Write(value), _) => Some(Met::Wrote((), value.clone())),
        (RegisterCall::Read, Some(RegisterReturn::Value(value))) => {
            Some(Met::Read((), (*value != initial).then(|| value.clone())))
        }
        (RegisterCall::Read, _) => None,
    }
}

fn effect<I, O, K, V>(
    operation: &Operation<I, O>,
    met: &impl Fn(&I, Option<&O>) -> Option<Met<K, V>>,
) -> Option<Met<K, V>> {
    match &operation.outcome {
        Outcome::Ok(output) => met(&operation.input, Some(output)),
        Outcome::Unknown => met(&operation.input, None),
        Outcome::Fail => None,
    }
}

/// All that the guarantees ask of the order of writes.
fn orders(steps: &[Step]) -> Vec<Before> {
    let mut orders = Vec::new();
    let mut sessions: BTreeMap<u64, Session> = BTreeMap::new();
    // What each write brings along: the last writes and reads of its session before it.
    let mut brings: BTreeMap<usize, Vec<(Guarantee, usize, Write)>> = BTreeMap::new();
    let mut process_of: BTreeMap<usize, u64> = BTreeMap::new();
    for step in steps.iter().filter(|step| !step.is_read) {
        process_of.insert(step.at, step.process);
    }
    // A write may be read by an operation that began before it, so these come first.
    for step in steps {
        let session = sessions.entry(step.process).or_default();
        if step.is_read {
            session.reads.insert(step.key, step.write);
            continue;
        }
        let writes =
            session.writes.iter().map(|(&key, &one)| (Guarantee::MonotonicWrites, key, one));
        let reads =
            session.reads.iter().map(|(&key, &one)| (Guarantee::WritesFollowReads, key, one));
        let brought: Vec<_> = writes.chain(reads).collect();
        for &(guarantee, key, one) in &brought {
            if key == step.key {
                orders.push(Before { guarantee, one, other: step.write, by: step.at });
            }
        }
        brings.insert(step.at, brought);
        session.writes.insert(step.key, step.write);
    }
    let mut sessions: BTreeMap<u64, Session> = BTreeMap::new();
    for step in steps {
        let session = sessions.entry(step.process).or_default();
        if !step.is_read {
            session.writes.insert(step.key, step.write);
            continue;
        }
        let mut ask = |guarantee, one: Write| {
            orders.push(Before { guarantee, one, other: step.write, by: step.at });
        };
        if let Some(&own) = session.writes.get(&step.key) {
            ask(Guarantee::ReadYourWrites, own);
        }
        if let Some(before) = session.reads.insert(step.key, step.write) {
            ask(Guarantee::MonotonicReads, before);
        }
        let floors = session.floors.range((step.key, 0, Guarantee::ReadYourWrites)..);
        for (&(.., guarantee), &(_, floor)) in floors.take_while(|((key, ..), _)| *key == step.key)
        {
            ask(guarantee, floor);
        }
        let Some(write) = step.write else { continue };
        for &(guarantee, key, one) in brings.get(&write).into_iter().flatten() {
            let writer = process_of.get(&write).copied().unwrap_or_default();
            let floor = session.floors.entry((key, writer, guarantee)).or_insert((write, one));
            if floor.0 < write {
                *floor = (write, one);
            }
        }
    }
    orders.retain(|before| before.one != before.other);
    orders
}

/// The guarantees that no order of writes keeps, each with orders that contradict each other.
///
/// What a session reads and writes itself shows whether it kept the first two. The other two speak
/// of what others see in turn, so they are judged together with monotonic reads, if those are kept.
fn broken(orders: &[Before]) -> BTreeMap<Guarantee, Vec<Before>> {
    use Guarantee::{MonotonicReads, MonotonicWrites, ReadYourWrites, WritesFollowReads};
    let mut broken = BTreeMap::new();
    for guarantee in [ReadYourWrites, MonotonicReads] {
        let cycle = contradiction(orders, &[guarantee]);
        broken.extend(cycle.map(|cycle| (guarantee, cycle)));
    }
    let are_reads_kept = !broken.contains_key(&MonotonicReads);
    for guarantee in [MonotonicWrites, WritesFollowReads] {
        let both = [guarantee, MonotonicReads];
        let judged = if are_reads_kept { &both[..] } else { &both[..1] };
        broken.extend(contradiction(orders, judged).map(|cycle| (guarantee, cycle)));
    }
    broken
}

/// Orders of these guarantees that close a cycle.
fn contradiction(orders: &[Before], guarantees: &[Guarantee]) -> Option<Vec<Before>> {
    // Nothing comes before the state in which no key was written.
    let asked = || orders.iter().filter(|before| guarantees.contains(&before.guarantee));
    if let Some(before) = asked().find(|before| before.other.is_none()) {
        return Some(vec![*before]);
    }
    let graph: DiGraphMap<usize, Before> =
        asked().filter_map(|before| Some((before.one?, before.other?, *before))).collect();
    let components = kosaraju_scc(&graph);
    let component = components.into_iter().filter(|one| one.len() > 1).min_by_key(Vec::len)?;
    let inside: BTreeSet<usize> = component.iter().copied().collect();
    // Walk inside until a write comes again.
    let mut walk: Vec<Before> = Vec::new();
    let mut write = *inside.first()?;
    loop {
        if let Some(start) = walk.iter().position(|before| before.one == Some(write)) {
            return Some(walk.split_off(start));
        }
        let next = graph.neighbors(write).find(|next| inside.contains(next))?;
        walk.push(*graph.edge_weight(write, next)?);
        write = next;
    }
}

impl SessionReport {
    /// Violated if a guarantee was broken.
    pub fn status(&self) -> Status {
        match &self.ambiguous {
            Some(reason) => Status::Undecided(reason.clone()),
            None if self.broken.is_empty() => Status::Holds,
            None => Status::Violated,
        }
    }

    /// Whether one guarantee was kept.
    pub fn keeps(&self, guarantee: Guarantee) -> bool {
        self.ambiguous.is_none() && !self.broken.contains_key(&guarantee)
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ReadYourWrites => "read your writes",
            Self::MonotonicReads => "monotonic reads",
            Self::MonotonicWrites => "monotonic writes",
            Self::WritesFollowReads => "writes follow reads",
        })
    }
}

impl fmt::Display for SessionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.ambiguous {
            return f.write_str(reason);
        }
        if self.broken.is_empty() {
            return f.write_str("all session guarantees are kept");
        }
        for (at, (guarantee, example)) in self.broken.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}not kept: {guarantee}; {example}")?;
        }
        Ok(())
    }
}
