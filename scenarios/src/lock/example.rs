//! An account that one worker at a time processes, so that nobody is charged twice.

use super::account::{Account, Balance};
use squall_env::{Either, Env, race};
use squall_protocols::lock::{
    AcquireError, GuardedClient, GuardedError, LockClient, Lost, Refused,
};
use std::time::Duration;

/// How long the lock outlives a worker that has crashed. It is renewed every third of that.
pub const TTL: Duration = Duration::from_secs(30);

/// How long the account is waited for.
const ACCOUNT_MAX: Duration = Duration::from_secs(5);

/// What came of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Processed {
    /// It is charged.
    Charged,
    /// It is being processed by another worker; nothing was done.
    ByAnother,
}

/// Why an account was not processed, or perhaps.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProcessError {
    /// The lock could not be had.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The account was not read or written, or somebody else has held the lock since.
    #[error(transparent)]
    Account(#[from] GuardedError),
    /// The lock was lost before the account was written.
    #[error("the lock was lost: {0:?}")]
    Lost(Lost),
}

/// Charges an account under its lock, which takes as long as `work`.
///
/// # Errors
/// [`ProcessError`].
pub async fn process_account(
    env: &Env,
    locks: &LockClient,
    account: &GuardedClient<Account>,
    number: u64,
    work: Duration,
) -> Result<Processed, ProcessError> {
    let name = format!("account_lock:{number}");
    let lease = match locks.try_acquire(&name, TTL, env.now() + ACCOUNT_MAX).await {
        Ok(lease) => lease,
        Err(AcquireError::Refused(Refused::Taken)) => {
            tracing::info!(number, "is being processed by another worker");
            return Ok(Processed::ByAnother);
        }
        Err(error) => return Err(error.into()),
    };
    tracing::info!(number, "processing starts");
    let mut account = account.under(lease.token());
    let charge = async {
        let Balance(balance) = account.read(ACCOUNT_MAX).await?;
        env.sleep(work).await;
        account.write(Balance(balance + 1), ACCOUNT_MAX).await
    };
    match race(lease.lost(), charge).await {
        Either::Left(lost) => return Err(ProcessError::Lost(lost)),
        Either::Right(charged) => charged?,
    }
    tracing::info!(number, "processing is finished");
    // If nobody answers, the lock ends by itself.
    let _ = lease.release().await;
    Ok(Processed::Charged)
}
