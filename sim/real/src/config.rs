//! What a node is told at its start: who it is, where the others are, and its limits.

use crate::frame::HEADER_BYTES;
use serde::{Deserialize, Deserializer};
use squall_env::platform::DATAGRAM_MAX;
use squall_env::{NodeId, Roster};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// The longest name of a cluster or a node, in bytes: a greeting has to hold one of each.
pub const NAME_BYTES_MAX: usize = 255;

/// The most threads that a node may be given, for tasks and for blocking work each.
pub const THREADS_MAX: usize = 1024;

/// The most incoming connections that may be allowed: there are no more numbers for guests.
pub const CONNECTIONS_MAX: usize = 65_000;

/// What a node is told at its start.
///
/// It can be read from a file with serde. Nodes are called by their names, durations are in
/// milliseconds, and what is left out has its default. In JSON:
///
/// ```
/// let config: squall_real::Config = serde_json::from_str(r#"{
///     "roster": {
///         "cluster": "shop",
///         "roles": [{ "name": "replica", "nodes": 2 }, { "name": "client", "nodes": 1 }]
///     },
///     "me": "replica-1",
///     "addresses": { "replica-1": "10.0.0.1:7000", "replica-2": "10.0.0.2:7000" },
///     "listen": "0.0.0.0:7000",
///     "data": "/var/lib/shop",
///     "threads": 1,
///     "limits": { "connect_timeout_ms": 3000 }
/// }"#)?;
/// assert_eq!(config.roster.name(config.me), "replica-1");
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// A file without `me` is that of a guest.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "ConfigFile")]
pub struct Config {
    /// All nodes. Every node must be told the same roles in the same order.
    pub roster: Roster,
    /// This node: one of the roster, or a guest, which greets its peers without a name.
    pub me: NodeId,
    /// Where nodes can be reached. A node that is not here only connects to others, and is answered
    /// over the connections that it opened.
    pub addresses: BTreeMap<NodeId, SocketAddr>,
    /// Where this node listens, if that is not its entry in `addresses`. A node that has neither
    /// does not listen.
    pub listen: Option<SocketAddr>,
    /// The node's own directory, which is made if it is not there. No other node may have it: the
    /// first that is started with it writes down who it is.
    pub data: PathBuf,
    /// Whether the node is not started with a directory that it has not had before. Set it once a
    /// node has run: a replica that has lost its disk has forgotten what it promised, and must not
    /// go on under its old name. Default: `false`.
    pub data_must_exist: bool,
    /// Certificates, if connections are encrypted and their ends have to prove their names. All
    /// nodes have them, or none.
    pub tls: Option<Tls>,
    /// How many threads run the node's tasks.
    ///
    /// One, the default, is what the simulated world explores: between two `await`s of a task no
    /// other task of the node runs. More threads give more work done at a time, and
    /// interleavings that no simulation has seen: tasks run at the same time, so that a lock that
    /// was never contended is, effects of two tasks are ordered by nothing but what orders them in
    /// the program, and a race between two tasks shows here first. Disk operations keep their
    /// order.
    pub threads: NonZeroUsize,
    /// How much of everything there may be.
    pub limits: Limits,
}

/// Files with certificates, in the format PEM (RFC 7468). They are read when the node starts.
///
/// A node's certificate bears its name and its cluster's as a DNS name, as in `replica-1.shop`, and
/// has to be good for both sides of a connection. That of a guest may bear any name. What is signed
/// by the roots is believed until the node is started with other roots: nothing is asked about
/// certificates that were taken back, so give them a short life.
///
/// A file of a [`Config`] has them as `tls`:
///
/// ```
/// let tls: squall_real::Tls = serde_json::from_str(r#"{
///     "certificates": "/etc/shop/replica-1.pem",
///     "key": "/etc/shop/replica-1.key",
///     "roots": "/etc/shop/roots.pem"
/// }"#)?;
/// assert!(tls.key.ends_with("replica-1.key"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// This node's certificate, and behind it those that lead to a root.
    pub certificates: PathBuf,
    /// The private key of this node's certificate.
    pub key: PathBuf,
    /// The roots that certificates of peers must lead to.
    pub roots: PathBuf,
}

