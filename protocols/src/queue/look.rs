//! What can be seen of a queue from outside.

use super::kept::Kept;
use super::state::Queue;
use super::types::{ANSWER_BYTES_MAX, DeadLetter, Depth, QueueConfig, Receipt, TEXT_MAX};

impl Queue {
    pub(super) fn dead_letters(&self, behind: Option<u64>) -> Vec<DeadLetter> {
        let from = behind.map_or(0, |place| place.saturating_add(1));
        let mut bytes = 0;
        let letters = self.kept.dead.range(from..).map(|(place, buried)| DeadLetter {
            place: *place,
            receipt: buried.kept.receipt(),
            key: buried.kept.message.key.clone(),
            body: buried.kept.message.body.clone(),
            reason: buried.reason.clone(),
            published: buried.kept.published,
            first_failed: buried.kept.failed,
            died: buried.died,
        });
        let fits = |letter: &DeadLetter| {
            let first = bytes == 0;
            bytes += letter.body.len() + 3 * TEXT_MAX;
            first || bytes <= ANSWER_BYTES_MAX
        };
        letters.take_while(fits).collect()
    }

    /// The queue's configuration.
    pub fn config(&self) -> &QueueConfig {
        &self.kept.config
    }

    /// What it holds.
    pub fn depth(&self) -> Depth {
        Depth {
            queued: self.kept.queued.len() as u32,
            in_flight: self.leases.len() as u32,
            dead: self.kept.dead.len() as u32,
        }
    }

    /// The last receipts of what is to be delivered, in order; of a message that was never
    /// delivered the attempt is 0.
    pub fn queued(&self) -> impl Iterator<Item = Receipt> {
        self.kept.queued.values().map(Kept::receipt)
    }

    /// The last receipts of the dead letters, in order.
    pub fn dead(&self) -> impl Iterator<Item = Receipt> {
        self.kept.dead.values().map(|buried| buried.kept.receipt())
    }

    /// How many messages each consumer has in its hands.
    pub fn held(&self) -> impl Iterator<Item = (u64, usize)> {
        self.sessions.iter().map(|(consumer, session)| (*consumer, session.held.len()))
    }
}
