//! What holds of a queue at every moment: what its clients asked and were told, against what the
//! broker holds. A client shows it by [`Watched`](super::Watched).

use super::broker::Broker;
use super::types::{MessageId, Receipt, Verdict};
use super::watched::{Event, Told};
use squall_env::{NodeId, View};
use std::collections::{BTreeMap, BTreeSet};

/// The events that a property has not yet heard, of all nodes and boots.
#[derive(Default)]
struct Ears {
    heard: BTreeMap<(NodeId, u64), usize>,
}

impl Ears {
    fn news(&mut self, view: &View<'_>) -> Vec<Event> {
        let mut news = Vec::new();
        for told in view.changed::<Told>() {
            let heard = self.heard.entry((told.node, told.number)).or_default();
            news.extend(told.events.iter().skip(*heard).cloned());
            *heard = told.events.len();
        }
        news
    }
}

/// The last receipts of what a queue holds: what is to be delivered, and what is dead. Nothing
/// while its broker is down. `boot` is another one whenever the broker has started anew.
struct Holds {
    boot: u64,
    queued: Vec<Receipt>,
    dead: Vec<Receipt>,
}

impl Holds {
    fn of(view: &View<'_>, queue: &str) -> Option<Holds> {
        let broker = view.up::<Broker>().next()?;
        let boot = broker.number;
        let queue = broker.queue(queue)?;
        Some(Holds { boot, queued: queue.queued().collect(), dead: queue.dead().collect() })
    }

    fn all(&self) -> impl Iterator<Item = &Receipt> {
        self.queued.iter().chain(&self.dead)
    }
}

/// A message whose publisher was told that it is durable is to be delivered, or dead, or somebody
/// has asked to acknowledge or to discard it and was not refused.
pub fn confirmed_is_kept(queue: &'static str) -> impl FnMut(&View<'_>) -> Result<(), String> {
    let (mut ears, mut confirmed) = (Ears::default(), BTreeSet::new());
    let mut asked: BTreeMap<MessageId, u32> = BTreeMap::new();
    move |view| {
        for event in ears.news(view) {
            match event {
                Event::Confirmed(id) => drop(confirmed.insert(id)),
                Event::Settling(receipt, Verdict::Ack) | Event::Discarding(receipt) => {
                    *asked.entry(receipt.id).or_default() += 1;
                }
                Event::Refused(receipt, Verdict::Ack) => {
                    *asked.entry(receipt.id).or_default() -= 1;
                }
                _ => {}
            }
        }
        let Some(holds) = Holds::of(view, queue) else { return Ok(()) };
        let there: BTreeSet<MessageId> = holds.all().map(|receipt| receipt.id).collect();
        let is_lost = |id: &&MessageId| {
            !there.contains(id) && asked.get(id).copied().unwrap_or_default() == 0
        };
        match confirmed.iter().find(is_lost) {
            None => Ok(()),
            Some(id) => {
                Err(format!("{id} was confirmed, nobody asked to take it out, and it is gone"))
            }
        }
    }
}

/// No two deliveries have the same receipt.
pub fn a_receipt_stands_for_one_delivery() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let (mut ears, mut given) = (Ears::default(), BTreeSet::new());
    move |view| {
        for event in ears.news(view) {
            if let Event::Given(receipt, _) = event
                && !given.insert(receipt)
            {
                return Err(format!("{receipt:?} was given twice"));
            }
        }
        Ok(())
    }
}

