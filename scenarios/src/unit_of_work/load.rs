//! What the bank's clients do.

use super::bank::{ACCOUNTS, BALANCE, Transferred};
use super::guest::GUEST;
use super::{Call, Told, guest, perform};
use squall::{Client, Operation};
use squall_env::{Env, HasOutcome, Instant, Outcome, Shown};
use squall_protocols::specification::field;
use squall_protocols::unit_of_work::contract::{Account, TransferError, transfer};
use squall_protocols::unit_of_work::{CommitError, RemoteTables, UnitError, UnitOfWork};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 12;

/// How long a client goes on with an operation.
pub(super) const OPERATION_MAX: Duration = Duration::from_millis(2_500);

/// How long it waits for one answer: longer than any link is slow.
pub(crate) const ANSWER_MAX: Duration = Duration::from_millis(2_000);

/// Of which transfers a client knows whether they were done.
#[derive(Default)]
pub(super) struct Concluded(pub(super) BTreeMap<u64, bool>);

/// The key of an account.
pub(crate) fn key(number: u8) -> String {
    format!("account-{number}")
}

/// The accounts as they are opened.
pub(crate) fn opened() -> impl Iterator<Item = Account> {
    (0..ACCOUNTS as u8).map(|number| Account { id: key(number), balance: BALANCE })
}

/// An operation's accounts and amount.
pub(crate) fn drawn(operation: Operation) -> (u8, u8, i64) {
    let from = operation.draw(1, ACCOUNTS as u64);
    let to = (from + 1 + operation.draw(2, ACCOUNTS as u64 - 1)) % ACCOUNTS as u64;
    (from as u8, to as u8, 1 + operation.draw(3, 60) as i64)
}

/// A client of the store.
pub(crate) fn store(env: &Env) -> Result<Arc<RemoteTables>, String> {
    let node = env.peers("store")[0];
    let tables = RemoteTables::open(env, node, ANSWER_MAX).map_err(|error| error.to_string())?;
    Ok(Arc::new(tables))
}

/// Transfers and reads at random while there are faults, and then reads once more.
pub(super) async fn workload(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let mut unit = UnitOfWork::new(&env, store(&env)?);
    let concluded = client.keep::<Concluded>("concluded");
    while open_accounts(&mut unit).await.is_err() {}
    while let Some(operation) = client.next_operation(OPERATIONS) {
        let pause_max = if operation.draw(0, 4) == 0 { 400_000 } else { 20_000 };
        env.sleep(Duration::from_micros(operation.draw(4, pause_max))).await;
        if operation.draw(7, 3) == 0 {
            guest::operate(&client, &mut unit, operation).await;
        } else if operation.draw(5, 4) == 0 {
            // What came of it is recorded.
            let _ = read(&client, &mut unit, operation.draw(6, 2) == 0).await;
        } else {
            let id = u64::from(env.me().ordinal()) << 32 | operation.number();
            transfer_once(&client, &mut unit, &concluded, id, drawn(operation)).await;
        }
    }
    client.after_heal().await;
    while read(&client, &mut unit, false).await.is_err() {}
    Ok(())
}

/// Opens all accounts together, unless somebody else has.
pub(crate) async fn open_accounts(unit: &mut UnitOfWork) -> Result<(), UnitError> {
    if !unit.is_in_doubt() {
        opened().try_for_each(|account| unit.add(&account))?;
    }
    match unit.commit().await {
        Err(UnitError::Commit(CommitError::Exists { .. })) => Ok(()),
        // Nothing of it is kept, unless it is in doubt.
        Err(error) if !unit.is_in_doubt() => {
            unit.rollback();
            Err(error)
        }
        other => other.map(drop),
    }
}

async fn transfer_once(
    client: &Client,
    unit: &mut UnitOfWork,
    concluded: &Shown<Concluded>,
    id: u64,
    (from, to, amount): (u8, u8, i64),
) {
    let env = client.env();
    let message = Transferred { id, from, to, amount }.encode();
    let work = async {
        let until = env.now() + OPERATION_MAX;
        let (debtor, creditor) = (key(from), key(to));
        let mut made = transfer(unit, (&debtor, &creditor), amount, &message).await;
        while again(env, unit, &made, until) {
            made = if unit.is_in_doubt() {
                env.sometimes("a commit in doubt was asked for again");
                unit.commit().await.map(drop).map_err(TransferError::from)
            } else {
                transfer(unit, (&debtor, &creditor), amount, &message).await
            };
        }
        // Who gives up leaves the next operation a unit of work without doubts.
        unit.rollback();
        match made {
            Ok(()) => Ok(Told::Transferred),
            Err(TransferError::Insufficient(balance)) => {
                env.sometimes("a transfer was rolled back");
                Ok(Told::Insufficient(balance))
            }
            Err(error) => Err(error),
        }
    };
    let told = perform(client, Call::Transfer(from, to, amount), work).await;
    let done = match &told {
        Ok(told) => Some(*told == Told::Transferred),
        Err(error) => (error.outcome() == Outcome::NotDone).then_some(false),
    };
    if let Some(done) = done {
        concluded.update(env, |concluded| concluded.0.insert(id, done));
    }
}

/// Whether to try once more.
fn again(env: &Env, unit: &UnitOfWork, made: &Result<(), TransferError>, until: Instant) -> bool {
    let Err(TransferError::Unit(error)) = made else { return false };
    if matches!(error, UnitError::Commit(CommitError::Conflict { .. })) {
        env.sometimes("a commit was refused because of what others did");
    }
    env.now() < until && (unit.is_in_doubt() || error.outcome() == Outcome::NotDone)
}

/// Reads all balances as of one moment: the commit checks that they were there together.
async fn read(client: &Client, unit: &mut UnitOfWork, found: bool) -> Result<Told, UnitError> {
    let env = client.env();
    let work = async {
        let until = env.now() + OPERATION_MAX;
        loop {
            let read = read_once(unit, found).await;
            unit.rollback();
            match read {
                Err(UnitError::Commit(CommitError::Conflict { .. })) if env.now() < until => {}
                other => return other,
            }
        }
    };
    perform(client, Call::Balances, work).await
}

async fn read_once(unit: &mut UnitOfWork, found: bool) -> Result<Told, UnitError> {
    let mut accounts: Vec<Account> = Vec::new();
    if found {
        accounts = unit.find(&field("balance").at_least(0)).await?;
        accounts.retain(|account| account.id != GUEST);
    } else {
        for number in 0..ACCOUNTS as u8 {
            accounts.extend(unit.get::<Account>(&key(number)).await?);
        }
    }
    unit.commit().await?;
    Ok(Told::Balances(accounts.iter().map(|account| account.balance).collect()))
}
