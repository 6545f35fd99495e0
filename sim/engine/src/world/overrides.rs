//! Decisions that the plan takes out of the seed's hands.

use super::queue::Counts;
use crate::choice::{Entity, mix};
use crate::plan::{Fate, Override};
use squall_env::Roster;

#[derive(Default)]
pub(crate) struct Overrides {
    messages: Vec<MessageOverride>,
    skips: Vec<(u32, u64, bool)>,
    counts: Counts,
}

struct MessageOverride {
    lane: u64,
    payload: Option<u64>,
    nth: u64,
    fate: Fate,
    matched: bool,
}

fn lane(from: u32, to: u32, port: u32, kind: u8) -> u64 {
    Entity(u64::from(from)).with(u64::from(to)).with(u64::from(port)).with(u64::from(kind)).0
}

impl Overrides {
    /// Overrides that name no node of the roster match nothing.
    pub(crate) fn new(overrides: &[Override], roster: &Roster) -> Overrides {
        let index = |name: &str| {
            let wanted = roster.find(name)?;
            roster.all().position(|node| node == wanted).map(|at| at as u32)
        };
        let mut all = Overrides::default();
        for wish in overrides {
            match wish {
                Override::Message { from, to, port, message_kind, payload, nth, fate } => {
                    let lane = match (index(from), index(to)) {
                        (Some(from), Some(to)) => lane(from, to, *port, *message_kind),
                        _ => u64::MAX,
                    };
                    let (payload, nth, fate) = (*payload, *nth, *fate);
                    all.messages.push(MessageOverride { lane, payload, nth, fate, matched: false });
                }
                Override::SkipOperation { client, number } => {
                    all.skips.push((index(client).unwrap_or(u32::MAX), *number, false));
                }
            }
        }
        all
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// What the plan says of a message: the `n`th on its lane, with this payload.
    pub(crate) fn message(
        &mut self,
        from: u32,
        to: u32,
        port: u32,
        kind: u8,
        n: u64,
        payload: u64,
    ) -> Option<Fate> {
        let lane = lane(from, to, port, kind);
        if !self.messages.iter().any(|wish| wish.lane == lane) {
            return None;
        }
        let nth_payload = self.counts.next(mix(lane ^ payload));
        let wish = self.messages.iter_mut().find(|wish| {
            wish.lane == lane
                && match wish.payload {
                    Some(wanted) => wanted == payload && wish.nth == nth_payload,
                    None => wish.nth == n,
                }
        })?;
        wish.matched = true;
        Some(wish.fate)
    }

    /// Whether a client leaves this operation out.
    pub(crate) fn skips(&mut self, client: u32, number: u64) -> bool {
        match self.skips.iter_mut().find(|(c, n, _)| (*c, *n) == (client, number)) {
            Some(skip) => {
                skip.2 = true;
                true
            }
            None => false,
        }
    }

    /// Of all overrides, in their order of kinds, how many matched something.
    pub(crate) fn matched(&self) -> (usize, usize) {
        let messages = self.messages.iter().filter(|wish| wish.matched).count();
        let skips = self.skips.iter().filter(|skip| skip.2).count();
        (messages + skips, self.messages.len() + self.skips.len())
    }
}
