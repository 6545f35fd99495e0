//! The lock of many a tutorial: `SET key owner NX EX`, a thread that renews it every third of its
//! time, and a script that deletes it if the owner is the same.

use super::{Depositor, deposits_count, exclusive, only};
use crate::models::redis::{self, Command, Persistence, Redis, Reply};
use squall::{Client, Fault, Most, Scenario};
use squall_env::platform::BindError;
use squall_env::{Env, Instant, Shown, Task, View};
use squall_protocols::lock::{AcquisitionId, Belief, Beliefs, Token};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// Nobody waits for a lock that he has.
pub(super) const OTHERS: &str = "who waits for a lock waits for somebody else";

/// What of the lock is wrong, beside that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// Nothing but that the account takes writes of whoever held the lock before.
    NoFence,
    /// The lock is deleted without a look at its owner.
    NoOwner,
    /// What the renewal answers is not looked at.
    IgnoresRenewals,
    /// A renewal that is not answered is tried again after so long that the key is gone by then,
    /// and until then the holder believes that it has the lock.
    BacksOff,
    /// The first renewal that is not answered is the last: the thread ends with an error that
    /// nobody sees, and the holder believes until it is done.
    RenewerDies,
    /// The key is deleted before the renewal is stopped. Where that is not answered, the error goes
    /// past the rest, and the lock is renewed for as long as the process lives.
    RenewsOn,
    /// The answer to the first try is lost, and the second is told that somebody has the lock: it
    /// is the first one that does.
    WaitsForItself,
    /// Two threads share the lock and with it its flag: who did not get it looks whether it is up.
    Shared,
    /// Nobody looks whether the lock was acquired before the work that it is for.
    Unchecked,
    /// The server syncs its log about every second, as is its default: what it acknowledged since
    /// then is gone with the power.
    SyncsLate,
    /// The server has a replica that may not have the key yet when it takes over.
    Failover,
    /// None, as far as beliefs go: the holder stops believing when its time is over.
    None,
}

/// How long the key is there.
const EXPIRE: Duration = Duration::from_millis(300);

/// How long a command is waited for.
const CALL_MAX: Duration = Duration::from_millis(80);

/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(3_600);

/// How many deposits each client tries.
const OPERATIONS: u64 = 16;

/// Clients that deposit under such a lock.
pub fn tutorial(flaw: Flaw) -> Scenario {
    let name = match flaw {
        Flaw::NoFence => "specimen/lock-without-fencing",
        Flaw::NoOwner => "specimen/lock-deletes-whatever-is-there",
        Flaw::IgnoresRenewals => "specimen/lock-ignores-renewals",
        Flaw::BacksOff => "specimen/lock-backs-off-for-too-long",
        Flaw::RenewerDies => "specimen/lock-renewer-dies-unseen",
        Flaw::RenewsOn => "specimen/lock-deletes-before-it-stops-renewing",
        Flaw::WaitsForItself => "specimen/lock-waits-for-itself",
        Flaw::Shared => "specimen/lock-shared-by-threads",
        Flaw::Unchecked => "specimen/lock-not-looked-at",
        Flaw::SyncsLate => "specimen/lock-synced-every-second",
        Flaw::Failover => "specimen/lock-lost-by-failover",
        Flaw::None => "locks/owner-checked",
    };
    let (role, most, faults): (_, _, &[Fault]) = match flaw {
        Flaw::Failover => ("redis", Most::Nodes(1), &[Fault::Crash]),
        Flaw::SyncsLate => ("redis", Most::Any, &[Fault::Crash, Fault::LostWrites]),
        Flaw::Unchecked => ("client", Most::Any, &[]),
        // Nobody stands still: an answer that is lost is enough.
        Flaw::BacksOff | Flaw::RenewerDies | Flaw::RenewsOn | Flaw::WaitsForItself => {
            ("client", Most::Any, &[Fault::Loss])
        }
        _ => ("client", Most::Any, &[Fault::Pause]),
    };
    let servers = if flaw == Flaw::Failover { 2 } else { 1 };
    let scenario = Scenario::new(name)
        .nodes("redis", servers..=servers, move |env| serve(env, flaw))
        .clients("client", 3..=4, move |client| load(client, flaw))
        .tolerates(only(role, most, faults));
    match flaw {
        Flaw::NoFence => deposits_count(scenario),
        Flaw::WaitsForItself => exclusive(scenario).always(OTHERS, || for_somebody_else),
        _ => exclusive(scenario),
    }
}

