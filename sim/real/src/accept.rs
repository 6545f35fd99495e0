//! Connections from others: greeted, identified, and taken or refused.

use crate::connection;
use crate::hello::{self, Greeting, HelloError, Refusal};
use crate::network::Network;
use crate::outbox::Outbox;
use squall_env::NodeId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// How long to wait after the system would not give a connection: it may be out of descriptors,
/// and asking again at once would keep the node from closing some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections for as long as the node runs.
pub(crate) async fn run(network: Arc<Network>, listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(network.limits.incoming_max));
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(node = network.roster.name(network.me), %error, "cannot accept");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            refused(&network, address, &"there are too many connections");
            continue;
        };
        let shared = Arc::clone(&network);
        let task = async move {
            incoming(&shared, stream, address).await;
            drop(slot);
        };
        network.tasks.spawn("connection from a peer", Box::pin(task));
    }
}

fn refused(network: &Network, address: SocketAddr, why: &dyn std::fmt::Display) {
    network.counters.refused.one();
    let node = network.roster.name(network.me);
    tracing::debug!(node, %address, %why, "a connection is refused");
}

async fn incoming(network: &Network, mut stream: TcpStream, address: SocketAddr) {
    let outbox = Arc::new(Outbox::new(&network.limits));
    let greeting = greet(network, &mut stream, &outbox);
    let peer = match timeout(network.limits.connect_timeout, greeting).await {
        Ok(Ok(peer)) => peer,
        Ok(Err(why)) => return refused(network, address, &why),
        Err(_) => return refused(network, address, &"the peer does not greet"),
    };
    network.counters.accepts.one();
    let name = network.roster.name(peer);
    tracing::debug!(node = network.roster.name(network.me), peer = name, %address, "accepted");
    connection::run(network, stream, peer, &outbox).await;
    network.forget(peer, &outbox);
}

/// Why a connection from outside is not taken.
#[derive(Debug, thiserror::Error)]
enum GreetError {
    #[error("{0}")]
    Hello(#[from] HelloError),
    #[error("{0}")]
    Refused(#[from] Refusal),
}

/// Reads the greeting and answers it. Says who the peer is.
async fn greet(
    network: &Network,
    stream: &mut TcpStream,
    outbox: &Arc<Outbox>,
) -> Result<NodeId, GreetError> {
    stream.set_nodelay(true).map_err(HelloError::from)?;
    let found = match hello::read(stream).await {
        Ok(Greeting::Hello { cluster, node }) => network.identify(&cluster, node.as_deref()),
        Ok(Greeting::Welcome { .. } | Greeting::Refused(_)) => Err(Refusal::Malformed),
        Err(HelloError::Version(version)) => {
            refuse(stream, Refusal::Version).await?;
            return Err(HelloError::Version(version).into());
        }
        // Whoever does not speak this protocol would not understand an answer either.
        Err(error) => return Err(error.into()),
    };
    let node = match found {
        Ok(node) => node,
        Err(refusal) => return refuse(stream, refusal).await,
    };
    let cluster = network.roster.cluster().to_owned();
    let welcome = Greeting::Welcome { cluster, node: network.my_name() };
    hello::write(stream, &welcome).await.map_err(HelloError::from)?;
    Ok(network.admit(node, outbox)?)
}

async fn refuse<T>(stream: &mut TcpStream, refusal: Refusal) -> Result<T, GreetError> {
    hello::write(stream, &Greeting::Refused(refusal)).await.map_err(HelloError::from)?;
    Err(refusal.into())
}
