//! The store on a cluster, and its clients.

use super::{
    Answer, Command, Event, KeyValue, Keys, Lease, LeaseCommand, Op, Output, Query, Refused, Store,
    Txn, TxnDone,
};
use crate::raft::{
    Change, ChangeError, ClientError, Configuration, Expires, Index, Raft, RaftClient, StateMachine,
};
use squall_env::platform::BindError;
use squall_env::{Env, Handle, HasOutcome, NodeId, Outcome, mutant};
use std::time::Duration;

/// So many events a watcher asks for at a time.
const EVENTS: usize = 256;

impl StateMachine for Store {
    type Command = Command;
    type Output = Result<Output, Refused>;
    type Query = Query;
    type Answer = Answer;
    type Snapshot = Store;

    fn apply(&mut self, _: Index, command: Command) -> Self::Output {
        self.execute(&command)
    }

    fn query(&self, query: &Query) -> Answer {
        self.look(query)
    }

    fn snapshot(&self) -> Store {
        self.clone()
    }

    fn restore(snapshot: Store) -> Store {
        snapshot
    }
}

impl Expires for Store {
    type Key = u64;

    fn terms(&self) -> Vec<(u64, u64, Duration)> {
        let lasts = |lease: &Lease| Duration::from_millis(lease.ttl_ms);
        self.leases().map(|lease| (lease.id, lease.renewal, lasts(&lease))).collect()
    }

    fn expire(due: Vec<(u64, u64)>) -> Command {
        Command::Lease(LeaseCommand::Expire(due))
    }
}

/// Why a client of the store has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The cluster has not answered.
    #[error(transparent)]
    Raft(#[from] ClientError),
    /// The store has refused it; nothing was done.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A member answers what no member of this program does.
    #[error("a member of another program answers")]
    Foreign,
}

impl HasOutcome for StoreError {
    fn outcome(&self) -> Outcome {
        match self {
            StoreError::Raft(error) => error.outcome(),
            StoreError::Refused(_) => Outcome::NotDone,
            StoreError::Foreign => Outcome::Indeterminate,
        }
    }
}

/// A client of the store.
pub struct StoreClient {
    env: Env,
    raft: RaftClient<Store>,
}

impl StoreClient {
    /// A client of these members.
    ///
    /// # Errors
    /// If the node has stopped.
    ///
    /// # Panics
    /// If there are no members.
    pub fn open(env: &Env, members: Vec<NodeId>) -> Result<StoreClient, BindError> {
        Ok(StoreClient { env: env.clone(), raft: RaftClient::open(env, members)? })
    }

    /// Asks the member on the own node without messages; see [`RaftClient::beside`].
    #[must_use]
    pub fn beside(self, member: Handle<Raft<Store>>) -> StoreClient {
        StoreClient { raft: self.raft.beside(member), ..self }
    }

    /// Has a transaction done, once.
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`, which leaves open whether it was done, or the
    /// store refuses it.
    pub async fn transact(&mut self, mut txn: Txn, limit: Duration) -> Result<TxnDone, StoreError> {
        txn.check()?;
        if mutant!(self.env, "store/sets-without-comparing") {
            txn.compare.clear();
        }
        if mutant!(self.env, "store/puts-without-their-lease") {
            txn.success.iter_mut().for_each(Op::forget_lease);
        }
        match self.execute(Command::Txn(txn), limit).await? {
            Output::Txn(done) => Ok(done),
            _ => Err(StoreError::Foreign),
        }
    }

    /// Has any command done, once.
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`, which leaves open whether it was done, or the
    /// store refuses it.
    pub async fn execute(
        &mut self,
        command: Command,
        limit: Duration,
    ) -> Result<Output, StoreError> {
        Ok(self.raft.propose(&command, limit).await??)
    }

    /// Has a command of somebody else's session done, once however often it is asked for; see
    /// [`RaftClient::propose_as`].
    ///
    /// # Errors
    /// Those of [`StoreClient::execute`].
    pub async fn execute_as(
        &mut self,
        session: (u64, u64),
        command: Command,
        limit: Duration,
    ) -> Result<Output, StoreError> {
        Ok(self.raft.propose_as(session, &command, limit).await??)
    }

    /// Opens a session for somebody else.
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`.
    pub async fn open_session(&mut self, limit: Duration) -> Result<u64, StoreError> {
        Ok(self.raft.open_session(limit).await?)
    }

    /// Uses a new session from now on; see [`RaftClient::renew_session`].
    pub fn renew_session(&mut self) {
        self.raft.renew_session();
    }

    /// Has another member lead; see [`RaftClient::transfer`].
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`.
    pub async fn transfer(&mut self, to: NodeId, limit: Duration) -> Result<bool, StoreError> {
        Ok(self.raft.transfer(to, limit).await?)
    }

