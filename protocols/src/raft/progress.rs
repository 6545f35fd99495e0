//! How far a leader knows a follower to be, and how fast it may send.

use super::log::Index;
use super::transfer::Outgoing;
use std::collections::VecDeque;
use std::sync::Arc;

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
    /// The follower lacks entries that the leader has no more.
    Snapshot(Transfer),
}

/// A snapshot on its way to a follower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Transfer {
    pub(super) outgoing: Arc<Outgoing>,
    /// The follower has so many bytes of it.
    acknowledged: u64,
    /// The next byte to send.
    pub(super) sent: u64,
    /// The round of the answer that said so: what is older says nothing new.
    round: u64,
    /// Whether nothing was heard since the last heartbeat.
    stalled: bool,
}

impl Transfer {
    pub(super) fn of(outgoing: Arc<Outgoing>) -> Transfer {
        Transfer { outgoing, acknowledged: 0, sent: 0, round: 0, stalled: false }
    }

    pub(super) fn size(&self) -> u64 {
        self.outgoing.bytes.len() as u64
    }

    /// Whether another part may be sent, of which so many bytes may be under way.
    pub(super) fn may_send(&self, most: u64) -> bool {
        self.sent < self.size() && self.sent - self.acknowledged < most
    }

    /// The follower has the first bytes up to here. It has fewer than before if it has restarted.
    pub(super) fn received(&mut self, received: u64, round: u64) {
        let restarted = received < self.acknowledged && round > self.round;
        if received > self.acknowledged || restarted {
            self.acknowledged = received;
            self.round = round;
            self.stalled = false;
            self.sent = if restarted { received } else { self.sent.max(received) };
        }
    }

    /// A heartbeat is due: if nothing has come since the last one, what is under way is taken for
    /// lost. Whether that resumes a transfer that had begun.
    pub(super) fn beat(&mut self) -> bool {
        let lost = std::mem::replace(&mut self.stalled, true);
        if lost {
            self.sent = self.acknowledged;
        }
        lost && self.acknowledged > 0
    }
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

    /// The snapshot that the follower is being sent.
    pub(super) fn transfer(&self) -> Option<&Transfer> {
        match &self.pace {
            Pace::Snapshot(transfer) => Some(transfer),
            Pace::Probe { .. } | Pace::Replicate(_) => None,
        }
    }

    /// Whether another message may be sent, of which `most` may be under way.
    pub(super) fn may_send(&self, most: usize) -> bool {
        match &self.pace {
            Pace::Probe { waiting } => !waiting,
            Pace::Replicate(under_way) => under_way.len() < most,
            Pace::Snapshot(_) => false,
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
            Pace::Snapshot(_) => {}
        }
    }

    /// The follower has everything up to `matched`, and the leader all behind `base`. Whether that
    /// is news.
    pub(super) fn accepted(&mut self, matched: Index, base: Index) -> bool {
        let news = matched > self.matched;
        self.matched = self.matched.max(matched);
        match &mut self.pace {
            // If the log has been compacted beyond the snapshot, there is another one to send.
            Pace::Snapshot(transfer) if self.matched < base.min(transfer.outgoing.last.0) => {}
            Pace::Probe { .. } | Pace::Snapshot(_) => {
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

    /// The follower's log ends here, whatever was known of it. Whether that is news.
    pub(super) fn forgot(&mut self, last: Index) -> bool {
        if last >= self.matched {
            return false;
        }
        *self = Progress { active: self.active, round: self.round, ..Progress::behind(last) };
        true
    }

    /// The follower misses the entry at `previous`; `next` is where to try. Whether the answer is
    /// not older than what is known already.
    pub(super) fn refused(&mut self, previous: Index, next: Index) -> bool {
        let stale = match &self.pace {
            // What it once had durably it cannot miss: the question was sent before.
            Pace::Replicate(_) => previous <= self.matched,
            Pace::Probe { .. } => previous + 1 != self.next,
            Pace::Snapshot(_) => true,
        };
        if !stale {
            self.next = next.clamp(self.matched + 1, previous.max(self.matched + 1));
            self.pace = Pace::Probe { waiting: false };
        }
        !stale
    }
}
