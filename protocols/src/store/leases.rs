//! Leases: keys that go when nobody keeps them alive (etcd's API calls them so, too). The state
//! machine reads no clock: it knows how long a lease lasts and when, in the order of the log, it
//! was renewed last. That the time is over is a command like any other, and names the renewal after
//! which it was measured: behind a later one it does nothing.

use super::ANSWER_BYTES_MAX;
use super::types::Refused;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The shortest time that a lease lasts, in milliseconds: one that is asked to last less lasts so
/// long. It has to outlast an election.
pub const LEASE_TTL_MIN_MS: u64 = 1_000;

/// The longest time that a lease lasts, in milliseconds: about 285 years, as in etcd.
pub const LEASE_TTL_MAX_MS: u64 = 9_000_000_000_000;

/// So many leases there may be.
pub const LEASES_MAX: usize = 16_384;

/// A lease.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// Its number, which is not zero.
    pub id: u64,
    /// How long it lasts since it was renewed last, at least, in milliseconds.
    pub ttl_ms: u64,
    /// The number of its last renewal, counted over all leases that the store ever had: it never
    /// comes again.
    pub renewal: u64,
}

/// What is done with leases.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum LeaseCommand {
    /// There shall be a new lease.
    Grant {
        /// Its number, or zero for any.
        id: u64,
        /// How long it shall last, in milliseconds.
        ttl_ms: u64,
    },
    /// A lease shall last anew.
    KeepAlive {
        /// Which one.
        id: u64,
    },
    /// A lease shall end, and its keys go.
    Revoke {
        /// Which one.
        id: u64,
    },
    /// The time of these leases is over, unless they were renewed: a lease's number, and that of
    /// the renewal since which its time has passed.
    Expire(Vec<(u64, u64)>),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Held {
    ttl_ms: u64,
    renewal: u64,
    keys: BTreeSet<String>,
    /// How many bytes the events have by which the keys go.
    bytes: usize,
}

/// The leases of a store, and which keys they hold.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub(super) struct Leases {
    held: BTreeMap<u64, Held>,
    /// How often any lease was granted or renewed.
    renewals: u64,
}

/// About how many bytes the event has by which a key goes.
fn size(key: &str) -> usize {
    32 + key.len()
}

impl Leases {
    pub(super) fn all(&self) -> impl Iterator<Item = Lease> {
        self.held.iter().map(|(id, held)| held.lease(*id))
    }

    pub(super) fn get(&self, id: u64) -> Result<Lease, Refused> {
        Ok(self.held.get(&id).ok_or(Refused::NoLease { id })?.lease(id))
    }

    /// The keys that a lease holds, in their order.
    pub(super) fn keys(&self, id: u64) -> Vec<String> {
        self.held.get(&id).map(|held| held.keys.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn grant(&mut self, id: u64, ttl_ms: u64) -> Result<Lease, Refused> {
        if ttl_ms > LEASE_TTL_MAX_MS {
            return Err(Refused::LeaseTooLong { ttl_ms });
        }
        if self.held.contains_key(&id) {
            return Err(Refused::LeaseExists { id });
        }
        if self.held.len() >= LEASES_MAX {
            return Err(Refused::TooManyLeases);
        }
        self.renewals += 1;
        let (renewal, ttl_ms) = (self.renewals, ttl_ms.max(LEASE_TTL_MIN_MS));
        let id = if id == 0 { self.unused() } else { id };
        let held = Held { ttl_ms, renewal, keys: BTreeSet::new(), bytes: 0 };
        let lease = held.lease(id);
        self.held.insert(id, held);
        Ok(lease)
    }

    /// A number that no lease has. The renewals are counted on, so the first one is most often
    /// free.
    fn unused(&self) -> u64 {
        let mut id = self.renewals.max(1);
        while self.held.contains_key(&id) {
            id = id.wrapping_add(1).max(1);
        }
        id
    }

    pub(super) fn keep_alive(&mut self, id: u64) -> Result<Lease, Refused> {
        let held = self.held.get_mut(&id).ok_or(Refused::NoLease { id })?;
        self.renewals += 1;
        held.renewal = self.renewals;
        Ok(held.lease(id))
    }

    /// Ends a lease, and gives the keys that it held, in their order.
    pub(super) fn end(&mut self, id: u64) -> Result<BTreeSet<String>, Refused> {
        Ok(self.held.remove(&id).ok_or(Refused::NoLease { id })?.keys)
    }

    /// Whether these keys can be attached to these leases. What is attached twice counts twice.
    pub(super) fn have_room<'a>(
        &self,
        puts: impl Iterator<Item = (u64, &'a str)>,
    ) -> Result<(), Refused> {
        let mut more = BTreeMap::<u64, usize>::new();
        for (id, key) in puts {
            let held = self.held.get(&id).ok_or(Refused::NoLease { id })?;
            let more = more.entry(id).or_default();
            *more += if held.keys.contains(key) { 0 } else { size(key) };
            if held.bytes + *more > ANSWER_BYTES_MAX {
                return Err(Refused::LeaseFull { id });
            }
        }
        Ok(())
    }

    pub(super) fn attach(&mut self, id: u64, key: &str) {
        let held = self.held.get_mut(&id);
        if let Some(held) = held.filter(|held| !held.keys.contains(key)) {
            held.bytes += size(key);
            held.keys.insert(key.to_owned());
        }
    }

    pub(super) fn detach(&mut self, id: u64, key: &str) {
        let held = self.held.get_mut(&id);
        if let Some(held) = held.filter(|held| held.keys.contains(key)) {
            held.bytes -= size(key);
            held.keys.remove(key);
        }
    }
}

impl Held {
    fn lease(&self, id: u64) -> Lease {
        Lease { id, ttl_ms: self.ttl_ms, renewal: self.renewal }
    }
}
