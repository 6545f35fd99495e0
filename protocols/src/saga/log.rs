//! Where sagas are remembered.

use super::event::{Entry, SagaId};
use squall_env::platform::BoxFuture;
use squall_env::{HasOutcome, Outcome};

/// Why a log did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogError {
    /// The saga's log has another number of entries than was expected. Nothing was appended.
    #[error("the saga's log has another number of entries")]
    Conflict,
    /// There was no answer, or none that says anything: the entries may have been appended.
    #[error("the log gave no answer: {0}")]
    Unavailable(String),
}

impl HasOutcome for LogError {
    fn outcome(&self) -> Outcome {
        match self {
            LogError::Conflict => Outcome::NotDone,
            LogError::Unavailable(_) => Outcome::Indeterminate,
        }
    }
}

/// Keeps the log of every saga.
///
/// That entries are appended only behind exactly as many as the writer has seen is what fences
/// owners off that were overtaken: their next append fails.
pub trait SagaLog: Send + Sync {
    /// Appends entries behind exactly `expected` others, all or none, and answers when they are
    /// durable.
    ///
    /// # Errors
    /// [`LogError::Conflict`] if there is another number of entries, which may be these already.
    fn append(
        &self,
        saga: SagaId,
        expected: u64,
        entries: Vec<Entry>,
    ) -> BoxFuture<'_, Result<(), LogError>>;

    /// Reads all entries of a saga as they are stored: whether they can be decoded is not the log's
    /// business. There are none if the saga is not known.
    ///
    /// # Errors
    /// If there is no answer.
    fn read(&self, saga: SagaId) -> BoxFuture<'_, Result<Vec<Vec<u8>>, LogError>>;

    /// Every saga that has not ended, with the number of its entries.
    ///
    /// # Errors
    /// If there is no answer.
    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<(SagaId, u64)>, LogError>>;
}
