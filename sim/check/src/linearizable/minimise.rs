//! Makes a violation small enough to read, without ever making one up.

use super::Limits;
use super::limit::Bounds;
use super::machine::NONE;
use super::parts::Parts;
use super::search::{Found, Search};
use super::subject::{Span, SpanOf, Subject};
use crate::history::Moment;
use crate::model::Model;

/// A part of a history that is not linearizable.
pub(super) struct Witness<'a, I, O> {
    pub(super) spans: Vec<Span<'a, I, O>>,
    /// The return at which it became impossible.
    pub(super) end: Option<Moment>,
    /// Whether leaving out any one more operation was tried.
    pub(super) is_minimal: bool,
}

/// The search with what is left of its budget.
struct Trial<'a, M: Model> {
    subject: Subject<'a, M>,
    search: Search,
    steps: u64,
    memory: usize,
    /// Whether a limit left a smaller history undecided.
    is_cut_short: bool,
}

/// At how many points a history is tried to be cut off from its beginning.
const POINTS_MAX: usize = 200;

/// Cuts a violation down to operations none of which can be left out.
///
/// Three reductions are sound, in that a history with a legal order still has one afterwards. The
/// events after some point may be forgotten, which leaves the operations open there with unknown
/// outcomes. What was over before some point may be, if all of it leads back to the initial state.
/// And operations may be left out where the model, or the values they write, say so. Each reduced
/// history is searched again and kept only if it is still a violation.
pub(super) fn minimise<'a, M: Model>(
    model: &'a M,
    parts: &Parts<'a, M>,
    wrong: usize,
    limits: &Limits,
) -> Witness<'a, M::Input, M::Output> {
    let mut subject = Subject::new(model);
    let spans = parts.spans(wrong, &mut subject);
    let mut trial = Trial {
        subject,
        search: Search::default(),
        steps: limits.minimise_steps,
        memory: limits.memory,
        is_cut_short: false,
    };
    let spans = trial.forget_the_end(spans);
    let mut spans = trial.forget_the_beginning(spans);
    let end = spans
        .iter()
        .filter(|span| span.completed.is_some())
        .filter_map(|span| span.operation.returned);
    let end = end.max_by_key(|returned| returned.index);
    // Large pieces first: most operations of a long history have nothing to do with the violation.
    let mut size = spans.len() / 2;
    while size > 1 {
        trial.omit_pieces(&mut spans, size);
        size /= 2;
    }
    while trial.omit_pieces(&mut spans, 1) {}
    Witness { spans, end, is_minimal: trial.steps > 0 && !trial.is_cut_short }
}