async fn serve(env: Env, flaw: Flaw) -> Result<(), String> {
    let failover = (flaw == Flaw::Failover).then_some(Duration::from_millis(100));
    let persistence = match flaw {
        Flaw::SyncsLate => Persistence::EverySecond,
        _ => Persistence::Always,
    };
    let config = redis::Config { failover, ..redis::Config::alone(persistence) };
    redis::serve(env, config).await
}

/// The lock as the tutorial has it.
#[derive(Clone)]
struct DistributedLock {
    env: Env,
    redis: Arc<Redis>,
    key: String,
    owner: u64,
    flaw: Flaw,
    /// How often it was acquired.
    number: Arc<AtomicU64>,
    acquired: Arc<AtomicBool>,
    beliefs: Shown<Beliefs>,
    waits: Shown<Waits>,
}

/// Whether somebody was told to wait for a key of his own.
#[derive(Default)]
struct Waits(bool);

fn for_somebody_else(view: &View<'_>) -> Result<(), String> {
    match view.changed::<Waits>().find(|waits| waits.0) {
        None => Ok(()),
        Some(waits) => Err(format!("{:?} has the lock that it waits for", waits.node)),
    }
}

impl DistributedLock {
    async fn acquire(&self, limit: Duration) -> Option<Task<()>> {
        let asked = self.env.now();
        let (key, value) = (self.key.clone(), self.owner.to_string());
        let px_ms = EXPIRE.as_millis() as u64;
        let set = Command::SetNxPx { key, value, px_ms };
        match self.redis.call(set, limit).await {
            Ok(Reply::Ok) => self.acquired.store(true, Relaxed),
            Ok(Reply::Nil) if self.has_it_already(limit).await => {}
            _ => return None,
        }
        let number = self.number.fetch_add(1, Relaxed) + 1;
        let id = AcquisitionId { owner: self.owner, number };
        believe(&self.env, &self.beliefs, id, asked);
        let renewal = renew(
            self.env.clone(),
            Arc::clone(&self.redis),
            self.key.clone(),
            self.flaw,
            self.beliefs.clone(),
            id,
        );
        Some(self.env.spawn("renewal", renewal))
    }

    /// Whether it may go on though the key was there.
    async fn has_it_already(&self, limit: Duration) -> bool {
        if self.flaw == Flaw::WaitsForItself {
            // The tutorial does not look; the property does.
            let there = self.redis.call(Command::Get(self.key.clone()), limit).await;
            let is_own = there == Ok(Reply::Value(self.owner.to_string()));
            self.waits.update(&self.env, |waits| waits.0 |= is_own);
        }
        match self.flaw {
            Flaw::Shared => self.acquired.load(Relaxed),
            Flaw::Unchecked => true,
            _ => false,
        }
    }

    async fn release(&self, renewal: Task<()>) {
        if self.flaw != Flaw::RenewsOn {
            renewal.cancel();
        }
        self.beliefs.update(&self.env, |beliefs| beliefs.holds.clear());
        let (key, value) = (self.key.clone(), self.owner.to_string());
        let delete = match self.flaw {
            Flaw::NoOwner => Command::Del(key),
            _ => Command::CompareAndDelete { key, value },
        };
        // It goes by itself, too.
        let deleted = self.redis.call(delete, CALL_MAX).await;
        if deleted.is_ok() {
            renewal.cancel();
        }
        self.acquired.store(false, Relaxed);
    }

