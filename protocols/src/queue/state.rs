//! One queue: what of it is durable, and what is known of it beside that.

use super::kept::{Buried, Kept};
use super::types::{ANSWER_BYTES_MAX, DeadReason, Delivery, Message, MessageId, QueueConfig};
use serde::{Deserialize, Serialize};
use squall_env::{Instant, WallTime};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The durable part of a queue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Durable {
    pub(super) config: QueueConfig,
    /// The place of the next message.
    next: u64,
    pub(super) queued: BTreeMap<u64, Kept>,
    pub(super) dead: BTreeMap<u64, Buried>,
    /// The ids of the window, each with the attempt that took its message out, or zero.
    recent: BTreeMap<MessageId, u32>,
    /// The same ids, as they were published.
    order: VecDeque<MessageId>,
}

/// A durable change of a queue. Journals hold the numbers of the variants: new ones come last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// It has this configuration.
    Declared(QueueConfig),
    /// A message was put behind all others, at this wall time.
    Published(Message, WallTime),
    /// The messages at these places are in the hands of a consumer; so in earlier versions.
    Delivered(Vec<u64>),
    /// The message at this place is done.
    Acked(u64),
    /// The message at this place failed and rests; so in earlier versions.
    Retried(u64, Duration, String),
    /// The message at this place is dead, since this wall time; and whether a consumer settled it.
    Died(u64, DeadReason, WallTime, bool),
    /// The message at this place has all its attempts again, and if it was dead it is behind all
    /// others.
    Redriven(u64),
    /// The dead letter at this place is gone.
    Discarded(u64),
    /// The messages at these places are in the hands of a consumer, since this wall time. What was
    /// in other hands before has failed there.
    DeliveredAt(Vec<u64>, WallTime),
    /// The message at this place failed and rests, since this wall time.
    RetriedAt(u64, Duration, String, WallTime),
}

pub(super) struct Lease {
    consumer: u64,
    until: Instant,
}

/// What is known of a consumer.
#[derive(Default)]
pub(super) struct Session {
    pub(super) call: u64,
    /// What its last call gave it.
    pub(super) given: Vec<(u64, u32)>,
    pub(super) held: BTreeSet<u64>,
    pub(super) seen: Instant,
}

/// A queue of a broker.
pub struct Queue {
    pub(super) kept: Durable,
    places: BTreeMap<MessageId, u64>,
    keys: BTreeMap<String, BTreeSet<u64>>,
    /// What may be delivered.
    ready: BTreeSet<u64>,
    pub(super) leases: BTreeMap<u64, Lease>,
    /// Messages that rest, and until when.
    resting: BTreeMap<u64, Instant>,
    /// When leases and rests end.
    ends: BTreeSet<(Instant, u64)>,
    pub(super) sessions: BTreeMap<u64, Session>,
}

