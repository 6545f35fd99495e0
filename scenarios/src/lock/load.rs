//! What clients do with locks.

use super::account::{Account, Balance, Deposits};
use squall::{Client, Operation};
use squall_env::platform::BindError;
use squall_env::{Either, Env, Instant, Shown, race};
use squall_protocols::lock::{Config, GuardedClient, Lease, LockClient, OnRaft, Single};
use std::sync::Arc;
use std::time::Duration;

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 10;

/// How long the account is waited for.
const ACCOUNT_MAX: Duration = Duration::from_millis(600);

/// How long leases last, and how long they are waited for, at least.
#[derive(Clone, Copy)]
struct Times {
    ttl: Duration,
    wait: Duration,
}

/// Leases end often.
const SHORT: Times = Times { ttl: Duration::from_millis(150), wait: Duration::ZERO };

/// It matters how fast clocks run, and who waits does so for longer than a lease lasts.
const LONG: Times = Times { ttl: Duration::from_millis(2_500), wait: Duration::from_secs(6) };

/// Leases last for longer than an election, in which nobody could renew them.
const BEYOND_ELECTIONS: Times = Times { ttl: Duration::from_millis(500), ..SHORT };

/// Longer than a timer is late.
const LATE: Duration = Duration::from_secs(2);

/// How long all that is going on when the faults end may hold up a client.
const SERVED_MAX: Duration = Duration::from_secs(20);

/// How long the last lease of each lasts: longer than a question and its answer over any link.
const LAST_TTL: Duration = Duration::from_secs(3);

/// The lock of the account.
const LOCK: &str = "account";

/// How a holder behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Conduct {
    /// It stops when the lease is lost.
    Careful,
    /// It never looks.
    Careless,
}

/// What a client has seen that must not be.
#[derive(Clone, Copy, Default)]
pub(super) struct Wrong {
    /// It was not told that a lease is lost.
    pub(super) never_lost: bool,
    /// A renewal goes on without a lease.
    pub(super) renews: bool,
    /// It did not get the lock although all was well.
    pub(super) starved: bool,
}

struct Holder {
    client: Client,
    env: Env,
    locks: LockClient,
    account: GuardedClient<Account>,
    deposits: Shown<Deposits>,
    wrong: Shown<Wrong>,
    conduct: Conduct,
    times: Times,
}

/// Who waits looks often, so that nobody holds the lock unseen for long.
fn config() -> Config {
    Config { poll: Duration::from_millis(10), ..Config::default() }
}

/// A client of locks on the node `lock-1`.
pub(super) async fn on_one_server(client: Client, conduct: Conduct) -> Result<(), BindError> {
    let env = client.env().clone();
    let locks = Single::open(&env, env.peers("lock")[0])?;
    let config = match conduct {
        Conduct::Careful => config(),
        // As if clocks were always right.
        Conduct::Careless => Config { drift_max_ppm: 0, margin: Duration::ZERO, ..config() },
    };
    let locks = LockClient::new(&env, Arc::new(locks), config);
    work(client, locks, conduct, SHORT).await
}

/// A client of locks on the node `lock-1` whose leases last long.
pub(super) async fn for_long(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let locks = Single::open(&env, env.peers("lock")[0])?;
    let locks = LockClient::new(&env, Arc::new(locks), config());
    work(client, locks, Conduct::Careful, LONG).await
}

/// A client of locks on the nodes of the role `member`.
pub(super) async fn on_a_cluster(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let locks = OnRaft::new(&env, env.peers("member"));
    let locks = LockClient::new(&env, Arc::new(locks), config());
    work(client, locks, Conduct::Careful, BEYOND_ELECTIONS).await
}

/// Deposits under locks that somebody else keeps, and never looks whether it holds them.
pub(crate) async fn deposit_carelessly(client: Client, locks: LockClient) -> Result<(), BindError> {
    work(client, locks, Conduct::Careless, SHORT).await
}

