//! One process: a node, or a client that records what it sees.

use super::map;
use super::tally::{self, InDoubt};
use crate::register;
use crate::shop;
use rustix::time::{ClockId, clock_gettime};
use squall::Client;
use squall_check::{AppendKv, Model, Recorder};
use squall_env::Env;
use squall_real::faults::{self, DiskFaults, Skip};
use squall_real::{Config, Node};
use std::fs::File;
use std::future::Future;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long syncs of nodes take that may lose their power, besides what they take.
const SYNC_DELAY: Duration = Duration::from_millis(2);

/// Why a node or a demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or process could not be had.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        error: std::io::Error,
    },
    /// A configuration is malformed.
    #[error("{path}: {error}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// A node stopped by itself.
    #[error(transparent)]
    Node(#[from] squall_real::RunError),
    /// A history cannot be read.
    #[error("{path}: {why}")]
    History {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A process ended that should not have.
    #[error("{0} has ended by itself")]
    Ended(String),
    /// A node did not come up in time.
    #[error("{0} did not come up")]
    NotUp(String),
}

impl Error {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        |error| Error::Io { what, error }
    }
}

fn read_config(path: &Path) -> Result<Config, Error> {
    let bytes = std::fs::read(path).map_err(Error::io(path.display().to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Config { path: path.to_owned(), error })
}

/// What a node is told.
#[derive(clap::Args)]
pub struct NodeOf {
    /// Its configuration, as JSON.
    #[arg(long)]
    pub config: PathBuf,
    /// Where to write what it counts, a line every so often behind what is there.
    #[arg(long)]
    pub metrics: Option<PathBuf>,
    /// Where to write how to undo what is not synced, for a loss of power.
    #[arg(long)]
    pub undo: Option<PathBuf>,
    /// Syncs that are left out, so that a loss of power has something to find.
    #[arg(long, requires = "undo")]
    pub skip_sync: Option<SkipSync>,
    /// Take the end of a journal that cannot be read for that of a write that nobody was told of.
    #[arg(long)]
    pub trust_torn_tails: bool,
}

/// Syncs that are left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum SkipSync {
    /// Those of files.
    Files,
    /// Those of directories.
    Directories,
}

impl SkipSync {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            SkipSync::Files => "files",
            SkipSync::Directories => "directories",
        }
    }
}

impl From<SkipSync> for Skip {
    fn from(of: SkipSync) -> Skip {
        match of {
            SkipSync::Files => Skip::Files,
            SkipSync::Directories => Skip::Directories,
        }
    }
}

/// Runs a replica of the register until the process is ended.
///
/// # Errors
/// If it cannot be started or has to stop.
pub fn replica(of: &NodeOf) -> Result<(), Error> {
    run(of, &InDoubt::new(), squall_protocols::register::serve)
}

/// Runs a member of the map on Raft until the process is ended.
///
/// # Errors
/// If it cannot be started or has to stop.
pub fn member(of: &NodeOf) -> Result<(), Error> {
    let in_doubt = Arc::new(InDoubt::new());
    let (doubts, tell) = (!of.trust_torn_tails, Arc::clone(&in_doubt));
    run(of, &in_doubt, move |env| map::member(env, doubts, tell))
}

/// Runs a node of the shop, which its configuration names, until the process is ended.
///
/// # Errors
/// If it cannot be started or has to stop.
pub fn shop_node(of: &NodeOf) -> Result<(), Error> {
    run(of, &InDoubt::new(), shop::serve)
}

fn run<S, F, E>(of: &NodeOf, in_doubt: &InDoubt, serve: S) -> Result<(), Error>
where
    S: FnOnce(Env) -> F + Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let config = read_config(&of.config)?;
    let node = match of.undo.clone() {
        None => Node::start(config, serve)?,
        Some(undo) => {
            let skip = of.skip_sync.map(Skip::from);
            faults::start(config, &DiskFaults { undo, skip, sync_delay: SYNC_DELAY }, serve)?
        }
    };
    if let Some(path) = &of.metrics {
        tally::write(path, &node, in_doubt)?;
    }
    Ok(node.join()?)
}

/// What a client is told.
#[derive(clap::Args)]
pub struct ClientOf {
    /// Its configuration, as JSON.
    #[arg(long)]
    pub config: PathBuf,
    /// Where to write the history.
    #[arg(long)]
    pub history: PathBuf,
    /// Which client it is, from 0.
    #[arg(long)]
    pub number: u64,
    /// Of how many.
    #[arg(long)]
    pub of: u64,
    /// How long to go on, as in 10s or 2m.
    #[arg(long, value_parser = squall::cli::parse_time)]
    pub time: Duration,
    /// Read once all that clients may have written who went on for that long, and no more.
    #[arg(long)]
    pub last: bool,
    /// What its operations are drawn from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Runs a client of the register, and then writes down what it saw.
///
/// # Errors
/// If it cannot be started, or the history cannot be written.
pub fn register_client(of: &ClientOf) -> Result<(), Error> {
    let (last, time) = (of.last, of.time);
    record::<register::Model, _, _>(of, move |client| async move {
        if last { register::read_once(client).await } else { register::load(client, time).await }
    })
}

/// Runs a client of the map, and then writes down what it saw.
///
/// # Errors
/// If it cannot be started, or the history cannot be written.
pub fn map_client(of: &ClientOf) -> Result<(), Error> {
    let (last, time) = (of.last, of.time);
    record::<AppendKv, _, _>(of, move |client| async move {
        if last { map::read_all(client, time).await } else { map::load(client, time).await }
    })
}

/// Runs a client of the shop, or its auditor, and then writes down what it saw.
///
/// # Errors
/// If it cannot be started, or the history cannot be written.
pub fn shop_client(of: &ClientOf) -> Result<(), Error> {
    let (last, time) = (of.last, of.time);
    record::<shop::Shop, _, _>(of, move |client| async move {
        match last {
            true => shop::audit(&client, shop::LARGE).await.map(drop),
            false => shop::order(&client, u64::MAX, time).await,
        }
    })
}

/// Nanoseconds on the clock that all processes of the machine share.
fn common_clock_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn record<M: Model, F, E>(
    of: &ClientOf,
    work: impl FnOnce(Client) -> F + Send + 'static,
) -> Result<(), Error>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let recorder: Recorder<M::Input, M::Output> = Recorder::new();
    let recording = squall::check::recording::<M>(recorder.clone());
    let (number, seed) = ((of.number, of.of), of.seed);
    squall_real::run(read_config(&of.config)?, move |env| async move {
        let epoch_ns = common_clock_ns();
        work(Client::standalone(env, number, seed, epoch_ns, vec![recording])).await
    })?;
    let what = of.history.display().to_string();
    let file = File::create(&of.history).map_err(Error::io(what.clone()))?;
    let mut file = BufWriter::new(file);
    recorder.finish().write_jsonl(&mut file).map_err(Error::io(what.clone()))?;
    file.flush().map_err(Error::io(what))
}
