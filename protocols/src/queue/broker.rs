//! A broker: queues by name, each change of them a record.

use super::kept::Image;
use super::log::Log;
use super::state::{Change, Found, Queue, Session};
use super::types::{
    Ask, BODY_MAX, DELAY_MAX, DeadReason, Message, PREFETCH_MAX, QUEUES_MAX, QueueConfig, Receipt,
    Refused, TEXT_MAX, Tell, Verdict,
};
use serde::{Deserialize, Serialize};
use squall_env::machine::RequestId;
use squall_env::{Instant, Machine, Never, Turn, mutant};
use std::collections::BTreeMap;

/// The name of the broker's journal.
pub const NAME: &str = "broker";

/// After so many records, or as many as it has messages, a broker replaces them by a snapshot.
const RECORDS_MAX: usize = 256;

/// So many receipts a heartbeat has at most.
const RECEIPTS_MAX: usize = PREFETCH_MAX as usize;

/// A durable change of a broker: of one of its queues.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Which queue.
    pub queue: String,
    /// What changes.
    pub change: Change,
}

/// A request to a broker: which queue, and what of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The queue's name.
    pub queue: String,
    /// What is asked.
    pub ask: Ask,
}

/// The state of a broker.
#[derive(Default)]
pub struct Broker {
    queues: BTreeMap<String, Queue>,
    since_snapshot: usize,
    /// For when the timer is armed.
    armed: Option<Instant>,
}

type Answer = Result<Tell, Refused>;

impl Broker {
    /// A broker without queues.
    pub fn new() -> Broker {
        Broker::default()
    }

