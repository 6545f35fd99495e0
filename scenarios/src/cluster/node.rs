//! One process: a replica, or a client that records what it sees.

use crate::register::{Model, load, read_once};
use rustix::time::{ClockId, clock_gettime};
use squall::Client;
use squall_check::{History, Limits, Recorder, Verdict, linearizable};
use squall_check::{RegisterCall, RegisterReturn};
use squall_real::Config;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What clients of the register record.
pub type HistoryOf = History<RegisterCall<Option<u64>>, RegisterReturn<Option<u64>>>;

/// What the checker says of it.
pub type VerdictOf = Verdict<RegisterCall<Option<u64>>, RegisterReturn<Option<u64>>>;

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

/// Runs a replica until the process is ended.
///
/// # Errors
/// If it cannot be started or has to stop.
pub fn replica(config: &Path) -> Result<(), Error> {
    Ok(squall_real::run(read_config(config)?, squall_protocols::register::serve)?)
}

/// Nanoseconds on the clock that all processes of the machine share.
fn common_clock_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Runs a client for a while, or for one read, and then writes down what it saw.
///
/// # Errors
/// If it cannot be started, or the history cannot be written.
pub fn client(
    config: &Path,
    history: &Path,
    number: (u64, u64),
    length: Duration,
    seed: u64,
) -> Result<(), Error> {
    let recorder: Recorder<_, _> = Recorder::new();
    let recording = squall::check::recording::<Model>(recorder.clone());
    squall_real::run(read_config(config)?, move |env| async move {
        let epoch_ns = common_clock_ns();
        let client = Client::standalone(env, number, seed, epoch_ns, vec![recording]);
        if length.is_zero() { read_once(client).await } else { load(client, length).await }
    })?;
    let what = history.display().to_string();
    let file = File::create(history).map_err(Error::io(what.clone()))?;
    let mut file = BufWriter::new(file);
    recorder.finish().write_jsonl(&mut file).map_err(Error::io(what.clone()))?;
    file.flush().map_err(Error::io(what))
}

/// Reads the histories that clients wrote, puts them together, and judges them.
///
/// # Errors
/// If one cannot be read, or their clocks do not fit together.
pub fn judge(files: &[PathBuf]) -> Result<(HistoryOf, VerdictOf), Error> {
    let mut histories = Vec::new();
    for path in files {
        let why = |why: String| Error::History { path: path.clone(), why };
        let file = File::open(path).map_err(|error| why(error.to_string()))?;
        let read = HistoryOf::read_jsonl(BufReader::new(file));
        histories.push(read.map_err(|error| why(error.to_string()))?);
    }
    let path = files.first().cloned().unwrap_or_default();
    let merged = HistoryOf::merge(histories)
        .map_err(|error| Error::History { path, why: error.to_string() })?;
    let verdict = linearizable(&Model::new(None), &merged, &Limits::default());
    Ok((merged, verdict))
}
