//! openraft on the runtime of `raft-peers`: the three members are tasks of one simulated node,
//! call each other directly, and keep their logs in memory.

use crate::state::Bytes;
use crate::{COMPACTED, KEPT};
use futures::future::join_all;
use futures::{Stream, StreamExt};
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::impls::leader_id_std;
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{EntryResponder, IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    AsyncRuntime, Config, EmptyNode, EntryPayload, LogState, OptionalSend, RaftLogReader,
    RaftNetworkFactory, RaftNetworkV2, RaftSnapshotBuilder, SnapshotPolicy,
};
use raft_peers::runtime::NodeRuntime;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

openraft::declare_raft_types!(
    /// What openraft is made of here.
    pub Types:
        D = Bytes,
        R = (),
        NodeId = u64,
        Node = EmptyNode,
        LeaderId = leader_id_std::LeaderId<Self::Term, Self::NodeId>,
        AsyncRuntime = NodeRuntime,
);

type Raft = openraft::Raft<Types, State>;

const MEMBERS: u64 = 3;

/// Time passes after so many entries: a world in which it never does is at a standstill.
const BREATH: u64 = 64;

/// Commits so many entries, with so many under way.
pub fn run(entries: u64, under_way: u64) {
    NodeRuntime::run(async {
        let leader = cluster().await;
        let mut made = 0;
        while made < entries {
            let writes =
                (made..made + under_way).map(|entry| leader.client_write(Bytes::of(entry)));
            for written in join_all(writes).await {
                written.expect("the leader takes it");
            }
            made += under_way;
            if made % BREATH == 0 {
                NodeRuntime::sleep(Duration::from_micros(1)).await;
            }
        }
    });
}

/// Three members, of which the first leads.
async fn cluster() -> Raft {
    let config = Config {
        snapshot_policy: SnapshotPolicy::LogsSinceLast(COMPACTED),
        max_in_snapshot_log_to_keep: KEPT,
        ..Config::default()
    };
    let config = Arc::new(config.validate().expect("a valid configuration"));
    let all = All::default();
    for id in 1..=MEMBERS {
        let (log, state) = (Log::default(), State::default());
        let member = Raft::new(id, Arc::clone(&config), all.clone(), log, state).await;
        lock(&all.0).insert(id, member.expect("an empty log can be opened"));
    }
    let leader = lock(&all.0)[&1].clone();
    let members = (1..=MEMBERS).map(|id| (id, EmptyNode {}));
    let founded = leader.initialize(members.collect::<BTreeMap<_, _>>()).await;
    founded.expect("nobody has a log yet");
    // Whoever is elected takes nothing before a quorum has answered its heartbeats.
    while leader.client_write(Bytes::of(0)).await.is_err() {
        NodeRuntime::sleep(Duration::from_millis(10)).await;
    }
    leader
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Kept {
    vote: Option<VoteOf<Types>>,
    purged: Option<LogIdOf<Types>>,
    entries: BTreeMap<u64, EntryOf<Types>>,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Kept>>);

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<EntryOf<Types>>, io::Error> {
        Ok(lock(&self.0).entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        Ok(lock(&self.0).vote)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let kept = lock(&self.0);
        let last = kept.entries.values().next_back().map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: kept.purged, last_log_id: last.or_else(|| kept.purged) })
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        lock(&self.0).vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let numbered = entries.into_iter().map(|entry| (entry.log_id.index, entry));
        lock(&self.0).entries.extend(numbered);
        flushed.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        let from = last.map_or(0, |last| last.index + 1);
        drop(lock(&self.0).entries.split_off(&from));
        Ok(())
    }

    async fn purge(&mut self, last: LogIdOf<Types>) -> Result<(), io::Error> {
        let mut kept = lock(&self.0);
        let behind = kept.entries.split_off(&(last.index + 1));
        kept.entries = behind;
        kept.purged = Some(last);
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Live {
    bytes: u64,
    applied: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
}

impl Live {
    fn snapshot(&self) -> SnapshotOf<Types, u64> {
        let meta = SnapshotMetaOf::<Types> {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
        };
        openraft::Snapshot { meta, snapshot: self.bytes }
    }
}

#[derive(Clone, Default)]
struct State {
    live: Arc<Mutex<Live>>,
    newest: Arc<Mutex<Option<SnapshotOf<Types, u64>>>>,
}

impl RaftSnapshotBuilder<Types> for State {
    type SnapshotData = u64;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, u64>, io::Error> {
        let snapshot = lock(&self.live).snapshot();
        *lock(&self.newest) = Some(snapshot.clone());
        Ok(snapshot)
    }
}

impl RaftStateMachine<Types> for State {
    type SnapshotData = u64;
    type SnapshotBuilder = State;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        let live = lock(&self.live);
        Ok((live.applied, live.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            {
                let mut live = lock(&self.live);
                match entry.payload {
                    EntryPayload::Blank => {}
                    EntryPayload::Normal(bytes) => live.bytes += bytes.0.len() as u64,
                    EntryPayload::Membership(membership) => {
                        let id = Some(entry.log_id);
                        live.membership = StoredMembershipOf::<Types>::new(id, membership);
                    }
                }
                live.applied = Some(entry.log_id);
            }
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> State {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        bytes: u64,
    ) -> Result<(), io::Error> {
        let applied = meta.last_log_id;
        let live = Live { bytes, applied, membership: meta.last_membership.clone() };
        *lock(&self.newest) = Some(live.snapshot());
        *lock(&self.live) = live;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, u64>>, io::Error> {
        Ok(lock(&self.newest).clone())
    }
}

/// All members, by their numbers.
#[derive(Clone, Default)]
struct All(Arc<Mutex<BTreeMap<u64, Raft>>>);

struct Peer {
    all: All,
    target: u64,
}

impl RaftNetworkFactory<Types> for All {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _: &EmptyNode) -> Peer {
        Peer { all: self.clone(), target }
    }
}

impl Peer {
    fn member(&self) -> Result<Raft, Unreachable<Types>> {
        let member = lock(&self.all.0).get(&self.target).cloned();
        member.ok_or_else(|| Unreachable::from_string("it has not started yet"))
    }
}

fn stopped(error: impl std::error::Error + 'static) -> Unreachable<Types> {
    Unreachable::new(&error)
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = u64;

    async fn append_entries(
        &mut self,
        call: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Ok(self.member()?.append_entries(call).await.map_err(stopped)?)
    }

    async fn vote(
        &mut self,
        call: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Ok(self.member()?.vote(call).await.map_err(stopped)?)
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, u64>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Ok(self.member()?.install_full_snapshot(vote, snapshot).await.map_err(stopped)?)
    }
}
