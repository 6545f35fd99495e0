//! A bus in a file of SQLite, for one process.
//!
//! Every request is one immediate transaction, and is answered once that is durable: the journal
//! is a write-ahead log, and each commit is synced. The process that opens the file has it alone
//! until it closes it. As with a node, whose a subscription is, and until when, is known to the
//! process alone.
//!
//! SQLite does its own I/O, so it never runs in the simulated world.

mod store;

use super::backend::Backend;
use super::types::{Ask, BusConfig, BusError, Tell};
use squall_env::Env;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use store::Store;

/// A bus in a file of SQLite; clones share its one connection.
#[derive(Clone)]
pub struct SqliteBus {
    env: Env,
    store: Arc<Mutex<Store>>,
}

impl From<rusqlite::Error> for BusError {
    fn from(error: rusqlite::Error) -> BusError {
        BusError::Store(error.to_string())
    }
}

impl SqliteBus {
    /// Opens the file, or makes it; its directory has to be there. It blocks while it does.
    ///
    /// # Errors
    /// [`BusError::Store`]: if it is no database, or if another process has it.
    pub fn open(env: &Env, file: &Path, config: BusConfig) -> Result<SqliteBus, BusError> {
        let store = Store::start(crate::sqlite::open(file)?, config)?;
        Ok(SqliteBus { env: env.clone(), store: Arc::new(Mutex::new(store)) })
    }
}

impl Backend for SqliteBus {
    async fn ask(&self, ask: Ask) -> Result<Tell, BusError> {
        let (env, store) = (self.env.clone(), Arc::clone(&self.store));
        let answer = self.env.blocking(move || {
            // A panic in a transaction rolls it back, so what is behind the lock is whole.
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            store.ask(ask, env.now(), env.wall())
        });
        let answer = answer.await.map_err(|_| BusError::Store("it was given up".to_owned()))?;
        match answer? {
            Tell::Refused(why) => Err(why.into()),
            tell => Ok(tell),
        }
    }
}
