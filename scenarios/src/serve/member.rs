//! The member's life: started, watched over, and stopped with care.

use super::settings::Settings;
use super::tls::{TlsError, server};
use super::{door, settings};
use squall_env::{Either, Env, Handle, NodeId, race};
use squall_protocols::raft::{Raft, Reply, Request, ServeError};
use squall_protocols::store::Store;
use squall_protocols::store::http::{Api, serve_beside};
use squall_real::RunError;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_rustls::TlsAcceptor;

/// How often the member looks who leads, for its log.
const LOOK: Duration = Duration::from_millis(200);

/// Why a member did not start, or how it ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file with certificates is of no use.
    #[error("TLS for clients: {0}")]
    Tls(#[from] TlsError),
    /// It cannot listen for clients.
    #[error("cannot listen for clients on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no signals.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    /// The node.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Runs a member until it is told to stop by SIGTERM or SIGINT, and then for as long as it takes to
/// hand leadership over and to finish what is under way. A second signal ends it at once.
///
/// # Errors
/// [`Error`].
pub fn run(settings: Settings) -> Result<(), Error> {
    let tls = settings.client_tls.as_ref().map(server).transpose()?;
    let listener = listen(settings.client)?;
    let (raft, stop_within) = (settings.raft, settings.stop_within);
    let name = settings.node.roster.name(settings.node.me);
    let peers = settings.node.addresses.get(&settings.node.me).copied();
    tracing::info!(
        member = name,
        cluster = settings.node.roster.cluster(),
        data = %settings.node.data.display(),
        peers = peers.map(tracing::field::display),
        clients = %settings.client,
        encrypted = tls.is_some(),
        "starts"
    );
    squall_real::run(settings.node, move |env| async move {
        let own = env.clone();
        serve_beside(env, raft, |api| async move {
            let ends = attend(&own, &api, listener, tls, stop_within).await;
            ends.unwrap_or_else(|error| tracing::error!(%error, "clients cannot be served"));
            Ok::<_, ServeError>(())
        })
        .await
    })?;
    tracing::info!(member = name, "has stopped");
    Ok(())
}

fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(address);
    let listener = listener.and_then(|l| l.set_nonblocking(true).map(|()| l));
    listener.map_err(|source| Error::Listen { address, source })
}

/// Serves clients until a signal comes, and stops then.
async fn attend(
    env: &Env,
    api: &Api,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    stop_within: Duration,
) -> io::Result<()> {
    let mut signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    env.spawn("leaders", tell_leaders(env.clone(), api.member().clone()));
    let open = door::stand_open(env, api, listener, tls);
    let mut open = std::pin::pin!(open);
    match race(open.as_mut(), first(&mut signals)).await {
        Either::Left(ended) => return ended,
        Either::Right(()) => tracing::info!("stops"),
    }
    // Those who have a connection go on using it meanwhile; others come in and are served, too.
    let stopping = async {
        hand_over(env, api.member()).await;
        api.close();
    };
    let orderly = async {
        race(open, stopping).await;
        // Nobody is let in from here on.
        api.closed().await;
    };
    match race(env.timeout(stop_within, orderly), first(&mut signals)).await {
        Either::Left(Ok(())) => {}
        Either::Left(Err(_)) => tracing::warn!("stops with requests under way"),
        Either::Right(()) => tracing::warn!("stops at once"),
    }
    Ok(())
}

/// The next of these signals.
async fn first([one, other]: &mut [Signal; 2]) {
    race(one.recv(), other.recv()).await;
}

/// Asks one member after the other to lead in the place of this one.
async fn hand_over(env: &Env, member: &Handle<Raft<Store>>) {
    let me = env.me();
    for to in env.peers(settings::ROLE).into_iter().filter(|to| *to != me) {
        if !member.live().read(Raft::is_leader) {
            return;
        }
        match member.request(Request::Transfer(to)).await {
            Ok(Reply::Transferred) => {
                return tracing::info!(to = env.roster().name(to), "has handed leadership over");
            }
            Ok(Reply::NotLeader(_)) => return,
            _ => tracing::info!(to = env.roster().name(to), "does not take leadership"),
        }
    }
}

/// Logs who leads whenever that changes.
async fn tell_leaders(env: Env, member: Handle<Raft<Store>>) {
    let mut told: Option<(u64, Option<NodeId>)> = None;
    loop {
        let now = member.live().read(|raft| (raft.term(), raft.leader()));
        if told != Some(now) {
            told = Some(now);
            let member = env.roster().name(env.me());
            match now {
                (term, Some(leader)) if leader == env.me() => {
                    tracing::info!(member, term, "leads");
                }
                (term, Some(leader)) => {
                    tracing::info!(member, term, leader = env.roster().name(leader), "follows");
                }
                (term, None) => tracing::info!(member, term, "knows no leader"),
            }
        }
        env.sleep(LOOK).await;
    }
}
