//! How a client gets a lock.

use super::beliefs::Diary;
use super::lease::Lease;
use super::types::{Acquire, AcquisitionId, Claim, Locks, LocksError, Refused, Standing, Token};
use squall_env::{Env, HasOutcome, Instant, Outcome, mutant};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a request is waited for at first, at most, however long the lease is to last.
const PATIENCE_MAX: Duration = Duration::from_millis(500);

/// What a client counts on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// No clock that takes part, of a client or of a server, is ever off by more than so many
    /// millionths in its rate, and none stands still while its machine is suspended. Where that
    /// does not hold, two clients may believe that they hold a lock; the token tells them apart.
    pub drift_max_ppm: u32,
    /// What a lease is taken to be shorter than it is beyond that, for what a holder does between
    /// looking at the time and having its effect.
    pub margin: Duration,
    /// How often somebody who waits asks whether it is his turn.
    pub poll: Duration,
}

impl Default for Config {
    /// Clocks that are off by two hundredths, a margin of a millisecond, and a look every 50 ms.
    fn default() -> Config {
        Config {
            drift_max_ppm: 20_000,
            margin: Duration::from_millis(1),
            poll: Duration::from_millis(50),
        }
    }
}

impl Config {
    /// How long a lease is held after it was asked for, by the clock of whoever asked: its clock
    /// may be slow and that of whoever ends the lease fast.
    pub fn term(&self, ttl: Duration) -> Duration {
        let drift = u64::from(self.drift_max_ppm.min(999_999));
        let scaled = u128::from(nanos(ttl)) * u128::from(1_000_000 - drift);
        let term = scaled / u128::from(1_000_000 + drift);
        Duration::from_nanos(u64::try_from(term).unwrap_or(u64::MAX)).saturating_sub(self.margin)
    }

    /// How long somebody is to stay in the queue who waits for so long by his own clock.
    fn patience(&self, wait: Duration) -> Duration {
        let drift = u64::from(self.drift_max_ppm.min(999_999));
        let scaled = u128::from(nanos(wait)) * u128::from(1_000_000 + drift);
        let patience = scaled.div_ceil(u128::from(1_000_000 - drift));
        Duration::from_nanos(u64::try_from(patience).unwrap_or(u64::MAX))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole milliseconds, rounded up.
fn millis(duration: Duration) -> u64 {
    nanos(duration).div_ceil(1_000_000)
}

/// Why a client did not get a lock.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AcquireError {
    /// The deadline came first. The client does not hold the lock and has asked to be taken off
    /// the queue; if that is lost, too, the lock may be held by nobody for the time of a lease.
    #[error("the lock could not be had in time")]
    Deadline,
    /// It was refused; nothing was done.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl HasOutcome for AcquireError {
    fn outcome(&self) -> Outcome {
        match self {
            AcquireError::Deadline => Outcome::Indeterminate,
            AcquireError::Refused(_) => Outcome::NotDone,
        }
    }
}

/// Acquires locks. It is cheap to clone; all tasks of a node share one.
#[derive(Clone)]
pub struct LockClient(Arc<Shared>);

pub(super) struct Shared {
    pub(super) env: Env,
    pub(super) locks: Arc<dyn Locks>,
    pub(super) config: Config,
    pub(super) diary: Diary,
    owner: u64,
    numbers: AtomicU64,
}

impl LockClient {
    /// A client of whoever keeps the locks. On each node there is one.
    pub fn new(env: &Env, locks: Arc<dyn Locks>, config: Config) -> LockClient {
        LockClient(Arc::new(Shared {
            env: env.clone(),
            locks,
            config,
            diary: Diary::open(env),
            owner: env.random(),
            numbers: AtomicU64::new(0),
        }))
    }

    /// Acquires a lock, which is held for `ttl` after the last renewal: it is renewed in the
    /// background every third of that until the lease is released, dropped, or lost. Who waits gets
    /// the lock in the order of arrival, and waits until `deadline` at most. A lock is not
    /// re-entrant: who holds it and acquires it waits for himself.
    ///
    /// If the future is dropped, the lock is given back as far as that can be done.
    ///
    /// # Errors
    /// [`AcquireError`].
    pub async fn acquire(
        &self,
        name: &str,
        ttl: Duration,
        deadline: Instant,
    ) -> Result<Lease, AcquireError> {
        let wait = deadline - self.0.env.now();
        Attempt::new(&self.0, name, ttl, wait).run(deadline).await
    }

    /// Acquires a lock unless somebody else holds it; answers by `deadline`.
    ///
    /// # Errors
    /// [`Refused::Taken`] if somebody else holds it, and whatever [`LockClient::acquire`] answers.
    pub async fn try_acquire(
        &self,
        name: &str,
        ttl: Duration,
        deadline: Instant,
    ) -> Result<Lease, AcquireError> {
        Attempt::new(&self.0, name, ttl, Duration::ZERO).run(deadline).await
    }

    /// How many leases are being renewed in the background.
    pub fn renewals(&self) -> u64 {
        self.0.diary.renewals()
    }
}

/// An acquisition that is under way. What is dropped before it holds anything withdraws.
struct Attempt {
    shared: Arc<Shared>,
    ask: Acquire,
    ttl: Duration,
    /// How many requests may have arrived or arrive yet, so that it has to be withdrawn.
    asked: u32,
    /// How long one request is waited for: longer after each that nobody answered, for on a slow
    /// network no answer at all might come within a fixed time.
    patience: Duration,
}

impl Attempt {
    fn new(shared: &Arc<Shared>, name: &str, ttl: Duration, wait: Duration) -> Attempt {
        let id = shared.next_id();
        let claim = Claim { name: name.to_owned(), id };
        let wait_ms = millis(shared.config.patience(wait));
        let ttl_ms = nanos(ttl) / 1_000_000;
        let ask = Acquire { claim, ttl_ms, wait_ms };
        shared.diary.asks(id, name, false);
        let patience = shared.patience(ttl);
        Attempt { shared: Arc::clone(shared), ask, ttl, asked: 0, patience }
    }

