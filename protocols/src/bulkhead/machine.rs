//! The bulkhead as a value.

use super::flaws::Flaws;
use squall_env::{HasOutcome, Instant, Outcome};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// How many calls of one key may be under way. Zero lets nothing through.
    pub calls: u32,
    /// How many more of it may wait.
    pub waiting: u32,
    /// How long each of them waits at most.
    pub wait_max: Duration,
    /// How many keys may have calls that are under way or wait. Others are forgotten.
    pub keys: usize,
}

/// Why there is no place. Nothing was done then.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Rejected {
    /// All places are taken, and as many wait as may.
    #[error("all places are taken, and as many wait as may")]
    Full,
    /// No place came free in time.
    #[error("no place came free in time")]
    TimedOut,
    /// As many keys as may have calls, and this is another one.
    #[error("as many keys as may be have calls under way")]
    Keys,
}

impl HasOutcome for Rejected {
    fn outcome(&self) -> Outcome {
        Outcome::NotDone
    }
}

/// A place for one call. It is to be handed back with [`Bulkhead::leave`].
#[must_use = "a place that is not handed back is taken for ever"]
#[derive(PartialEq, Eq, Debug)]
pub struct Place<K>(K);

/// Stands for somebody who waits. It is to be looked at until there is a place, or given up.
#[must_use = "who waits and never comes back keeps a place from others"]
#[derive(PartialEq, Eq, Debug)]
pub struct Ticket<K> {
    key: K,
    number: u64,
    until: Instant,
}

impl<K> Ticket<K> {
    /// Which one it is; there is no other with this number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Until when it waits.
    pub fn until(&self) -> Instant {
        self.until
    }
}

/// What becomes of somebody who asks for a place.
#[derive(PartialEq, Eq, Debug)]
pub enum Entry<K> {
    /// There is one.
    Admitted(Place<K>),
    /// It has to wait.
    Waits(Ticket<K>),
}

/// How it stands with somebody who waits.
#[derive(PartialEq, Eq, Debug)]
pub enum Stand<K> {
    /// There is a place.
    Admitted(Place<K>),
    /// There is none yet.
    Waits(Ticket<K>),
    /// There was none in time.
    TimedOut,
}

/// The places of one key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Partition {
    /// How many are taken, those of [`Partition::granted`] among them.
    taken: u32,
    /// Who waits, the longest first, and until when.
    queue: VecDeque<(u64, Instant)>,
    /// Who was given a place and does not know it yet.
    granted: BTreeSet<u64>,
}

/// So many places for the calls of each key, and a queue before them. It is a value: whoever has it
/// says what time it is, and wakes those who were given a place.
#[derive(Clone, Debug)]
pub struct Bulkhead<K> {
    config: Config,
    partitions: BTreeMap<K, Partition>,
    next_ticket: u64,
    flaws: Flaws,
}

impl<K: Ord + Clone> Bulkhead<K> {
    /// All places are free.
    pub fn new(config: Config) -> Bulkhead<K> {
        let flaws = Flaws::default();
        Bulkhead { config, partitions: BTreeMap::new(), next_ticket: 0, flaws }
    }

    pub(super) fn with_flaws(self, flaws: Flaws) -> Bulkhead<K> {
        Bulkhead { flaws, ..self }
    }

    /// A place for a call of this key, or one in the queue.
    ///
    /// # Errors
    /// If neither is left.
    pub fn enter(&mut self, key: &K, now: Instant) -> Result<Entry<K>, Rejected> {
        self.enter_until(key, Instant::NEVER, now)
    }

