//! States that spare a reader the events before them.

use crate::event_store::EventStoreError;
use serde::{Deserialize, Serialize};
use squall_env::Env;
use squall_env::platform::BoxFuture;

/// The state of an aggregate after one of its events.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The number of the last event that it contains.
    pub version: u64,
    /// The hash of what it holds; see [`Aggregate::SNAPSHOT`](super::Aggregate::SNAPSHOT).
    pub schema: u64,
    /// The state.
    #[serde(with = "serde_bytes")]
    pub state: Vec<u8>,
}

/// Where snapshots are kept. They may be lost at any time: they are only a short cut.
pub trait Snapshots: Send + Sync {
    /// The snapshot of a stream, if there is one that can be read.
    fn load(&self, stream: &str) -> BoxFuture<'_, Result<Option<Snapshot>, EventStoreError>>;

    /// Puts a snapshot in the place of the last one.
    fn save(&self, stream: &str, snapshot: Snapshot) -> BoxFuture<'_, Result<(), EventStoreError>>;
}

/// The hash (FNV-1a, 64 bits) of what a snapshot holds.
pub(super) fn schema_hash(holds: &str) -> u64 {
    holds.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Snapshots in files of this node, one for each stream. A file that is damaged, or is that of
/// another stream, is as good as none.
#[derive(Clone)]
pub struct FileSnapshots {
    env: Env,
    name: String,
}

impl FileSnapshots {
    /// The snapshots of this name: files `NAME.HASH.state` in the node's directory.
    pub fn new(env: &Env, name: impl Into<String>) -> FileSnapshots {
        FileSnapshots { env: env.clone(), name: name.into() }
    }

    fn path(&self, stream: &str) -> String {
        format!("{}.{:016x}.state", self.name, schema_hash(stream))
    }
}

impl Snapshots for FileSnapshots {
    fn load(&self, stream: &str) -> BoxFuture<'_, Result<Option<Snapshot>, EventStoreError>> {
        let (path, stream) = (self.path(stream), stream.to_owned());
        Box::pin(async move {
            let Some(bytes) = self.env.read_file(&path).await? else { return Ok(None) };
            let Some((checksum, body)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
            if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
                return Ok(None);
            }
            let content: Option<(String, Snapshot)> = postcard::from_bytes(body).ok();
            Ok(content.filter(|(of, _)| *of == stream).map(|(_, snapshot)| snapshot))
        })
    }

    fn save(&self, stream: &str, snapshot: Snapshot) -> BoxFuture<'_, Result<(), EventStoreError>> {
        let (path, stream) = (self.path(stream), stream.to_owned());
        Box::pin(async move {
            let encoded = postcard::to_extend(&(stream, snapshot), vec![0; 4]);
            let mut bytes = encoded.expect("strings, bytes and numbers can be encoded");
            let checksum = crc32c::crc32c(&bytes[4..]).to_le_bytes();
            bytes[..4].copy_from_slice(&checksum);
            Ok(self.env.replace_file(&path, bytes).await?)
        })
    }
}
