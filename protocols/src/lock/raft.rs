//! Locks on a cluster.

use super::table::{Command, Output, Table};
use super::types::{Acquire, Claim, Locks, LocksError, Refused, Standing};
use crate::raft::{
    self, ClientError, Config, Expires, Index, Lessor, RaftClient, ServeError, StateMachine,
};
use squall_env::platform::BoxFuture;
use squall_env::{Env, NodeId};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

impl StateMachine for Table {
    type Command = Command;
    type Output = Result<Output, Refused>;
    type Query = Claim;
    type Answer = Standing;
    type Snapshot = Table;

    fn apply(&mut self, _: Index, command: Command) -> Self::Output {
        self.execute(&command)
    }

    fn query(&self, claim: &Claim) -> Standing {
        self.standing(claim)
    }

    fn snapshot(&self) -> Table {
        self.clone()
    }

    fn restore(snapshot: Table) -> Table {
        snapshot
    }
}

impl Expires for Table {
    type Key = Claim;

    fn terms(&self) -> Vec<(Claim, u64, Duration)> {
        let all = Table::terms(self);
        all.map(|term| (term.claim, term.turn, Duration::from_millis(term.lasts_ms))).collect()
    }

    fn expire(due: Vec<(Claim, u64)>) -> Command {
        Command::Expire(due)
    }
}

/// A node that is a member of a cluster that keeps locks. Leases run out by the leader's monotonic
/// clock and through the log; a new leader gives each of them its whole time once more, so that it
/// waits out what an earlier one promised.
///
/// # Errors
/// If the member cannot be opened or has to stop; the node should then be started anew.
pub async fn serve_on_raft(env: Env, config: Config) -> Result<(), ServeError> {
    let lessor_env = env.clone();
    raft::serve_beside::<Table, _>(env, config, |member| async move {
        Lessor::new(&lessor_env, member).run().await;
        Ok(())
    })
    .await
}

/// Locks that a cluster keeps, of nodes that run [`serve_on_raft`].
pub struct OnRaft {
    env: Env,
    members: Vec<NodeId>,
    /// Clients that nobody uses at the moment: each has one command under way at most.
    idle: Mutex<Vec<RaftClient<Table>>>,
}

impl OnRaft {
    /// The locks of these members, of which there is at least one.
    pub fn new(env: &Env, members: Vec<NodeId>) -> OnRaft {
        OnRaft { env: env.clone(), members, idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<RaftClient<Table>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> Result<Lent<'_>, LocksError> {
        let idle = self.idle().pop();
        let client = match idle {
            Some(client) => client,
            // The node has stopped if it cannot be opened.
            None => RaftClient::open(&self.env, self.members.clone())
                .map_err(|_| LocksError::Unavailable)?,
        };
        Ok(Lent { locks: self, client: Some(client) })
    }

    async fn execute(&self, command: Command, limit: Duration) -> Result<Output, LocksError> {
        let mut lent = self.client()?;
        let Some(client) = &mut lent.client else { return Err(LocksError::Unavailable) };
        Ok(client.propose(&command, limit).await??)
    }

    async fn held(&self, command: Command, limit: Duration) -> Result<bool, LocksError> {
        match self.execute(command, limit).await? {
            Output::Held(held) => Ok(held),
            // No member of this program answers so.
            _ => Err(LocksError::Unanswered),
        }
    }
}

/// A client that is put back when it is not used any more, also by somebody who was given up.
struct Lent<'a> {
    locks: &'a OnRaft,
    client: Option<RaftClient<Table>>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let client = self.client.take();
        self.locks.idle().extend(client);
    }
}

impl From<ClientError> for LocksError {
    fn from(error: ClientError) -> LocksError {
        match error {
            ClientError::Unavailable | ClientError::TooLarge => LocksError::Unavailable,
            ClientError::NoSession | ClientError::Unanswered(_) => LocksError::Unanswered,
        }
    }
}

impl Locks for OnRaft {
    fn acquire<'a>(
        &'a self,
        ask: &'a Acquire,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Standing, LocksError>> {
        Box::pin(async move {
            match self.execute(Command::Acquire(ask.clone()), limit).await? {
                Output::Standing(standing) => Ok(standing),
                _ => Err(LocksError::Unanswered),
            }
        })
    }

    fn look<'a>(
        &'a self,
        claim: &'a Claim,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Standing, LocksError>> {
        Box::pin(async move {
            let mut lent = self.client()?;
            let Some(client) = &mut lent.client else { return Err(LocksError::Unavailable) };
            Ok(client.read(claim, limit).await?)
        })
    }

    fn renew<'a>(
        &'a self,
        ask: &'a Acquire,
        limit: Duration,
    ) -> BoxFuture<'a, Result<bool, LocksError>> {
        Box::pin(self.held(Command::Renew(ask.claim.clone()), limit))
    }

    fn release<'a>(
        &'a self,
        claim: &'a Claim,
        limit: Duration,
    ) -> BoxFuture<'a, Result<bool, LocksError>> {
        Box::pin(self.held(Command::Release(claim.clone()), limit))
    }
}
