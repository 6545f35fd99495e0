//! What is asked of whoever keeps locks, and what it answers.

use serde::{Deserialize, Serialize};
use squall_env::machine::RequestError;
use squall_env::platform::BoxFuture;
use squall_env::{HasOutcome, Outcome};
use std::fmt;
use std::time::Duration;

/// The fencing token of an acquisition: every later acquisition has a greater one. Whoever guards a
/// resource refuses smaller tokens than the greatest that it has seen (Kleppmann, 2016).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Token(pub u64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names one acquisition, so that to ask for it twice is to ask for it once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AcquisitionId {
    /// Drawn by a client when it starts: one that starts anew is another owner.
    pub owner: u64,
    /// Which of its acquisitions, counted up. Two tasks of one client are two acquisitions.
    pub number: u64,
}

impl AcquisitionId {
    /// The first in order.
    pub(super) const FIRST: AcquisitionId = AcquisitionId { owner: 0, number: 0 };
}

/// An acquisition of a lock.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// Which lock.
    pub name: String,
    /// Which acquisition.
    pub id: AcquisitionId,
}

/// Asks for a lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Acquire {
    /// Which lock, and for which acquisition.
    pub claim: Claim,
    /// How long it is held from the last renewal on, at least, in milliseconds.
    pub ttl_ms: u64,
    /// How long the acquisition stays in the queue if somebody else holds the lock, at least, in
    /// milliseconds; with zero it does not enter the queue.
    pub wait_ms: u64,
}

/// What an acquisition has come to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Standing {
    /// It holds the lock, under this token.
    Held(Token),
    /// It stands in the queue.
    Waiting,
    /// It was released, it ran out, or it is not known: it holds nothing.
    Ended,
}

/// Why an acquisition was refused; nothing was done.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// Somebody else holds the lock, and the acquisition was not to wait.
    #[error("somebody else holds the lock")]
    Taken,
    /// The name of the lock is too long.
    #[error("a name of {bytes} bytes is longer than a lock's name may be")]
    NameTooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The lease would last too short or too long.
    #[error("a lease cannot last {ttl_ms} ms")]
    Ttl {
        /// How long it was to last, in milliseconds.
        ttl_ms: u64,
    },
    /// There are as many locks as there may be.
    #[error("too many locks are held")]
    TooManyLocks,
    /// As many wait as may.
    #[error("too many wait for the lock")]
    TooManyWaiters,
}

/// Why whoever keeps the locks has not answered as it should.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LocksError {
    /// Nothing was done.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No answer came in time. It may have been done.
    #[error("no answer came in time; it may have been done")]
    Unanswered,
    /// Nobody took it. Nothing was done, and it may be asked again.
    #[error("nobody could take it; nothing was done")]
    Unavailable,
}

impl HasOutcome for LocksError {
    fn outcome(&self) -> Outcome {
        match self {
            LocksError::Refused(_) | LocksError::Unavailable => Outcome::NotDone,
            LocksError::Unanswered => Outcome::Indeterminate,
        }
    }
}

impl From<RequestError> for LocksError {
    fn from(error: RequestError) -> LocksError {
        match error.outcome() {
            Outcome::NotDone => LocksError::Unavailable,
            _ => LocksError::Unanswered,
        }
    }
}

/// Whoever keeps locks. [`contract`](super::contract) tests what is said here of an implementation.
///
/// Each call waits for an answer for `limit` at most, and may be given up or made again at any
/// time. A lease lasts for its whole time, by any clock that is right to within what its users
/// allow for, from the arrival of the last call that answered [`Standing::Held`] or renewed it: so
/// at least from when that call was made. Nothing shortens it but its own release: no restart, no
/// change of leaders, no clock that is set.
pub trait Locks: Send + Sync + 'static {
    /// Asks for a lock. Who holds it already gets its whole time anew under the same token; who
    /// waits keeps its place; who was the holder or a waiter and is not any more stays
    /// [`Standing::Ended`]. The token is greater than all that were given before, and is made in
    /// the step that gives the lock.
    ///
    /// # Errors
    /// [`LocksError`].
    fn acquire<'a>(
        &'a self,
        ask: &'a Acquire,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Standing, LocksError>>;

    /// Says what has become of an acquisition, and changes nothing: for those who wait. By itself
    /// it says nothing of how long the lock is held from now on.
    ///
    /// # Errors
    /// [`LocksError`].
    fn look<'a>(
        &'a self,
        claim: &'a Claim,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Standing, LocksError>>;

    /// Gives the lease of what was asked for its whole time anew. `false` if the acquisition does
    /// not hold the lock: nobody else's lease is touched.
    ///
    /// # Errors
    /// [`LocksError`].
    fn renew<'a>(
        &'a self,
        ask: &'a Acquire,
        limit: Duration,
    ) -> BoxFuture<'a, Result<bool, LocksError>>;

    /// Ends an acquisition, whether it holds the lock, waits, or has not even arrived yet. Says
    /// whether it held the lock; nobody else's lease is touched. Who waits longest gets the lock.
    ///
    /// # Errors
    /// [`LocksError`].
    fn release<'a>(
        &'a self,
        claim: &'a Claim,
        limit: Duration,
    ) -> BoxFuture<'a, Result<bool, LocksError>>;
}
