//! Breadth first: the states level by level, so that ways are as short as can be.
//!
//! Only the states of the level at hand and of the next are kept, and each only once it is known to
//! be new: a step is taken on one scratch state, and again if its fingerprint was not known. What
//! stays of a state is its fingerprint, and six bytes for the way back to it.

use super::explored::{Broken, Ended, Explored};
use super::properties::Watcher;
use super::table::Table;
use super::{Limits, Model, print_of, walk};
use std::collections::{BTreeMap, VecDeque};

/// After so many steps their fingerprints are looked up.
const PRINTS: usize = 64;

/// Visits every state of a model, those that take fewer steps first. A counterexample has no more
/// steps than any other of its property.
///
/// # Panics
/// If the model is none: if a path that was walked cannot be walked again.
pub fn breadth_first<M: Model + ?Sized>(model: &M, limits: &Limits) -> Explored {
    let properties = model.properties();
    let mut search = Search::new(model, limits, Watcher::new(model, &properties));
    let end = search.run();
    let (ended, found) = match end {
        Err(End::Broken { property, why }) => (Ended::Broken, Some((property, why))),
        Err(End::Limit(ended)) => (ended, None),
        Ok(()) => (Ended::Complete, None),
    };
    let broken = found.map(|(property, why)| {
        let path = search.ways.path(search.ways.len() - 1);
        let walked = walk(model, &path);
        let (steps, _) = walked.expect("a path can be walked as often as one likes");
        Broken { property, why, steps, path }
    });
    let explored = Explored {
        states: search.ways.len() as u64,
        transitions: search.transitions,
        depth: search.depth,
        outside: search.outside,
        bytes: search.bytes_max,
        ended,
        broken,
        unreached: search.watcher.unreached(),
    };
    super::lasso::look(model, limits, &properties, explored)
}

enum End {
    Broken { property: String, why: String },
    Limit(Ended),
}

struct Search<'m, M: Model + ?Sized> {
    model: &'m M,
    limits: Limits,
    watcher: Watcher<'m, M>,
    table: Table,
    ways: Ways,
    queue: VecDeque<M::State>,
    /// Of the states in the queue so many are of the level at hand.
    level: usize,
    depth: u64,
    transitions: u64,
    outside: u64,
    bytes_max: u64,
    /// The states that are being left, what may happen in them, and what comes of it.
    block: Vec<M::State>,
    actions: Vec<M::Action>,
    steps: Vec<Step>,
    prints: Vec<u64>,
}

/// A step out of the block.
#[derive(Clone, Copy)]
struct Step {
    from: u32,
    /// Among all actions of the block.
    action: u32,
    /// Among those of its state.
    choice: u32,
}

impl<'m, M: Model + ?Sized> Search<'m, M> {
    fn new(model: &'m M, limits: &Limits, watcher: Watcher<'m, M>) -> Search<'m, M> {
        Search {
            model,
            limits: *limits,
            watcher,
            table: Table::new(),
            ways: Ways::default(),
            queue: VecDeque::new(),
            level: 0,
            depth: 0,
            transitions: 0,
            outside: 0,
            bytes_max: 0,
            block: Vec::new(),
            actions: Vec::new(),
            steps: Vec::new(),
            prints: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), End> {
        for (number, state) in self.model.initial().into_iter().enumerate() {
            if !self.model.within(&state) {
                self.outside += 1;
            } else if self.table.insert(print_of(self.model, &state)) {
                self.enter(state, Ways::NOWHERE, number as u32)?;
            }
        }
        let Some(mut scratch) = self.queue.front().cloned() else { return Ok(()) };
        self.level = self.queue.len();
        let mut first = 0;
        loop {
            if self.level == 0 {
                if self.queue.is_empty() {
                    return Ok(());
                }
                self.level = self.queue.len();
                self.depth += 1;
            }
            if self.depth >= self.limits.depth {
                return Err(End::Limit(Ended::Depth));
            }
            let left = self.leave(&mut scratch);
            self.arrive(first, &mut scratch)?;
            first += left;
        }
    }

