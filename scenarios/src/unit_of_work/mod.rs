//! Transfers between accounts by several clients at once, on a store that crashes.

mod bank;
mod guest;
pub(crate) mod load;

pub use bank::{Balances, Bank, Call, Told};

use crate::tolerance;
use bank::{ACCOUNTS, BALANCE, Transferred};
use load::Concluded;
use squall::{Client, Fault, Scenario, linearizable};
use squall_env::shown::AuditView;
use squall_env::{HasOutcome, View};
use squall_protocols::specification::{Specification, Table};
use squall_protocols::unit_of_work::contract::Account;
use squall_protocols::unit_of_work::{Entity, NAME, Stored, Tables, TablesMachine, serve};
use std::collections::BTreeMap;
use std::time::Duration;

/// The property of what clients see.
const LINEARIZABLE: &str = "the history is linearizable";
/// The property of the balances.
pub const MONEY: &str = "no money is made or lost";
const MESSAGES: &str = "what is done has its message, and nothing else has";
const DURABLE: &str = "what is done is on the disk, whole";

/// The tables of the bank.
pub(crate) const SCHEMA: &[Table] = &[Account::TABLE];

/// Clients that transfer money between accounts, read all balances, and open, use and close the
/// account of a guest, on one store that crashes, loses what it has not synced, and cannot be
/// reached now and then.
pub fn transfers() -> Scenario {
    scenario(Scenario::new("unit_of_work/transfers").clients("client", 2..=4, load::workload))
        .sometimes("a batch came again")
        .sometimes("a commit was refused because of what others did")
        .sometimes("a commit in doubt was asked for again")
        .sometimes("a transfer was rolled back")
        .sometimes("an account was open already")
        .sometimes("an account was closed while somebody used it")
}

/// The store, what it survives, and what must hold of it, whoever its clients are.
pub(crate) fn scenario(clients: Scenario) -> Scenario {
    clients
        .nodes("store", 1..=1, |env| serve(env, SCHEMA))
        // Nobody asks for the time of day.
        .tolerates(tolerance::of_durable(&["store", "client"]).but_not(Fault::WallDrift))
        .always(MONEY, || |view: &View<'_>| each(view, money))
        .always(MESSAGES, || {
            |view: &View<'_>| {
                let concluded = concluded(view);
                each(view, |tables| messages(tables, &concluded))
            }
        })
        .audit(DURABLE, || durable)
        .check(linearizable(Bank))
        // Over the slowest links a transfer takes all its time, and a client makes many.
        .finishes_within(Duration::from_secs(120))
}

fn each(
    view: &View<'_>,
    mut holds: impl FnMut(&Tables) -> Result<(), String>,
) -> Result<(), String> {
    view.up::<TablesMachine>().try_for_each(|machine| holds(machine.tables()))
}

/// What clients were told of their transfers: whether each was done.
fn concluded(view: &View<'_>) -> BTreeMap<u64, bool> {
    view.up::<Concluded>().flat_map(|client| client.0.clone()).collect()
}

fn balances(tables: &Tables) -> Result<Vec<i64>, String> {
    let found = tables.find(Account::TABLE.name, &Specification::everything());
    let found = found.map_err(|error| error.to_string())?;
    // What is on the guest's account is nobody's transfer.
    let found = found.iter().filter(|(key, _)| key != guest::GUEST);
    let account = |(key, stored): &(String, Stored)| Account::from_row(key, &stored.row);
    let balances: Option<Vec<i64>> = found.map(|row| Some(account(row)?.balance)).collect();
    balances.ok_or_else(|| "a row is no account".to_owned())
}

/// The accounts are opened together, and hold together what they were opened with.
fn money(tables: &Tables) -> Result<(), String> {
    let balances = balances(tables)?;
    let all: i64 = balances.iter().sum();
    match balances.len() {
        0 => Ok(()),
        ACCOUNTS if all == BALANCE * ACCOUNTS as i64 => Ok(()),
        _ => Err(format!("the accounts hold {balances:?}")),
    }
}

/// The messages explain the balances, and there is one for each transfer of which a client was told
/// that it was done, and none for those that were not.
fn messages(tables: &Tables, concluded: &BTreeMap<u64, bool>) -> Result<(), String> {
    let mut told = BTreeMap::<u64, u32>::new();
    let mut expected = vec![BALANCE; ACCOUNTS];
    for waiting in tables.outbox(0, usize::MAX) {
        let body = Transferred::decode(&waiting.message.body).ok_or("a message is no transfer")?;
        *told.entry(body.id).or_default() += 1;
        expected[usize::from(body.from)] -= body.amount;
        expected[usize::from(body.to)] += body.amount;
    }
    for (id, done) in concluded {
        let times = told.get(id).copied().unwrap_or(0);
        if times != u32::from(*done) {
            let was = if *done { "was" } else { "was not" };
            return Err(format!("transfer {id:x} {was} done, and has {times} messages"));
        }
    }
    match balances(tables)? {
        balances if balances.is_empty() || balances == expected => Ok(()),
        balances => Err(format!("the accounts hold {balances:?}, by the messages {expected:?}")),
    }
}

fn durable(audit: &AuditView<'_>) -> Result<(), String> {
    let concluded = concluded(audit.view());
    for (node, _) in audit.disks().filter(|(node, _)| audit.roster().role(*node) == "store") {
        let machine = audit.recover::<TablesMachine>(node, NAME, &SCHEMA)?;
        money(machine.tables())?;
        messages(machine.tables(), &concluded)?;
    }
    Ok(())
}

/// Records an operation and what a client may conclude from it.
async fn perform<E: HasOutcome + std::error::Error + 'static>(
    client: &Client,
    call: Call,
    work: impl Future<Output = Result<Told, E>>,
) -> Result<Told, E> {
    client.perform::<Bank, E>(call, work).await
}

/// One line gone wrong, each in its own way.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |name: &'static str, breaks| {
        transfers().mutant(&format!("mutant/{}", name.replace('/', "-")), name, breaks)
    };
    vec![
        mutant("unit-of-work/commits-one-by-one", MONEY),
        mutant("unit-of-work/ignores-versions", LINEARIZABLE),
        mutant("unit-of-work/forgets-batches", MESSAGES),
        mutant("unit-of-work/commits-to-memory", DURABLE),
        mutant("unit-of-work/keeps-what-it-read-after-a-conflict", MONEY),
        mutant("unit-of-work/rollback-leaves-part", MONEY),
        mutant("unit-of-work/adds-over-what-is-there", LINEARIZABLE),
        mutant("unit-of-work/updates-what-is-missing", LINEARIZABLE),
    ]
}
