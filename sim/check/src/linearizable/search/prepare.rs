//! Sets a search up: which operations are alike, and which states are needed.

use super::{Completed, Open, Search};
use crate::linearizable::machine::NONE;
use crate::linearizable::subject::{Span, SpanOf, Subject};
use crate::linearizable::wanted::Wanted;
use crate::model::Model;

impl Search {
    pub(super) fn prepare<'a, M: Model>(
        &mut self,
        subject: &Subject<'a, M>,
        spans: &[SpanOf<'a, M>],
    ) {
        let effects = subject.effects(spans);
        let effect =
            |span: usize| effects.as_ref().map_or((NONE, NONE), |effects| effects.pairs[span]);
        self.completed.clear();
        self.path.clear();
        self.memo.clear();
        self.state = 0;
        self.entries.fill(spans.iter().filter_map(|span| {
            span.completed.map(|(returned, _)| (span.operation.invoked.index, returned))
        }));
        for (at, span) in spans.iter().enumerate().filter(|(_, span)| span.completed.is_some()) {
            let (needs, sets) = effect(at);
            let class = span.class();
            let unseen = subject.classes[class as usize].unseen;
            let is_read_only = span.is_read_only;
            let rivals = (0, 0);
            self.completed.push(Completed { class, unseen, needs, sets, is_read_only, rivals });
        }
        self.progress.fill(self.completed.len());
        self.find_rivals();
        self.group_open(spans, &effect);
        self.tables.clear();
        self.wanted = effects.map(|effects| {
            self.tables = effects.tables;
            Wanted::new(effects.states)
        });
        for at in 0..self.completed.len() {
            let Completed { needs, sets, .. } = self.completed[at];
            self.count(needs, sets, true, 1);
        }
        for class in 0..self.open.len() {
            let Open { needs, sets, invoked, .. } = self.open[class];
            self.count(needs, sets, false, (invoked.1 - invoked.0).cast_signed());
        }
    }

    /// Lists, for each completed operation, those of its class that overlap it and return earlier.
    fn find_rivals(&mut self) {
        let mut by_class: Vec<u32> = (0..self.completed.len() as u32).collect();
        let completed = &mut self.completed;
        let entries = &self.entries;
        by_class.sort_by_key(|&at| (completed[at as usize].class, entries.returned(at)));
        self.rivals.clear();
        for (position, &at) in by_class.iter().enumerate() {
            let start = self.rivals.len() as u32;
            let class = completed[at as usize].class;
            let earlier = by_class[..position].iter().rev().take_while(|&&other| {
                completed[other as usize].class == class
                    && entries.returned(other) > entries.invoked(at)
            });
            if !completed[at as usize].is_read_only {
                self.rivals.extend(earlier);
            }
            completed[at as usize].rivals = (start, self.rivals.len() as u32);
        }
    }

    /// Puts open operations that are alike together.
    fn group_open<'a, I: 'a, O: 'a>(
        &mut self,
        spans: &[Span<'a, I, O>],
        effect: &impl Fn(usize) -> (u32, u32),
    ) {
        let is_open = |&at: &usize| spans[at].completed.is_none();
        let mut open: Vec<usize> = (0..spans.len()).filter(is_open).collect();
        open.sort_by_key(|&at| (spans[at].class(), effect(at), spans[at].operation.invoked.index));
        self.open.clear();
        self.invoked.clear();
        for at in open {
            let class = spans[at].class();
            let (needs, sets) = effect(at);
            let end = self.invoked.len() as u32;
            self.invoked.push(spans[at].operation.invoked.index);
            match self.open.last_mut() {
                Some(last) if (last.class, last.needs, last.sets) == (class, needs, sets) => {
                    last.invoked.1 = end + 1;
                }
                _ => self.open.push(Open { class, needs, sets, invoked: (end, end + 1) }),
            }
        }
        self.used.clear();
        self.used.resize(self.open.len(), 0);
    }
}