/// How much of everything there may be, and how long things may take. Each has a default.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How many bytes wait for one peer. As much again may be in the middle of being written.
    /// At least the size of the largest frame. Default: 8 MiB.
    pub outgoing_bytes_max: usize,
    /// How many frames wait for one peer. Default: 16384.
    pub outgoing_frames_max: usize,
    /// How many bytes wait on one bound port, at least those of the largest datagram.
    /// Default: 8 MiB.
    pub inbox_bytes_max: usize,
    /// How many datagrams wait on one bound port. Default: 16384.
    pub inbox_frames_max: usize,
    /// How many connections from others there are at a time, for datagrams and streams together.
    /// One that has not greeted is not among them. Default: 1024.
    pub incoming_max: usize,
    /// How many streams wait on one port to be taken; more are refused. Default: 128.
    pub backlog_max: usize,
    /// How many connections from others may have yet to greet. When there are more, the one that
    /// has been silent longest is closed, so that nobody who says nothing keeps a peer out: a peer
    /// greets at once. Default: 128.
    pub greetings_max: usize,
    /// How long a connection from outside may take to greet, which with TLS includes its
    /// handshake. Default: 3 s.
    #[serde(rename = "greeting_timeout_ms", deserialize_with = "millis")]
    pub greeting_timeout: Duration,
    /// How many disk operations wait or are under way at a time. Whoever has more to do waits for
    /// room; only what a journal does is begun in any case. Default: 1024.
    pub disk_operations_max: usize,
    /// How many bytes those operations hold; the last of them may exceed it. Default: 64 MiB.
    pub disk_bytes_max: usize,
    /// How many threads run blocking work; what is more waits. Default: 4.
    pub blocking_threads_max: usize,
    /// How long it may take to connect to a peer and be greeted by it. Default: 3 s.
    #[serde(rename = "connect_timeout_ms", deserialize_with = "millis")]
    pub connect_timeout: Duration,
    /// How long to wait before a peer is tried again for the first time; the wait doubles with
    /// every failure. What is really waited is drawn from half of it up. Default: 20 ms.
    #[serde(rename = "back_off_min_ms", deserialize_with = "millis")]
    pub back_off_min: Duration,
    /// The longest wait before a peer is tried again. From then on what waits for the peer is
    /// thrown away at each failure, for a peer that comes back has no use for it. Default: 2 s.
    #[serde(rename = "back_off_max_ms", deserialize_with = "millis")]
    pub back_off_max: Duration,
    /// After how long without anything to send a ping is sent. Default: 2 s.
    #[serde(rename = "ping_interval_ms", deserialize_with = "millis")]
    pub ping_interval: Duration,
    /// After how long without a sign of the peer a connection is given up. Default: 10 s.
    #[serde(rename = "silence_max_ms", deserialize_with = "millis")]
    pub silence_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            outgoing_bytes_max: 8 << 20,
            outgoing_frames_max: 16_384,
            inbox_bytes_max: 8 << 20,
            inbox_frames_max: 16_384,
            incoming_max: 1024,
            backlog_max: 128,
            greetings_max: 128,
            greeting_timeout: Duration::from_secs(3),
            disk_operations_max: 1024,
            disk_bytes_max: 64 << 20,
            blocking_threads_max: 4,
            connect_timeout: Duration::from_secs(3),
            back_off_min: Duration::from_millis(20),
            back_off_max: Duration::from_secs(2),
            ping_interval: Duration::from_secs(2),
            silence_max: Duration::from_secs(10),
        }
    }
}

fn millis<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

