//! A depth-first search for an order of the operations that the model allows.
//!
//! The search tries completed operations before open ones, and leaves out choices that cannot be
//! needed because another one does as well:
//!
//! - A read-only operation that fits is placed at once. It changes nothing, so an order in which
//!   it comes later stays legal when it is moved here.
//! - Of operations of one class, those with the same input and output, only the one that returns
//!   first is tried; of open ones, the one that was invoked first. Two of them may change places.
//! - An open operation is not tried where a completed one with the same input leads to the same
//!   state: they may change places too.
//!
//! If each operation has an effect that does not depend on the state, more is known:
//!
//! - A state that somebody still needs, and that nothing leads to any more, is not left. With
//!   values that are written once, a value is thus left only after all its readers, so that no
//!   choice is ever taken back further than to the last write: the search takes polynomial time,
//!   as does the algorithm of Gibbons and Korach ("Testing shared memories", 1997) for that case.
//! - States that nobody needs any more are as good as one.
//! - A write of a value that nobody needs is placed before another write, or in a state that
//!   nobody needs, as soon as possible: nobody sees it there.

use super::Reason;
use super::entries::{Entries, Entry};
use super::limit::{Bounds, Meter};
use super::machine::{NONE, VARIES};
use super::memo::{Inserted, Memo};
use super::progress::Progress;
use super::subject::{Span, SpanOf, Subject};
use super::wanted::Wanted;
use crate::model::{Model, Table};

mod prepare;

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Order,
    Impossible,
    Limit(Reason),
}

/// The search; its buffers serve one run after another.
#[derive(Default)]
pub(super) struct Search {
    entries: Entries,
    progress: Progress,
    memo: Memo,
    /// The completed operations in the order of their invocation.
    completed: Vec<Completed>,
    /// For each completed operation, others of its class that return earlier.
    rivals: Vec<u32>,
    open: Vec<Open>,
    /// When each open operation was invoked, ascending within a class.
    invoked: Vec<u64>,
    /// How many operations of each open class are placed.
    used: Vec<u32>,
    /// Which states are still needed; `None` if the model does not say what operations need.
    wanted: Option<Wanted>,
    /// What operations do whose effect depends on the state, but not on more than that.
    tables: Vec<Table>,
    path: Vec<Placed>,
    state: u32,
    /// How many completed operations have no place yet.
    left: usize,
    /// The most completed operations that ever had a place.
    deepest: usize,
    meter: Meter,
}

/// A completed operation.
#[derive(Clone, Copy, Debug)]
struct Completed {
    class: u32,
    /// The class of its input with an unknown output.
    unseen: u32,
    needs: u32,
    sets: u32,
    is_read_only: bool,
    /// Its part of the list of rivals.
    rivals: (u32, u32),
}

/// The open operations of one class.
#[derive(Clone, Copy, Debug)]
struct Open {
    class: u32,
    needs: u32,
    sets: u32,
    /// Its part of the list of invocations.
    invoked: (u32, u32),
}

/// An operation that has its place in the order, and the state to go back to.
#[derive(Clone, Copy, Debug)]
struct Placed {
    what: What,
    before: u32,
    /// Whether it was put there because nothing is lost by it, so there is no other choice to try.
    is_forced: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Completed(u32),
    /// The next operation of an open class.
    Open(u32),
}

/// Where to go on looking for an operation to place.
#[derive(Clone, Copy, Debug)]
enum From {
    /// A place of the list of completed operations.
    Place(u32),
    /// An open class.
    Class(u32),
}

impl Search {
    /// Searches for a legal order of all completed spans and any of the others.
    pub(super) fn run<'a, M: Model>(
        &mut self,
        subject: &mut Subject<'a, M>,
        spans: &[SpanOf<'a, M>],
        bounds: Bounds<'_>,
    ) -> Found {
        self.meter.start(bounds);
        self.deepest = 0;
        self.left = spans.iter().filter(|span| span.completed.is_some()).count();
        if self.left == 0 {
            return Found::Order;
        }
        let part: Vec<_> = spans.iter().map(Span::interval).collect();
        if let Some(is_linearizable) = subject.model.decide(&part) {
            return if is_linearizable { Found::Order } else { Found::Impossible };
        }
        self.prepare(subject, spans);
        match self.search(subject, bounds) {
            Ok(true) => Found::Order,
            Ok(false) => Found::Impossible,
            Err(reason) => Found::Limit(reason),
        }
    }

    /// How many steps the last run made.
    pub(super) fn steps(&self) -> u64 {
        self.meter.steps()
    }

    /// The most completed operations that the last run had in a legal order.
    pub(super) fn deepest(&self) -> usize {
        self.deepest
    }

