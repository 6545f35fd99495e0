//! How far a leader knows a follower to be, and how fast it may send.

use super::log::Index;
use std::collections::VecDeque;

/// A leader's view of one follower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    /// Up to here the follower's log is durable and agrees with the leader's.
    pub(super) matched: Index,
    /// The next entry to send.
    pub(super) next: Index,
    pub(super) pace: Pace,
    /// Whether it has answered since the leader last looked.
    pub(super) active: bool,
    /// The newest heartbeat that it has answered.
    pub(super) round: u64,
}

/// How a leader sends to a follower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// The leader looks for where the logs part: one message at a time.
    Probe {
        /// One is under way; the next waits for its answer or for a heartbeat.
        waiting: bool,
    },
    /// The logs agree: entries follow each other before the answers are there. The last index of
    /// each message that is under way.
    Replicate(VecDeque<Index>),
}

impl Progress {
    pub(super) fn behind(last: Index) -> Progress {
        Progress {
            matched: 0,
            next: last + 1,
            pace: Pace::Probe { waiting: false },
            active: false,
            round: 0,
        }
    }

    /// Whether another message may be sent, of which `most` may be under way.
    pub(super) fn may_send(&self, most: usize) -> bool {
        match &self.pace {
            Pace::Probe { waiting } => !waiting,
            Pace::Replicate(under_way) => under_way.len() < most,
        }
    }

    /// A message with the entries up to `last` has been sent.
    pub(super) fn sent(&mut self, last: Index) {
        match &mut self.pace {
            Pace::Probe { waiting } => *waiting = true,
            Pace::Replicate(under_way) => {
                under_way.push_back(last);
                self.next = last + 1;
            }
        }
    }

    /// The follower has everything up to `matched`. Whether that is news.
    pub(super) fn accepted(&mut self, matched: Index) -> bool {
        let news = matched > self.matched;
        self.matched = self.matched.max(matched);
        match &mut self.pace {
            Pace::Probe { .. } => {
                self.next = self.matched + 1;
                self.pace = Pace::Replicate(VecDeque::new());
            }
            Pace::Replicate(under_way) => {
                self.next = self.next.max(self.matched + 1);
                while under_way.front().is_some_and(|last| *last <= matched) {
                    under_way.pop_front();
                }
            }
        }
        news
    }

    /// The follower misses the entry at `previous`; `next` is where to try. Whether the answer is
    /// not older than what is known already.
    pub(super) fn refused(&mut self, previous: Index, next: Index) -> bool {
        let stale = match &self.pace {
            // What it once had durably it cannot miss: the question was sent before.
            Pace::Replicate(_) => previous <= self.matched,
            Pace::Probe { .. } => previous + 1 != self.next,
        };
        if !stale {
            self.next = next.clamp(self.matched + 1, previous.max(self.matched + 1));
            self.pace = Pace::Probe { waiting: false };
        }
        !stale
    }
}