    /// Takes states of one level off the queue and every step out of them. Gives their number.
    fn leave(&mut self, scratch: &mut M::State) -> u32 {
        self.block.clear();
        self.actions.clear();
        self.steps.clear();
        self.prints.clear();
        while self.level > 0 && self.prints.len() < PRINTS {
            let Some(state) = self.queue.pop_front() else { break };
            self.level -= 1;
            let first = self.actions.len();
            self.model.actions(&state, &mut self.actions);
            for (choice, action) in self.actions[first..].iter().enumerate() {
                scratch.clone_from(&state);
                if !self.model.step(scratch, action) {
                    continue;
                }
                if !self.model.within(scratch) {
                    self.outside += 1;
                    continue;
                }
                self.prints.push(print_of(self.model, scratch));
                let (from, action) = (self.block.len() as u32, (first + choice) as u32);
                self.steps.push(Step { from, action, choice: choice as u32 });
            }
            self.block.push(state);
        }
        self.transitions += self.prints.len() as u64;
        self.block.len() as u32
    }

    /// Enters the states that are new.
    fn arrive(&mut self, first: u32, scratch: &mut M::State) -> Result<(), End> {
        self.watch_memory()?;
        self.table.fetch(&self.prints);
        for at in 0..self.prints.len() {
            if !self.table.insert(self.prints[at]) {
                continue;
            }
            let Step { from, action, choice } = self.steps[at];
            scratch.clone_from(&self.block[from as usize]);
            self.model.step(scratch, &self.actions[action as usize]);
            self.enter(scratch.clone(), first + from, choice)?;
        }
        Ok(())
    }

    fn enter(&mut self, state: M::State, from: u32, choice: u32) -> Result<(), End> {
        let states = self.ways.len() as u64;
        if states >= self.limits.states || states >= u64::from(Ways::NOWHERE) {
            return Err(End::Limit(Ended::States));
        }
        self.ways.push(from, choice);
        if let Some((property, why)) = self.watcher.look(&state) {
            // A new state is a step beyond the level that is being left.
            self.depth += u64::from(from != Ways::NOWHERE);
            return Err(End::Broken { property, why });
        }
        self.queue.push_back(state);
        Ok(())
    }

    fn watch_memory(&mut self) -> Result<(), End> {
        let states = self.queue.capacity() + self.block.capacity();
        let bytes = self.table.bytes_with(self.prints.len())
            + self.ways.bytes()
            + (states * size_of::<M::State>()) as u64;
        if bytes > self.limits.bytes {
            return Err(End::Limit(Ended::Memory));
        }
        self.bytes_max = self.bytes_max.max(bytes);
        Ok(())
    }
}

/// How each state was come to first, in the order in which they were found.
#[derive(Default)]
struct Ways {
    from: Vec<u32>,
    choices: Vec<u16>,
    /// Choices that do not fit above.
    large: BTreeMap<usize, u32>,
}

impl Ways {
    /// Where initial states come from.
    const NOWHERE: u32 = u32::MAX;

    fn len(&self) -> usize {
        self.from.len()
    }

    fn bytes(&self) -> u64 {
        (self.from.capacity() * 4 + self.choices.capacity() * 2) as u64
    }

    fn push(&mut self, from: u32, choice: u32) {
        let small = u16::try_from(choice).unwrap_or(u16::MAX);
        if small == u16::MAX {
            self.large.insert(self.from.len(), choice);
        }
        self.from.push(from);
        self.choices.push(small);
    }

    /// The number of an initial state and of each action from there on.
    fn path(&self, to: usize) -> Vec<u32> {
        let (mut path, mut at) = (Vec::new(), to);
        loop {
            path.push(match self.choices[at] {
                u16::MAX => self.large[&at],
                small => u32::from(small),
            });
            if self.from[at] == Ways::NOWHERE {
                path.reverse();
                return path;
            }
            at = self.from[at] as usize;
        }
    }
}
