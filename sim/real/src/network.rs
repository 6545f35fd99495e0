//! Where datagrams go: to a port of this node, to a peer's queue, or nowhere.

use crate::config::{Config, certified_name};
use crate::connection::Ended;
use crate::counters::Counters;
use crate::entropy::Entropy;
use crate::frame::Frame;
use crate::hello::Refusal;
use crate::inbox::Inbox;
use crate::link;
use crate::outbox::Outbox;
use crate::streams::Streams;
use crate::tasks::Tasks;
use crate::transport::{Proof, Transport};
use crate::{config::Limits, frame::FrameError};
use squall_env::platform::{BindError, Closed, DATAGRAM_MAX, Datagrams};
use squall_env::{Address, NodeId, Port, Roster};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::Notify;

/// The network as one node sees it.
pub(crate) struct Network {
    pub(crate) me: NodeId,
    pub(crate) roster: Roster,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    pub(crate) entropy: Arc<Entropy>,
    pub(crate) tasks: Tasks,
    pub(crate) transport: Transport,
    /// Whether others can connect to this node.
    pub(crate) has_address: bool,
    pub(crate) streams: Streams,
    peers: BTreeMap<NodeId, Peer>,
    ports: Mutex<Ports>,
    callers: Mutex<Callers>,
}

/// A node that can be connected to.
struct Peer {
    address: SocketAddr,
    outbox: Arc<Outbox>,
    /// Whether the task that connects to it runs. It is started by the first datagram.
    started: AtomicBool,
}

struct Ports {
    bound: BTreeMap<Port, Arc<Inbox>>,
    /// The next port to be given out for [`Port::ANY`], less the first one of those.
    next: u32,
    open: bool,
}

