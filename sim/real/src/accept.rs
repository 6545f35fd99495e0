//! Connections from others: greeted, identified, and taken or refused.

use crate::connection;
use crate::hello::{self, Greeting, HelloError, Refusal};
use crate::lobby::{Lobby, Seat};
use crate::network::Network;
use crate::outbox::Outbox;
use crate::streams::{Place, TcpEnd};
use crate::transport::Way;
use squall_env::{Either, NodeId, Port, race};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::Instrument;

/// How long to wait after the system would not give a connection: it may be out of descriptors,
/// and asking again at once would keep the node from closing some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections for as long as the node runs.
pub(crate) async fn run(network: Arc<Network>, listener: TcpListener) {
    let door = Arc::new(Door {
        slots: Arc::new(Semaphore::new(network.limits.incoming_max)),
        lobby: Lobby::new(network.limits.greetings_max),
    });
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(node = network.roster.name(network.me), %error, "cannot accept");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (shared, door, seat) = (Arc::clone(&network), Arc::clone(&door), door.lobby.enter());
        let task = async move { incoming(&shared, &door, seat, stream, address).await };
        network.tasks.spawn("connection from a peer", Box::pin(task));
    }
}

/// Who may come in.
struct Door {
    /// One for each connection that has greeted.
    slots: Arc<Semaphore>,
    lobby: Arc<Lobby>,
}

fn refused(network: &Network, address: SocketAddr, why: &dyn std::fmt::Display) {
    network.counters.refused.one();
    let node = network.roster.name(network.me);
    tracing::debug!(node, %address, %why, "a connection is refused");
}

async fn incoming(
    network: &Arc<Network>,
    door: &Door,
    seat: Seat,
    stream: TcpStream,
    address: SocketAddr,
) {
    let outbox = Arc::new(Outbox::new(&network.limits));
    let greeting = greet(network, &door.slots, stream, &outbox);
    let greeting = timeout(network.limits.greeting_timeout, greeting);
    let Taken { greeted, slot, stream } = match race(greeting, seat.taken_away()).await {
        Either::Left(Ok(Ok(taken))) => taken,
        Either::Left(Ok(Err(why))) => return refused(network, address, &why),
        Either::Left(Err(_)) => return refused(network, address, &"the peer does not greet"),
        Either::Right(()) => return refused(network, address, &"others come, and it is silent"),
    };
    drop(seat);
    let peer = match greeted {
        Greeted::Datagrams(peer) => peer,
        Greeted::Stream(peer, port, place) => {
            network.counters.stream_accepts.one();
            return take(network, stream, (peer, port), place, slot);
        }
    };
    network.counters.accepts.one();
    let name = network.roster.name(peer);
    let node = network.roster.name(network.me);
    tracing::debug!(node, peer = name.as_str(), %address, "accepted");
    let newest = Network::newest(network, peer);
    let span = tracing::debug_span!("connection", peer = name.as_str(), %address);
    let run = connection::run(network, stream, peer, &outbox, newest.replaced());
    run.instrument(span).await;
    drop(newest);
    network.forget(peer, &outbox);
    drop(slot);
}

/// Puts a stream before its listener.
fn take(
    network: &Arc<Network>,
    stream: Way,
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

/// A connection that is taken.
struct Taken {
    greeted: Greeted,
    slot: OwnedSemaphorePermit,
    stream: Way,
}

/// Makes the connection safe, reads the greeting and answers it. Says who the peer is, and gives it
/// a slot.
async fn greet(
    network: &Network,
    slots: &Arc<Semaphore>,
    stream: TcpStream,
    outbox: &Arc<Outbox>,
) -> Result<Taken, GreetError> {
    stream.set_nodelay(true).map_err(HelloError::from)?;
    let (mut stream, proof) = network.transport.accept(stream).await.map_err(HelloError::from)?;
    let found = match hello::read(&mut stream).await {
        Ok(Greeting::Hello { cluster, node }) => {
            network.identify(&cluster, node.as_deref(), &proof).map(|node| (node, None))
        }
        Ok(Greeting::Stream { cluster, node, port }) => {
            let node = network.identify(&cluster, node.as_deref(), &proof);
            let port = Port::from_number(port);
            node.and_then(|node| Ok((node, Some((port, network.streams.place(port)?)))))
        }
        Ok(Greeting::Welcome { .. } | Greeting::Refused(_)) => Err(Refusal::Malformed),
        Err(HelloError::Version(version)) => {
            refuse(&mut stream, Refusal::Version).await?;
            return Err(HelloError::Version(version).into());
        }
        // Whoever does not speak this protocol would not understand an answer either.
        Err(error) => return Err(error.into()),
    };
    let (node, place) = match found {
        Ok(found) => found,
        Err(refusal) => return Err(refuse(&mut stream, refusal).await?),
    };
    let Ok(slot) = Arc::clone(slots).try_acquire_owned() else {
        return Err(refuse(&mut stream, Refusal::Connections).await?);
    };
    let cluster = network.roster.cluster().to_owned();
    let welcome = Greeting::Welcome { cluster, node: network.my_name() };
    hello::write(&mut stream, &welcome).await.map_err(HelloError::from)?;
    let greeted = match place {
        Some((port, place)) => Greeted::Stream(node, port, place),
        None => Greeted::Datagrams(network.admit(node, outbox)?),
    };
    Ok(Taken { greeted, slot, stream })
}

/// Says why a connection is not taken.
async fn refuse(stream: &mut Way, refusal: Refusal) -> Result<GreetError, GreetError> {
    hello::write(stream, &Greeting::Refused(refusal)).await.map_err(HelloError::from)?;
    Ok(refusal.into())
}