    /// The same for a call that waits until then at most, if that is sooner than it may.
    ///
    /// # Errors
    /// If neither is left, or that time is over.
    pub fn enter_until(
        &mut self,
        key: &K,
        until: Instant,
        now: Instant,
    ) -> Result<Entry<K>, Rejected> {
        if until <= now {
            return Err(Rejected::TimedOut);
        }
        let key = self.key(key);
        let Config { calls, waiting, wait_max, keys } = self.config;
        if !self.partitions.contains_key(&key) && self.partitions.len() >= keys.max(1) {
            return Err(Rejected::Keys);
        }
        let calls = calls + u32::from(self.flaws.one_more);
        let partition = self.partitions.entry(key.clone()).or_default();
        partition.forget_late(now, self.flaws);
        // Whoever waits comes first: a place that is handed on is never free in between.
        if partition.taken < calls {
            partition.taken += 1;
            return Ok(Entry::Admitted(Place(key)));
        }
        if partition.queue.len() >= waiting as usize && !self.flaws.endless_queue {
            self.tidy(&key);
            return Err(Rejected::Full);
        }
        self.next_ticket += 1;
        let (number, until) = (self.next_ticket, until.min(now + wait_max));
        partition.queue.push_back((number, until));
        Ok(Entry::Waits(Ticket { key, number, until }))
    }

    /// How it stands with somebody who waits. One whose time is over and who has no place by then
    /// will get none.
    pub fn look(&mut self, ticket: Ticket<K>, now: Instant) -> Stand<K> {
        let Some(partition) = self.partitions.get_mut(&ticket.key) else { return Stand::TimedOut };
        if partition.granted.remove(&ticket.number) {
            return Stand::Admitted(Place(ticket.key));
        }
        partition.forget_late(now, self.flaws);
        if partition.queue.iter().any(|(number, _)| *number == ticket.number) && now < ticket.until
        {
            return Stand::Waits(ticket);
        }
        partition.queue.retain(|(number, _)| *number != ticket.number);
        self.tidy(&ticket.key);
        Stand::TimedOut
    }

    /// Somebody stops waiting. If it had been given a place already, that goes to another: the
    /// number of its [ticket](Ticket::number), so that somebody tells it.
    pub fn give_up(&mut self, ticket: Ticket<K>, now: Instant) -> Option<u64> {
        let partition = self.partitions.get_mut(&ticket.key)?;
        if partition.granted.remove(&ticket.number) {
            if self.flaws.loses_granted {
                return None;
            }
            return self.leave(Place(ticket.key), now);
        }
        partition.queue.retain(|(number, _)| *number != ticket.number);
        if self.flaws.frees_unheld {
            return self.leave(Place(ticket.key), now);
        }
        self.tidy(&ticket.key);
        None
    }

    /// A call is over. Its place goes to whoever waits longest: the number of its
    /// [ticket](Ticket::number), so that somebody tells it.
    pub fn leave(&mut self, place: Place<K>, now: Instant) -> Option<u64> {
        let partition = self.partitions.get_mut(&place.0)?;
        partition.forget_late(now, self.flaws);
        let next = match self.flaws.last_first {
            true => partition.queue.pop_back(),
            false => partition.queue.pop_front(),
        };
        if let Some((number, _)) = next {
            partition.granted.insert(number);
            return Some(number);
        }
        partition.taken = partition.taken.saturating_sub(1);
        self.tidy(&place.0);
        None
    }

    /// How many calls of a key are under way, and how many wait.
    pub fn load(&self, key: &K) -> (u32, u32) {
        let partition = self.partitions.get(key);
        partition.map_or((0, 0), |partition| (partition.taken, partition.queue.len() as u32))
    }

    /// How many keys have calls that are under way or wait.
    pub fn keys(&self) -> usize {
        self.partitions.len()
    }

    fn key(&self, key: &K) -> K {
        let first = self.partitions.keys().next().filter(|_| self.flaws.one_pool);
        first.unwrap_or(key).clone()
    }

    /// Forgets a key of which nothing is under way and nobody waits.
    fn tidy(&mut self, key: &K) {
        if self.partitions.get(key).is_some_and(|one| one.taken == 0 && one.queue.is_empty()) {
            self.partitions.remove(key);
        }
    }
}

impl Partition {
    /// Whose time is over no longer waits, whether it knows it or not: a place that it was given
    /// now would be kept from those behind it.
    fn forget_late(&mut self, now: Instant, flaws: Flaws) {
        if !flaws.grants_late {
            self.queue.retain(|(_, until)| now < *until);
        }
    }
}