/// What is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// A name in a file is that of no node.
    #[error("there is no node {0:?} on the roster")]
    UnknownNode(String),
    /// This node or one with an address is not on the roster.
    #[error("{0:?} is not on the roster")]
    NotOnRoster(NodeId),
    /// Two roles have one name.
    #[error("role {0:?} is on the roster twice")]
    RoleTwice(String),
    /// A name does not fit in a greeting.
    #[error("the name {0:?} is longer than {NAME_BYTES_MAX} bytes")]
    NameTooLong(String),
    /// Nobody can connect to port zero.
    #[error("the address of {0} has port 0, which cannot be connected to")]
    PortZero(String),
    /// Certificates are asked for, and this build has no TLS.
    #[error("there are certificates, and this build has no TLS: it lacks the feature `tls`")]
    TlsMissing,
    /// A node's name, with that of the cluster, is none that a certificate can bear.
    #[error(
        "{0:?} is no name for a certificate: letters, digits and hyphens are right, with dots \
         between"
    )]
    TlsName(String),
    /// Two nodes have one address.
    #[error("{0} and {1} have the same address")]
    AddressTwice(String, String),
    /// The path of the node's directory is empty.
    #[error("there is no data directory")]
    NoData,
    /// A limit is outside of what can work.
    #[error("{name} must be from {least} to {most}")]
    Limit {
        /// Which one.
        name: &'static str,
        /// The least that can work.
        least: usize,
        /// The most that can work.
        most: usize,
    },
    /// A duration must be longer than zero.
    #[error("{0} must be longer than zero")]
    Zero(&'static str),
    /// The first wait may not be longer than the longest.
    #[error("back_off_min is longer than back_off_max")]
    BackOff,
    /// A connection would be given up although its peer pings.
    #[error("silence_max must be at least twice ping_interval")]
    Silence,
}

impl Config {
    /// A node without addresses, with one thread and the default limits.
    pub fn new(roster: Roster, me: NodeId, data: impl Into<PathBuf>) -> Config {
        Config {
            roster,
            me,
            addresses: BTreeMap::new(),
            listen: None,
            data: data.into(),
            data_must_exist: false,
            tls: None,
            threads: NonZeroUsize::MIN,
            limits: Limits::default(),
        }
    }

    /// Checks that the parts agree with each other. A node that is started does so by itself.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_names()?;
        self.validate_addresses()?;
        if self.data.as_os_str().is_empty() {
            return Err(ConfigError::NoData);
        }
        self.validate_tls()?;
        within("threads", self.threads.get(), 1, THREADS_MAX)?;
        self.limits.validate()
    }

    fn validate_names(&self) -> Result<(), ConfigError> {
        let mut roles = BTreeSet::new();
        for (role, _) in self.roster.roles() {
            if !roles.insert(role) {
                return Err(ConfigError::RoleTwice(role.to_owned()));
            }
        }
        let names = self.roster.all().map(|node| self.roster.name(node));
        for name in names.chain([self.roster.cluster().to_owned()]) {
            if name.len() > NAME_BYTES_MAX {
                return Err(ConfigError::NameTooLong(name));
            }
        }
        if !self.me.is_guest() && !self.roster.contains(self.me) {
            return Err(ConfigError::NotOnRoster(self.me));
        }
        Ok(())
    }

    fn validate_addresses(&self) -> Result<(), ConfigError> {
        let mut taken: BTreeMap<SocketAddr, NodeId> = BTreeMap::new();
        for (node, address) in &self.addresses {
            if !self.roster.contains(*node) {
                return Err(ConfigError::NotOnRoster(*node));
            }
            if address.port() == 0 {
                return Err(ConfigError::PortZero(self.roster.name(*node)));
            }
            if let Some(other) = taken.insert(*address, *node) {
                let names = (self.roster.name(other), self.roster.name(*node));
                return Err(ConfigError::AddressTwice(names.0, names.1));
            }
        }
        Ok(())
    }

    #[cfg(feature = "tls")]
    fn validate_tls(&self) -> Result<(), ConfigError> {
        if self.tls.is_none() {
            return Ok(());
        }
        let mut names = self.roster.all().map(|node| certified_name(&self.roster, node));
        match names.find(|name| !crate::tls::is_name(name)) {
            Some(name) => Err(ConfigError::TlsName(name)),
            None => Ok(()),
        }
    }

    #[cfg(not(feature = "tls"))]
    fn validate_tls(&self) -> Result<(), ConfigError> {
        if self.tls.is_some() { Err(ConfigError::TlsMissing) } else { Ok(()) }
    }

    /// Where the node listens, if it does.
    pub(crate) fn listening(&self) -> Option<SocketAddr> {
        self.listen.or_else(|| self.addresses.get(&self.me).copied())
    }
}

