//! Faults for nodes that run on a real machine, for tests alone: this is the feature `faults`, and
//! a build without it has no way to ask for any of them.
//!
//! A process that is killed leaves behind what the system holds of its files, synced or not; a
//! machine that loses power does not. A node that is started by [`start`] writes down, before it
//! changes a file or a name, how to undo that, and forgets it when a sync has covered it. After the
//! node was killed, [`lose_power`] makes of its directory what a power loss may leave: what was
//! synced, and any part of what was not. It needs no privileges, and finds nothing that is wrong
//! below the node: what a sync of the system promises is taken as kept.
//!
//! What was not synced is kept as any subset (Pillai et al., "All File Systems Are Not Created
//! Equal", OSDI 2014), as in the simulated world: every sector of a file has any of the contents
//! that it had since the file was synced last, the file any of its lengths, and every change of a
//! name happened or did not. A rename is one change: its target is the old file or the new one.

mod image;
mod lossy;
mod record;

pub use image::Lost;

use crate::config::Config;
use crate::error::RunError;
use crate::files::Files;
use crate::node::Node;
use image::Image;
use lossy::Lossy;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use record::Log;
use squall_env::Env;
use std::error::Error;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is different about a node's disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskFaults {
    /// Where the node keeps what undoes its changes: a directory of its own on the file system of
    /// its data, made if it is not there.
    pub undo: PathBuf,
    /// Syncs that are not carried out and answered well all the same: the mistake that a test of
    /// power losses has to find.
    pub skip: Option<Skip>,
    /// How long a sync waits before it is carried out: on a fast disk a process that is killed has
    /// hardly ever something that is not synced.
    pub sync_delay: Duration,
}

/// Syncs that are not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skip {
    /// Those of files.
    Files,
    /// Those of directories.
    Directories,
}

/// Starts a node as [`Node::start`] does, whose power can be lost.
///
/// # Errors
/// [`RunError`]: the configuration is wrong, or a directory or the port is taken or cannot be used.
pub fn start<S, F, E>(config: Config, faults: &DiskFaults, serve: S) -> Result<Node, RunError>
where
    S: FnOnce(Env) -> F + Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let faults = faults.clone();
    Node::start_with(config, serve, move |files| {
        let failed = |source| RunError::Data { path: faults.undo.clone(), source };
        let mut lossy = Lossy::new(files, &faults).map_err(failed)?;
        Ok(Box::new(move |operation| lossy.execute(operation)))
    })
}

/// Makes of the directory of a node that does not run what a loss of power may leave, drawn from
/// the seed: nothing of what was not synced, all of it, or any part.
///
/// # Errors
/// If the node runs, or a file cannot be read or written.
pub fn lose_power(data: &Path, undo: &Path, seed: u64) -> Result<Lost, RunError> {
    // Holding the directory keeps the node from being started meanwhile.
    let files = Files::open(data)?;
    let failed = |source| RunError::Data { path: data.to_owned(), source };
    let lost = after_power_loss(data, undo, seed).map_err(failed);
    drop(files);
    lost
}

fn after_power_loss(data: &Path, undo: &Path, seed: u64) -> io::Result<Lost> {
    let mut log = Log::open(undo)?;
    let mut image = Image::read(data, undo)?;
    let mut draw = ChaCha12Rng::seed_from_u64(seed);
    let lost = image.lose_power(log.records(), &mut || draw.next_u64());
    image.write(data)?;
    log.clear()?;
    Ok(lost)
}