/// Nodes without an address, as long as they are connected.
#[derive(Default)]
struct Callers {
    by_node: BTreeMap<NodeId, Arc<Outbox>>,
    /// The guests of streams, whom no datagram reaches.
    of_streams: BTreeSet<NodeId>,
    /// The connection that each node opened last, and how it is told that there is another.
    newest: BTreeMap<NodeId, Arc<Notify>>,
    last_guest: u16,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Network {
    pub(crate) fn new(
        config: &Config,
        counters: Arc<Counters>,
        entropy: Arc<Entropy>,
        tasks: Tasks,
        transport: Transport,
    ) -> Network {
        let others = config.addresses.iter().filter(|(node, _)| **node != config.me);
        let peers = others.map(|(node, address)| {
            let outbox = Arc::new(Outbox::new(&config.limits));
            (*node, Peer { address: *address, outbox, started: AtomicBool::new(false) })
        });
        // A reply to the port of an earlier boot is better off with nobody than with somebody
        // else, so the ports of two boots begin at different places.
        let next = entropy.next_u64() as u32 % Port::FIRST_EPHEMERAL;
        Network {
            me: config.me,
            roster: config.roster.clone(),
            limits: config.limits.clone(),
            peers: peers.collect(),
            has_address: config.addresses.contains_key(&config.me),
            streams: Streams::default(),
            counters,
            entropy,
            tasks,
            transport,
            ports: Mutex::new(Ports { bound: BTreeMap::new(), next, open: true }),
            callers: Mutex::default(),
        }
    }

    /// The name that this node greets with; a guest has none.
    pub(crate) fn my_name(&self) -> Option<String> {
        (!self.me.is_guest()).then(|| self.roster.name(self.me))
    }

    pub(crate) fn bind(self: &Arc<Self>, port: Port) -> Result<Box<dyn Datagrams>, BindError> {
        let mut ports = lock(&self.ports);
        if !ports.open {
            return Err(BindError::Stopped);
        }
        let port = if port == Port::ANY { ports.any() } else { port };
        if ports.bound.contains_key(&port) {
            return Err(BindError::InUse(port));
        }
        let inbox = Arc::new(Inbox::new(&self.limits));
        ports.bound.insert(port, Arc::clone(&inbox));
        drop(ports);
        Ok(Box::new(Bound { network: Arc::clone(self), port, inbox }))
    }

    fn unbind(&self, port: Port) {
        let inbox = lock(&self.ports).bound.remove(&port);
        drop(inbox);
    }

    pub(crate) fn send(self: &Arc<Self>, from: Port, to: Address, payload: &[u8]) {
        let counters = &self.counters;
        if payload.len() > DATAGRAM_MAX {
            counters.dropped_too_large.one();
        } else if to.port == Port::ANY {
            counters.dropped_unbound.one();
        } else if to.node == self.me {
            self.deliver(Address::new(self.me, from), to.port, payload);
        } else if let Some(peer) = self.peers.get(&to.node) {
            self.enqueue(&peer.outbox, from, to.port, payload);
            if !peer.started.swap(true, Ordering::Relaxed) {
                let (network, outbox) = (Arc::clone(self), Arc::clone(&peer.outbox));
                let link = link::run(network, to.node, peer.address, outbox);
                self.tasks.spawn("link to a peer", Box::pin(link));
            }
        } else {
            let outbox = lock(&self.callers).by_node.get(&to.node).cloned();
            match outbox {
                Some(outbox) => self.enqueue(&outbox, from, to.port, payload),
                None => counters.dropped_no_route.one(),
            }
        }
    }

    fn enqueue(&self, outbox: &Outbox, from: Port, to: Port, payload: &[u8]) {
        if !outbox.push(from, to, payload) {
            self.counters.dropped_queue_full.one();
        }
    }

    fn deliver(&self, from: Address, to: Port, payload: &[u8]) {
        let inbox = lock(&self.ports).bound.get(&to).cloned();
        match inbox {
            None => self.counters.dropped_unbound.one(),
            Some(inbox) if inbox.push(from, payload) => {}
            Some(_) => self.counters.dropped_inbox_full.one(),
        }
    }

    /// A frame has come over the connection of `peer`.
    pub(crate) fn arrived(&self, peer: NodeId, frame: &Frame<'_>) {
        if frame.is_ping() {
            return;
        }
        self.counters.frames_received.one();
        self.deliver(Address::new(peer, frame.from), frame.to, frame.payload);
    }

    /// Who a connection belongs to that greeted with this cluster and name; for a guest, nobody.
    pub(crate) fn identify(
        &self,
        cluster: &str,
        name: Option<&str>,
        proof: &Proof,
    ) -> Result<Option<NodeId>, Refusal> {
        if cluster != self.roster.cluster() {
            return Err(Refusal::Cluster);
        }
        let Some(name) = name else { return Ok(None) };
        match self.roster.find(name) {
            None => Err(Refusal::Unknown),
            // Two spellings of an ordinal must not pass for one name.
            Some(node) if self.roster.name(node) != name => Err(Refusal::Unknown),
            Some(node) if node == self.me => Err(Refusal::Myself),
            Some(node) if !proof.is_of(&certified_name(&self.roster, node)) => {
                Err(Refusal::Certificate)
            }
            Some(node) => Ok(Some(node)),
        }
    }

    /// Takes a connection from outside. A node without an address is answered over it from now on,
    /// and so is a guest, who gets a number.
    pub(crate) fn admit(
        &self,
        node: Option<NodeId>,
        outbox: &Arc<Outbox>,
    ) -> Result<NodeId, Refusal> {
        if let Some(node) = node.filter(|node| self.peers.contains_key(node)) {
            return Ok(node);
        }
        let mut callers = lock(&self.callers);
        let node = match node {
            Some(node) => node,
            None => callers.guest().ok_or(Refusal::Guests)?,
        };
        let before = callers.by_node.insert(node, Arc::clone(outbox));
        drop(callers);
        drop(before);
        Ok(node)
    }

    /// Notes that this is the last connection for datagrams that a node has opened. The one before
    /// it has to end: a node needs but one, and so none takes all the places.
    pub(crate) fn newest(self: &Arc<Self>, node: NodeId) -> Newest {
        let replaced = Arc::new(Notify::new());
        let before = lock(&self.callers).newest.insert(node, Arc::clone(&replaced));
        if let Some(before) = before {
            self.counters.replaced.one();
            before.notify_one();
        }
        Newest { network: Arc::clone(self), node, replaced }
    }

    /// Where a node can be connected to.
    pub(crate) fn address(&self, node: NodeId) -> Option<SocketAddr> {
        self.peers.get(&node).map(|peer| peer.address)
    }

    /// A number for the guest at the other end of a stream; none if all are given out.
    pub(crate) fn guest(self: &Arc<Self>) -> Option<Guest> {
        let mut callers = lock(&self.callers);
        let node = callers.guest()?;
        callers.of_streams.insert(node);
        Some(Guest { network: Arc::clone(self), node })
    }

    /// A connection from outside has ended. What waits for it will never be sent.
    pub(crate) fn forget(&self, node: NodeId, outbox: &Arc<Outbox>) {
        let mut callers = lock(&self.callers);
        // A connection that the node opened since then stays.
        if callers.by_node.get(&node).is_some_and(|current| Arc::ptr_eq(current, outbox)) {
            callers.by_node.remove(&node);
        }
        drop(callers);
        self.counters.dropped_broken.add(outbox.discard());
    }

    /// A connection has ended; damage is counted.
    pub(crate) fn ended(&self, peer: NodeId, ended: &Ended) {
        if matches!(ended, Ended::Frame(FrameError::TooLarge | FrameError::Damaged)) {
            self.counters.malformed.one();
        }
        tracing::debug!(
            node = self.roster.name(self.me),
            peer = self.roster.name(peer),
            why = %ended,
            "a connection has ended"
        );
    }

    /// Closes every port: who waits on one learns that the node has stopped.
    pub(crate) fn close(&self) {
        let bound = {
            let mut ports = lock(&self.ports);
            ports.open = false;
            std::mem::take(&mut ports.bound)
        };
        for inbox in bound.values() {
            inbox.close();
        }
        self.streams.close();
    }
}

impl Ports {
    /// A port that nobody has. There are more of them than memory holds sockets.
    fn any(&mut self) -> Port {
        loop {
            let port = Port::from_number(Port::FIRST_EPHEMERAL + self.next);
            self.next = (self.next + 1) % Port::FIRST_EPHEMERAL;
            if !self.bound.contains_key(&port) {
                return port;
            }
        }
    }
}

impl Callers {
    /// A number that no guest has, and that none had for as long as possible, so that an answer to
    /// one who has left does not reach another.
    fn guest(&mut self) -> Option<NodeId> {
        for _ in 0..u16::MAX {
            self.last_guest = self.last_guest.checked_add(1).unwrap_or(1);
            let guest = NodeId::guest(self.last_guest);
            if !self.by_node.contains_key(&guest) && !self.of_streams.contains(&guest) {
                return Some(guest);
            }
        }
        None
    }
}

/// The number of a guest at the other end of a stream, for as long as that lasts.
pub(crate) struct Guest {
    network: Arc<Network>,
    pub(crate) node: NodeId,
}

impl Drop for Guest {
    fn drop(&mut self) {
        lock(&self.network.callers).of_streams.remove(&self.node);
    }
}

/// A connection for datagrams that is its node's last one, until there is another.
pub(crate) struct Newest {
    network: Arc<Network>,
    node: NodeId,
    replaced: Arc<Notify>,
}

impl Newest {
    /// Waits until the node has opened another.
    pub(crate) async fn replaced(&self) {
        self.replaced.notified().await;
    }
}

impl Drop for Newest {
    fn drop(&mut self) {
        let mut callers = lock(&self.network.callers);
        let newest = &mut callers.newest;
        if newest.get(&self.node).is_some_and(|newest| Arc::ptr_eq(newest, &self.replaced)) {
            newest.remove(&self.node);
        }
    }
}

/// A bound port.
struct Bound {
    network: Arc<Network>,
    port: Port,
    inbox: Arc<Inbox>,
}

impl Datagrams for Bound {
    fn port(&self) -> Port {
        self.port
    }

    fn poll_receive(
        &mut self,
        into: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Address, Closed>> {
        self.inbox.poll(into, cx)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.network.unbind(self.port);
    }
}
