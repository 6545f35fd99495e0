//! A depth-first search for an order of the operations that the model allows.

use super::Reason;
use super::entries::{Entries, Entry};
use super::memo::{Inserted, Memo};
use super::progress::Progress;
use crate::history::{History, Operation, Outcome};
use crate::model::Model;

/// An operation as the search sees it.
pub(super) struct Span<'a, I, O> {
    pub(super) operation: &'a Operation<I, O>,
    /// The event of its return and its output. Without one it stays open: it may take effect at
    /// any later time or never.
    pub(super) completed: Option<(u64, &'a O)>,
    pub(super) is_read_only: bool,
}

/// How far a search may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) steps: u64,
    pub(super) memory: usize,
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Order,
    Impossible,
    Limit(Reason),
}

/// The search; its buffers serve one run after another.
pub(super) struct Search<'m, M: Model> {
    model: &'m M,
    entries: Entries,
    progress: Progress,
    memo: Memo<M::State>,
    path: Vec<Placed>,
    /// The configuration that holds the current state.
    current: u32,
    /// How many completed operations have no place yet.
    open: usize,
    steps: u64,
    bounds: Bounds,
}

/// An operation that has its place in the order, and where to go back to.
#[derive(Clone, Copy, Debug)]
struct Placed {
    operation: u32,
    before: u32,
    /// Whether it was put there because nothing is lost by it, so there is no other choice to try.
    is_forced: bool,
}

/// How an attempt to go on ended.
enum Advance {
    Placed,
    Stuck,
}

impl<'a, I, O> Span<'a, I, O> {
    /// The operations that matter: not those that failed, nor reads that nobody saw.
    pub(super) fn all<M>(model: &M, history: &'a History<I, O>) -> Vec<Self>
    where
        M: Model<Input = I, Output = O>,
    {
        let mut spans = Vec::with_capacity(history.len());
        for operation in history.operations() {
            let is_read_only = model.is_read_only(&operation.input);
            let completed = match (&operation.outcome, operation.returned) {
                (Outcome::Ok(output), Some(returned)) => Some((returned.index, output)),
                (Outcome::Fail, _) => continue,
                (Outcome::Unknown, _) | (Outcome::Ok(_), None) => None,
            };
            if completed.is_some() || !is_read_only {
                spans.push(Self { operation, completed, is_read_only });
            }
        }
        spans
    }

    pub(super) fn output(&self) -> Option<&'a O> {
        self.completed.map(|(_, output)| output)
    }
}

impl<I, O> Clone for Span<'_, I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for Span<'_, I, O> {}

impl<'m, M: Model> Search<'m, M> {
    pub(super) fn new(model: &'m M) -> Self {
        Self {
            model,
            entries: Entries::default(),
            progress: Progress::default(),
            memo: Memo::new(),
            path: Vec::new(),
            current: 0,
            open: 0,
            steps: 0,
            bounds: Bounds { steps: 0, memory: 0 },
        }
    }

    /// Searches for a legal order of all completed spans and any of the others.
    pub(super) fn run(&mut self, spans: &[Span<'_, M::Input, M::Output>], bounds: Bounds) -> Found {
        match self.search(spans, bounds) {
            Ok(true) => Found::Order,
            Ok(false) => Found::Impossible,
            Err(reason) => Found::Limit(reason),
        }
    }

    /// How many steps the last run made.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    fn search(
        &mut self,
        spans: &[Span<'_, M::Input, M::Output>],
        bounds: Bounds,
    ) -> Result<bool, Reason> {
        self.steps = 0;
        self.open = spans.iter().filter(|span| span.completed.is_some()).count();
        if self.open == 0 {
            return Ok(true);
        }
        self.prepare(spans, bounds)?;
        loop {
            self.place_reads(spans)?;
            if self.open == 0 {
                return Ok(true);
            }
            let mut from = self.entries.first();
            while let Advance::Stuck = self.place_next(spans, from)? {
                match self.retreat() {
                    Some(next) => from = next,
                    None => return Ok(false),
                }
            }
        }
    }

    fn prepare(
        &mut self,
        spans: &[Span<'_, M::Input, M::Output>],
        bounds: Bounds,
    ) -> Result<(), Reason> {
        self.bounds = bounds;
        self.path.clear();
        self.memo.clear();
        self.entries.fill(spans.iter().map(|span| {
            let returned = span.completed.map(|(returned, _)| returned);
            (span.operation.invoked.index, returned)
        }));
        self.progress.fill(spans.iter().map(|span| span.completed.is_some()));
        match self.memo.insert(&self.progress, self.model.initial(), bounds.memory) {
            Inserted::New(initial) => self.current = initial,
            Inserted::Seen | Inserted::Full => return Err(Reason::Memory),
        }
        Ok(())
    }

    /// Places every read that may come next and fits the state.
    ///
    /// A read changes nothing, so an order in which it comes later stays legal when it is moved
    /// here. That makes this a step without alternatives.
    fn place_reads(&mut self, spans: &[Span<'_, M::Input, M::Output>]) -> Result<(), Reason> {
        let mut place = self.entries.first();
        while let Entry::Invoke(operation) = self.entries.at(place) {
            let span = &spans[operation as usize];
            if span.is_read_only && self.step(span)?.is_some() {
                self.progress.insert(operation);
                place = self.put(operation, self.current, true);
            } else {
                place = self.entries.after(place);
            }
        }
        Ok(())
    }

    /// Places the first operation from here on that leads to a configuration not seen before.
    ///
    /// Only an operation invoked before every return that is left may come next.
    fn place_next(
        &mut self,
        spans: &[Span<'_, M::Input, M::Output>],
        from: u32,
    ) -> Result<Advance, Reason> {
        let mut place = from;
        while let Entry::Invoke(operation) = self.entries.at(place) {
            place = self.entries.after(place);
            let span = &spans[operation as usize];
            if span.is_read_only {
                continue;
            }
            let Some(next) = self.step(span)? else { continue };
            // Without an effect here, an open operation may as well not happen here.
            let is_idle = next == *self.memo.state(self.current);
            if is_idle && !self.progress.is_completed(operation) {
                continue;
            }
            self.progress.insert(operation);
            match self.memo.insert(&self.progress, next, self.bounds.memory) {
                Inserted::New(configuration) => {
                    self.put(operation, configuration, false);
                    return Ok(Advance::Placed);
                }
                Inserted::Seen => self.progress.remove(operation),
                Inserted::Full => return Err(Reason::Memory),
            }
        }
        Ok(Advance::Stuck)
    }

    /// Takes back the last choice; returns where to look for another, or `None` if none is left.
    fn retreat(&mut self) -> Option<u32> {
        while let Some(placed) = self.path.pop() {
            self.progress.remove(placed.operation);
            self.open += usize::from(self.progress.is_completed(placed.operation));
            self.entries.unlift(placed.operation);
            self.current = placed.before;
            if !placed.is_forced {
                return Some(self.entries.after_invocation(placed.operation));
            }
        }
        None
    }

    fn put(&mut self, operation: u32, configuration: u32, is_forced: bool) -> u32 {
        self.path.push(Placed { operation, before: self.current, is_forced });
        self.current = configuration;
        self.open -= usize::from(self.progress.is_completed(operation));
        self.entries.lift(operation)
    }

    fn step(&mut self, span: &Span<'_, M::Input, M::Output>) -> Result<Option<M::State>, Reason> {
        if self.steps >= self.bounds.steps {
            return Err(Reason::Steps);
        }
        self.steps += 1;
        let state = self.memo.state(self.current);
        Ok(self.model.step(state, &span.operation.input, span.output()))
    }
}
