//! An outbox in a file of SQLite, beside the tables that its letters tell of.

use super::claim::Claim;
use super::letters::{Letter, Numbered};
use super::machine::{LETTERS, OutboxConfig};
use super::relay::Source;
use rusqlite::{Connection, Result, Row, Transaction, TransactionBehavior, params};
use squall_env::{Env, HasOutcome, Outcome};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Why a change was not made, or nobody knows whether it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutboxError {
    /// There is no room for its letters: nothing was done.
    #[error("the outbox is full")]
    Full,
    /// The change itself failed: nothing was done.
    #[error("the change failed: {0}")]
    Failed(String),
    /// The transaction did not come to an end that is known.
    #[error("the store of the outbox: {0}")]
    Store(String),
}

impl HasOutcome for OutboxError {
    fn outcome(&self) -> Outcome {
        match self {
            OutboxError::Full | OutboxError::Failed(_) => Outcome::NotDone,
            OutboxError::Store(_) => Outcome::Indeterminate,
        }
    }
}

struct Store {
    connection: Connection,
    claim: Claim,
}

/// A file of SQLite that this process has alone: whoever changes its tables writes the letters that
/// tell of it in the same transaction. SQLite does its own I/O, so it never runs in the simulated
/// world.
#[derive(Clone)]
pub struct SqliteOutbox {
    env: Env,
    config: OutboxConfig,
    store: Arc<Mutex<Store>>,
}

fn store(error: impl ToString) -> OutboxError {
    OutboxError::Store(error.to_string())
}

impl SqliteOutbox {
    /// Opens the file, or makes it; its directory has to be there. It blocks while it does. The
    /// table of letters is called `squall_outbox`, and all others are the user's.
    ///
    /// # Errors
    /// [`OutboxError::Store`]: if it is no database, or if another process has it.
    pub fn open(env: &Env, file: &Path, config: OutboxConfig) -> Result<SqliteOutbox, OutboxError> {
        let open = || {
            let connection = crate::sqlite::open(file)?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS squall_outbox (
                    number INTEGER PRIMARY KEY AUTOINCREMENT,
                    key TEXT,
                    body BLOB NOT NULL
                ) STRICT",
            )?;
            Ok(connection)
        };
        let connection = open().map_err(|error: rusqlite::Error| store(error))?;
        let claim = Claim::new(config.claim);
        let store = Arc::new(Mutex::new(Store { connection, claim }));
        Ok(SqliteOutbox { env: env.clone(), config, store })
    }

    /// Makes a change and writes the letters that it gives back, as one transaction.
    ///
    /// # Errors
    /// [`OutboxError`], which knows the outcome.
    pub async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<(T, Vec<Letter>)> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let letters_max = i64::from(self.config.letters_max);
        self.with(move |store_of| {
            let behavior = TransactionBehavior::Immediate;
            let begun = store_of.connection.transaction_with_behavior(behavior);
            let tables = begun.map_err(|error| OutboxError::Failed(error.to_string()))?;
            let failed = |error: rusqlite::Error| OutboxError::Failed(error.to_string());
            let (told, letters) = change(&tables).map_err(failed)?;
            let count = "SELECT count(*) FROM squall_outbox";
            let waiting: i64 = tables.query_row(count, [], |row| row.get(0)).map_err(failed)?;
            if waiting + letters.len() as i64 > letters_max {
                return Err(OutboxError::Full);
            }
            for letter in letters {
                let insert = "INSERT INTO squall_outbox (key, body) VALUES (?1, ?2)";
                tables.execute(insert, params![letter.key, letter.body]).map_err(failed)?;
            }
            // Only here is anything kept, and if this fails nobody knows.
            tables.commit().map_err(store)?;
            Ok(told)
        })
        .await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let store_of = Arc::clone(&self.store);
        // A panic in a transaction rolls it back, so what is behind the lock is whole.
        let locked = move || work(&mut store_of.lock().unwrap_or_else(PoisonError::into_inner));
        self.env.blocking(locked).await.map_err(|_| store("it was given up"))?
    }
}

impl Source for SqliteOutbox {
    async fn take(&self, relay: u64) -> Result<Vec<Numbered>, String> {
        let now = self.env.now();
        let taken = self.with(move |store_of| {
            if !store_of.claim.take(relay, now) {
                return Ok(Vec::new());
            }
            let read = "SELECT number, key, body FROM squall_outbox ORDER BY number LIMIT ?1";
            let numbered = |row: &Row<'_>| {
                let letter = Letter { key: row.get(1)?, body: row.get(2)? };
                Ok(Numbered { number: row.get::<_, i64>(0)?.cast_unsigned(), letter })
            };
            let mut read = store_of.connection.prepare(read).map_err(store)?;
            let letters = read.query_map([LETTERS as i64], numbered).map_err(store)?;
            letters.collect::<Result<_>>().map_err(store)
        });
        taken.await.map_err(|error| error.to_string())
    }

    async fn sent(&self, relay: u64, upto: u64) -> Result<(), String> {
        let now = self.env.now();
        let sent = self.with(move |store_of| {
            store_of.claim.keep(relay, now);
            let delete = "DELETE FROM squall_outbox WHERE number <= ?1";
            store_of.connection.execute(delete, [upto.cast_signed()]).map(drop).map_err(store)
        });
        sent.await.map_err(|error| error.to_string())
    }
}
