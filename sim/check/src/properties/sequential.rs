//! Sequential consistency: some order of all operations that keeps to the order in each process.
//!
//! After Lamport, "How to make a multiprocessor computer that correctly executes multiprocess
//! programs" (1979). Unlike linearizability it does not heed real time, and parts of a history
//! cannot be judged one by one.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, DefaultHasher};

use super::Status;
use crate::history::{History, Operation, Outcome};
use crate::model::Model;

/// How much work a check of sequential consistency may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequentialLimits {
    /// How many times the search may call [`Model::step`].
    pub steps: u64,
    /// How many configurations, each a place in every process and a state, it may remember.
    pub memory: usize,
}

/// Whether a history is sequentially consistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequentialReport {
    status: Status,
    /// How many operations the longest legal order has that was found.
    pub longest: usize,
    /// What each process that is stuck behind this order would do next, and why it cannot.
    pub stuck: Vec<String>,
}

impl Default for SequentialLimits {
    fn default() -> Self {
        Self { steps: 10_000_000, memory: 2_000_000 }
    }
}

/// A place in the order of each process, and what the system remembers there.
type Configuration<S> = (Vec<u32>, S);

struct Search<'a, M: Model> {
    model: &'a M,
    limits: SequentialLimits,
    /// The operations of each process.
    lines: Vec<Vec<&'a Operation<M::Input, M::Output>>>,
    met: HashSet<Configuration<M::State>, BuildHasherDefault<DefaultHasher>>,
    pending: Vec<Configuration<M::State>>,
    steps: u64,
    best: (usize, Configuration<M::State>),
}

/// Whether some order of the operations, legal for the model, keeps to the order in each process.
///
/// An operation that failed is left out. One with an unknown outcome may take effect at any time
/// after what its process did before, or never. The problem is NP-complete, which is why the search
/// has limits; it is undecided, never a guess, when they are reached.
///
/// # Panics
///
/// Only if the model does.
pub fn sequentially_consistent<M: Model>(
    model: &M,
    history: &History<M::Input, M::Output>,
    limits: &SequentialLimits,
) -> SequentialReport {
    let mut processes: std::collections::BTreeMap<u64, Vec<_>> = Default::default();
    for operation in history.operations() {
        let counts = match operation.outcome {
            Outcome::Ok(_) => true,
            Outcome::Unknown => !model.is_read_only(&operation.input),
            Outcome::Fail => false,
        };
        if counts {
            processes.entry(operation.process).or_default().push(operation);
        }
    }
    let lines: Vec<Vec<_>> = processes.into_values().collect();
    let start = (vec![0; lines.len()], model.initial());
    let mut search = Search {
        model,
        limits: *limits,
        lines,
        met: HashSet::default(),
        pending: vec![start.clone()],
        steps: 0,
        best: (0, start),
    };
    let status = search.run();
    let stuck = if status == Status::Violated { search.stuck() } else { Vec::new() };
    SequentialReport { status, longest: search.best.0, stuck }
}

impl<M: Model> Search<'_, M> {
    fn run(&mut self) -> Status {
        while let Some((places, state)) = self.pending.pop() {
            let (places, state) = self.read_ahead(places, state);
            let done: usize = places.iter().map(|&place| place as usize).sum();
            if done > self.best.0 {
                self.best = (done, (places.clone(), state.clone()));
            }
            if self.is_complete(&places) {
                return Status::Holds;
            }
            if self.met.contains(&(places.clone(), state.clone())) {
                continue;
            }
            if self.steps > self.limits.steps || self.met.len() >= self.limits.memory {
                return Status::Undecided(format!(
                    "after {} steps, orders of {} of {} operations are the longest found",
                    self.steps,
                    self.best.0,
                    self.lines.iter().map(Vec::len).sum::<usize>()
                ));
            }
            self.branch(&places, &state);
            self.met.insert((places, state));
        }
        Status::Violated
    }

    fn next(&self, line: usize, places: &[u32]) -> Option<&Operation<M::Input, M::Output>> {
        self.lines[line].get(places[line] as usize).copied()
    }

    fn step(&mut self, line: usize, places: &[u32], state: &M::State) -> Option<M::State> {
        self.steps += 1;
        let operation = self.next(line, places)?;
        self.model.step(state, &operation.input, answer(operation))
    }

    /// Takes every operation that changes nothing and fits: it is never better to wait with one.
    fn read_ahead(&mut self, mut places: Vec<u32>, state: M::State) -> Configuration<M::State> {
        for line in 0..places.len() {
            while let Some(operation) = self.next(line, &places) {
                let is_read = self.model.is_read_only(&operation.input);
                if !is_read || self.step(line, &places, &state).is_none() {
                    break;
                }
                places[line] += 1;
            }
        }
        (places, state)
    }

    /// Whether all operations that returned have their place; the others may never take effect.
    fn is_complete(&self, places: &[u32]) -> bool {
        (0..places.len()).all(|line| {
            let left = &self.lines[line][places[line] as usize..];
            left.iter().all(|operation| answer(operation).is_none())
        })
    }

    /// Goes on with each process, the one that asked first to be tried first.
    fn branch(&mut self, places: &[u32], state: &M::State) {
        let mut next: Vec<(u64, usize)> = (0..places.len())
            .filter_map(|line| Some((self.next(line, places)?.invoked.index, line)))
            .collect();
        next.sort_unstable();
        for (_, line) in next.into_iter().rev() {
            if let Some(after) = self.step(line, places, state) {
                let mut places = places.to_vec();
                places[line] += 1;
                self.pending.push((places, after));
            }
        }
    }

    /// What each process would do next after the longest order.
    fn stuck(&self) -> Vec<String> {
        let (_, (places, state)) = &self.best;
        let describe = |line: usize| {
            let operation = self.next(line, places)?;
            let output = answer(operation);
            let what = self.model.describe(&operation.input, output);
            let (process, event) = (operation.process, operation.invoked.index);
            let fits = self.model.step(state, &operation.input, output).is_some();
            let after = if fits {
                "which leads nowhere".to_owned()
            } else {
                format!("but the system {}", self.model.describe_state(state))
            };
            Some(format!("process {process} {what} (event {event}), {after}"))
        };
        (0..places.len()).filter_map(describe).collect()
    }
}

fn answer<I, O>(operation: &Operation<I, O>) -> Option<&O> {
    match &operation.outcome {
        Outcome::Ok(output) => Some(output),
        Outcome::Fail | Outcome::Unknown => None,
    }
}

impl SequentialReport {
    /// Violated if no order is legal; undecided if the limits came first.
    pub fn status(&self) -> Status {
        self.status.clone()
    }
}

impl fmt::Display for SequentialReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.status {
            Status::Holds => f.write_str("some order of all operations is legal"),
            Status::Undecided(reason) => f.write_str(reason),
            Status::Violated => {
                let longest = self.longest;
                write!(f, "no order of all operations is legal; the longest has {longest}, then")?;
                self.stuck.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
        }
    }
}
