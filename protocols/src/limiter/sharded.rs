//! Limiters behind several locks, so that who asks for one key does not wait for another.

use super::{Decision, Gcra, Keyed, Limiter};
use squall_env::Instant;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A limiter for each key, as [`Keyed`], that threads share. Each key belongs to one of several
/// shards, and each shard has a lock of its own: those who ask for keys of different shards do not
/// wait for each other.
///
/// The room for keys is divided among the shards. So a new key may find none although others have
/// some left: who wants that to be rare makes the room several times as large as is needed.
#[derive(Debug)]
pub struct Sharded<K, L = Gcra> {
    shards: Box<[Mutex<Keyed<K, L>>]>,
    /// Whoever does not know it cannot choose keys that all belong to one shard.
    salt: u64,
    hash: fn(&K, u64) -> u64,
}

impl<K: Ord + Clone, L: Limiter> Sharded<K, L> {
    /// These limiters behind one lock.
    pub fn one(keyed: Keyed<K, L>) -> Sharded<K, L> {
        Sharded { shards: Box::new([Mutex::new(keyed)]), salt: 0, hash: |_, _| 0 }
    }

    /// Limiters like this one, through which nothing came yet, for `most` keys at a time in so many
    /// shards, but not more shards than keys. `salt` decides which keys belong together: a random
    /// number. The same salt, the same shards.
    pub fn new(new: L, most: usize, shards: usize, salt: u64) -> Sharded<K, L>
    where
        K: Hash,
    {
        Sharded::like(&Keyed::of(new, most), most, shards, salt)
    }

    /// As these, which have no keys yet.
    pub(super) fn like(keyed: &Keyed<K, L>, most: usize, shards: usize, salt: u64) -> Sharded<K, L>
    where
        K: Hash,
    {
        let most = most.max(1);
        let shards = shards.clamp(1, most);
        let shard = || Mutex::new(keyed.anew(most / shards));
        Sharded { shards: (0..shards).map(|_| shard()).collect(), salt, hash }
    }

    /// Whether a cell of this key may come now; if so, it has.
    pub fn check(&self, key: &K, now: Instant) -> Decision {
        self.shard(key).check(key, now)
    }

    /// Forgets what came of a key, whether that still counts or not.
    pub fn reset(&self, key: &K) {
        self.shard(key).reset(key);
    }

    /// Forgets what came of every key.
    pub fn reset_all(&self) {
        self.shards.iter().for_each(|shard| lock(shard).reset_all());
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, Keyed<K, L>> {
        let hash = u128::from((self.hash)(key, self.salt));
        let place = (hash * self.shards.len() as u128) >> 64;
        lock(&self.shards[place as usize])
    }
}

/// The same in every process: this hasher has no key of its own.
fn hash<K: Hash>(key: &K, salt: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    salt.hash(&mut hasher);
    key.hash(&mut hasher);
    hasher.finish()
}

fn lock<K, L>(shard: &Mutex<Keyed<K, L>>) -> MutexGuard<'_, Keyed<K, L>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