/// Whoever settles a delivery after a later one of the same message was given is refused.
pub fn an_earlier_receipt_settles_nothing() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut ears = Ears::default();
    let mut last: BTreeMap<MessageId, u32> = BTreeMap::new();
    let mut late: BTreeSet<Receipt> = BTreeSet::new();
    move |view| {
        for event in ears.news(view) {
            match event {
                Event::Given(receipt, _) => {
                    let last = last.entry(receipt.id).or_default();
                    *last = receipt.attempt.max(*last);
                }
                Event::Settling(receipt, _)
                    if last.get(&receipt.id).is_some_and(|last| *last > receipt.attempt) =>
                {
                    late.insert(receipt);
                }
                Event::Settled(receipt, _) if late.contains(&receipt) => {
                    return Err(format!("{receipt:?} settled a message that was given again"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A message is delivered no more often than its queue allows, since it was published or since
/// somebody last asked to redrive it.
pub fn attempts_are_limited(limit: usize) -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut ears = Ears::default();
    let mut forgiven: BTreeMap<MessageId, u32> = BTreeMap::new();
    let mut given: BTreeMap<MessageId, BTreeSet<u32>> = BTreeMap::new();
    move |view| {
        for event in ears.news(view) {
            match event {
                Event::Redriving(Receipt { id, attempt }) => {
                    let forgiven = forgiven.entry(id).or_default();
                    *forgiven = attempt.max(*forgiven);
                }
                Event::Given(Receipt { id, attempt }, _) => {
                    let attempts = given.entry(id).or_default();
                    attempts.insert(attempt);
                    let from = forgiven.get(&id).map_or(0, |attempt| attempt + 1);
                    let counted = attempts.range(from..).count();
                    if counted > limit {
                        return Err(format!("{id} was given {counted} times"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a consumer was told to be acknowledged is not delivered again, by a later receipt or by one
/// that was given before.
pub fn acked_is_never_delivered_again() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let (mut ears, mut given) = (Ears::default(), BTreeSet::new());
    let mut acked: BTreeMap<MessageId, u32> = BTreeMap::new();
    move |view| {
        for event in ears.news(view) {
            match event {
                Event::Settled(receipt, Verdict::Ack) => {
                    acked.insert(receipt.id, receipt.attempt);
                }
                Event::Given(receipt, _) => {
                    let is_again = !given.insert(receipt);
                    let acked = acked.get(&receipt.id);
                    if acked.is_some_and(|acked| is_again || receipt.attempt > *acked) {
                        return Err(format!(
                            "{receipt:?} was given after {} was acked",
                            receipt.id
                        ));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A message is in one place: queued or dead, and only once.
pub fn a_message_is_in_one_place(
    queue: &'static str,
) -> impl FnMut(&View<'_>) -> Result<(), String> {
    move |view| {
        let Some(holds) = Holds::of(view, queue) else { return Ok(()) };
        let mut seen = BTreeSet::new();
        match holds.all().find(|receipt| !seen.insert(receipt.id)) {
            None => Ok(()),
            Some(receipt) => Err(format!("{} is there twice", receipt.id)),
        }
    }
}

/// A message is not given while an earlier one of its key is still to be delivered: one that was
/// confirmed before anybody began to publish it, and that nobody has redriven.
pub fn order_is_kept_per_key(queue: &'static str) -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut ears = Ears::default();
    let mut keys: BTreeMap<MessageId, String> = BTreeMap::new();
    let mut confirmed: BTreeMap<String, BTreeSet<MessageId>> = BTreeMap::new();
    // What was confirmed before a message was published.
    let mut before: BTreeMap<MessageId, BTreeSet<MessageId>> = BTreeMap::new();
    let mut redriven = BTreeSet::new();
    move |view| {
        let mut given = Vec::new();
        for event in ears.news(view) {
            match event {
                Event::Publishing(id, Some(key)) if !before.contains_key(&id) => {
                    before.insert(id, confirmed.get(&key).cloned().unwrap_or_default());
                    keys.insert(id, key);
                }
                Event::Confirmed(id) => {
                    if let Some(key) = keys.get(&id) {
                        confirmed.entry(key.clone()).or_default().insert(id);
                    }
                }
                Event::Redriving(receipt) => drop(redriven.insert(receipt.id)),
                Event::Given(receipt, Some(_)) => given.push(receipt.id),
                _ => {}
            }
        }
        let Some(holds) = Holds::of(view, queue).filter(|_| !given.is_empty()) else {
            return Ok(());
        };
        let queued: BTreeSet<MessageId> = holds.queued.iter().map(|receipt| receipt.id).collect();
        for id in given {
            let earlier = before.get(&id).into_iter().flatten();
            let mut waiting = earlier.filter(|one| queued.contains(one) && !redriven.contains(one));
            if let Some(first) = waiting.next() {
                return Err(format!("{id} was given before {first}, which is of the same key"));
            }
        }
        Ok(())
    }
}

/// No consumer has more messages in its hands than it has room for.
pub fn prefetch_is_kept(queue: &'static str) -> impl FnMut(&View<'_>) -> Result<(), String> {
    let (mut ears, mut rooms) = (Ears::default(), BTreeMap::new());
    move |view| {
        for event in ears.news(view) {
            if let Event::Consumes(consumer, prefetch) = event {
                rooms.insert(consumer, usize::from(prefetch));
            }
        }
        let Some(broker) = view.up::<Broker>().next() else { return Ok(()) };
        let Some(queue) = broker.queue(queue) else { return Ok(()) };
        let too_many =
            |(consumer, held): &(u64, usize)| rooms.get(consumer).is_some_and(|room| held > room);
        match queue.held().find(too_many) {
            None => Ok(()),
            Some((_, held)) => Err(format!("a consumer has {held} messages in its hands")),
        }
    }
}

/// A dead letter stays until somebody asks to redrive or to discard it. One that no disk had yet
/// may be alive again after a crash.
pub fn dead_letters_stay(queue: &'static str) -> impl FnMut(&View<'_>) -> Result<(), String> {
    let (mut ears, mut asked) = (Ears::default(), BTreeSet::new());
    let mut dead: BTreeSet<Receipt> = BTreeSet::new();
    let mut boot = 0;
    move |view| {
        for event in ears.news(view) {
            if let Event::Redriving(receipt) | Event::Discarding(receipt) = event {
                asked.insert(receipt);
            }
        }
        let Some(holds) = Holds::of(view, queue) else { return Ok(()) };
        let now: BTreeSet<Receipt> = holds.dead.iter().copied().collect();
        let is_anew = boot != holds.boot;
        let is_alive = |receipt: &Receipt| holds.queued.iter().any(|one| one.id == receipt.id);
        let may_go = |receipt: &Receipt| asked.contains(receipt) || is_anew && is_alive(receipt);
        let gone = dead.difference(&now).find(|receipt| !may_go(receipt));
        if let Some(receipt) = gone {
            return Err(format!("{} is dead no more, and nobody asked for it", receipt.id));
        }
        (dead, boot) = (now, holds.boot);
        Ok(())
    }
}
