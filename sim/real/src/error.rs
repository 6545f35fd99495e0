//! Why a node did not start, or how it ended.

use crate::config::ConfigError;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a node did not start, or how it ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration contradicts itself.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// The node's directory cannot be made or opened.
    #[error("data directory {path:?}: {source}")]
    Data {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another node, perhaps in another process, has the directory.
    #[error("data directory {path:?} is in use by another node")]
    DataInUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is that of another node, or of a node of another cluster.
    #[error("data directory {path:?} belongs to {found}")]
    DataForeign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
    },
    /// The directory has never been this node's, and the configuration says that there must be one.
    #[error("data directory {path:?} is new, and the node must have one that it had before")]
    DataMissing {
        /// The directory.
        path: PathBuf,
    },
    /// The node cannot listen where it should.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where it should.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A file with certificates or a key cannot be read or used.
    #[error("TLS: {}: {why}", file.display())]
    Tls {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system refuses a thread, a runtime or entropy.
    #[error("the system gives no {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The service itself ended with an error.
    #[error("the service failed: {0}")]
    Serve(#[source] Box<dyn Error + Send + Sync>),
    /// A task of the node panicked, so nothing is known of what it left behind.
    #[error("task {task:?} panicked: {message}")]
    Panicked {
        /// The name it was started with.
        task: &'static str,
        /// What it said.
        message: String,
    },
}
