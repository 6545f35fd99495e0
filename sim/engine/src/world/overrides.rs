//! Decisions that the plan takes out of the seed's hands.

use super::queue::Counts;
use crate::choice::{Entity, mix};
use crate::plan::{Fate, Matched, Name, Override};
use squall_env::Roster;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

#[derive(Default)]
pub(crate) struct Overrides {
    messages: Vec<MessageOverride>,
    /// Those that have not matched yet, by lane, name and place.
    wanted: BTreeSet<(u64, Name, usize)>,
    skips: Vec<Skip>,
    counts: Counts,
}

struct MessageOverride {
    /// Which override of the plan it is.
    place: usize,
    name: Option<Name>,
    fate: Fate,
    matched: bool,
}

/// Operations of a client that are left out.
struct Skip {
    place: usize,
    client: u32,
    which: Which,
    matched: bool,
}

enum Which {
    This(u64),
    AllBut(BTreeSet<u64>),
}

impl Which {
    fn has(&self, number: u64) -> bool {
        match self {
            Which::This(this) => *this == number,
            Which::AllBut(kept) => !kept.contains(&number),
        }
    }
}

fn lane(from: u32, to: u32, port: u32, kind: u8) -> u64 {
    Entity(u64::from(from)).with(u64::from(to)).with(u64::from(port)).with(u64::from(kind)).0
}

impl Overrides {
    /// Overrides that name no node of the roster match nothing.
    pub(crate) fn new(overrides: &[Override], roster: &Roster) -> Overrides {
        let names = roster.all().enumerate().map(|(at, node)| (roster.name(node), at as u32));
        let nodes: BTreeMap<String, u32> = match overrides.is_empty() {
            true => BTreeMap::new(),
            false => names.collect(),
        };
        let index = |name: &str| nodes.get(name).copied();
        let mut all = Overrides::default();
        for (place, wish) in overrides.iter().enumerate() {
            match wish {
                Override::Message { from, to, port, message_kind, fate, .. } => {
                    let name = match (index(from), index(to)) {
                        (Some(from), Some(to)) => {
                            let lane = lane(from, to, *port, *message_kind);
                            wish.name().inspect(|name| {
                                all.wanted.insert((lane, *name, all.messages.len()));
                            })
                        }
                        _ => None,
                    };
                    let (fate, matched) = (*fate, false);
                    all.messages.push(MessageOverride { place, name, fate, matched });
                }
                Override::SkipOperation { client, number } => {
                    all.skip(place, index(client), Which::This(*number));
                }
                Override::OnlyOperations { client, numbers } => {
                    let kept = numbers.iter().copied().collect();
                    all.skip(place, index(client), Which::AllBut(kept));
                }
            }
        }
        all
    }

    fn skip(&mut self, place: usize, client: Option<u32>, which: Which) {
        // One that names nobody matches nothing.
        let client = client.unwrap_or(u32::MAX);
        self.skips.push(Skip { place, client, which, matched: false });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The first override of a lane under one of these names.
    fn first(&self, lane: u64, names: RangeInclusive<Name>) -> Option<(u64, Name, usize)> {
        let (low, high) = names.into_inner();
        self.wanted.range((lane, low, 0)..=(lane, high, usize::MAX)).next().copied()
    }

    /// What the plan says of a message with this payload, sent at this time. Each override has one
    /// message; where several want the same, the one with the surest name has it.
    pub(crate) fn message(
        &mut self,
        (from, to, port, kind): (u32, u32, u32, u8),
        now: u64,
        payload: u64,
    ) -> Option<Fate> {
        let lane = lane(from, to, port, kind);
        self.first(lane, Name::LEAST..=Name::Time(u64::MAX))?;
        let (count, nth) = (self.counts.next(lane), self.counts.next(mix(lane ^ payload)));
        let (hash, count) = (Name::Hash { payload, nth }, Name::Count(count));
        let found = (self.first(lane, hash..=hash))
            .or_else(|| self.first(lane, count..=count))
            .or_else(|| self.first(lane, Name::Time(0)..=Name::Time(now)))?;
        self.wanted.remove(&found);
        let wish = &mut self.messages[found.2];
        wish.matched = true;
        Some(wish.fate)
    }

    /// Whether a client leaves this operation out.
    pub(crate) fn skips(&mut self, client: u32, number: u64) -> bool {
        let mut skips = self.skips.iter_mut();
        match skips.find(|skip| skip.client == client && skip.which.has(number)) {
            Some(skip) => {
                skip.matched = true;
                true
            }
            None => false,
        }
    }

    /// How many overrides matched by what, and which did not.
    pub(crate) fn matched(&self) -> (Matched, Vec<usize>) {
        let (mut matched, mut missed) = (Matched::default(), Vec::new());
        for wish in &self.messages {
            match wish.name {
                Some(Name::Hash { .. }) if wish.matched => matched.by_hash += 1,
                Some(Name::Count(_)) if wish.matched => matched.by_count += 1,
                Some(Name::Time(_)) if wish.matched => matched.by_time += 1,
                _ => missed.push(wish.place),
            }
        }
        matched.operations = self.skips.iter().filter(|skip| skip.matched).count() as u64;
        missed.extend(self.skips.iter().filter(|skip| !skip.matched).map(|skip| skip.place));
        matched.not_at_all = missed.len() as u64;
        (matched, missed)
    }
}
