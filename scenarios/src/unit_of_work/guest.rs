//! The account of a guest, which several clients open, pay into and close without asking each
//! other: one of them opens it, the others are told that it is there, and nobody pays into an
//! account that is closed.

use super::load::OPERATION_MAX;
use super::{Call, Told, perform};
use squall::{Client, Operation};
use squall_env::{HasOutcome, Outcome};
use squall_protocols::unit_of_work::contract::Account;
use squall_protocols::unit_of_work::{CommitError, UnitError, UnitOfWork};

/// The key of the account.
pub(super) const GUEST: &str = "guest";

/// Opens the account, pays into it, or closes it.
pub(super) async fn operate(client: &Client, unit: &mut UnitOfWork, operation: Operation) {
    let amount = 1 + operation.draw(3, 60) as i64;
    let call = match operation.draw(8, 3) {
        0 => Call::Open(amount),
        1 => Call::Pay(amount),
        _ => Call::Close,
    };
    let work = async {
        let until = client.env().now() + OPERATION_MAX;
        let mut said = Told::Missing;
        loop {
            let made = attempt(client, unit, call, &mut said).await;
            let again = made
                .as_ref()
                .is_err_and(|error| unit.is_in_doubt() || error.outcome() == Outcome::NotDone);
            if !again || client.env().now() >= until {
                // Who gives up leaves the next operation a unit of work without doubts.
                unit.rollback();
                return made;
            }
        }
    };
    // What came of it is recorded.
    let _ = perform(client, call, work).await;
}

/// Tries once, or asks again for what is in doubt: then `said` is what the commit means.
async fn attempt(
    client: &Client,
    unit: &mut UnitOfWork,
    call: Call,
    said: &mut Told,
) -> Result<Told, UnitError> {
    if !unit.is_in_doubt() {
        unit.rollback();
        match prepare(unit, call).await? {
            Some(told) => *said = told,
            None => return Ok(Told::Missing),
        }
    }
    match unit.commit().await {
        Ok(_) => Ok(said.clone()),
        Err(UnitError::Commit(CommitError::Exists { .. })) => {
            client.env().sometimes("an account was open already");
            Ok(Told::Exists)
        }
        Err(UnitError::Commit(CommitError::Missing { .. })) => {
            client.env().sometimes("an account was closed while somebody used it");
            Ok(Told::Missing)
        }
        Err(error) => Err(error),
    }
}

/// Registers what is to be committed, and gives what that means; nothing if there is no account.
async fn prepare(unit: &mut UnitOfWork, call: Call) -> Result<Option<Told>, UnitError> {
    let id = GUEST.to_owned();
    if let Call::Open(balance) = call {
        // Whether it is there only the commit finds out.
        unit.add(&Account { id, balance })?;
        return Ok(Some(Told::Opened));
    }
    let Some(Account { balance, .. }) = unit.get::<Account>(GUEST).await? else { return Ok(None) };
    if let Call::Pay(amount) = call {
        let balance = balance + amount;
        unit.update(&Account { id, balance })?;
        return Ok(Some(Told::Paid(balance)));
    }
    unit.remove::<Account>(GUEST)?;
    Ok(Some(Told::Closed(balance)))
}
