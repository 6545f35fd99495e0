//! The messages of a store of tables, as an outbox.

use super::claim::Claim;
use super::letters::{Letter, Numbered};
use super::machine::LETTERS;
use super::relay::Source;
use crate::unit_of_work::{TableStore, Waiting};
use squall_env::Env;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What [units of work](crate::unit_of_work) send, and what [views](crate::cqrs) have done outside,
/// where a [`relay`](super::relay) finds it. A message's topic is the key of its letter, so those
/// of one topic arrive in order.
///
/// Relays that share this value take turns. Those of two values publish what the other one does,
/// which the target knows by its id.
pub struct TableOutbox {
    env: Env,
    store: Arc<dyn TableStore>,
    claim: Mutex<Claim>,
}

impl TableOutbox {
    /// The messages of this store, which are one relay's until it was not heard of for so long.
    pub fn new(env: &Env, store: Arc<dyn TableStore>, claim: Duration) -> TableOutbox {
        TableOutbox { env: env.clone(), store, claim: Mutex::new(Claim::new(claim)) }
    }
}

impl Source for TableOutbox {
    async fn take(&self, relay: u64) -> Result<Vec<Numbered>, String> {
        let now = self.env.now();
        if !self.claim.lock().unwrap_or_else(PoisonError::into_inner).take(relay, now) {
            return Ok(Vec::new());
        }
        let waiting = self.store.outbox(0, LETTERS).await.map_err(|error| error.to_string())?;
        let numbered = |Waiting { position, message }: Waiting| Numbered {
            number: position,
            letter: Letter { key: Some(message.topic), body: message.body },
        };
        Ok(waiting.into_iter().map(numbered).collect())
    }

    async fn sent(&self, relay: u64, upto: u64) -> Result<(), String> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner).keep(relay, self.env.now());
        self.store.relayed(upto).await.map_err(|error| error.to_string())
    }
}
