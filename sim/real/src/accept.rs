//! Connections from others: greeted, identified, and taken or refused.

use crate::connection;
use crate::hello::{self, Greeting, HelloError, Refusal};
use crate::network::Network;
use crate::outbox::Outbox;
use crate::streams::{Place, TcpEnd};
use squall_env::{NodeId, Port};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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
            incoming(&shared, stream, address, slot).await;
        };
        network.tasks.spawn("connection from a peer", Box::pin(task));
    }
}

fn refused(network: &Network, address: SocketAddr, why: &dyn std::fmt::Display) {
    network.counters.refused.one();
    let node = network.roster.name(network.me);
    tracing::debug!(node, %address, %why, "a connection is refused");
}

async fn incoming(
    network: &Arc<Network>,
    mut stream: TcpStream,
    address: SocketAddr,
    slot: OwnedSemaphorePermit,
) {
    let outbox = Arc::new(Outbox::new(&network.limits));
    let greeting = greet(network, &mut stream, &outbox);
    let peer = match timeout(network.limits.connect_timeout, greeting).await {
        Ok(Ok(Greeted::Datagrams(peer))) => peer,
        Ok(Ok(Greeted::Stream(peer, port, place))) => {
            network.counters.stream_accepts.one();
            return take(network, stream, (peer, port), place, slot);
        }
        Ok(Err(why)) => return refused(network, address, &why),
        Err(_) => return refused(network, address, &"the peer does not greet"),
    };
    network.counters.accepts.one();
    let name = network.roster.name(peer);
    tracing::debug!(node = network.roster.name(network.me), peer = name, %address, "accepted");
    connection::run(network, stream, peer, &outbox).await;
    network.forget(peer, &outbox);
    drop(slot);
}

/// Puts a stream before its listener.
fn take(
    network: &Arc<Network>,
    stream: TcpStream,
    (peer, port): (Option<NodeId>, Port),
    place: Place,
    slot: OwnedSemaphorePermit,
) {
    let guest = if peer.is_none() { Network::guest(network) } else { None };
    // Without a number left for a guest the connection is closed.
    let Some(peer) = peer.or(guest.as_ref().map(|guest| guest.node)) else { return };
    place.fill(TcpEnd::taken(stream, (peer, port), &network.limits, slot, guest));
}

/// What a connection is for, and whose it is; a guest of a stream has no name yet.
enum Greeted {
    Datagrams(NodeId),
    Stream(Option<NodeId>, Port, Place),
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
) -> Result<Greeted, GreetError> {
    stream.set_nodelay(true).map_err(HelloError::from)?;
    let found = match hello::read(stream).await {
        Ok(Greeting::Hello { cluster, node }) => {
            network.identify(&cluster, node.as_deref()).map(|node| (node, None))
        }
        Ok(Greeting::Stream { cluster, node, port }) => {
            let node = network.identify(&cluster, node.as_deref());
            let port = Port::from_number(port);
            node.and_then(|node| Ok((node, Some((port, network.streams.place(port)?)))))
        }
        Ok(Greeting::Welcome { .. } | Greeting::Refused(_)) => Err(Refusal::Malformed),
        Err(HelloError::Version(version)) => {
            refuse(stream, Refusal::Version).await?;
            return Err(HelloError::Version(version).into());
        }
        // Whoever does not speak this protocol would not understand an answer either.
        Err(error) => return Err(error.into()),
    };
    let (node, place) = match found {
        Ok(found) => found,
        Err(refusal) => return refuse(stream, refusal).await,
    };
    let cluster = network.roster.cluster().to_owned();
    let welcome = Greeting::Welcome { cluster, node: network.my_name() };
    hello::write(stream, &welcome).await.map_err(HelloError::from)?;
    match place {
        Some((port, place)) => Ok(Greeted::Stream(node, port, place)),
        None => Ok(Greeted::Datagrams(network.admit(node, outbox)?)),
    }
}

async fn refuse<T>(stream: &mut TcpStream, refusal: Refusal) -> Result<T, GreetError> {
    hello::write(stream, &Greeting::Refused(refusal)).await.map_err(HelloError::from)?;
    Err(refusal.into())
}
