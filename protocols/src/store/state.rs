//! The state of the store.

use super::leases::{Lease, LeaseCommand, Leases};
use super::types::{
    Answer, Change, Command, Compare, Done, Event, KeyValue, Keys, Op, Output, Query, Refused,
    Test, Txn, TxnDone,
};
use super::{ANSWER_BYTES_MAX, EVENTS_MAX, LEASES_PAGE};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

/// A versioned key-value store.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Store {
    /// How many transactions have changed something.
    revision: u64,
    /// The events up to this revision and with it are gone.
    compacted: u64,
    keys: BTreeMap<String, KeyValue>,
    /// What happened since.
    events: VecDeque<Event>,
    leases: Leases,
}

impl Store {
    /// How many transactions have changed something.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The last revision whose events are gone.
    pub fn compacted(&self) -> u64 {
        self.compacted
    }

    /// The leases, in the order of their numbers.
    pub fn leases(&self) -> impl Iterator<Item = Lease> {
        self.leases.all()
    }

    /// The keys with their values, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &KeyValue> {
        self.keys.values()
    }

    /// The events that are kept, in the order of revisions.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter()
    }

    /// Changes the store. A command that is refused changes nothing.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn execute(&mut self, command: &Command) -> Result<Output, Refused> {
        match command {
            Command::Txn(txn) => {
                txn.check()?;
                Ok(Output::Txn(self.transact(txn)?))
            }
            Command::Compact(revision) => {
                self.compact(*revision)?;
                Ok(Output::Compacted)
            }
            Command::Lease(command) => self.execute_lease(command),
        }
    }

    fn execute_lease(&mut self, command: &LeaseCommand) -> Result<Output, Refused> {
        let mut ended = 0;
        match command {
            LeaseCommand::Grant { id, ttl_ms } => {
                return Ok(Output::Lease(self.leases.grant(*id, *ttl_ms)?));
            }
            LeaseCommand::KeepAlive { id } => {
                return Ok(Output::Lease(self.leases.keep_alive(*id)?));
            }
            LeaseCommand::Revoke { id } => {
                self.end_lease(*id)?;
                ended = 1;
            }
            LeaseCommand::Expire(leases) => {
                for (id, renewal) in leases {
                    let lease = self.leases.get(*id);
                    // Whoever measured the time did not know of a later renewal.
                    if lease.is_ok_and(|lease| lease.renewal == *renewal) {
                        self.end_lease(*id)?;
                        ended += 1;
                    }
                }
            }
        }
        Ok(Output::Ended { leases: ended, revision: self.revision })
    }

    /// Ends a lease. All its keys go at one revision.
    fn end_lease(&mut self, id: u64) -> Result<(), Refused> {
        let keys = self.leases.end(id)?;
        if keys.is_empty() {
            return Ok(());
        }
        let revision = self.revision + 1;
        for key in keys {
            self.keys.remove(&key);
            self.events.push_back(Event { revision, change: Change::Delete(key) });
        }
        self.revision = revision;
        self.bound();
        Ok(())
    }

    /// Looks at the store.
    pub fn look(&self, query: &Query) -> Answer {
        match query {
            Query::Get { keys, after } => self.page(keys, after.as_deref()),
            Query::Events { keys, from, most } => {
                self.events_from(keys, *from, *most).unwrap_or_else(Answer::Refused)
            }
            Query::Lease(id) => match self.leases.get(*id) {
                Ok(lease) => Answer::Lease(lease, self.leases.keys(*id)),
                Err(refused) => Answer::Refused(refused),
            },
            Query::Leases(after) => {
                let behind = self.leases.all().filter(|lease| lease.id > *after);
                Answer::Leases(behind.take(LEASES_PAGE).collect())
            }
        }
    }

    fn get<'a>(&'a self, keys: &'a Keys) -> impl Iterator<Item = &'a KeyValue> {
        let from = (Bound::Included(keys.start()), Bound::Unbounded);
        let found = self.keys.range::<str, _>(from).map(|(_, value)| value);
        found.take_while(|value| keys.has(&value.key))
    }

    fn page(&self, keys: &Keys, after: Option<&str>) -> Answer {
        let behind = |there: &&KeyValue| after.is_none_or(|after| there.key.as_str() > after);
        let (mut found, mut bytes) = (Vec::new(), 0);
        for there in self.get(keys).filter(behind) {
            bytes += there.size();
            if bytes > ANSWER_BYTES_MAX && !found.is_empty() {
                return Answer::Found { revision: self.revision, found, more: true };
            }
            found.push(there.clone());
        }
        Answer::Found { revision: self.revision, found, more: false }
    }

    fn transact(&mut self, txn: &Txn) -> Result<TxnDone, Refused> {
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        self.leases.have_room(ops.iter().filter_map(|op| match op {
            Op::Put { key, lease, .. } => lease.map(|id| (id, key.as_str())),
            _ => None,
        }))?;
        let next = self.revision + 1;
        let before = self.events.len();
        let results = ops.iter().map(|op| self.perform(op, next)).collect();
        if self.events.len() > before {
            self.revision = next;
            self.bound();
        }
        Ok(TxnDone { succeeded, revision: self.revision, results })
    }

    fn holds(&self, Compare { key, order, test }: &Compare) -> bool {
        let there = self.keys.get(key);
        let number =
            |of: fn(&KeyValue) -> u64, given: &u64| order.holds(&there.map_or(0, of), given);
        match test {
            Test::CreateRevision(given) => number(|there| there.create_revision, given),
            Test::ModRevision(given) => number(|there| there.mod_revision, given),
            Test::Version(given) => number(|there| there.version, given),
            Test::Value(given) => there.is_some_and(|there| order.holds(&there.value, given)),
        }
    }

    fn perform(&mut self, op: &Op, revision: u64) -> Done {
        match op {
            Op::Get(keys) => Done::Found(self.get(keys).cloned().collect()),
            Op::Put { key, value, lease } => {
                let before = self.keys.get(key);
                if let Some(id) = before.and_then(|before| before.lease) {
                    self.leases.detach(id, key);
                }
                if let Some(id) = *lease {
                    self.leases.attach(id, key);
                }
                let put = KeyValue {
                    key: key.clone(),
                    value: value.clone(),
                    create_revision: before.map_or(revision, |before| before.create_revision),
                    mod_revision: revision,
                    version: before.map_or(0, |before| before.version) + 1,
                    lease: *lease,
                };
                self.events.push_back(Event { revision, change: Change::Put(put.clone()) });
                Done::Put(self.keys.insert(key.clone(), put))
            }
            Op::Delete(keys) => {
                let gone: Vec<String> = self.get(keys).map(|there| there.key.clone()).collect();
                for key in &gone {
                    let before = self.keys.remove(key);
                    if let Some(id) = before.and_then(|before| before.lease) {
                        self.leases.detach(id, key);
                    }
                    let change = Change::Delete(key.clone());
                    self.events.push_back(Event { revision, change });
                }
                Done::Deleted(gone.len() as u64)
            }
        }
    }

    fn compact(&mut self, revision: u64) -> Result<(), Refused> {
        if revision > self.revision {
            return Err(Refused::Future { asked: revision, revision: self.revision });
        }
        if revision <= self.compacted {
            return Err(Refused::Compacted { compacted: self.compacted });
        }
        self.forget(revision);
        Ok(())
    }

    fn forget(&mut self, revision: u64) {
        self.compacted = revision;
        let kept = self.events.partition_point(|event| event.revision <= revision);
        self.events.drain(..kept);
    }

    /// Forgets whole revisions until the events have room; the newest one stays.
    fn bound(&mut self) {
        while self.events.len() > EVENTS_MAX {
            match self.events.front() {
                Some(oldest) if oldest.revision < self.revision => self.forget(oldest.revision),
                _ => return,
            }
        }
    }

    fn events_from(&self, keys: &Keys, from: u64, most: usize) -> Result<Answer, Refused> {
        if from <= self.compacted && self.compacted > 0 {
            return Err(Refused::Compacted { compacted: self.compacted });
        }
        if from > self.revision + 1 {
            return Err(Refused::Future { asked: from, revision: self.revision });
        }
        let start = self.events.partition_point(|event| event.revision < from);
        let (mut events, mut bytes) = (Vec::<Event>::new(), 0);
        for event in self.events.range(start..).filter(|event| keys.has(event.change.key())) {
            let last = events.last().map_or(event.revision, |last| last.revision);
            bytes += event.change.size();
            let is_full = events.len() >= most.max(1) || bytes > ANSWER_BYTES_MAX;
            if is_full && event.revision > last {
                return Ok(Answer::Events { events, next: last + 1 });
            }
            events.push(event.clone());
        }
        Ok(Answer::Events { events, next: self.revision + 1 })
    }
}