    fn search<M: Model>(
        &mut self,
        subject: &mut Subject<'_, M>,
        bounds: Bounds<'_>,
    ) -> Result<bool, Reason> {
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.is_satisfiable(self.state)) {
            return Ok(false);
        }
        loop {
            self.place_forced(subject)?;
            self.deepest = self.deepest.max(self.completed.len() - self.left);
            if self.left == 0 {
                return Ok(true);
            }
            if bounds.is_moot() {
                return Err(Reason::Steps);
            }
            let mut from = From::Place(self.entries.first());
            while !self.place_next(subject, from, bounds)? {
                match self.retreat() {
                    Some(next) => from = next,
                    None => return Ok(false),
                }
            }
        }
    }

    /// Places what may come next and loses nothing by it: reads that fit, and writes that nobody
    /// sees if nobody needs the state either.
    fn place_forced<M: Model>(&mut self, subject: &mut Subject<'_, M>) -> Result<(), Reason> {
        let mut place = self.entries.first();
        while let Entry::Invoke(at) = self.entries.at(place) {
            let completed = self.completed[at as usize];
            let is_forced = if completed.is_read_only {
                self.step_completed(subject, completed)? != NONE
            } else {
                self.is_unseen(completed)
                    && self.wanted.as_ref().is_some_and(|wanted| !wanted.is_wanted(self.state))
            };
            if is_forced {
                let to = if completed.sets == NONE { self.state } else { completed.sets };
                place = self.put_completed(at, to, true);
            } else {
                place = self.entries.after(place);
            }
        }
        Ok(())
    }

    /// Whether it writes, whatever was there, a value that nobody needs.
    fn is_unseen(&self, completed: Completed) -> bool {
        match &self.wanted {
            Some(wanted) => {
                completed.needs == NONE
                    && completed.sets != NONE
                    && !wanted.is_wanted(completed.sets)
            }
            None => false,
        }
    }

    /// Places the first operation from here on that leads to a configuration not seen before;
    /// false if there is none.
    ///
    /// Only an operation invoked before every return that is left may come next.
    fn place_next<M: Model>(
        &mut self,
        subject: &mut Subject<'_, M>,
        from: From,
        bounds: Bounds<'_>,
    ) -> Result<bool, Reason> {
        let first_return = self.entries.first_return();
        let mut class = 0;
        match from {
            From::Place(mut place) => {
                while let Entry::Invoke(at) = self.entries.at(place) {
                    place = self.entries.after(place);
                    if self.try_completed(subject, at, first_return, bounds)? {
                        return Ok(true);
                    }
                }
            }
            From::Class(next) => class = next,
        }
        while (class as usize) < self.open.len() {
            if self.try_open(subject, class, first_return, bounds)? {
                return Ok(true);
            }
            class += 1;
        }
        Ok(false)
    }

    fn try_completed<M: Model>(
        &mut self,
        subject: &mut Subject<'_, M>,
        at: u32,
        first_return: u64,
        bounds: Bounds<'_>,
    ) -> Result<bool, Reason> {
        let completed = self.completed[at as usize];
        if completed.is_read_only || self.has_rival(completed, first_return) {
            return Ok(false);
        }
        let to = self.step_completed(subject, completed)?;
        if to == NONE || self.strands(completed.needs, true, to) {
            return Ok(false);
        }
        let before = self.state;
        self.put_completed(at, to, false);
        let is_write = self.wanted.is_some() && completed.needs == NONE;
        self.settle(subject, before, is_write, first_return, bounds)
    }

    fn try_open<M: Model>(
        &mut self,
        subject: &mut Subject<'_, M>,
        class: u32,
        first_return: u64,
        bounds: Bounds<'_>,
    ) -> Result<bool, Reason> {
        let open = self.open[class as usize];
        let next = open.invoked.0 + self.used[class as usize];
        let is_enabled = next < open.invoked.1 && self.invoked[next as usize] < first_return;
        if !is_enabled {
            return Ok(false);
        }
        let to = self.step(subject, open.class, open.needs, open.sets)?;
        // Without an effect here, an open operation may as well not happen here.
        if to == NONE || to == self.state || self.strands(open.needs, false, to) {
            return Ok(false);
        }
        if self.has_substitute(subject, open, to)? {
            return Ok(false);
        }
        let before = self.state;
        self.used[class as usize] += 1;
        self.count(open.needs, open.sets, false, -1);
        self.path.push(Placed { what: What::Open(class), before, is_forced: false });
        self.state = to;
        let is_write = self.wanted.is_some() && open.needs == NONE;
        self.settle(subject, before, is_write, first_return, bounds)
    }

    /// Whether an operation of the same class may come next that returns earlier.
    fn has_rival(&self, completed: Completed, first_return: u64) -> bool {
        let (start, end) = completed.rivals;
        self.rivals[start as usize..end as usize].iter().any(|&rival| {
            !self.progress.contains(rival) && self.entries.invoked(rival) < first_return
        })
    }

    /// Whether a completed operation that may come next does the same as an open one.
    fn has_substitute<M: Model>(
        &mut self,
        subject: &mut Subject<'_, M>,
        open: Open,
        to: u32,
    ) -> Result<bool, Reason> {
        let mut place = self.entries.first();
        while let Entry::Invoke(at) = self.entries.at(place) {
            let completed = self.completed[at as usize];
            if completed.unseen == open.class && self.step_completed(subject, completed)? == to {
                return Ok(true);
            }
            place = self.entries.after(place);
        }
        Ok(false)
    }

    /// Whether going to another state would leave one that is needed and not reached again.
    fn strands(&self, needs: u32, is_completed: bool, to: u32) -> bool {
        match &self.wanted {
            Some(wanted) if to != self.state => {
                let is_own = is_completed && needs == self.state;
                wanted.is_stranded(self.state, u32::from(is_own))
            }
            _ => false,
        }
    }

    /// Completes the placing of a chosen operation: takes it back if that leads nowhere new.
    fn settle<M: Model>(
        &mut self,
        subject: &Subject<'_, M>,
        before: u32,
        is_write: bool,
        first_return: u64,
        bounds: Bounds<'_>,
    ) -> Result<bool, Reason> {
        if is_write && before != self.state {
            self.absorb(first_return);
        }
        let is_wanted = self.wanted.as_ref().is_none_or(|wanted| wanted.is_wanted(self.state));
        let state = if is_wanted { self.state } else { NONE };
        let taken = subject.machine.bytes();
        let limit = bounds.memory.saturating_sub(taken);
        match self.memo.insert(&self.progress, state, &self.used, limit) {
            Inserted::New => Ok(true),
            Inserted::Seen => {
                self.retreat();
                Ok(false)
            }
            Inserted::Full => Err(Reason::Memory),
        }
    }

    /// Places unseen writes that could have come right before the write that was just placed.
    fn absorb(&mut self, first_return: u64) {
        let mut place = self.entries.first();
        while let Entry::Invoke(at) = self.entries.at(place) {
            if self.entries.index(place) > first_return {
                return;
            }
            let completed = self.completed[at as usize];
            place = match self.is_unseen(completed) {
                true => self.put_completed(at, self.state, true),
                false => self.entries.after(place),
            };
        }
    }

    /// Takes back the last choice; returns where to look for another, or `None` if none is left.
    fn retreat(&mut self) -> Option<From> {
        while let Some(placed) = self.path.pop() {
            self.state = placed.before;
            let from = match placed.what {
                What::Completed(at) => {
                    let completed = self.completed[at as usize];
                    self.progress.remove(at);
                    self.left += 1;
                    self.entries.unlift(at);
                    self.count(completed.needs, completed.sets, true, 1);
                    From::Place(self.entries.after_invocation(at))
                }
                What::Open(class) => {
                    let open = self.open[class as usize];
                    self.used[class as usize] -= 1;
                    self.count(open.needs, open.sets, false, 1);
                    From::Class(class + 1)
                }
            };
            if !placed.is_forced {
                return Some(from);
            }
        }
        None
    }

    /// Places a completed operation; returns the place that followed its invocation.
    fn put_completed(&mut self, at: u32, to: u32, is_forced: bool) -> u32 {
        let Completed { needs, sets, .. } = self.completed[at as usize];
        self.path.push(Placed { what: What::Completed(at), before: self.state, is_forced });
        self.state = to;
        self.left -= 1;
        self.progress.insert(at);
        self.count(needs, sets, true, -1);
        self.entries.lift(at)
    }

    /// Counts operations as not placed any more, or, with a negative number, as placed.
    fn count(&mut self, needs: u32, sets: u32, is_completed: bool, times: i32) {
        let Some(wanted) = &mut self.wanted else { return };
        if needs != VARIES {
            wanted.count(needs, sets, is_completed, times);
            return;
        }
        for &(from, to) in &self.tables[sets as usize].steps {
            // It matters from where it starts, but it may start from elsewhere too.
            wanted.count(from, to, false, times);
        }
    }

    fn step_completed<M: Model>(
        &mut self,
        subject: &mut Subject<'_, M>,
        completed: Completed,
    ) -> Result<u32, Reason> {
        self.step(subject, completed.class, completed.needs, completed.sets)
    }

    /// The state after an operation, or [`NONE`] if it does not fit.
    fn step<M: Model>(
        &mut self,
        subject: &mut Subject<'_, M>,
        class: u32,
        needs: u32,
        sets: u32,
    ) -> Result<u32, Reason> {
        self.meter.step()?;
        if self.wanted.is_none() {
            let of = &subject.classes[class as usize];
            return Ok(subject.machine.step(self.state, class, of.input, of.output));
        }
        if needs == VARIES {
            return Ok(self.tables[sets as usize].after(self.state));
        }
        Ok(match (needs, sets) {
            (needs, _) if needs != NONE && needs != self.state => NONE,
            (_, NONE) => self.state,
            (_, sets) => sets,
        })
    }
}
