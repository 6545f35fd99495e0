//! Depth first: one way to its end, then back to the last fork. Nothing but fingerprints and the
//! way at hand is kept.

use super::explored::{Broken, Ended, Explored};
use super::properties::Watcher;
use super::table::Table;
use super::{Limits, Model, print_of, walk};

/// Visits every state of a model, in less memory than [`breadth_first`](super::breadth_first). A
/// counterexample may be much longer than need be. With a limit of depth it may miss states that a
/// shorter way leads to, and does not call itself complete.
///
/// # Panics
/// If the model is none: if a path that was walked cannot be walked again.
pub fn depth_first<M: Model + ?Sized>(model: &M, limits: &Limits) -> Explored {
    let properties = model.properties();
    let mut search = Search {
        model,
        limits: *limits,
        watcher: Watcher::new(model, &properties),
        table: Table::new(),
        way: Vec::new(),
        actions: Vec::new(),
        counts: Counts::default(),
    };
    let (ended, broken) = search.run();
    let counts = search.counts;
    let explored = Explored {
        states: counts.states,
        transitions: counts.transitions,
        depth: counts.depth,
        outside: counts.outside,
        bytes: counts.bytes,
        ended,
        broken,
        unreached: search.watcher.unreached(),
    };
    super::lasso::look(model, limits, &properties, explored)
}

#[derive(Clone, Copy, Default)]
struct Counts {
    states: u64,
    transitions: u64,
    depth: u64,
    outside: u64,
    bytes: u64,
    /// Whether there was more below the limit of depth.
    cut: bool,
}

/// A state on the way at hand.
struct Fork<S> {
    state: S,
    /// Its actions end here in the list of all; those of the forks before it come first.
    first: usize,
    /// How many of them were tried.
    tried: u32,
}

struct Search<'m, M: Model + ?Sized> {
    model: &'m M,
    limits: Limits,
    watcher: Watcher<'m, M>,
    table: Table,
    way: Vec<Fork<M::State>>,
    actions: Vec<M::Action>,
    counts: Counts,
}

type End = (Ended, Option<Broken>);

impl<M: Model + ?Sized> Search<'_, M> {
    fn run(&mut self) -> End {
        for (number, state) in self.model.initial().into_iter().enumerate() {
            if let Err(end) = self.from(state, number as u32) {
                return end;
            }
        }
        (if self.counts.cut { Ended::Depth } else { Ended::Complete }, None)
    }

    fn from(&mut self, initial: M::State, number: u32) -> Result<(), End> {
        let mut scratch = initial.clone();
        self.enter(initial, number)?;
        while let Some(fork) = self.way.last_mut() {
            let Some(action) = self.actions.get(fork.first + fork.tried as usize) else {
                self.actions.truncate(fork.first);
                self.way.pop();
                continue;
            };
            fork.tried += 1;
            scratch.clone_from(&fork.state);
            if self.model.step(&mut scratch, action) {
                self.counts.transitions += u64::from(self.enter(scratch.clone(), number)?);
            }
        }
        Ok(())
    }

    /// Says whether the state is within the model's bounds.
    fn enter(&mut self, state: M::State, number: u32) -> Result<bool, End> {
        if !self.model.within(&state) {
            self.counts.outside += 1;
            return Ok(false);
        }
        if self.way.len() as u64 > self.limits.depth {
            self.counts.cut = true;
            return Ok(true);
        }
        self.watch_memory()?;
        if !self.table.insert(print_of(self.model, &state)) {
            return Ok(true);
        }
        if self.counts.states >= self.limits.states {
            return Err((Ended::States, None));
        }
        self.counts.states += 1;
        self.counts.depth = self.counts.depth.max(self.way.len() as u64);
        if let Some((property, why)) = self.watcher.look(&state) {
            let tried = self.way.iter().map(|fork| fork.tried - 1);
            let path: Vec<u32> = std::iter::once(number).chain(tried).collect();
            let walked = walk(self.model, &path);
            let (steps, _) = walked.expect("a path can be walked as often as one likes");
            return Err((Ended::Broken, Some(Broken { property, why, steps, path })));
        }
        let first = self.actions.len();
        self.model.actions(&state, &mut self.actions);
        self.way.push(Fork { state, first, tried: 0 });
        Ok(true)
    }

    fn watch_memory(&mut self) -> Result<(), End> {
        let bytes = self.table.bytes_with(1)
            + (self.way.capacity() * size_of::<Fork<M::State>>()) as u64
            + (self.actions.capacity() * size_of::<M::Action>()) as u64;
        if bytes > self.limits.bytes {
            return Err((Ended::Memory, None));
        }
        self.counts.bytes = self.counts.bytes.max(bytes);
        Ok(())
    }
}
