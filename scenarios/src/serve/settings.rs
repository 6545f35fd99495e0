//! What a member is told by flags and by a file. The flags win.

use super::tls::ServerFiles;
use clap::Parser;
use serde::Deserialize;
use squall_env::{NodeId, Roster};
use squall_protocols::raft;
use squall_real::{Config, Tls};
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing_subscriber::filter::LevelFilter;

/// What the members are called, each with its number behind it.
pub(super) const ROLE: &str = "member";

/// The flags of `squall serve`.
#[derive(Parser, Default, Debug)]
#[command(about = super::ABOUT, after_help = AFTER_HELP)]
pub struct Flags {
    /// A file with settings, in JSON.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// This member's number among the peers, from 1.
    #[arg(long, value_name = "N")]
    id: Option<u16>,
    /// This member's own directory; it is made if it is not there.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// All members, this one too, and where they reach each other: 1=HOST:PORT,2=HOST:PORT,...
    #[arg(long, value_name = "N=HOST:PORT", value_delimiter = ',')]
    peers: Vec<String>,
    /// The cluster is there already, and `squall config members add` will add this member. Without
    /// this the peers found a cluster when they start for the first time.
    #[arg(long)]
    join: bool,
    /// Where this member listens for its peers, if not at its own entry among them.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where this member listens for clients (HTTP).
    #[arg(long, value_name = "HOST:PORT")]
    client: Option<String>,
    /// The name of the cluster; members of another one are refused.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// This member's certificate (PEM), which bears the name member-N.CLUSTER.
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The roots that the peers' certificates lead to (PEM).
    #[arg(long, value_name = "FILE")]
    roots: Option<PathBuf>,
    /// Another certificate to show to clients (PEM).
    #[arg(long, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// That certificate's private key (PEM).
    #[arg(long, value_name = "FILE")]
    client_key: Option<PathBuf>,
    /// Roots (PEM): clients have to show a certificate that leads to one of them.
    #[arg(long, value_name = "FILE")]
    client_roots: Option<PathBuf>,
    /// Runs without certificates, encryption or proof of names; on loopback alone.
    #[arg(long)]
    plaintext: bool,
    /// How much is logged to standard error: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// How often the leader tells the others that it is there.
    #[arg(long, value_name = "MS")]
    heartbeat_ms: Option<u64>,
    /// After how long without a leader a member asks for votes: this long, or up to twice.
    #[arg(long, value_name = "MS")]
    election_timeout_ms: Option<u64>,
    /// Takes records that are torn for records that were never committed, even if the disk may have
    /// damaged them: a member that finds its last records torn then needs no other to go on.
    #[arg(long)]
    trust_torn_tails: bool,
    /// How long a stop may take, in which leadership is handed over and requests are finished.
    #[arg(long, value_name = "SECONDS")]
    stop_within: Option<u64>,
}

const AFTER_HELP: &str = "\
A file has the same names with underscores: {\"id\": 1, \"data\": \"/var/lib/squall\", \
\"peers\": {\"1\": \"10.0.0.1:7101\"}, \"client\": \"10.0.0.1:8101\", ...}. A flag wins over the \
file.";

/// A file with settings.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    id: Option<u16>,
    data: Option<PathBuf>,
    peers: BTreeMap<u16, String>,
    join: bool,
    listen: Option<String>,
    client: Option<String>,
    cluster: Option<String>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    roots: Option<PathBuf>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
    client_roots: Option<PathBuf>,
    plaintext: bool,
    log: Option<String>,
    heartbeat_ms: Option<u64>,
    election_timeout_ms: Option<u64>,
    trust_torn_tails: bool,
    stop_within: Option<u64>,
}

