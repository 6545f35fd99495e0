//! openraft on [`Env`]: its log and state machine on our journal and files, its calls in our
//! datagrams.

mod log;
mod network;
mod state;

use crate::register::{self, Ask, Standing, Tell, Write, loaded, members, serve_clients, service};
use crate::runtime::{NodeRuntime, scope::scoped};
use log::Log;
use network::{Clients, Peers};
use openraft::errors::{
    ClientWriteError, Fatal, InitializeError, LinearizableReadError, RaftError,
};
use openraft::impls::leader_id_std;
use openraft::{Config, ConfigError, EmptyNode, ReadPolicy, ServerState, SnapshotPolicy};
use openraft_rt::watch::WatchReceiver;
use squall::Scenario;
use squall_env::platform::{BindError, Closed};
use squall_env::request::ReplyTo;
use squall_env::{Either, Env, Shown, race};
use state::State;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

openraft::declare_raft_types!(
    /// What openraft is made of here. Its standard leader id allows one leader in a term, as the
    /// paper does; its default one would allow several.
    pub Types:
        D = Write,
        R = (),
        NodeId = u64,
        Node = EmptyNode,
        LeaderId = leader_id_std::LeaderId<Self::Term, Self::NodeId>,
        AsyncRuntime = NodeRuntime,
);

type Raft = openraft::Raft<Types, State>;

/// A register on a cluster of three to five members of openraft.
pub fn scenario() -> Scenario {
    loaded(Scenario::new("peer/openraft").nodes("member", 3..=5, member))
}

/// Why a member stopped.
#[derive(Debug, thiserror::Error)]
enum MemberError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Fatal(#[from] Fatal<Types>),
    #[error(transparent)]
    Initialize(#[from] RaftError<Types, InitializeError<Types>>),
    #[error("openraft has ended")]
    Ended,
}

/// Times for links of up to 50 ms and a tail of 20 times as much, disks of up to 20 ms; snapshots
/// and what follows from them every few entries.
fn config() -> Result<Config, ConfigError> {
    let config = Config {
        heartbeat_interval: 250,
        election_timeout_min: 1_000,
        election_timeout_max: 2_000,
        install_snapshot_timeout: 1_000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(10),
        max_in_snapshot_log_to_keep: 4,
        replication_lag_threshold: 8,
        ..Config::default()
    };
    config.validate()
}

async fn member(env: Env) -> Result<(), MemberError> {
    let serving = serve(env.clone());
    scoped(&env, serving).await
}

async fn serve(env: Env) -> Result<(), MemberError> {
    let standing = env.show("standing", Standing::default());
    let history = env.show("history", register::History::default());
    let (log, writing) = Log::open(&env).await?;
    let state = State::open(&env, history).await?;
    let me = u64::from(env.me().ordinal());
    let clients = Clients::open(&env)?;
    let mut peers = Peers::open(&env)?;
    let mut service = service(&env)?;
    let work = async {
        let config = Arc::new(config()?);
        let raft = Raft::new(me, config, clients, log, state.clone()).await?;
        found(&env, &raft).await?;
        env.ready();
        let peers = peers.serve(&env, &raft);
        let asked = serve_clients(&mut service, |ask, back| {
            let (raft, state) = (raft.clone(), state.clone());
            env.spawn("request", scoped(&env, answer(raft, state, ask, back)));
        });
        let watching = watch(&env, &raft, &standing);
        match race(watching, race(peers, asked)).await {
            Either::Left(ended) => ended,
            Either::Right(Either::Left(closed) | Either::Right(closed)) => Ok(closed?),
        }
    };
    match race(writing, work).await {
        Either::Left(failed) => Err(failed.into()),
        Either::Right(ended) => ended,
    }
}

/// Founds the cluster, which every member may do, with the same members.
async fn found(env: &Env, raft: &Raft) -> Result<(), MemberError> {
    if raft.is_initialized().await? {
        return Ok(());
    }
    let all = members(env).into_iter().map(|node| (u64::from(node.ordinal()), EmptyNode {}));
    match raft.initialize(all.collect::<BTreeMap<_, _>>()).await {
        // Another one was faster, and has sent its log already.
        Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        done => Ok(done?),
    }
}

/// Shows what the member believes of itself until it stops.
async fn watch(env: &Env, raft: &Raft, standing: &Shown<Standing>) -> Result<(), MemberError> {
    let mut metrics = raft.metrics();
    loop {
        let now = {
            let metrics = metrics.borrow_and_update();
            metrics.running_state.clone()?;
            Standing { term: metrics.current_term, leads: metrics.state == ServerState::Leader }
        };
        if standing.read(|before| *before != now) {
            standing.update(env, |standing| *standing = now);
        }
        metrics.changed().await.map_err(|_| MemberError::Ended)?;
    }
}

async fn answer(raft: Raft, state: State, ask: Ask, back: ReplyTo<Tell>) {
    let told = match ask {
        Ask::Write(write) => match raft.client_write(write).await {
            Ok(_) => Tell::Written,
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Tell::NotLeader(to.leader_id)
            }
            // Nobody knows what became of it.
            Err(_) => return,
        },
        Ask::Read => match raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => Tell::Value(state.value()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
                Tell::NotLeader(to.leader_id)
            }
            Err(_) => return,
        },
    };
    back.reply(told);
}
