//! What ought to hold of a tutorial's queue, and does not.

use super::tutorial::{Progress, Reviewed};
use super::{DEAD_LETTERS, QUEUE, WORKERS};
use squall_env::View;
use squall_protocols::queue::{Broker, MessageId};
use std::collections::BTreeSet;

/// The property of effects.
pub(super) const ONCE: &str = "an order is booked once";
/// The property of reviews.
pub(super) const KEPT: &str = "a dead letter that a review is to keep is kept";
/// The property of what is no order at all.
pub(super) const BURIED: &str = "what cannot be read comes to the dead letters";
/// The property of outages.
pub(super) const LIVES: &str = "a good order does not die of an outage";
/// The property of waiting.
pub(super) const AWAKE: &str = "some worker is awake while orders wait";

/// What a producer has published that is no order.
#[derive(Default)]
pub(super) struct Unreadable(pub(super) Vec<MessageId>);

/// What a review could not see to is a dead letter still.
pub(super) fn is_kept() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut kept: BTreeSet<MessageId> = BTreeSet::new();
    move |view| {
        for reviewed in view.changed::<Reviewed>() {
            kept.extend(reviewed.kept.iter());
        }
        let Some(broker) = view.up::<Broker>().next() else { return Ok(()) };
        let Some(queue) = broker.queue(DEAD_LETTERS) else { return Ok(()) };
        let there: BTreeSet<MessageId> =
            queue.queued().chain(queue.dead()).map(|receipt| receipt.id).collect();
        match kept.difference(&there).next() {
            None => Ok(()),
            Some(id) => Err(format!("{id} was to stay for another review, and is gone")),
        }
    }
}

/// Everything that is no order is among the dead letters.
pub(super) fn is_buried(view: &View<'_>) -> bool {
    let published: Vec<MessageId> =
        view.up::<Unreadable>().flat_map(|unreadable| unreadable.0.clone()).collect();
    let Some(broker) = view.up::<Broker>().next() else { return false };
    let Some(queue) = broker.queue(DEAD_LETTERS) else { return false };
    let there: BTreeSet<MessageId> = queue.queued().map(|receipt| receipt.id).collect();
    published.iter().all(|id| there.contains(id))
}

/// No worker gives an order up. It stands only where every order is good and nobody declines one:
/// whatever fails there, fails for want of the ledger.
pub(super) fn lives(view: &View<'_>) -> Result<(), String> {
    for progress in view.changed::<Progress>() {
        if let Some((number, why)) = progress.buried.first() {
            return Err(format!("order {number} is good, and is dead: {why}"));
        }
    }
    Ok(())
}

/// While an order lies in the queue that could be worked on at once, not every worker sleeps.
/// Nothing rests on the broker of the tutorial, so what nobody has in hand could be.
pub(super) fn is_awake(view: &View<'_>) -> Result<(), String> {
    let asleep = view.up::<Progress>().filter(|progress| progress.is_asleep).count();
    if asleep < WORKERS.into() {
        return Ok(());
    }
    let Some(broker) = view.up::<Broker>().next() else { return Ok(()) };
    let Some(queue) = broker.queue(QUEUE) else { return Ok(()) };
    let depth = queue.depth();
    match depth.queued.saturating_sub(depth.in_flight) {
        0 => Ok(()),
        waiting => Err(format!("{waiting} orders wait, and {asleep} of {WORKERS} workers sleep")),
    }
}