impl<'a, M: Model> Trial<'a, M> {
    /// Finds the first return at which the history is a violation and forgets what follows.
    fn forget_the_end(&mut self, spans: Vec<SpanOf<'a, M>>) -> Vec<SpanOf<'a, M>> {
        let mut returns: Vec<u64> =
            spans.iter().filter_map(|span| span.completed).map(|(index, _)| index).collect();
        returns.sort_unstable();
        let mut shortest = None;
        let (mut low, mut high) = (0, returns.len());
        // A longer part of a violation is one too, so halving finds the shortest. A part that the
        // budget leaves undecided counts as none, and the answer is then only longer than needed.
        while low < high {
            let middle = low + (high - low) / 2;
            let cut = until(&spans, returns[middle]);
            if self.is_violation(&cut) {
                shortest = Some(cut);
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        shortest.unwrap_or(spans)
    }

    /// Of a lock, forgets what was over when it had been taken as often as given back.
    ///
    /// With two states and operations that each lead from one to the other, those that are over
    /// take turns with those open at that point. Without the former, the latter can still take
    /// turns, since they overlap, and the state after them is the same.
    fn forget_the_beginning(&mut self, spans: Vec<SpanOf<'a, M>>) -> Vec<SpanOf<'a, M>> {
        let effect = |span: &SpanOf<'a, M>| self.subject.classes[span.class() as usize].effect;
        let is_turn = |span| matches!(effect(span), Some((0, 1) | (1, 0)));
        if !spans.iter().all(is_turn) {
            return spans;
        }
        let over = spans.iter().filter_map(|span| Some((span.completed?.0, effect(span)?.0)));
        let mut over: Vec<(u64, u32)> = over.collect();
        over.sort_unstable();
        let mut balance = 0;
        let mut points = Vec::new();
        for (returned, needs) in over {
            balance += if needs == 0 { 1 } else { -1 };
            points.extend((balance == 0).then_some(returned));
        }
        for point in points.into_iter().rev().take(POINTS_MAX) {
            let is_later =
                |span: &&SpanOf<'a, M>| span.completed.is_none_or(|(returned, _)| returned > point);
            let later: Vec<_> = spans.iter().filter(is_later).copied().collect();
            if self.is_violation(&later) {
                return later;
            }
        }
        spans
    }

    /// Leaves out runs of operations where that is sound and still a violation.
    fn omit_pieces(&mut self, spans: &mut Vec<SpanOf<'a, M>>, size: usize) -> bool {
        let mut has_omitted = false;
        let mut end = spans.len();
        while end > 0 && self.steps > 0 {
            let start = end.saturating_sub(size);
            if let Some(fewer) = self.without(spans, start..end)
                && self.is_violation(&fewer)
            {
                *spans = fewer;
                has_omitted = true;
            }
            // What had to go together may have stood before the piece.
            end = start.min(spans.len());
        }
        has_omitted
    }

    /// The spans without those of a range that may be left out, one after the other; `None` if
    /// that is none of them.
    fn without(
        &self,
        spans: &[SpanOf<'a, M>],
        range: std::ops::Range<usize>,
    ) -> Option<Vec<SpanOf<'a, M>>> {
        let mut is_kept = vec![true; spans.len()];
        // Reads go first, because a write can go only after the reads of its value.
        for reads in [true, false] {
            for omitted in range.clone().filter(|&span| spans[span].is_read_only == reads) {
                is_kept[omitted] = false;
                let mut kept = (0..spans.len())
                    .filter(|&span| is_kept[span])
                    .map(|span| (&spans[span].operation.input, spans[span].output()));
                let span = &spans[omitted];
                let may =
                    self.subject.model.may_omit(&span.operation.input, span.output(), &mut kept);
                drop(kept);
                is_kept[omitted] = !(may || self.is_overwritten(spans, &is_kept, omitted));
            }
        }
        for omitted in range {
            if is_kept[omitted] {
                self.omit_together(spans, &mut is_kept, omitted);
            }
        }
        if is_kept.iter().all(|&kept| kept) {
            return None;
        }
        Some(spans.iter().zip(is_kept).filter(|(_, kept)| *kept).map(|(span, _)| *span).collect())
    }

    /// Whether, in every legal order, another value is written between an operation and all that
    /// need the state it leads to; and a later one leads there too, so that a reader of the report
    /// still sees where the value came from.
    ///
    /// Nothing that is left out then was the reason why anything fits: from it to the next write,
    /// no operation needs the state. An open one that found it changed nothing may as well not
    /// have happened.
    fn is_overwritten(&self, spans: &[SpanOf<'a, M>], is_kept: &[bool], omitted: usize) -> bool {
        let effect = |span: &SpanOf<'a, M>| self.subject.classes[span.class() as usize].effect;
        let span = &spans[omitted];
        let (Some((_, sets)), Some((returned, _))) = (effect(span), span.completed) else {
            return false;
        };
        let kept = || {
            let kept = spans.iter().zip(is_kept).enumerate();
            kept.filter(|&(at, (_, kept))| *kept && at != omitted).map(|(_, (span, _))| span)
        };
        let (mut comes_again, mut overwritten) = (false, u64::MAX);
        for other in kept() {
            let Some((_, others)) = effect(other) else { return false };
            if let Some((end, _)) = other.completed
                && other.operation.invoked.index > returned
                && others != NONE
            {
                comes_again |= others == sets;
                overwritten = if others == sets { overwritten } else { overwritten.min(end) };
            }
        }
        let is_needed_later = |other: &SpanOf<'a, M>| {
            effect(other).is_some_and(|(needs, _)| needs != sets)
                || other.operation.invoked.index > overwritten
        };
        comes_again && sets != NONE && kept().all(is_needed_later)
    }

    /// Leaves out an operation with all those that have to go with it, if the model knows them.
    fn omit_together(&self, spans: &[SpanOf<'a, M>], is_kept: &mut [bool], omitted: usize) {
        let others: Vec<usize> =
            (0..spans.len()).filter(|&at| is_kept[at] && at != omitted).collect();
        let kept: Vec<_> =
            others.iter().map(|&at| (&spans[at].operation.input, spans[at].output())).collect();
        let span = &spans[omitted];
        let model = self.subject.model;
        if let Some(together) = model.companions(&span.operation.input, span.output(), &kept) {
            is_kept[omitted] = false;
            together.into_iter().for_each(|at| is_kept[others[at]] = false);
        }
    }

    fn is_violation(&mut self, spans: &[SpanOf<'a, M>]) -> bool {
        let (steps, memory) = (self.steps, self.memory);
        let bounds = Bounds { steps, memory, deadline: None, part: None };
        let found = self.search.run(&mut self.subject, spans, bounds);
        self.steps -= self.search.steps().min(self.steps);
        self.is_cut_short |= matches!(found, Found::Limit(_));
        found == Found::Impossible
    }
}

/// The history up to and with an event: later operations are gone, later returns unknown.
fn until<'a, I, O>(spans: &[Span<'a, I, O>], last: u64) -> Vec<Span<'a, I, O>> {
    let mut cut = Vec::with_capacity(spans.len());
    for &span in spans {
        let completed = span.completed.filter(|&(returned, _)| returned <= last);
        if span.operation.invoked.index < last && (completed.is_some() || !span.is_read_only) {
            cut.push(Span { completed, ..span });
        }
    }
    cut
}
