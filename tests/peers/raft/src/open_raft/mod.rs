//! openraft on [`Env`]: its log and state machine on our journal and files, its calls in our
//! datagrams.

mod log;
mod network;
mod state;

use crate::register::{
    self, Ask, COMMITTED, Standing, Tell, Write, loaded, members, serve_clients, service,
};
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
use std::future::Future;
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

/// Two things that may be so or so.
#[derive(Clone, Copy)]
struct Variant {
    /// A leader that has restarted leads on in its term (`enable_leader_restore`, openraft's
    /// default), if nobody has campaigned meanwhile.
    leads_on: bool,
    /// The log returns from `append` only once the entries are durable. It need not: they have to
    /// be readable then, and durable when the callback is called.
    waits: bool,
}

/// A register on a cluster of three to five members of openraft, of which none leads on in its
/// term after a restart.
pub fn scenario() -> Scenario {
    cluster("peer/openraft", |env| member(env, Variant { leads_on: false, waits: false }))
}

/// The same, as openraft has it by default: leaders lead on.
pub fn leads_on() -> Scenario {
    let lead_on = |env| member(env, Variant { leads_on: true, waits: false });
    cluster("specimen/openraft-leads-on", lead_on).breaks(COMMITTED)
}

/// Leaders lead on, and send nothing that they may have lost when they do.
pub fn leads_on_durably() -> Scenario {
    let lead_on = |env| member(env, Variant { leads_on: true, waits: true });
    cluster("peer/openraft-leads-on-durably", lead_on)
}

fn cluster<F, R>(name: &str, member: F) -> Scenario
where
    F: Fn(Env) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<(), MemberError>> + Send + 'static,
{
    loaded(Scenario::new(name).nodes("member", 3..=5, member))
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

/// A call may take as long as the pause between heartbeats, and that is so long here that an answer
/// comes in time also over the slowest links, which take half a second each way: on those openraft
/// would never replicate anything otherwise. Snapshots, and what follows from them, come every few
/// entries.
fn config(variant: Variant) -> Result<Config, ConfigError> {
    let config = Config {
        heartbeat_interval: 1_100,
        election_timeout_min: 2_500,
        election_timeout_max: 5_000,
        install_snapshot_timeout: 1_500,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(10),
        max_in_snapshot_log_to_keep: 4,
        replication_lag_threshold: 8,
        enable_leader_restore: Some(variant.leads_on),
        ..Config::default()
    };
    config.validate()
}

async fn member(env: Env, variant: Variant) -> Result<(), MemberError> {
    let serving = serve(env.clone(), variant);
    scoped(&env, serving).await
}

async fn serve(env: Env, variant: Variant) -> Result<(), MemberError> {
    let standing = env.show("standing", Standing::default());
    let history = env.show("history", register::History::default());
    let (log, writing) = Log::open(&env, variant.waits).await?;
    let state = State::open(&env, history).await?;
    let me = u64::from(env.me().ordinal());
    let clients = Clients::open(&env)?;
    let mut peers = Peers::open(&env)?;
    let mut service = service(&env)?;
    let work = async {
        let config = Arc::new(config(variant)?);
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
