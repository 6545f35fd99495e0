//! What a queue knows of its consumers.

use super::state::Queue;
use super::types::{CONSUMERS_MAX, Delivery, Refused};
use squall_env::Instant;
use std::time::Duration;

impl Queue {
    /// Lets a consumer in, in the place of one that has gone.
    pub(super) fn make_room_for(&mut self, consumer: u64, now: Instant) -> Result<(), Refused> {
        if self.sessions.len() < CONSUMERS_MAX || self.sessions.contains_key(&consumer) {
            return Ok(());
        }
        let patience: Duration = self.config().visibility;
        self.sessions.retain(|_, one| !one.held.is_empty() || one.seen + patience > now);
        let is_full = self.sessions.len() >= CONSUMERS_MAX;
        if is_full { Err(Refused::TooManyConsumers) } else { Ok(()) }
    }

    /// Notes what a consumer's last call gave it.
    pub(super) fn gave(&mut self, consumer: u64, places: &[u64]) {
        let given = places.iter().filter_map(|place| {
            self.delivery(*place).map(|delivery| (*place, delivery.receipt.attempt))
        });
        let given = given.collect();
        if let Some(session) = self.sessions.get_mut(&consumer) {
            session.given = given;
        }
    }

    /// What a consumer's last call gave it and it still has.
    pub(super) fn given(&self, consumer: u64) -> Vec<Delivery> {
        let Some(session) = self.sessions.get(&consumer) else { return Vec::new() };
        let has = |(place, attempt): &(u64, u32)| {
            let delivery = self.delivery(*place).filter(|_| session.held.contains(place))?;
            (delivery.receipt.attempt == *attempt).then_some(delivery)
        };
        session.given.iter().filter_map(has).collect()
    }
}