/// The name that the certificate of a node bears.
pub(crate) fn certified_name(roster: &Roster, node: NodeId) -> String {
    format!("{}.{}", roster.name(node), roster.cluster())
}

impl Limits {
    fn validate(&self) -> Result<(), ConfigError> {
        let most = usize::MAX;
        within("outgoing_bytes_max", self.outgoing_bytes_max, DATAGRAM_MAX + HEADER_BYTES, most)?;
        within("outgoing_frames_max", self.outgoing_frames_max, 1, most)?;
        within("inbox_bytes_max", self.inbox_bytes_max, DATAGRAM_MAX, most)?;
        within("inbox_frames_max", self.inbox_frames_max, 1, most)?;
        within("incoming_max", self.incoming_max, 1, CONNECTIONS_MAX)?;
        within("backlog_max", self.backlog_max, 1, CONNECTIONS_MAX)?;
        within("greetings_max", self.greetings_max, 1, CONNECTIONS_MAX)?;
        within("disk_operations_max", self.disk_operations_max, 1, most)?;
        within("disk_bytes_max", self.disk_bytes_max, 1, most)?;
        within("blocking_threads_max", self.blocking_threads_max, 1, THREADS_MAX)?;
        for (name, duration) in [
            ("connect_timeout", self.connect_timeout),
            ("greeting_timeout", self.greeting_timeout),
            ("back_off_min", self.back_off_min),
            ("ping_interval", self.ping_interval),
        ] {
            if duration.is_zero() {
                return Err(ConfigError::Zero(name));
            }
        }
        if self.back_off_min > self.back_off_max {
            return Err(ConfigError::BackOff);
        }
        if self.silence_max < self.ping_interval.saturating_mul(2) {
            return Err(ConfigError::Silence);
        }
        Ok(())
    }
}

fn within(name: &'static str, value: usize, least: usize, most: usize) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Limit { name, least, most })
}

/// A configuration as a file has it, with names for nodes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    roster: Roster,
    me: Option<String>,
    #[serde(default)]
    addresses: BTreeMap<String, SocketAddr>,
    listen: Option<SocketAddr>,
    data: PathBuf,
    #[serde(default)]
    data_must_exist: bool,
    tls: Option<Tls>,
    #[serde(default = "one")]
    threads: NonZeroUsize,
    #[serde(default)]
    limits: Limits,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

impl TryFrom<ConfigFile> for Config {
    type Error = ConfigError;

    fn try_from(file: ConfigFile) -> Result<Config, ConfigError> {
        let roster = file.roster;
        let find = |name: String| roster.find(&name).ok_or(ConfigError::UnknownNode(name));
        let me = file.me.map_or(Ok(NodeId::guest(0)), find)?;
        let mut addresses = BTreeMap::new();
        for (name, address) in file.addresses {
            addresses.insert(find(name)?, address);
        }
        let (listen, data, tls) = (file.listen, file.data, file.tls);
        let (threads, limits, data_must_exist) = (file.threads, file.limits, file.data_must_exist);
        let config =
            Config { roster, me, addresses, listen, data, data_must_exist, tls, threads, limits };
        config.validate()?;
        Ok(config)
    }
}
