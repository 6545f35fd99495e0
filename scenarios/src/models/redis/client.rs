//! A client of the server, or of a primary and its replica.

use super::keyspace::{Command, Reply};
use super::server::SERVICE;
use squall_env::platform::BindError;
use squall_env::request::Caller;
use squall_env::{Address, Env, HasOutcome, NodeId, Port};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// No answer came in time. It may have been done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no answer came in time; it may have been done")]
pub struct Unanswered;

impl HasOutcome for Unanswered {}

/// A connection to servers of which one at a time is the primary.
pub struct Redis {
    caller: Caller<Command, Reply>,
    servers: Vec<Address>,
    /// Which of them was the primary when it last answered.
    primary: AtomicUsize,
}

impl Redis {
    /// A client of these servers; the first of them is asked first.
    ///
    /// # Errors
    /// If the node has stopped.
    pub fn open(env: &Env, servers: &[NodeId]) -> Result<Redis, BindError> {
        let servers = servers.iter().map(|node| Address::new(*node, Port::named(SERVICE)));
        let (servers, primary) = (servers.collect(), AtomicUsize::new(0));
        Ok(Redis { caller: Caller::open(env)?, servers, primary })
    }

    /// Has a command done. It is not asked for twice.
    ///
    /// # Errors
    /// If no primary answers within `limit`.
    pub async fn call(&self, command: Command, limit: Duration) -> Result<Reply, Unanswered> {
        let at = self.primary.load(Ordering::Relaxed);
        let Some(to) = self.servers.get(at % self.servers.len().max(1)) else {
            return Err(Unanswered);
        };
        match self.caller.call(*to, command, limit).await {
            Ok(reply) if reply != Reply::ReadOnly => Ok(reply),
            _ => {
                // Perhaps another one is the primary.
                self.primary.store(at + 1, Ordering::Relaxed);
                Err(Unanswered)
            }
        }
    }
}