    /// Waits until the lock is free.
    async fn acquire_once(&self) {
        loop {
            // Some links are slow for ever.
            if let Some(renewal) = self.acquire(FOREVER).await {
                return self.release(renewal).await;
            }
            self.env.sleep(EXPIRE / 10).await;
        }
    }
}

/// The holder believes for as long as the key is there, but for the grain of the server's expiry.
fn believe(env: &Env, beliefs: &Shown<Beliefs>, id: AcquisitionId, asked: Instant) {
    let until = asked + EXPIRE.saturating_sub(Duration::from_millis(2));
    believe_for(env, beliefs, id, until - env.now());
}

fn believe_for(env: &Env, beliefs: &Shown<Beliefs>, id: AcquisitionId, left: Duration) {
    // The lock has no token; the number of the acquisition stands for it.
    let token = Token(id.number);
    let belief = Belief { name: "account".to_owned(), token, at: env.now(), left };
    beliefs.update(env, |beliefs| beliefs.holds.insert(id, belief));
}

async fn renew(
    env: Env,
    redis: Arc<Redis>,
    key: String,
    flaw: Flaw,
    beliefs: Shown<Beliefs>,
    id: AcquisitionId,
) {
    loop {
        env.sleep(EXPIRE / 3).await;
        let (asked, key, value) = (env.now(), key.clone(), id.owner.to_string());
        let px_ms = EXPIRE.as_millis() as u64;
        let expire = Command::CompareAndPexpire { key, value, px_ms };
        let told = redis.call(expire, CALL_MAX).await;
        let renewed = match flaw {
            Flaw::IgnoresRenewals => true,
            _ => told == Ok(Reply::Integer(1)),
        };
        if renewed {
            believe(&env, &beliefs, id, asked);
        } else if flaw == Flaw::RenewerDies && told.is_err() {
            return believe_for(&env, &beliefs, id, FOREVER);
        } else if flaw == Flaw::BacksOff && told.is_err() {
            for _ in 0..20 {
                believe(&env, &beliefs, id, env.now());
                env.sleep(EXPIRE / 10).await;
            }
        }
    }
}

async fn load(client: Client, flaw: Flaw) -> Result<(), BindError> {
    let env = client.env().clone();
    let account = Arc::new(Depositor::open(&env)?);
    let redis = Arc::new(Redis::open(&env, &env.peers("redis"))?);
    let beliefs = env.show("locks", Beliefs::default());
    let (key, owner) = ("account_lock".to_owned(), env.random());
    let (number, acquired) = <(Arc<AtomicU64>, Arc<AtomicBool>)>::default();
    let waits = env.show("waits", Waits::default());
    let lock = DistributedLock {
        env: env.clone(),
        redis,
        key,
        owner,
        flaw,
        number,
        acquired,
        beliefs,
        waits,
    };
    while let Some(operation) = client.next_operation(OPERATIONS) {
        env.sleep(Duration::from_micros(operation.draw(0, 100_000))).await;
        let time = Duration::from_micros(operation.draw(1, 250_000));
        let other = (flaw == Flaw::Shared)
            .then(|| env.spawn("other", work(lock.clone(), Arc::clone(&account), time)));
        work(lock.clone(), Arc::clone(&account), time).await;
        if let Some(other) = other {
            // It may have been cancelled with the node.
            let _ = other.await;
        }
    }
    client.after_heal().await;
    if matches!(flaw, Flaw::RenewsOn | Flaw::None) {
        lock.acquire_once().await;
    }
    Ok(())
}

/// Deposits if the lock is free.
async fn work(lock: DistributedLock, account: Arc<Depositor>, time: Duration) {
    if let Some(renewal) = lock.acquire(CALL_MAX).await {
        // Whether it is done is on show.
        let _ = account.deposit(time).await;
        lock.release(renewal).await;
    }
}
