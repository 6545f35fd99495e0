//! A lock that is held for a while, and its renewal in the background.

use super::client::Shared;
use super::types::{Acquire, Claim, Token};
use squall_env::sync::{Stop, Stopper, WatchReceiver, WatchSender, stop, watch};
use squall_env::{Either, HasOutcome, Instant, Outcome, Task, mutant, race};
use std::sync::Arc;
use std::time::Duration;

/// A lock that is held, as far as its holder can know, until [`Lease::deadline`]. It is renewed in
/// the background; one that is dropped is released as far as that can be done.
///
/// Whoever holds it may be held up at any moment for longer than it lasts, so what it protects has
/// to be told its [token](Lease::token) and to refuse smaller ones ([`Guarded`](super::Guarded)).
pub struct Lease {
    shared: Arc<Shared>,
    claim: Claim,
    token: Token,
    standing: WatchReceiver<Held>,
    stopper: Stopper,
    /// Says whether the lock was still held when it was given back, if anybody said so.
    ended: Option<Task<Option<bool>>>,
}

/// What the background knows of a lease.
#[derive(Clone, Copy)]
struct Held {
    until: Instant,
    lost: Option<Lost>,
}

/// Why a lease was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// Whoever keeps the lock says that this acquisition does not hold it.
    Refused,
    /// Its time was over before it could be renewed.
    Over,
}

/// Nobody has said that the lock was given back. It ends by itself, within the time of the lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("nobody has said that the lock was given back; it ends by itself")]
pub struct ReleaseError;

impl HasOutcome for ReleaseError {
    fn outcome(&self) -> Outcome {
        Outcome::Indeterminate
    }
}

impl Lease {
    pub(super) fn begin(
        shared: &Arc<Shared>,
        ask: Acquire,
        ttl: Duration,
        token: Token,
        until: Instant,
    ) -> Lease {
        let (env, claim) = (&shared.env, ask.claim.clone());
        let (sender, standing) = watch(env, "lease", Held { until, lost: None });
        let (stopper, stopped) = stop(env, "lease");
        shared.diary.holds(claim.id, &claim.name, token, until);
        let renewer = Renewer { shared: Arc::clone(shared), ask, token, ttl, until, sender };
        let ended = Some(env.spawn("renewal", renewer.run(stopped)));
        Lease { shared: Arc::clone(shared), claim, token, standing, stopper, ended }
    }

    /// The name of the lock.
    pub fn name(&self) -> &str {
        &self.claim.name
    }

    /// The fencing token: greater than that of everybody who held the lock before.
    pub fn token(&self) -> Token {
        self.token
    }

    /// Until when the lock is held, by the monotonic clock of this node, as far as is known now.
    /// Later renewals move it.
    pub fn deadline(&self) -> Instant {
        self.standing.read(|held| held.until)
    }

    /// Whether the lock is held now, as far as a clock can tell. It says nothing of the next
    /// moment.
    pub fn is_held(&self) -> bool {
        self.lost_already().is_none()
    }

    /// Waits until the lease is lost: it was refused, or its time is over. Who works under a lock
    /// races his work against this.
    pub async fn lost(&self) -> Lost {
        let env = &self.shared.env;
        if mutant!(env, "lock/never-says-that-it-is-lost") {
            std::future::pending::<()>().await;
        }
        let mut standing = self.standing.clone();
        loop {
            if let Some(lost) = self.lost_already() {
                return lost;
            }
            let until = self.deadline();
            // It does not hang on the background alone: the time is over whoever renews.
            if let Either::Left(Err(_)) = race(standing.changed(), env.sleep_until(until)).await {
                env.sleep_until(until).await;
            }
        }
    }

    fn lost_already(&self) -> Option<Lost> {
        let (until, lost) = self.standing.read(|held| (held.until, held.lost));
        lost.or_else(|| (self.shared.env.now() >= until).then_some(Lost::Over))
    }

    /// Gives the lock back, and says whether it was still held then: to give back late does no
    /// harm. The renewal ends first, so that nothing keeps the lock if the answer is lost.
    ///
    /// # Errors
    /// [`ReleaseError`] if nobody has answered within the time of the lease.
    pub async fn release(mut self) -> Result<bool, ReleaseError> {
        self.end();
        let Some(ended) = self.ended.take() else { return Err(ReleaseError) };
        match ended.await {
            Ok(Some(held)) => Ok(held),
            Ok(None) | Err(_) => Err(ReleaseError),
        }
    }

    /// The holder has done with the lock.
    fn end(&self) {
        self.shared.diary.gives_up(self.claim.id);
        self.stopper.stop();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if mutant!(self.shared.env, "lock/renews-what-was-dropped") {
            return;
        }
        self.end();
    }
}

/// Renews a lease until it ends.
struct Renewer {
    shared: Arc<Shared>,
    ask: Acquire,
    token: Token,
    ttl: Duration,
    until: Instant,
    sender: WatchSender<Held>,
}

impl Renewer {
    /// Renews until the holder has done or the lease is lost, and then gives the lock back. Says
    /// whether it was still held, if anybody has said so.
    async fn run(mut self, mut stopped: Stop) -> Option<bool> {
        let counted = self.shared.diary.renewal();
        let lost = match race(stopped.wait(), self.renew()).await {
            Either::Left(()) => None,
            Either::Right(lost) => Some(lost),
        };
        if let Some(lost) = lost {
            self.shared.env.sometimes("a lease was lost");
            self.shared.env.trace(|| format!("{:?} is lost: {lost:?}", self.ask.claim));
            self.shared.diary.gives_up(self.ask.claim.id);
            self.sender.set(Held { until: self.until, lost: Some(lost) });
        }
        let held = match lost {
            Some(Lost::Refused) => Some(false),
            // Whoever keeps it may believe in it for a little longer than its holder.
            _ => self.give_back().await,
        };
        drop(counted);
        held
    }

    async fn give_back(&self) -> Option<bool> {
        let by = self.shared.env.now() + self.ttl;
        self.shared.release(&self.ask.claim, self.ttl, by).await
    }

    /// Renews every third of the lease's time, and sooner after a try that failed.
    async fn renew(&mut self) -> Lost {
        let shared = Arc::clone(&self.shared);
        let env = &shared.env;
        let mut next = env.now() + self.ttl / 3;
        let mut patience = shared.patience(self.ttl);
        loop {
            env.sleep_until(next.min(self.until)).await;
            let asked = env.now();
            if asked >= self.until {
                return Lost::Over;
            }
            let limit = patience.min(self.until - asked);
            let renewed = shared.locks.renew(&self.ask, limit).await;
            if env.now() >= self.until {
                // Somebody may have been told already, and what is lost stays lost.
                return Lost::Over;
            }
            match renewed {
                Ok(true) => {
                    self.extend(asked + shared.term(self.ttl));
                    next = asked + self.ttl / 3;
                }
                Ok(false) if mutant!(env, "lock/ignores-refused-renewals") => {
                    self.extend(asked + shared.term(self.ttl));
                    next = asked + self.ttl / 3;
                }
                Ok(false) => return Lost::Refused,
                // The pause is far shorter than the lease: who waits longer loses it unawares.
                Err(_) => {
                    env.sometimes("a renewal was tried again");
                    patience *= 2;
                    next = env.now() + self.ttl / 12;
                }
            }
        }
    }

    fn extend(&mut self, until: Instant) {
        self.until = self.until.max(until);
        let Claim { name, id } = &self.ask.claim;
        self.shared.diary.holds(*id, name, self.token, self.until);
        self.sender.set(Held { until: self.until, lost: None });
    }
}
