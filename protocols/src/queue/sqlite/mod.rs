//! Queues in a file of SQLite, for one process.
//!
//! Every request is one immediate transaction, and is answered once that is durable: the journal
//! is a write-ahead log, and each commit is synced. The process that opens the file has it alone
//! until it closes it. As with the broker, leases and rests run on the process's monotonic clock:
//! who opens the file finds what was in flight ready again, and what was to rest begins anew.
//!
//! SQLite does its own I/O, so it never runs in the simulated world.

mod dead;
mod store;

use super::backend::Backend;
use super::types::{Ask, QueueError, Tell};
use squall_env::Env;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use store::Store;

/// Queues in a file of SQLite; clones share its one connection.
#[derive(Clone)]
pub struct SqliteQueue {
    env: Env,
    store: Arc<Mutex<Store>>,
}

impl From<rusqlite::Error> for QueueError {
    fn from(error: rusqlite::Error) -> QueueError {
        QueueError::Store(error.to_string())
    }
}

impl SqliteQueue {
    /// Opens the file, or makes it; its directory has to be there. It blocks while it does.
    ///
    /// # Errors
    /// [`QueueError::Store`]: if it is no database, or if another process has it.
    pub fn open(env: &Env, file: &Path) -> Result<SqliteQueue, QueueError> {
        let store = Store::start(crate::sqlite::open(file)?, env.now(), env.wall())?;
        Ok(SqliteQueue { env: env.clone(), store: Arc::new(Mutex::new(store)) })
    }
}

impl Backend for SqliteQueue {
    async fn ask(&self, queue: &str, ask: Ask) -> Result<Tell, QueueError> {
        let (queue, env, store) = (queue.to_owned(), self.env.clone(), Arc::clone(&self.store));
        let answer = self.env.blocking(move || {
            // A panic in a transaction rolls it back, so what is behind the lock is whole.
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            store.ask(&queue, ask, env.now(), env.wall())
        });
        let answer = answer.await.map_err(|_| QueueError::Store("it was given up".to_owned()))?;
        match answer? {
            Tell::Refused(why) => Err(why.into()),
            tell => Ok(tell),
        }
    }
}
