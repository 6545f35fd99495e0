//! What a broker needs beside its own state: somewhere to write its records, and the time.

use super::broker::{Broker, Record};
use squall_env::{Instant, Turn, WallTime};

/// Where a broker's records go. A [`Turn`] is one: it writes them to a journal.
pub trait Log {
    /// Applies the record to the broker, and keeps it.
    fn persist(&mut self, broker: &mut Broker, record: Record);
    /// The broker's monotonic clock.
    fn now(&self) -> Instant;
    /// Its wall clock, for people alone.
    fn wall(&self) -> WallTime;
    /// Whether a deliberate bug is switched on; see [`mutant!`](squall_env::mutant).
    fn mutant(&self, name: &'static str) -> bool;
    /// See [`Env::sometimes`](squall_env::Env::sometimes).
    fn sometimes(&self, name: &'static str);
}

impl Log for Turn<Broker> {
    fn persist(&mut self, broker: &mut Broker, record: Record) {
        self.trace(|| format!("persists {record:?}"));
        Turn::persist(self, broker, record);
    }

    fn now(&self) -> Instant {
        Turn::now(self)
    }

    fn wall(&self) -> WallTime {
        Turn::wall(self)
    }

    fn mutant(&self, name: &'static str) -> bool {
        Turn::mutant(self, name)
    }

    fn sometimes(&self, name: &'static str) {
        Turn::sometimes(self, name);
    }
}

/// A log in memory, for a broker that is a plain value: whoever has it says what time it is.
#[derive(Default, Debug)]
pub struct InMemory {
    /// The records, in order.
    pub records: Vec<Record>,
    /// The time.
    pub now: Instant,
}

impl Log for InMemory {
    fn persist(&mut self, broker: &mut Broker, record: Record) {
        broker.take(&record);
        self.records.push(record);
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn wall(&self) -> WallTime {
        WallTime::from_unix_nanos(0)
    }

    fn mutant(&self, _name: &'static str) -> bool {
        false
    }

    fn sometimes(&self, _name: &'static str) {}
}
