//! openraft's state machine: in memory, with snapshots in a file.

use super::Types;
use crate::register::{Applied, History, Store, show_applied};
use futures::{Stream, StreamExt};
use openraft::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use serde::{Deserialize, Serialize};
use squall_env::{Env, Shown};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const FILE: &str = "snapshot";

/// A snapshot as it is in the file.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    meta: SnapshotMetaOf<Types>,
    store: Vec<u8>,
}

#[derive(Default)]
struct Live {
    store: Store,
    applied: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
}

/// The state machine. Clones are the same one.
#[derive(Clone)]
pub struct State {
    env: Env,
    live: Arc<Mutex<Live>>,
    /// The newest snapshot that is durable. Whoever has it may write the file.
    newest: Arc<tokio::sync::Mutex<Option<Kept>>>,
    history: Shown<History>,
}

impl State {
    /// The state machine before anything is applied, and the snapshot that is in the file.
    pub async fn open(env: &Env, history: Shown<History>) -> io::Result<State> {
        let file = env.read_file(FILE).await.map_err(io::Error::other)?;
        let decode = |bytes: Vec<u8>| postcard::from_bytes(&bytes).map_err(io::Error::other);
        let newest = file.map(decode).transpose()?;
        Ok(State {
            env: env.clone(),
            live: Arc::default(),
            newest: Arc::new(tokio::sync::Mutex::new(newest)),
            history,
        })
    }

    /// The value of the register as far as it is applied.
    pub fn value(&self) -> Option<u64> {
        self.live().store.value()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a snapshot unless there is a newer one.
    async fn keep(&self, kept: Kept) -> io::Result<()> {
        let mut newest = self.newest.lock().await;
        let is_newer = newest.as_ref().is_none_or(|n| n.meta.last_log_id < kept.meta.last_log_id);
        if is_newer {
            let bytes = postcard::to_stdvec(&kept).map_err(io::Error::other)?;
            self.env.replace_file(FILE, bytes).await.map_err(io::Error::other)?;
            *newest = Some(kept);
        }
        Ok(())
    }
}

/// The state at one moment, of which a snapshot is made.
pub struct Builder {
    state: State,
    kept: io::Result<Kept>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, Vec<u8>>, io::Error> {
        let taken = Err(io::Error::other("the snapshot was built before"));
        let kept = std::mem::replace(&mut self.kept, taken)?;
        self.state.keep(kept.clone()).await?;
        Ok(openraft::Snapshot { meta: kept.meta, snapshot: kept.store })
    }
}

impl RaftStateMachine<Types> for State {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = Builder;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        let live = self.live();
        Ok((live.applied, live.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let id = entry.log_id();
            {
                let mut live = self.live();
                match &entry.payload {
                    EntryPayload::Blank => {}
                    EntryPayload::Normal(write) => live.store.apply(*write),
                    EntryPayload::Membership(membership) => {
                        let id = Some(id);
                        live.membership = StoredMembershipOf::<Types>::new(id, membership.clone());
                    }
                }
                live.applied = Some(id);
            }
            let content = format!("{:?}", entry.payload);
            let applied = Applied { index: id.index, term: id.leader_id.term, content };
            show_applied(&self.env, &self.history, applied);
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let kept = {
            let live = self.live();
            let meta = SnapshotMetaOf::<Types> {
                last_log_id: live.applied,
                last_membership: live.membership.clone(),
            };
            let store = postcard::to_stdvec(&live.store).map_err(io::Error::other);
            store.map(|store| Kept { meta, store })
        };
        Builder { state: self.clone(), kept }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        snapshot: Vec<u8>,
    ) -> Result<(), io::Error> {
        let store = postcard::from_bytes(&snapshot).map_err(io::Error::other)?;
        self.keep(Kept { meta: meta.clone(), store: snapshot }).await?;
        let last = meta.last_log_id;
        let index = last.as_ref().map(|last| last.index);
        *self.live() = Live { store, applied: last, membership: meta.last_membership.clone() };
        self.history.update(&self.env, |history| history.restored(index));
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<Types, Vec<u8>>>, io::Error> {
        let newest = self.newest.lock().await;
        let snapshot = |kept: Kept| openraft::Snapshot { meta: kept.meta, snapshot: kept.store };
        Ok(newest.clone().map(snapshot))
    }
}