/// Deposits under the lock while there are faults, and once more when they are over.
async fn work(
    client: Client,
    locks: LockClient,
    conduct: Conduct,
    times: Times,
) -> Result<(), BindError> {
    let env = client.env().clone();
    let account = GuardedClient::open(&env, env.peers("account")[0])?;
    let deposits = env.show("deposits", Deposits::default());
    let wrong = env.show("wrong", Wrong::default());
    let holder = Holder { client, env, locks, account, deposits, wrong, conduct, times };
    holder.run().await;
    Ok(())
}

impl Holder {
    async fn run(&self) {
        while let Some(operation) = self.client.next_operation(OPERATIONS) {
            let pause_max = if operation.draw(0, 4) == 0 { 600_000 } else { 20_000 };
            self.env.sleep(Duration::from_micros(operation.draw(1, pause_max))).await;
            self.operate(operation).await;
        }
        self.client.after_heal().await;
        let deadline = self.env.now() + SERVED_MAX;
        match self.locks.acquire(LOCK, LAST_TTL, deadline).await {
            Ok(lease) => {
                self.deposit(&lease, Duration::ZERO).await;
                // Whether it was still held is nothing to it.
                let _ = lease.release().await;
            }
            Err(_) => self.wrong.update(&self.env, |wrong| wrong.starved = true),
        }
        self.see_renewals_end().await;
    }

    async fn operate(&self, operation: Operation) {
        let ttl = self.times.ttl + Duration::from_millis(operation.draw(2, 600));
        let patience = Duration::from_millis(100 + operation.draw(3, 2_500));
        let deadline = self.env.now() + patience.max(self.times.wait);
        let name = if operation.draw(4, 4) == 0 { "another" } else { LOCK };
        let acquired = match operation.draw(5, 6) {
            0 => self.locks.try_acquire(name, ttl, deadline).await,
            _ => self.locks.acquire(name, ttl, deadline).await,
        };
        let Ok(lease) = acquired else { return };
        let work_max = if operation.draw(6, 3) == 0 { 4 * ttl } else { ttl / 3 };
        let work = Duration::from_nanos(operation.draw(7, work_max.as_nanos() as u64));
        if name == LOCK {
            self.deposit(&lease, work).await;
        } else {
            self.hold(&lease, work).await;
        }
        // Some are dropped.
        if operation.draw(8, 4) > 0 {
            let _ = lease.release().await;
        }
    }

    /// Reads the balance, works, and writes it with one unit more.
    async fn deposit(&self, lease: &Lease, work: Duration) {
        let mut account = self.account.under(lease.token());
        let work = async {
            let Ok(Balance(balance)) = account.read(ACCOUNT_MAX).await else { return };
            self.env.sleep(work).await;
            if self.conduct == Conduct::Careful && !lease.is_held() {
                return;
            }
            self.deposits.update(&self.env, |deposits| deposits.asked += 1);
            // If it crashed in the step in which it also sends, nobody would have seen that.
            self.env.sleep(Duration::from_micros(1)).await;
            if account.write(Balance(balance + 1), ACCOUNT_MAX).await.is_ok() {
                self.deposits.update(&self.env, |deposits| deposits.told += 1);
            }
        };
        match self.conduct {
            Conduct::Careful => drop(race(lease.lost(), work).await),
            Conduct::Careless => work.await,
        }
    }

    /// Holds the lock for a while, and sees whether it hears when it is lost.
    async fn hold(&self, lease: &Lease, time: Duration) {
        if let Either::Left(_) = race(lease.lost(), self.env.sleep(time)).await {
            return;
        }
        if !lease.is_held() && self.env.timeout(LATE, lease.lost()).await.is_err() {
            self.wrong.update(&self.env, |wrong| wrong.never_lost = true);
        }
    }

    /// Everything is released or dropped.
    async fn see_renewals_end(&self) {
        let until: Instant = self.env.now() + SERVED_MAX;
        while self.locks.renewals() > 0 {
            if self.env.now() >= until {
                self.wrong.update(&self.env, |wrong| wrong.renews = true);
                self.env.sleep(Duration::from_millis(1)).await;
                return;
            }
            self.env.sleep(Duration::from_millis(50)).await;
        }
    }
}