/// What is wrong with flags or file.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{path}: {why}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Something has to be said and is not.
    #[error("--{0} is missing, and so is {1:?} in a file")]
    Missing(&'static str, &'static str),
    /// A peer is not `N=HOST:PORT`.
    #[error("--peers: {0:?} is not N=HOST:PORT")]
    Peer(String),
    /// A peer is named twice.
    #[error("--peers: member {0} is named twice")]
    PeerTwice(u16),
    /// The members' numbers have gaps.
    #[error("--peers: the members are numbered from 1 without gaps, and {0} is missing")]
    Gap(u16),
    /// The own number is none of them.
    #[error("--id: there is no member {0} among the {1} peers")]
    NoMember(u16, usize),
    /// An address is none.
    #[error("{flag}: {text:?} is no address: {why}")]
    Address {
        /// Which flag.
        flag: &'static str,
        /// What it says.
        text: String,
        /// Why not.
        why: String,
    },
    /// Some of the files of a certificate are given and others not.
    #[error("{0} belong together: either all of them or none")]
    Together(&'static str),
    /// There are no certificates, and nobody has said that it shall be so.
    #[error(
        "there are no certificates: give --cert, --key and --roots, or --plaintext on loopback"
    )]
    NoCertificates,
    /// Certificates are there, and shall not be used.
    #[error("--plaintext contradicts --cert: leave one of them out")]
    Contradiction,
    /// Plaintext leaves the machine.
    #[error("--plaintext: {0} is not on loopback; give --cert, --key and --roots instead")]
    NotLoopback(SocketAddr),
    /// There is no such level.
    #[error("--log: {0:?} is not off, error, warn, info, debug or trace")]
    Level(String),
    /// The times do not go together.
    #[error(
        "--heartbeat-ms is at least 1 and --election-timeout-ms at least four times that, not {0} \
         and {1}"
    )]
    Times(u64, u64),
}

/// What a member is told, checked.
#[derive(Debug)]
pub struct Settings {
    /// The node: its directory, peers and certificates.
    pub node: Config,
    /// The members, and the times of Raft.
    pub raft: raft::Config,
    /// Where it listens for clients.
    pub client: SocketAddr,
    /// The certificates that clients see; without them they speak plaintext.
    pub client_tls: Option<ServerFiles>,
    /// How much is logged.
    pub log: LevelFilter,
    /// How long a stop may take.
    pub stop_within: Duration,
}

impl Settings {
    /// Reads the file, if there is one, and puts the two together.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn of(flags: Flags) -> Result<Settings, SettingsError> {
        let file = flags.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let together = overlay(flags, file)?;
        together.settings()
    }
}

