//! Takes the strings that were read apart into the pieces that were put and appended.
//!
//! If every string that was read is made of pieces in one way only, the state of a key is no more
//! than which beginning of such a string it is, or that it is none of them. A piece that only one
//! operation wrote tells where that operation took place: an append whose piece was read found the
//! state before it. A piece that nobody read leaves what nobody reads until the next put.

use std::collections::{BTreeSet, HashMap};

use super::{AppendKvCall, AppendKvReturn};
use crate::model::{Effect, Interval, PartEffect, PartEffects, Table};

type Operation<'a> = Interval<'a, AppendKvCall, AppendKvReturn>;

/// The state that no read sees; 0 is the initial one.
const UNSEEN: u32 = 1;

/// The state that there never was.
const NEVER: u32 = 2;

/// What was written, and the states that the strings that were read show.
struct Pieces<'a> {
    /// The number of each piece.
    numbers: HashMap<&'a str, usize>,
    /// For each piece, how many operations put it and how many appended it.
    writers: Vec<(usize, usize)>,
    lengths: BTreeSet<usize>,
    /// The state after a piece in a state; in [`NEVER`] after a piece that was put, unless nothing
    /// was there at first.
    appended: HashMap<(u32, usize), u32>,
    next_state: u32,
}

/// The effects of the operations on one key; `None` if a string may be made up in several ways.
pub(super) fn effects(initial: &str, part: &[Operation<'_>]) -> Option<PartEffects> {
    let mut pieces = Pieces::of(part)?;
    let mut reads: Vec<(&str, usize)> = Vec::new();
    for (at, operation) in part.iter().enumerate() {
        if let (AppendKvCall::Get(_), Some(AppendKvReturn::Value(value))) =
            (operation.input, operation.output)
        {
            reads.push((value, at));
        }
    }
    // A string comes right after the longest one that it goes on from.
    reads.sort_unstable();
    let mut found = HashMap::with_capacity(reads.len());
    let mut last = ("", None);
    for (value, at) in reads {
        let state = match last {
            (text, Some(state)) if !text.is_empty() && value.starts_with(text) => {
                pieces.follow(state, &value[text.len()..])
            }
            _ => pieces.start(initial, value)?,
        };
        found.insert(at, state.unwrap_or(NEVER));
        last = (value, state);
    }
    let mut effects = PartEffects { operations: Vec::new(), tables: pieces.tables() };
    for (at, operation) in part.iter().enumerate() {
        let fixed = |needs, sets| PartEffect::Fixed(Effect { needs, sets });
        effects.operations.push(match (operation.input, operation.output) {
            (AppendKvCall::Get(_), None) => fixed(None, None),
            (AppendKvCall::Get(_), _) => {
                fixed(Some(found.get(&at).copied().unwrap_or(NEVER)), None)
            }
            (_, Some(AppendKvReturn::Value(_))) => fixed(Some(NEVER), None),
            (AppendKvCall::Put(_, piece), _) => {
                let nothing = if initial.is_empty() { 0 } else { NEVER };
                let state = pieces.appended.get(&(nothing, pieces.numbers[piece.as_str()]));
                fixed(None, Some(state.copied().unwrap_or(UNSEEN)))
            }
            (AppendKvCall::Append(_, piece), _) => {
                let number = pieces.numbers[piece.as_str()];
                let steps = &effects.tables[number].steps;
                match (steps.as_slice(), pieces.writers[number]) {
                    ([], _) => fixed(None, Some(UNSEEN)),
                    (&[(before, after), ..], (0, 1)) => fixed(Some(before), Some(after)),
                    _ => PartEffect::Varies(number),
                }
            }
        });
    }
    Some(effects)
}

impl<'a> Pieces<'a> {
    fn of(part: &[Operation<'a>]) -> Option<Self> {
        let mut pieces = Self {
            numbers: HashMap::new(),
            writers: Vec::new(),
            lengths: BTreeSet::new(),
            appended: HashMap::new(),
            next_state: NEVER + 1,
        };
        let key = part.first()?.input.key();
        for operation in part {
            if operation.input.key() != key {
                return None;
            }
            let (piece, is_put) = match operation.input {
                AppendKvCall::Get(_) => continue,
                AppendKvCall::Append(_, piece) => (piece, false),
                AppendKvCall::Put(_, piece) => (piece, true),
            };
            if piece.is_empty() {
                return None;
            }
            let next = pieces.writers.len();
            let number = *pieces.numbers.entry(piece).or_insert(next);
            if number == next {
                pieces.writers.push((0, 0));
                pieces.lengths.insert(piece.len());
            }
            let (put, appended) = &mut pieces.writers[number];
            *if is_put { put } else { appended } += 1;
        }
        pieces.is_clear().then_some(pieces)
    }

    /// The state that a string shows, or none if it was never there; nothing if that is not clear.
    fn start(&mut self, initial: &str, value: &str) -> Option<Option<u32>> {
        let put = self.piece(value).filter(|&(number, _)| self.writers[number].0 > 0);
        match (put, value.strip_prefix(initial)) {
            // What is put where nothing was is the same as what is appended to nothing.
            (Some(_), Some(rest)) if initial.is_empty() => Some(self.follow(0, rest)),
            (Some(_), Some(_)) => None,
            (Some((number, length)), None) => {
                let state = self.after(NEVER, number);
                Some(self.follow(state, &value[length..]))
            }
            (None, Some(rest)) => Some(self.follow(0, rest)),
            (None, None) => Some(None),
        }
    }

    /// The state after appending all of a text, piece by piece; none if pieces do not make it up.
    fn follow(&mut self, mut state: u32, mut text: &str) -> Option<u32> {
        while !text.is_empty() {
            let (number, length) = self.piece(text)?;
            state = self.after(state, number);
            text = &text[length..];
        }
        Some(state)
    }

    /// The state after a piece in a state.
    fn after(&mut self, before: u32, number: usize) -> u32 {
        let next = self.next_state;
        let after = *self.appended.entry((before, number)).or_insert(next);
        self.next_state += u32::from(after == next);
        after
    }

    /// The first piece of a text, and its length.
    fn piece(&self, text: &str) -> Option<(usize, usize)> {
        self.lengths.iter().find_map(|&length| {
            let number = text.get(..length).and_then(|piece| self.numbers.get(piece));
            number.map(|&number| (number, length))
        })
    }

    /// Whether no piece is the beginning of another, so that a text has one first piece at most.
    fn is_clear(&self) -> bool {
        let mut pieces: Vec<&str> = self.numbers.keys().copied().collect();
        pieces.sort_unstable();
        // A piece that another begins with is right before it, or before one that it begins too.
        pieces.windows(2).all(|pair| !pair[1].starts_with(pair[0]))
    }

    /// What appending each piece makes of each state.
    fn tables(&self) -> Vec<Table> {
        let table = Table { steps: Vec::new(), otherwise: UNSEEN };
        let mut tables = vec![table; self.writers.len()];
        for (&(before, number), &after) in &self.appended {
            if before != NEVER && self.writers[number].1 > 0 {
                tables[number].steps.push((before, after));
            }
        }
        for table in &mut tables {
            table.steps.sort_unstable();
        }
        tables
    }
}