    /// A queue, if it was declared.
    pub fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues.get(name)
    }

    /// All queues by their names.
    pub fn queues(&self) -> impl Iterator<Item = (&str, &Queue)> {
        self.queues.iter().map(|(name, queue)| (name.as_str(), queue))
    }

    /// Applies a record that was made before, as recovery does.
    pub fn take(&mut self, record: &Record) {
        match (self.queues.get_mut(&record.queue), &record.change) {
            (Some(queue), change) => queue.apply(change),
            (None, Change::Declared(config)) => {
                self.queues.insert(record.queue.clone(), Queue::new(*config));
            }
            (None, _) => {}
        }
    }

    /// What comes first once all records are applied: what is to rest begins to, and what was in
    /// flight may be delivered again.
    pub fn start(&mut self, log: &mut impl Log) {
        let now = log.now();
        if mutant!(log, "queue/forgets-ids-at-restart") {
            for (name, config) in self.configs() {
                let nothing = QueueConfig { remembers: 0, ..config };
                self.persist(&name, Change::Declared(nothing), log);
                self.persist(&name, Change::Declared(config), log);
            }
        }
        if mutant!(log, "queue/forgives-attempts-at-restart") {
            for (name, _) in self.configs() {
                for place in self.queues[&name].places() {
                    self.persist(&name, Change::Redriven(place), log);
                }
            }
        }
        self.queues.values_mut().for_each(|queue| queue.start(now));
    }

    fn configs(&self) -> Vec<(String, QueueConfig)> {
        self.queues.iter().map(|(name, queue)| (name.clone(), *queue.config())).collect()
    }

    /// Ends what is over by now: leases, and the rests of what was delayed.
    pub fn tick(&mut self, log: &mut impl Log) {
        for (name, _) in self.configs() {
            self.expire(&name, log);
        }
    }

    /// When [`Broker::tick`] is to come next, at the latest.
    pub fn next_tick(&self) -> Option<Instant> {
        self.queues.values().filter_map(Queue::next_end).min()
    }

    /// Answers a request. The answer may leave once all records are durable.
    pub fn handle(&mut self, request: Request, log: &mut impl Log) -> Tell {
        let Request { queue: name, ask } = request;
        let answer = match ask {
            Ask::Declare(config) => self.declare(&name, config, log),
            ask if self.queues.contains_key(&name) => {
                self.expire(&name, log);
                self.ask(&name, ask, log)
            }
            _ => Err(Refused::NoQueue),
        };
        answer.unwrap_or_else(Tell::Refused)
    }

    fn ask(&mut self, name: &str, ask: Ask, log: &mut impl Log) -> Answer {
        match ask {
            Ask::Declare(config) => self.declare(name, config, log),
            Ask::Publish(message) => self.publish(name, message, log),
            Ask::Receive { consumer, call, prefetch } => {
                self.receive(name, (consumer, call), prefetch, log)
            }
            Ask::Heartbeat(receipts) => self.heartbeat(name, receipts, log),
            Ask::Settle(receipt, verdict) => self.settle(name, receipt, verdict, log),
            Ask::DeadLetters { behind } => {
                let letters = self.queues[name].dead_letters(behind);
                if mutant!(log, "queue/lists-and-discards") {
                    for letter in &letters {
                        self.persist(name, Change::Discarded(letter.place), log);
                    }
                }
                Ok(Tell::DeadLetters(letters))
            }
            Ask::Redrive(receipt) => self.redrive(name, receipt, log),
            Ask::Discard(receipt) => self.discard(name, receipt, log),
            Ask::Depth => Ok(Tell::Depth(self.queues[name].depth())),
        }
    }

    fn persist(&mut self, name: &str, change: Change, log: &mut impl Log) {
        self.since_snapshot += 1;
        log.persist(self, Record { queue: name.to_owned(), change });
    }

    fn with<R>(&mut self, name: &str, change: impl FnOnce(&mut Queue) -> R) -> Option<R> {
        self.queues.get_mut(name).map(change)
    }

    fn declare(&mut self, name: &str, config: QueueConfig, log: &mut impl Log) -> Answer {
        if let Some(queue) = self.queues.get(name) {
            let is_same = *queue.config() == config;
            return if is_same { Ok(Tell::Done) } else { Err(Refused::Differs(*queue.config())) };
        }
        if name.is_empty() || name.len() > TEXT_MAX || !config.is_valid() {
            return Err(Refused::BadConfig);
        }
        if self.queues.len() >= QUEUES_MAX {
            return Err(Refused::TooManyQueues);
        }
        self.persist(name, Change::Declared(config), log);
        Ok(Tell::Done)
    }

    fn publish(&mut self, name: &str, message: Message, log: &mut impl Log) -> Answer {
        let queue = &self.queues[name];
        if queue.is_known(message.id) {
            log.sometimes("a message was published again");
            return Ok(Tell::Published { known: true });
        }
        let key_bytes = message.key.as_ref().map_or(0, String::len);
        let is_large = message.body.len() > BODY_MAX || key_bytes > TEXT_MAX;
        if is_large || message.delay > DELAY_MAX {
            return Err(Refused::TooLarge);
        }
        if !queue.has_room() {
            log.sometimes("a queue was full");
            return Err(Refused::Full);
        }
        let now = log.now();
        let id = message.id;
        let wall = log.wall();
        self.persist(name, Change::Published(message, wall), log);
        self.with(name, |queue| {
            if let Found::Queued(place, _) = queue.find(id) {
                queue.rest(place, now);
            }
        });
        Ok(Tell::Published { known: false })
    }

    fn receive(
        &mut self,
        name: &str,
        (consumer, call): (u64, u64),
        prefetch: u16,
        log: &mut impl Log,
    ) -> Answer {
        if prefetch == 0 || prefetch > PREFETCH_MAX {
            return Err(Refused::BadConfig);
        }
        let now = log.now();
        let Some(queue) = self.queues.get_mut(name) else { return Err(Refused::NoQueue) };
        queue.make_room_for(consumer, now)?;
        let session = queue.sessions.entry(consumer).or_insert_with(Session::default);
        session.seen = now;
        if call < session.call {
            return Err(Refused::Overtaken);
        }
        if call == session.call {
            log.sometimes("a consumer was given the same messages again");
            return Ok(Tell::Delivered(queue.given(consumer)));
        }
        session.call = call;
        let in_hand = if mutant!(log, "queue/prefetch-forgets-what-is-in-flight") {
            0
        } else {
            session.held.len()
        };
        let places = queue.next(usize::from(prefetch).saturating_sub(in_hand));
        if !places.is_empty() {
            self.persist(name, Change::DeliveredAt(places.clone(), log.wall()), log);
        }
        let delivered = self.with(name, |queue| {
            for place in &places {
                queue.lease(*place, consumer, now);
            }
            queue.gave(consumer, &places);
            queue.given(consumer)
        });
        Ok(Tell::Delivered(delivered.unwrap_or_default()))
    }

    fn heartbeat(&mut self, name: &str, receipts: Vec<Receipt>, log: &mut impl Log) -> Answer {
        if receipts.len() > RECEIPTS_MAX {
            return Err(Refused::TooLarge);
        }
        let now = log.now();
        let is_lost = |receipt: &Receipt, queue: &mut Queue| {
            let Found::Queued(place, kept) = queue.find(receipt.id) else { return true };
            let is_latest = kept.attempts == receipt.attempt && !kept.is_settled();
            if let Some(holder) = queue.holder(place).filter(|_| is_latest) {
                queue.lease(place, holder, now);
                return false;
            }
            true
        };
        let lost = self.with(name, |queue| {
            receipts.into_iter().filter(|receipt| is_lost(receipt, queue)).collect()
        });
        Ok(Tell::Lost(lost.unwrap_or_default()))
    }

    fn settle(
        &mut self,
        name: &str,
        receipt: Receipt,
        verdict: Verdict,
        log: &mut impl Log,
    ) -> Answer {
        let queue = &self.queues[name];
        let is_by_id_alone = mutant!(log, "queue/settles-by-id-alone");
        let (place, kept) = match queue.find(receipt.id) {
            Found::Queued(place, kept) if receipt.attempt > 0 => (place, kept),
            // Nobody was ever given this one.
            _ if receipt.attempt == 0 => return Err(Refused::Stale),
            Found::Gone(by) if by == receipt.attempt && verdict == Verdict::Ack => {
                return Ok(Tell::Done);
            }
            Found::Dead(_, kept) if kept.attempts == receipt.attempt => {
                return if kept.has_ended(&verdict) { Ok(Tell::Done) } else { Err(Refused::Stale) };
            }
            _ => return Err(Refused::Stale),
        };
        if kept.attempts != receipt.attempt && !is_by_id_alone {
            log.sometimes("an earlier receipt was refused");
            return Err(Refused::Stale);
        }
        if kept.is_settled() {
            return if kept.has_ended(&verdict) { Ok(Tell::Done) } else { Err(Refused::Stale) };
        }
        let is_last = queue.is_last_attempt(kept);
        if !queue.is_leased(place) {
            log.sometimes("a message was settled after its lease");
            if mutant!(log, "queue/says-acked-when-redelivery-won") {
                return Ok(Tell::Done);
            }
        }
        self.end(name, place, is_last, verdict, log)
    }

    fn end(
        &mut self,
        name: &str,
        place: u64,
        is_last: bool,
        verdict: Verdict,
        log: &mut impl Log,
    ) -> Answer {
        let now = log.now();
        match verdict {
            Verdict::Ack => self.persist(name, Change::Acked(place), log),
            Verdict::Dead { why } | Verdict::Malformed { why } | Verdict::Retry { why, .. }
                if why.len() > TEXT_MAX =>
            {
                return Err(Refused::TooLarge);
            }
            Verdict::Retry { after, .. } if after > DELAY_MAX => return Err(Refused::TooLarge),
            Verdict::Dead { why } => {
                self.bury(name, place, (DeadReason::Rejected(why), true), log);
            }
            Verdict::Malformed { why } => {
                self.bury(name, place, (DeadReason::Malformed(why), true), log);
            }
            Verdict::Retry { why, .. } if is_last => {
                self.bury(name, place, (DeadReason::DeliveryLimit(why), true), log);
            }
            Verdict::Retry { after, why } => {
                if mutant!(log, "queue/retries-at-the-tail") {
                    let died = Change::Died(place, DeadReason::Rejected(why), log.wall(), true);
                    self.persist(name, died, log);
                    self.persist(name, Change::Redriven(place), log);
                    return Ok(Tell::Done);
                }
                self.persist(name, Change::RetriedAt(place, after, why, log.wall()), log);
                self.with(name, |queue| queue.rest(place, now));
            }
        }
        Ok(Tell::Done)
    }

    fn bury(
        &mut self,
        name: &str,
        place: u64,
        (reason, settled): (DeadReason, bool),
        log: &mut impl Log,
    ) {
        log.sometimes("a message died");
        if mutant!(log, "queue/acks-what-it-cannot-bury") && !self.queues[name].has_room() {
            self.persist(name, Change::Acked(place), log);
            return;
        }
        let died = Change::Died(place, reason, log.wall(), settled);
        self.persist(name, died, log);
    }

    fn redrive(&mut self, name: &str, receipt: Receipt, log: &mut impl Log) -> Answer {
        let queue = &self.queues[name];
        match queue.find(receipt.id) {
            Found::Dead(place, kept) if kept.attempts == receipt.attempt => {
                let message = kept.message.clone();
                if mutant!(log, "queue/redrives-a-copy") {
                    let wall = log.wall();
                    self.persist(name, Change::Published(message, wall), log);
                } else if mutant!(log, "queue/redrives-under-old-receipts") {
                    let wall = log.wall();
                    self.persist(name, Change::Discarded(place), log);
                    self.persist(name, Change::Published(message, wall), log);
                } else {
                    self.persist(name, Change::Redriven(place), log);
                }
                log.sometimes("a dead letter was redriven");
                Ok(Tell::Done)
            }
            // The answer to the same request was lost.
            Found::Queued(_, kept) if kept.is_redriven_from(receipt.attempt) => Ok(Tell::Done),
            _ => Err(Refused::NotDead),
        }
    }

    fn discard(&mut self, name: &str, receipt: Receipt, log: &mut impl Log) -> Answer {
        match self.queues[name].find(receipt.id) {
            Found::Dead(place, kept) if kept.attempts == receipt.attempt => {
                self.persist(name, Change::Discarded(place), log);
                Ok(Tell::Done)
            }
            Found::Gone(by) if by == receipt.attempt => Ok(Tell::Done),
            _ => Err(Refused::NotDead),
        }
    }

    fn expire(&mut self, name: &str, log: &mut impl Log) {
        let now = log.now();
        for place in self.with(name, |queue| queue.expire(now)).unwrap_or_default() {
            let mut why = self.queues[name].why(place);
            if why.is_empty() {
                "the consumer was not heard of".clone_into(&mut why);
            }
            if mutant!(log, "queue/delivers-what-it-buries") {
                let copy = Change::Published(self.queues[name].message(place), log.wall());
                self.persist(name, copy, log);
            }
            self.bury(name, place, (DeadReason::DeliveryLimit(why), false), log);
        }
    }

    /// Arms the timer for what ends next, and takes a snapshot now and then.
    fn after_turn(&mut self, turn: &mut Turn<Broker>) {
        let next = self.next_tick();
        if next != self.armed {
            self.armed = next;
            match next {
                Some(at) => turn.arm((), at - Turn::now(turn)),
                None => turn.disarm(&()),
            }
        }
        let messages: usize = self.queues.values().map(Queue::size).sum();
        if self.since_snapshot >= RECORDS_MAX.max(messages) {
            self.since_snapshot = 0;
            turn.compact();
        }
    }
}

impl Machine for Broker {
    type Config = ();
    type Timer = ();
    type Message = Never;
    type Request = Request;
    type Reply = Tell;
    type Record = Record;
    type Snapshot = Image;

    fn restore((): &(), snapshot: Option<Image>) -> Broker {
        let queues = snapshot.map(Image::into_queues).unwrap_or_default().into_iter();
        let queues = queues.map(|(name, kept)| (name, Queue::restore(kept))).collect();
        Broker { queues, ..Broker::default() }
    }

    fn apply(&mut self, record: &Record) {
        self.take(record);
    }

    fn snapshot(&self) -> Image {
        Image::of(self.queues.iter().map(|(name, queue)| (name, queue.durable())))
    }

    fn on_start(&mut self, turn: &mut Turn<Broker>) {
        self.start(turn);
        self.after_turn(turn);
    }

    fn on_request(&mut self, id: RequestId, request: Request, turn: &mut Turn<Broker>) {
        let answer = self.handle(request, turn);
        turn.reply(id, answer);
        self.after_turn(turn);
    }

    fn on_timer(&mut self, (): (), turn: &mut Turn<Broker>) {
        self.armed = None;
        self.tick(turn);
        self.after_turn(turn);
    }
}