    /// Says who is a member; see [`RaftClient::members`].
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`.
    pub async fn members(&mut self, limit: Duration) -> Result<Configuration, StoreError> {
        Ok(self.raft.members(limit).await?)
    }

    /// Changes who is a member; see [`RaftClient::change`].
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`. The inner error says why nothing was changed.
    pub async fn change_members(
        &mut self,
        changes: &[Change],
        limit: Duration,
    ) -> Result<Result<(), ChangeError>, StoreError> {
        Ok(self.raft.change(changes, limit).await?)
    }

    /// Looks at the newest state.
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`, or the store refuses.
    pub async fn look(&mut self, query: &Query, limit: Duration) -> Result<Answer, StoreError> {
        match self.raft.read(query, limit).await? {
            Answer::Refused(refused) => Err(refused.into()),
            answer => Ok(answer),
        }
    }

    /// The values of keys in their order, and the revision of the store at which all of them were
    /// there together.
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`.
    pub async fn get(
        &mut self,
        keys: Keys,
        limit: Duration,
    ) -> Result<(u64, Vec<KeyValue>), StoreError> {
        let until = self.env.now() + limit;
        let (mut at, mut all) = (None, Vec::<KeyValue>::new());
        loop {
            let after = all.last().map(|last| last.key.clone());
            let query = Query::Get { keys: keys.clone(), after };
            let answer = self.look(&query, until - self.env.now()).await?;
            let Answer::Found { revision, found, more } = answer else {
                return Err(StoreError::Foreign);
            };
            if at.is_some_and(|at| at != revision) {
                // The parts would be of two states.
                (at, all) = (None, Vec::new());
                continue;
            }
            at = Some(revision);
            all.extend(found);
            if !more {
                return Ok((revision, all));
            }
        }
    }

    /// Has the events up to this revision and with it forgotten.
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`, the revision is yet to come or is compacted
    /// already.
    pub async fn compact(&mut self, revision: u64, limit: Duration) -> Result<(), StoreError> {
        self.execute(Command::Compact(revision), limit).await?;
        Ok(())
    }

    /// Has a lease granted that lasts so many milliseconds, or a little longer; it may be given a
    /// number, else it gets one.
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`, or refuses, as it does if there is a lease of
    /// this number.
    pub async fn grant(
        &mut self,
        id: Option<u64>,
        ttl_ms: u64,
        limit: Duration,
    ) -> Result<Lease, StoreError> {
        self.lease(LeaseCommand::Grant { id: id.unwrap_or(0), ttl_ms }, limit).await
    }

    /// Has a lease last anew.
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`, or the lease has ended.
    pub async fn keep_alive(&mut self, id: u64, limit: Duration) -> Result<Lease, StoreError> {
        self.lease(LeaseCommand::KeepAlive { id }, limit).await
    }

    async fn lease(&mut self, command: LeaseCommand, limit: Duration) -> Result<Lease, StoreError> {
        match self.execute(Command::Lease(command), limit).await? {
            Output::Lease(lease) => Ok(lease),
            _ => Err(StoreError::Foreign),
        }
    }

    /// Ends a lease, and gives the revision at which its keys are gone.
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`, or the lease has ended already.
    pub async fn revoke(&mut self, id: u64, limit: Duration) -> Result<u64, StoreError> {
        match self.execute(Command::Lease(LeaseCommand::Revoke { id }), limit).await? {
            Output::Ended { revision, .. } => Ok(revision),
            _ => Err(StoreError::Foreign),
        }
    }
}

/// Hears of every change of keys from a revision on: each once, and in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watcher {
    keys: Keys,
    next: u64,
}

impl Watcher {
    /// Watches these keys from this revision on. Who has read a state at a revision watches from
    /// the one after it.
    pub fn new(keys: Keys, from: u64) -> Watcher {
        Watcher { keys, next: from }
    }

    /// From which revision on it has heard of nothing yet.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// What has changed since it was asked last; nothing, if nothing has. A revision is told whole.
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`; then nothing is lost, and it can be asked
    /// again. [`Refused::Compacted`] if events that it has not heard of are gone: it has to be
    /// given up, the keys read, and a new one made.
    pub async fn poll(
        &mut self,
        client: &mut StoreClient,
        limit: Duration,
    ) -> Result<Vec<Event>, StoreError> {
        let query = Query::Events { keys: self.keys.clone(), from: self.next, most: EVENTS };
        let looked = match client.look(&query, limit).await {
            Err(StoreError::Refused(Refused::Compacted { compacted }))
                if mutant!(client.env, "store/passes-over-what-is-compacted") =>
            {
                self.next = compacted + 1;
                return Ok(Vec::new());
            }
            looked => looked?,
        };
        match looked {
            Answer::Events { events, next } => {
                self.next = next;
                if let Some(last) = events.last().map(|event| event.revision) {
                    if mutant!(client.env, "store/watches-a-revision-again") {
                        self.next = last;
                    }
                    if mutant!(client.env, "store/watches-past-a-revision") {
                        self.next = next + 1;
                    }
                }
                Ok(events)
            }
            _ => Err(StoreError::Foreign),
        }
    }
}
