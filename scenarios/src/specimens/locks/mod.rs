//! Locks as tutorials have them, on a server like Redis, and the same done right.

mod fenced;
mod holder;
mod redlock;
mod tutorial;

pub use fenced::{OnRedis, fenced, on_raft};
pub use holder::gateways;
pub use redlock::{redlock, stays_out};
pub use tutorial::{Flaw, tutorial};

use crate::lock::account::{Deposits, counts};
use crate::lock::{ONE, SUM};
use squall::{FINISHES, Fault, Most, Scenario, Tolerance};
use squall_env::platform::BindError;
use squall_env::request::{CallError, Caller, Responder};
use squall_env::{Address, Env, Port, Shown, View};
use squall_protocols::lock::invariants::one_holder;
use std::time::Duration;

/// All of them, each with the property that it breaks.
pub fn specimens() -> Vec<Scenario> {
    vec![
        tutorial(Flaw::NoFence).breaks(SUM),
        tutorial(Flaw::NoOwner).breaks(ONE),
        tutorial(Flaw::IgnoresRenewals).breaks(ONE),
        tutorial(Flaw::BacksOff).breaks(ONE),
        tutorial(Flaw::RenewerDies).breaks(ONE),
        tutorial(Flaw::RenewsOn).breaks(FINISHES),
        tutorial(Flaw::WaitsForItself).breaks(tutorial::OTHERS),
        tutorial(Flaw::Shared).breaks(ONE),
        tutorial(Flaw::Unchecked).breaks(ONE),
        tutorial(Flaw::SyncsLate).breaks(ONE),
        tutorial(Flaw::Failover).breaks(ONE),
        gateways::<false>().breaks(FINISHES),
        redlock(Fault::WallForward).breaks(ONE),
        redlock(Fault::Crash).breaks(ONE),
    ]
}

const ACCOUNT: &str = "open account";

/// How long the account is waited for.
const ACCOUNT_MAX: Duration = Duration::from_secs(1);

/// The balance of an account that anybody may write.
struct Open(u64);

/// A node with such an account. Nothing ever happens to it.
async fn account(env: Env) -> Result<(), String> {
    let port = Port::named(ACCOUNT);
    let mut asked = Responder::<Option<u64>, u64>::open(&env, port).map_err(|e| e.to_string())?;
    let balance = env.show("balance", Open(0));
    env.ready();
    loop {
        let (write, back) = asked.receive().await.map_err(|error| error.to_string())?;
        if let Some(new) = write {
            balance.update(&env, |balance| balance.0 = new);
        }
        back.reply(balance.read(|balance| balance.0));
    }
}

/// A client of the account.
struct Depositor {
    env: Env,
    caller: Caller<Option<u64>, u64>,
    account: Address,
    deposits: Shown<Deposits>,
}

impl Depositor {
    fn open(env: &Env) -> Result<Depositor, BindError> {
        let account = Address::new(env.peers("account")[0], Port::named(ACCOUNT));
        let deposits = env.show("deposits", Deposits::default());
        Ok(Depositor { env: env.clone(), caller: Caller::open(env)?, account, deposits })
    }

    /// Reads the balance, works, and writes it with one unit more.
    async fn deposit(&self, work: Duration) -> Result<(), CallError> {
        let balance = self.caller.call(self.account, None, ACCOUNT_MAX).await?;
        self.env.sleep(work).await;
        self.deposits.update(&self.env, |deposits| deposits.asked += 1);
        self.env.sleep(Duration::from_micros(1)).await;
        self.caller.call(self.account, Some(balance + 1), ACCOUNT_MAX).await?;
        self.deposits.update(&self.env, |deposits| deposits.told += 1);
        Ok(())
    }
}

/// Clients deposit into an account, and no two of them believe that they hold the lock.
fn exclusive(scenario: Scenario) -> Scenario {
    scenario
        .nodes("account", 1..=1, account)
        .always(ONE, || one_holder(DRIFT_PPM))
        .finishes_within(Duration::from_secs(60))
}

/// The account is right.
fn deposits_count(scenario: Scenario) -> Scenario {
    scenario
        .nodes("account", 1..=1, account)
        .always(SUM, || counts(|view: &View<'_>| view.up::<Open>().map(|open| open.0).next()))
        .finishes_within(Duration::from_secs(60))
}

/// Clocks are right here.
const DRIFT_PPM: u32 = 0;

/// These faults, of any number of nodes of a role at once.
fn only(role: &str, most: Most, faults: &[Fault]) -> Tolerance {
    let none = Tolerance::nothing().impaired(role, most);
    faults.iter().fold(none, |all, fault| all.fault(*fault))
}