/// Where a message with some id is.
pub(super) enum Found<'a> {
    Queued(u64, &'a Kept),
    Dead(u64, &'a Kept),
    /// It is gone, and this attempt took it out.
    Gone(u32),
    Unknown,
}

impl Queue {
    pub(super) fn new(config: QueueConfig) -> Queue {
        Queue::restore(Durable {
            config,
            next: 0,
            queued: BTreeMap::new(),
            dead: BTreeMap::new(),
            recent: BTreeMap::new(),
            order: VecDeque::new(),
        })
    }

    /// The queue as it was, with nothing in flight. What is to rest does so until
    /// [`Queue::start`] says how long.
    pub(super) fn restore(kept: Durable) -> Queue {
        let mut queue = Queue {
            kept,
            places: BTreeMap::new(),
            keys: BTreeMap::new(),
            ready: BTreeSet::new(),
            leases: BTreeMap::new(),
            resting: BTreeMap::new(),
            ends: BTreeSet::new(),
            sessions: BTreeMap::new(),
        };
        let all = queue.kept.queued.iter().map(|(place, kept)| (*place, kept.message.clone()));
        for (place, message) in all.collect::<Vec<_>>() {
            queue.index(place, &message);
        }
        for (place, buried) in &queue.kept.dead {
            queue.places.insert(buried.kept.message.id, *place);
        }
        queue
    }

    pub(super) fn durable(&self) -> &Durable {
        &self.kept
    }

    /// Makes a durable change. What it says of time is set afterwards, by who knows the time.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Declared(config) => {
                self.kept.config = *config;
                self.forget();
            }
            Change::Published(message, wall) => self.publish(message, *wall),
            Change::Delivered(places) => {
                places.iter().for_each(|place| self.deliver(*place, None));
            }
            Change::DeliveredAt(places, wall) => {
                places.iter().for_each(|place| self.deliver(*place, Some(*wall)));
            }
            Change::Acked(place) => self.take_out(*place),
            Change::Retried(place, after, why) => self.retry(*place, *after, (why, None)),
            Change::RetriedAt(place, after, why, wall) => {
                self.retry(*place, *after, (why, Some(*wall)));
            }
            Change::Died(place, reason, wall, settled) => {
                if let Some(mut kept) = self.remove(*place) {
                    kept.settled = *settled;
                    kept.fail(Some(*wall));
                    self.places.insert(kept.message.id, *place);
                    let buried = Buried { kept, reason: reason.clone(), died: *wall };
                    self.kept.dead.insert(*place, buried);
                }
            }
            Change::Redriven(place) => self.redrive(*place),
            Change::Discarded(place) => {
                if let Some(buried) = self.kept.dead.remove(place) {
                    self.gone(&buried.kept);
                }
            }
        }
    }

    fn publish(&mut self, message: &Message, wall: WallTime) {
        if self.kept.recent.insert(message.id, 0).is_none() {
            self.kept.order.push_back(message.id);
        }
        self.forget();
        self.append(Kept {
            message: message.clone(),
            published: wall,
            attempts: 0,
            forgiven: 0,
            settled: false,
            why: String::new(),
            failed: None,
        });
    }

    fn forget(&mut self) {
        while self.kept.order.len() > self.kept.config.remembers as usize {
            if let Some(id) = self.kept.order.pop_front() {
                self.kept.recent.remove(&id);
            }
        }
    }

    fn append(&mut self, kept: Kept) {
        let place = self.kept.next;
        self.kept.next += 1;
        let message = kept.message.clone();
        self.kept.queued.insert(place, kept);
        self.index(place, &message);
    }

    fn index(&mut self, place: u64, message: &Message) {
        self.places.insert(message.id, place);
        if let Some(key) = &message.key {
            self.keys.entry(key.clone()).or_default().insert(place);
        }
        if !message.delay.is_zero() {
            self.resting.insert(place, Instant::NEVER);
        }
        self.refresh(place);
    }

    fn deliver(&mut self, place: u64, wall: Option<WallTime>) {
        let Some(kept) = self.kept.queued.get_mut(&place) else { return };
        if kept.attempts > 0 && !kept.settled {
            kept.fail(wall);
        }
        kept.attempts = kept.attempts.saturating_add(1);
        kept.settled = false;
        kept.message.delay = Duration::ZERO;
        self.ready.remove(&place);
    }

    fn retry(&mut self, place: u64, after: Duration, (why, wall): (&str, Option<WallTime>)) {
        self.end_lease(place);
        let Some(kept) = self.kept.queued.get_mut(&place) else { return };
        kept.settled = true;
        kept.fail(wall);
        kept.message.delay = after;
        why.clone_into(&mut kept.why);
        self.wake(place);
        if !after.is_zero() {
            self.resting.insert(place, Instant::NEVER);
        }
        self.refresh(place);
    }

    fn redrive(&mut self, place: u64) {
        let at = match self.kept.dead.remove(&place) {
            Some(mut buried) => {
                buried.kept.message.delay = Duration::ZERO;
                let at = self.kept.next;
                self.append(buried.kept);
                at
            }
            None => place,
        };
        if let Some(kept) = self.kept.queued.get_mut(&at) {
            kept.forgive();
        }
        self.refresh(at);
    }

    fn take_out(&mut self, place: u64) {
        if let Some(kept) = self.remove(place) {
            self.gone(&kept);
        }
    }

    fn gone(&mut self, kept: &Kept) {
        self.places.remove(&kept.message.id);
        if let Some(by) = self.kept.recent.get_mut(&kept.message.id) {
            *by = kept.attempts;
        }
    }

    /// Takes a message from those that are queued, and lets the next of its key step forward.
    fn remove(&mut self, place: u64) -> Option<Kept> {
        self.end_lease(place);
        self.wake(place);
        let kept = self.kept.queued.remove(&place)?;
        self.ready.remove(&place);
        if let Some(key) = &kept.message.key
            && let Some(places) = self.keys.get_mut(key)
        {
            places.remove(&place);
            match places.first().copied() {
                Some(next) => self.refresh(next),
                None => drop(self.keys.remove(key)),
            }
        }
        Some(kept)
    }

    /// Puts a message to those that may be delivered, or takes it from them.
    fn refresh(&mut self, place: u64) {
        if self.is_ready(place) {
            self.ready.insert(place);
        } else {
            self.ready.remove(&place);
        }
    }

    fn is_ready(&self, place: u64) -> bool {
        let Some(kept) = self.kept.queued.get(&place) else { return false };
        let is_first = kept.message.key.as_ref().is_none_or(|key| {
            self.keys.get(key).is_none_or(|places| places.first() == Some(&place))
        });
        let rests = self.resting.contains_key(&place) || self.leases.contains_key(&place);
        is_first && !rests && !self.is_used_up(kept)
    }

    fn is_used_up(&self, kept: &Kept) -> bool {
        kept.counted() >= self.kept.config.delivery_limit
    }

    fn end_lease(&mut self, place: u64) {
        let Some(lease) = self.leases.remove(&place) else { return };
        self.ends.remove(&(lease.until, place));
        if let Some(session) = self.sessions.get_mut(&lease.consumer) {
            session.held.remove(&place);
        }
    }

    fn wake(&mut self, place: u64) {
        if let Some(until) = self.resting.remove(&place) {
            self.ends.remove(&(until, place));
        }
    }

    /// The first turn of a broker: rests begin anew, and what was in flight may be delivered again.
    /// A message whose last attempt was under way stays with whoever has it, for one more lease.
    pub(super) fn start(&mut self, now: Instant) {
        for place in self.places() {
            self.refresh(place);
        }
        for place in self.resting.keys().copied().collect::<Vec<_>>() {
            self.rest(place, now);
        }
        let used_up = self.kept.queued.iter().filter(|(_, kept)| self.is_used_up(kept));
        for place in used_up.map(|(place, _)| *place).collect::<Vec<_>>() {
            self.lease(place, 0, now);
        }
    }

    /// Lets a message rest for as long as it is to, from now.
    pub(super) fn rest(&mut self, place: u64, now: Instant) {
        let Some(kept) = self.kept.queued.get(&place) else { return };
        if let Some(until) = self.resting.get_mut(&place) {
            self.ends.remove(&(*until, place));
            *until = now + kept.message.delay;
            self.ends.insert((*until, place));
        }
    }

    /// Makes a message a consumer's, from now.
    pub(super) fn lease(&mut self, place: u64, consumer: u64, now: Instant) {
        self.end_lease(place);
        let until = now + self.kept.config.visibility;
        self.leases.insert(place, Lease { consumer, until });
        self.ends.insert((until, place));
        if let Some(session) = self.sessions.get_mut(&consumer) {
            session.held.insert(place);
        }
        self.refresh(place);
    }

    /// Ends the leases and rests that are over. Messages whose last lease that was have to die:
    /// their places are given.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<u64> {
        let mut used_up = Vec::new();
        while let Some((until, place)) = self.ends.first().copied()
            && until <= now
        {
            self.ends.pop_first();
            self.end_lease(place);
            self.wake(place);
            if self.kept.queued.get(&place).is_some_and(|kept| self.is_used_up(kept)) {
                used_up.push(place);
            }
            self.refresh(place);
        }
        used_up
    }

    /// When the next lease or rest ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// The first messages that may be delivered: so many, and not more than fit into an answer.
    pub(super) fn next(&self, most: usize) -> Vec<u64> {
        let mut bytes = 0;
        let fits = |place: &&u64| {
            let first = bytes == 0;
            bytes += self.kept.queued.get(*place).map_or(0, |kept| size(&kept.message));
            first || bytes <= ANSWER_BYTES_MAX
        };
        self.ready.iter().take(most).take_while(fits).copied().collect()
    }

    pub(super) fn delivery(&self, place: u64) -> Option<Delivery> {
        let kept = self.kept.queued.get(&place)?;
        Some(Delivery {
            receipt: kept.receipt(),
            attempt: kept.counted(),
            key: kept.message.key.clone(),
            body: kept.message.body.clone(),
        })
    }

    pub(super) fn find(&self, id: MessageId) -> Found<'_> {
        if let Some(place) = self.places.get(&id) {
            if let Some(kept) = self.kept.queued.get(place) {
                return Found::Queued(*place, kept);
            }
            if let Some(buried) = self.kept.dead.get(place) {
                return Found::Dead(*place, &buried.kept);
            }
        }
        self.kept.recent.get(&id).map_or(Found::Unknown, |by| Found::Gone(*by))
    }

    pub(super) fn is_known(&self, id: MessageId) -> bool {
        self.kept.recent.contains_key(&id) || self.places.contains_key(&id)
    }

    pub(super) fn has_room(&self) -> bool {
        self.size() < self.kept.config.messages_max as usize
    }

    pub(super) fn size(&self) -> usize {
        self.kept.queued.len() + self.kept.dead.len()
    }

    /// Whether a consumer has the message at this place.
    pub(super) fn is_leased(&self, place: u64) -> bool {
        self.leases.contains_key(&place)
    }

    /// Who has it, if anybody does.
    pub(super) fn holder(&self, place: u64) -> Option<u64> {
        self.leases.get(&place).map(|lease| lease.consumer)
    }

    /// Whether the message's last attempt may end with its failure.
    pub(super) fn is_last_attempt(&self, kept: &Kept) -> bool {
        self.is_used_up(kept)
    }

    pub(super) fn places(&self) -> Vec<u64> {
        self.kept.queued.keys().copied().collect()
    }

    /// The message at this place, which is there.
    pub(super) fn message(&self, place: u64) -> Message {
        self.kept.queued[&place].message.clone()
    }

    pub(super) fn why(&self, place: u64) -> String {
        self.kept.queued.get(&place).map(|kept| kept.why.clone()).unwrap_or_default()
    }
}

/// About what it takes in an answer.
fn size(message: &Message) -> usize {
    message.body.len() + message.key.as_ref().map_or(0, String::len) + 64
}
