//! Messages that a queue has, with what has become of them, and how snapshots have them.

use super::state::Durable;
use super::types::{DeadReason, Message, Receipt, Verdict};
use crate::later::Later;
use serde::{Deserialize, Serialize};
use squall_env::WallTime;
use std::collections::BTreeMap;

/// A message with its history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) message: Message,
    pub(super) published: WallTime,
    /// How often it was delivered, ever: the number of its last receipt.
    pub(super) attempts: u32,
    /// How many of these count no more, since it was redriven.
    pub(super) forgiven: u32,
    /// Whether the last attempt has ended by its receipt.
    pub(super) settled: bool,
    /// How it failed the last time.
    pub(super) why: String,
    /// When it failed for the first time. An [`Image`] has it beside the queues.
    #[serde(skip)]
    pub(super) failed: Option<WallTime>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Buried {
    pub(super) kept: Kept,
    pub(super) reason: DeadReason,
    pub(super) died: WallTime,
}

impl Kept {
    pub(super) fn receipt(&self) -> Receipt {
        Receipt { id: self.message.id, attempt: self.attempts }
    }

    /// How often it was delivered since it was published or redriven.
    pub(super) fn counted(&self) -> u32 {
        self.attempts.saturating_sub(self.forgiven)
    }

    /// An attempt has failed. That it was not the first is known of what failed before this was
    /// written down.
    pub(super) fn fail(&mut self, wall: Option<WallTime>) {
        if self.attempts <= 1 {
            self.failed = self.failed.or(wall);
        }
    }

    /// Its attempts count no more, and no receipt of them settles anything.
    pub(super) fn forgive(&mut self) {
        self.forgiven = self.attempts;
        self.settled = true;
    }

    /// Whether the last attempt has ended so already.
    pub(super) fn has_ended(&self, verdict: &Verdict) -> bool {
        self.settled && *verdict != Verdict::Ack
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    pub(super) fn is_redriven_from(&self, attempt: u32) -> bool {
        self.forgiven == attempt && attempt > 0
    }
}

/// All queues of a broker as a snapshot has them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Image {
    queues: BTreeMap<String, Durable>,
    /// Of each queue, when the messages at these places failed for the first time.
    failed: Later<BTreeMap<String, BTreeMap<u64, WallTime>>>,
}

impl Image {
    pub(super) fn of<'a>(queues: impl Iterator<Item = (&'a String, &'a Durable)>) -> Image {
        let (mut all, mut failed) = (BTreeMap::new(), BTreeMap::new());
        for (name, durable) in queues {
            let of = |(place, kept): (&u64, &Kept)| kept.failed.map(|wall| (*place, wall));
            let dead = durable.dead.iter().map(|(place, buried)| (place, &buried.kept));
            failed.insert(name.clone(), durable.queued.iter().chain(dead).filter_map(of).collect());
            all.insert(name.clone(), durable.clone());
        }
        Image { queues: all, failed: Later(failed) }
    }

    pub(super) fn into_queues(mut self) -> BTreeMap<String, Durable> {
        for (name, failed) in self.failed.0 {
            let Some(durable) = self.queues.get_mut(&name) else { continue };
            for (place, wall) in failed {
                let queued = durable.queued.get_mut(&place);
                let kept = queued.or(durable.dead.get_mut(&place).map(|buried| &mut buried.kept));
                if let Some(kept) = kept {
                    kept.failed = Some(wall);
                }
            }
        }
        self.queues
    }
}