    async fn run(mut self, deadline: Instant) -> Result<Lease, AcquireError> {
        let shared = Arc::clone(&self.shared);
        let env = &shared.env;
        loop {
            let asked = env.now();
            if asked >= deadline {
                return Err(AcquireError::Deadline);
            }
            let limit = self.patience.min(deadline - asked);
            self.asked += 1;
            match shared.locks.acquire(&self.ask, limit).await {
                Ok(Standing::Held(token)) => {
                    if let Some(lease) = self.hold(asked, token) {
                        return Ok(lease);
                    }
                    // What was granted is over, or may be. It is asked for anew.
                    env.sometimes("a lease was over before its client had heard of it");
                }
                Ok(Standing::Waiting) => {
                    if let Some(lease) = self.wait(deadline).await {
                        return Ok(lease);
                    }
                }
                // It ran out before its client heard of it, and begins at the end of the queue.
                Ok(Standing::Ended) => self.begin_anew(),
                Err(LocksError::Refused(refused)) => {
                    // An earlier request that nobody answered may arrive yet, and be granted then.
                    self.asked -= 1;
                    return Err(refused.into());
                }
                Err(LocksError::Unanswered | LocksError::Unavailable) => {
                    env.sometimes("an acquisition was asked for again");
                    // An answer that takes as long as the lease lasts is of no use.
                    self.patience = self.ttl.min(self.patience * 2);
                    if mutant!(env, "lock/asks-again-as-another") {
                        self.begin_anew();
                    }
                    let pause = shared.config.poll / 2;
                    env.sleep_until(deadline.min(env.now() + pause)).await;
                }
            }
        }
    }

    /// The lease, if it still has time by this client's clock. Its time began to run when it was
    /// asked for: whoever gave it may have done so at once, and the answer may have taken long.
    fn hold(&mut self, asked: Instant, token: Token) -> Option<Lease> {
        let env = &self.shared.env;
        let asked = match mutant!(env, "lock/counts-from-the-answer") {
            true => env.now(),
            false => asked,
        };
        let until = asked + self.shared.term(self.ttl);
        if env.now() >= until {
            return None;
        }
        self.asked = 0;
        Some(Lease::begin(&self.shared, self.ask.clone(), self.ttl, token, until))
    }

    /// Waits until the acquisition stands in the queue no more. What it has come to then has to be
    /// asked again: that it holds the lock says nothing of how long it already does
    /// (etcd #11456).
    async fn wait(&mut self, deadline: Instant) -> Option<Lease> {
        let shared = Arc::clone(&self.shared);
        let (env, claim) = (&shared.env, self.ask.claim.clone());
        shared.diary.asks(claim.id, &claim.name, true);
        env.sometimes("a client waits for its turn");
        loop {
            let next = deadline.min(env.now() + shared.config.poll);
            env.sleep_until(next).await;
            let asked = env.now();
            if asked >= deadline {
                return None;
            }
            let limit = self.patience.min(deadline - asked);
            match shared.locks.look(&claim, limit).await {
                Ok(Standing::Held(token)) if mutant!(env, "lock/believes-what-it-waited-for") => {
                    return self.hold(asked, token);
                }
                Ok(Standing::Waiting) | Err(_) => {}
                Ok(Standing::Held(_) | Standing::Ended) => return None,
            }
        }
    }

    fn begin_anew(&mut self) {
        self.shared.diary.asked(self.ask.claim.id);
        self.asked = 0;
        self.ask.claim.id = self.shared.next_id();
        self.shared.diary.asks(self.ask.claim.id, &self.ask.claim.name, false);
    }
}

impl Shared {
    /// How long a lease is held after it was asked for.
    pub(super) fn term(&self, ttl: Duration) -> Duration {
        match mutant!(self.env, "lock/takes-all-clocks-for-right") {
            true => ttl,
            false => self.config.term(ttl),
        }
    }

    fn next_id(&self) -> AcquisitionId {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        AcquisitionId { owner: self.owner, number }
    }

    /// How long one request is waited for at first: a lease can then be renewed several times
    /// before it is over.
    pub(super) fn patience(&self, ttl: Duration) -> Duration {
        (ttl / 4).clamp(Duration::from_millis(2), PATIENCE_MAX)
    }

    /// Ends an acquisition, if anybody answers by then.
    pub(super) async fn release(&self, claim: &Claim, ttl: Duration, by: Instant) -> Option<bool> {
        let mut patience = self.patience(ttl);
        loop {
            let left = by - self.env.now();
            if left.is_zero() {
                return None;
            }
            if let Ok(held) = self.locks.release(claim, patience.min(left)).await {
                return Some(held);
            }
            patience *= 2;
            self.env.sleep((ttl / 10).min(left)).await;
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.shared.diary.asked(self.ask.claim.id);
        if self.asked > 0 {
            let (shared, claim, ttl) = (Arc::clone(&self.shared), self.ask.claim.clone(), self.ttl);
            self.shared.env.spawn("withdrawal", async move {
                let by = shared.env.now() + ttl;
                shared.release(&claim, ttl, by).await;
            });
        }
    }
}
