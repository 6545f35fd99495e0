//! A cluster of nodes in this process, and waits that end.

use squall_env::{Address, Env, NodeId, Port, Roster, Socket};
use squall_real::{Config, Limits, Node, RunError};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a test waits for what has to happen. What happens in time does so within milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a test waits for what must not happen.
pub(crate) const GLANCE: Duration = Duration::from_millis(300);

pub(crate) const ECHO: Port = Port::named("echo");

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Addresses, names and directories of two replicas and a client, which has no address.
pub(crate) struct Cluster {
    pub(crate) roster: Roster,
    pub(crate) addresses: BTreeMap<NodeId, SocketAddr>,
    pub(crate) limits: Limits,
    root: TempDir,
}

impl Cluster {
    pub(crate) fn new() -> Cluster {
        let roster = Roster::new("shop").with("replica", 2).with("client", 1);
        let addresses = roster.nodes("replica").zip(free_addresses::<2>()).collect();
        let limits = Limits {
            back_off_min: Duration::from_millis(5),
            back_off_max: Duration::from_millis(40),
            ..Limits::default()
        };
        Cluster { roster, addresses, limits, root: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn node(&self, name: &str) -> NodeId {
        self.roster.find(name).unwrap()
    }

    pub(crate) fn config(&self, name: &str) -> Config {
        let me = self.roster.find(name).unwrap_or(NodeId::guest(0));
        let mut config = Config::new(self.roster.clone(), me, self.root.path().join(name));
        config.addresses = self.addresses.clone();
        config.limits = self.limits.clone();
        config
    }

    /// Starts a node that runs `serve`.
    pub(crate) fn start<S, F>(&self, name: &str, serve: S) -> Node
    where
        S: FnOnce(Env) -> F + Send + 'static,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        Node::start(self.config(name), serve).unwrap()
    }

    /// Starts a node that answers every datagram on the port [`ECHO`] with the same bytes.
    pub(crate) fn start_echo(&self, name: &str) -> Node {
        self.start(name, echo)
    }

    pub(crate) fn echo_of(&self, name: &str) -> Address {
        Address::new(self.node(name), ECHO)
    }
}

/// Free ports of this machine. All are held until the last is found, so that none comes twice.
pub(crate) fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let held: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    std::array::from_fn(|at| held[at].local_addr().unwrap())
}

pub(crate) async fn echo(env: Env) -> Result<(), Failure> {
    let (mut socket, mut bytes) = (env.bind(ECHO)?, Vec::new());
    loop {
        let from = socket.receive(&mut bytes).await?;
        socket.send(from, &bytes);
    }
}

/// Sends until an answer comes, since any datagram may be lost. Says whom it came from.
pub(crate) async fn ask(env: &Env, socket: &mut Socket, to: Address, bytes: &[u8]) -> Address {
    let mut answer = Vec::new();
    loop {
        socket.send(to, bytes);
        let received = env.timeout(Duration::from_millis(50), socket.receive(&mut answer)).await;
        if let Ok(from) = received {
            let from = from.unwrap();
            if answer == bytes {
                return from;
            }
        }
    }
}

/// A service that hands out its handle and does nothing more.
pub(crate) fn lend(
    to: Sender<Env>,
) -> impl FnOnce(Env) -> std::future::Pending<Result<(), Failure>> + Send + 'static {
    move |env| {
        to.send(env).unwrap();
        std::future::pending()
    }
}

/// Runs `body` as the service of a node, and gives its result once the node has ended by itself.
pub(crate) fn run_as<T, S, F>(config: Config, body: S) -> T
where
    T: Send + 'static,
    S: FnOnce(Env) -> F + Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    let node = Node::start(config, |env| async move {
        let output = body(env).await;
        sender.send(output).map_err(|_| "the test has gone")
    });
    let node = node.unwrap();
    let output = wait_for(&receiver);
    ended(node).unwrap();
    output
}

/// Joins a node that is about to end by itself.
pub(crate) fn ended(node: Node) -> Result<(), RunError> {
    wait_until("the node ends", || node.has_ended());
    node.join()
}

pub(crate) fn wait_for<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("what the test waits for did not come")
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The greeting of a guest of the cluster `shop`: head, the variant, the cluster, no name.
pub(crate) fn guest_greeting() -> Vec<u8> {
    with_checksum(b"sqN\n\x01\x00\x07\x00\x00\x04shop\x00".to_vec())
}

/// The greeting of the client, with its name.
pub(crate) fn client_greeting() -> Vec<u8> {
    with_checksum(b"sqN\n\x01\x00\x10\x00\x00\x04shop\x01\x08client-1".to_vec())
}

pub(crate) fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}
