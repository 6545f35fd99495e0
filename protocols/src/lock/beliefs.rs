//! What clients believe, on show for the properties of locks.

use super::types::{AcquisitionId, Token};
use squall_env::{Env, Instant, Shown};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a client believes of its locks, and what it has under way. It shows this under the name
/// `locks`; [`invariants`](super::invariants) look at it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Beliefs {
    /// The leases that it believes to hold, by their acquisitions.
    pub holds: BTreeMap<AcquisitionId, Belief>,
    /// The acquisitions that are under way.
    pub asks: BTreeMap<AcquisitionId, Asking>,
    /// How many background renewals run.
    pub renewals: u64,
}

/// A lease as its client believes in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Belief {
    /// Which lock.
    pub name: String,
    /// The token.
    pub token: Token,
    /// When the client last had reason to write this down, by its own clock.
    pub at: Instant,
    /// For how long from then on it goes on believing, by its own clock.
    pub left: Duration,
}

/// An acquisition that is under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asking {
    /// Which lock.
    pub name: String,
    /// Whether it was told that it stands in the queue.
    pub waits: bool,
}

/// The beliefs of one client.
#[derive(Clone)]
pub(super) struct Diary {
    env: Env,
    shown: Shown<Beliefs>,
}

impl Diary {
    pub(super) fn open(env: &Env) -> Diary {
        Diary { env: env.clone(), shown: env.show("locks", Beliefs::default()) }
    }

    pub(super) fn asks(&self, id: AcquisitionId, name: &str, waits: bool) {
        let asking = Asking { name: name.to_owned(), waits };
        self.update(|beliefs| beliefs.asks.insert(id, asking));
    }

    /// The acquisition is over, whatever came of it.
    pub(super) fn asked(&self, id: AcquisitionId) {
        self.update(|beliefs| beliefs.asks.remove(&id));
    }

    /// The client holds the lock until then.
    pub(super) fn holds(&self, id: AcquisitionId, name: &str, token: Token, until: Instant) {
        let at = self.env.now();
        let belief = Belief { name: name.to_owned(), token, at, left: until - at };
        self.update(|beliefs| {
            beliefs.asks.remove(&id);
            beliefs.holds.insert(id, belief)
        });
    }

    pub(super) fn gives_up(&self, id: AcquisitionId) {
        self.update(|beliefs| beliefs.holds.remove(&id));
    }

    /// Counts a renewal until what is returned is dropped.
    pub(super) fn renewal(&self) -> Renewal {
        self.update(|beliefs| beliefs.renewals += 1);
        Renewal(self.clone())
    }

    pub(super) fn renewals(&self) -> u64 {
        self.shown.read(|beliefs| beliefs.renewals)
    }

    fn update<R>(&self, change: impl FnOnce(&mut Beliefs) -> R) -> R {
        self.shown.update(&self.env, change)
    }
}

/// A background renewal that runs.
pub(super) struct Renewal(Diary);

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.update(|beliefs| beliefs.renewals -= 1);
    }
}
