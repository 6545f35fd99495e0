//! What the specimens do wrong, done right: the same servers with a token from the same script, and
//! where a server may forget, a cluster that does not.

use super::only;
use crate::lock::{self, Account};
use crate::models::redis::{self, Command, Persistence, Redis, Reply};
use squall::{Client, Fault, Most, Scenario, Tolerance};
use squall_env::platform::{BindError, BoxFuture};
use squall_env::{Env, NodeId};
use squall_protocols::lock::{
    Acquire, Claim, Config, LockClient, Locks, LocksError, Refused, Standing, Token, guard,
};
use std::sync::Arc;
use std::time::Duration;

/// Holders that stand still for longer than their leases, on a server whose time jumps forward,
/// that crashes and loses its power, which takes nothing that was synced (its log has no guard
/// against sectors that are torn in place): the account refuses those who held the lock before.
pub fn fenced() -> Scenario {
    let nodes = Scenario::new("locks/fenced")
        .nodes("redis", 1..=1, |env| redis::serve(env, redis::Config::alone(Persistence::Always)))
        .nodes("account", 1..=1, guard::<Account>)
        .clients("client", 2..=3, load);
    let faults = [Fault::Pause, Fault::WallForward, Fault::Crash];
    let tolerance = only("redis", Most::Any, &faults).impaired("client", Most::Any);
    lock::guarded(nodes)
        .tolerates(tolerance.fault(Fault::LostWrites))
        .finishes_within(Duration::from_secs(60))
}

/// Locks on a cluster, where clocks jump and a minority at a time crashes.
pub fn on_raft() -> Scenario {
    let faults = [Fault::Crash, Fault::WallForward, Fault::WallBack];
    let none = Tolerance::nothing().impaired("member", Most::Minority);
    let tolerance = faults.iter().fold(none, |all, fault| all.fault(*fault));
    lock::exclusive(lock::cluster("locks/on-raft")).tolerates(tolerance)
}

async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let locks = OnRedis::open(&env, &env.peers("redis"))?;
    let locks = LockClient::new(&env, Arc::new(locks), Config::default());
    lock::deposit_carelessly(client, locks).await
}

/// Locks on a server like Redis that loses nothing: one that forgets its counter gives tokens
/// again. Who waits is not served in any order, and who was given up and arrives late holds the
/// lock for nobody, until it ends.
pub struct OnRedis {
    redis: Redis,
}

/// The owner of a key, and the key of the counter.
fn names(claim: &Claim) -> (String, String, String) {
    let Claim { name, id } = claim;
    (format!("lock:{name}"), format!("{}:{}", id.owner, id.number), format!("tokens:{name}"))
}

impl OnRedis {
    /// The locks of these servers, of which one at a time is the primary.
    ///
    /// # Errors
    /// If the node has stopped.
    pub fn open(env: &Env, servers: &[NodeId]) -> Result<OnRedis, BindError> {
        Ok(OnRedis { redis: Redis::open(env, servers)? })
    }

    async fn call(&self, command: Command, limit: Duration) -> Result<Reply, LocksError> {
        self.redis.call(command, limit).await.map_err(|_| LocksError::Unanswered)
    }

    fn standing(reply: &Reply, otherwise: Standing) -> Standing {
        match reply {
            Reply::Integer(token) => Standing::Held(Token(token.unsigned_abs())),
            _ => otherwise,
        }
    }
}

impl Locks for OnRedis {
    fn acquire<'a>(
        &'a self,
        ask: &'a Acquire,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Standing, LocksError>> {
        Box::pin(async move {
            let (key, value, counter) = names(&ask.claim);
            let px_ms = ask.ttl_ms;
            let acquire = Command::AcquireFenced { key, value, px_ms, counter };
            match Self::standing(&self.call(acquire, limit).await?, Standing::Waiting) {
                Standing::Waiting if ask.wait_ms == 0 => Err(Refused::Taken.into()),
                standing => Ok(standing),
            }
        })
    }

    fn look<'a>(
        &'a self,
        claim: &'a Claim,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Standing, LocksError>> {
        Box::pin(async move {
            // Nobody is told that it is his turn: he has to try.
            let (key, ..) = names(claim);
            match self.call(Command::Get(key), limit).await? {
                Reply::Nil => Ok(Standing::Ended),
                _ => Ok(Standing::Waiting),
            }
        })
    }

    fn renew<'a>(
        &'a self,
        ask: &'a Acquire,
        limit: Duration,
    ) -> BoxFuture<'a, Result<bool, LocksError>> {
        Box::pin(async move {
            let (key, value, _) = names(&ask.claim);
            let px_ms = ask.ttl_ms;
            let expire = Command::CompareAndPexpire { key, value, px_ms };
            Ok(self.call(expire, limit).await? == Reply::Integer(1))
        })
    }

    fn release<'a>(
        &'a self,
        claim: &'a Claim,
        limit: Duration,
    ) -> BoxFuture<'a, Result<bool, LocksError>> {
        Box::pin(async move {
            let (key, value, _) = names(claim);
            let delete = Command::CompareAndDelete { key, value };
            Ok(self.call(delete, limit).await? == Reply::Integer(1))
        })
    }
}
