//! The way to the one durable server.

use super::machine::{Ask, SERVICE, Tell};
use super::types::{Acquire, Claim, Locks, LocksError, Standing};
use squall_env::platform::{BindError, BoxFuture};
use squall_env::request::Caller;
use squall_env::{Address, Env, NodeId, Port};
use std::time::Duration;

/// Locks that one durable server keeps, a node that runs [`serve`](super::serve).
pub struct Single {
    caller: Caller<Ask, Tell>,
    server: Address,
}

impl Single {
    /// The locks of this server.
    ///
    /// # Errors
    /// If the node has stopped.
    pub fn open(env: &Env, server: NodeId) -> Result<Single, BindError> {
        let server = Address::new(server, Port::named(SERVICE));
        Ok(Single { caller: Caller::open(env)?, server })
    }

    async fn ask(&self, ask: Ask, limit: Duration) -> Result<Tell, LocksError> {
        match self.caller.call(self.server, ask, limit).await {
            Ok(Tell::Refused(refused)) => Err(refused.into()),
            Ok(Tell::Busy) => Err(LocksError::Unavailable),
            Ok(told) => Ok(told),
            Err(_) => Err(LocksError::Unanswered),
        }
    }

    async fn standing(&self, ask: Ask, limit: Duration) -> Result<Standing, LocksError> {
        match self.ask(ask, limit).await? {
            Tell::Standing(standing) => Ok(standing),
            // No server of this program answers so.
            _ => Err(LocksError::Unanswered),
        }
    }

    async fn held(&self, ask: Ask, limit: Duration) -> Result<bool, LocksError> {
        match self.ask(ask, limit).await? {
            Tell::Held(held) => Ok(held),
            _ => Err(LocksError::Unanswered),
        }
    }
}

impl Locks for Single {
    fn acquire<'a>(
        &'a self,
        ask: &'a Acquire,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Standing, LocksError>> {
        Box::pin(self.standing(Ask::Acquire(ask.clone()), limit))
    }

    fn look<'a>(
        &'a self,
        claim: &'a Claim,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Standing, LocksError>> {
        Box::pin(self.standing(Ask::Look(claim.clone()), limit))
    }

    fn renew<'a>(
        &'a self,
        ask: &'a Acquire,
        limit: Duration,
    ) -> BoxFuture<'a, Result<bool, LocksError>> {
        Box::pin(self.held(Ask::Renew(ask.claim.clone()), limit))
    }

    fn release<'a>(
        &'a self,
        claim: &'a Claim,
        limit: Duration,
    ) -> BoxFuture<'a, Result<bool, LocksError>> {
        Box::pin(self.held(Ask::Release(claim.clone()), limit))
    }
}