fn read(path: &Path) -> Result<File, SettingsError> {
    let wrong = |why: String| SettingsError::File { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// What the flags say, and where they say nothing the file.
fn overlay(flags: Flags, file: File) -> Result<File, SettingsError> {
    let mut peers = BTreeMap::new();
    for text in flags.peers {
        let parts = text.split_once('=').and_then(|(id, at)| Some((id.trim().parse().ok()?, at)));
        let (id, at) = parts.ok_or_else(|| SettingsError::Peer(text.clone()))?;
        if peers.insert(id, at.trim().to_owned()).is_some() {
            return Err(SettingsError::PeerTwice(id));
        }
    }
    Ok(File {
        id: flags.id.or(file.id),
        data: flags.data.or(file.data),
        peers: if peers.is_empty() { file.peers } else { peers },
        join: flags.join || file.join,
        listen: flags.listen.or(file.listen),
        client: flags.client.or(file.client),
        cluster: flags.cluster.or(file.cluster),
        cert: flags.cert.or(file.cert),
        key: flags.key.or(file.key),
        roots: flags.roots.or(file.roots),
        client_cert: flags.client_cert.or(file.client_cert),
        client_key: flags.client_key.or(file.client_key),
        client_roots: flags.client_roots.or(file.client_roots),
        plaintext: flags.plaintext || file.plaintext,
        log: flags.log.or(file.log),
        heartbeat_ms: flags.heartbeat_ms.or(file.heartbeat_ms),
        election_timeout_ms: flags.election_timeout_ms.or(file.election_timeout_ms),
        trust_torn_tails: flags.trust_torn_tails || file.trust_torn_tails,
        stop_within: flags.stop_within.or(file.stop_within),
    })
}

impl File {
    fn settings(self) -> Result<Settings, SettingsError> {
        let id = self.id.ok_or(SettingsError::Missing("id", "id"))?;
        let data = self.data.clone().ok_or(SettingsError::Missing("data", "data"))?;
        let client = self.client.as_deref().ok_or(SettingsError::Missing("client", "client"))?;
        let client = address("--client", client)?;
        if self.peers.is_empty() {
            return Err(SettingsError::Missing("peers", "peers"));
        }
        if let Some((_, gap)) =
            self.peers.keys().zip(1..).find(|(id, nth)| *id != nth).map(|(id, nth)| (*id, nth))
        {
            return Err(SettingsError::Gap(gap));
        }
        if !self.peers.contains_key(&id) {
            return Err(SettingsError::NoMember(id, self.peers.len()));
        }
        let cluster = self.cluster.clone().unwrap_or_else(|| "squall".to_owned());
        let count = self.peers.len() as u16;
        let roster = Roster::new(cluster).with(ROLE, count);
        let members: Vec<NodeId> = roster.nodes(ROLE).collect();
        let me = members[usize::from(id) - 1];
        let mut node = Config::new(roster, me, data);
        for (member, at) in members.iter().zip(self.peers.values()) {
            node.addresses.insert(*member, address("--peers", at)?);
        }
        node.listen = self.listen.as_deref().map(|at| address("--listen", at)).transpose()?;
        node.tls = self.peer_tls()?;
        let client_tls = self.client_tls()?;
        self.check_plaintext(&node, client)?;
        let raft = self.raft(if self.join { Vec::new() } else { members })?;
        let level = self.log.unwrap_or_else(|| "info".to_owned());
        let log = level.parse().map_err(|_| SettingsError::Level(level))?;
        let stop_within = Duration::from_secs(self.stop_within.unwrap_or(10));
        Ok(Settings { node, raft, client, client_tls, log, stop_within })
    }

    fn peer_tls(&self) -> Result<Option<Tls>, SettingsError> {
        match (&self.cert, &self.key, &self.roots) {
            (None, None, None) => Ok(None),
            (Some(cert), Some(key), Some(roots)) => {
                let (certificates, key, roots) = (cert.clone(), key.clone(), roots.clone());
                Ok(Some(Tls { certificates, key, roots }))
            }
            _ => Err(SettingsError::Together("--cert, --key and --roots")),
        }
    }

    /// What clients see: certificates of their own, or those that peers see.
    fn client_tls(&self) -> Result<Option<ServerFiles>, SettingsError> {
        let (certificates, key) = match (&self.client_cert, &self.client_key) {
            (Some(cert), Some(key)) => (Some(cert.clone()), Some(key.clone())),
            (None, None) => (self.cert.clone(), self.key.clone()),
            _ => return Err(SettingsError::Together("--client-cert and --client-key")),
        };
        let roots = self.client_roots.clone();
        match (certificates, key) {
            (Some(certificates), Some(key)) => Ok(Some(ServerFiles { certificates, key, roots })),
            _ if roots.is_some() => Err(SettingsError::Together("--client-roots and --cert")),
            _ => Ok(None),
        }
    }

    fn check_plaintext(&self, node: &Config, client: SocketAddr) -> Result<(), SettingsError> {
        let any = self.cert.is_some() || self.client_cert.is_some();
        match (self.plaintext, any, node.tls.is_some()) {
            (true, true, _) => return Err(SettingsError::Contradiction),
            (false, _, false) => return Err(SettingsError::NoCertificates),
            (false, _, true) => return Ok(()),
            (true, false, _) => {}
        }
        let all = node.addresses.values().copied().chain(node.listen).chain([client]);
        match all.into_iter().find(|address| !address.ip().is_loopback()) {
            Some(address) => Err(SettingsError::NotLoopback(address)),
            None => Ok(()),
        }
    }

    /// The times are those of etcd, which suit networks and disks of any machine. Snapshots are
    /// rare: each is written whole, and what is written meanwhile waits for it.
    fn raft(&self, members: Vec<NodeId>) -> Result<raft::Config, SettingsError> {
        let heartbeat = self.heartbeat_ms.unwrap_or(100);
        let election = self.election_timeout_ms.unwrap_or_else(|| heartbeat.saturating_mul(10));
        if heartbeat == 0 || election / 4 < heartbeat {
            return Err(SettingsError::Times(heartbeat, election));
        }
        let mut config = raft::Config::of(members);
        config.heartbeat = Duration::from_millis(heartbeat);
        config.election_timeout = Duration::from_millis(election);
        config.doubts_torn_tails = !self.trust_torn_tails;
        config.snapshot_entries = 65_536;
        config.snapshot_bytes = 32 << 20;
        config.log_max = 128 << 20;
        Ok(config)
    }
}

fn address(flag: &'static str, text: &str) -> Result<SocketAddr, SettingsError> {
    let wrong = |why: String| SettingsError::Address { flag, text: text.to_owned(), why };
    let mut found = text.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
    found.next().ok_or_else(|| wrong("nothing has this name".to_owned()))
}
