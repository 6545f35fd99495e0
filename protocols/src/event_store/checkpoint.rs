//! How far a subscriber has come, on its own disk.

use super::Position;
use serde::{Deserialize, Serialize};
use squall_env::Env;
use squall_env::disk::DiskError;

/// The last position that a subscriber has processed, kept over restarts. Reading goes on *behind*
/// it; it is 0 before the first event.
///
/// It lies on the disk by itself. Who keeps what it makes of events in a database does better to
/// keep the position there, in the same transaction: then each event counts once.
pub struct Checkpoint {
    env: Env,
    path: String,
    owner: (String, String),
    position: Position,
}

/// Why a checkpoint could not be opened or saved.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk failed. After that nothing is known of what is durable.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file is not what was written.
    #[error("the checkpoint {0} is damaged")]
    Damaged(String),
    /// It belongs to another node.
    #[error("the checkpoint is that of {found:?} in {cluster:?}")]
    Foreign {
        /// Whose it is.
        found: String,
        /// In which system.
        cluster: String,
    },
    /// A checkpoint never goes back: a view that is built anew has one of its own.
    #[error("the checkpoint is at {} and does not go back to {}", .is.0, .asked.0)]
    Backwards {
        /// Where it is.
        is: Position,
        /// Where it was to go.
        asked: Position,
    },
}

#[derive(Serialize, Deserialize)]
struct Content<'a> {
    cluster: &'a str,
    node: &'a str,
    position: Position,
}

impl Checkpoint {
    /// Opens the checkpoint called `name` of this node, or begins at 0.
    ///
    /// # Errors
    /// [`CheckpointError`]. What is damaged is not taken for a beginning: that is for an operator
    /// to say, since everything would be processed again.
    pub async fn open(env: &Env, name: &str) -> Result<Checkpoint, CheckpointError> {
        let path = [name, ".checkpoint"].concat();
        let owner = (env.roster().cluster().to_owned(), env.roster().name(env.me()));
        let mut checkpoint = Checkpoint { env: env.clone(), path, owner, position: Position(0) };
        let Some(bytes) = env.read_file(&checkpoint.path).await? else { return Ok(checkpoint) };
        let damaged = || CheckpointError::Damaged(checkpoint.path.clone());
        let (checksum, body) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
            return Err(damaged());
        }
        let content: Content<'_> = postcard::from_bytes(body).map_err(|_| damaged())?;
        if (content.cluster, content.node) != (&checkpoint.owner.0, &checkpoint.owner.1) {
            let (found, cluster) = (content.node.to_owned(), content.cluster.to_owned());
            return Err(CheckpointError::Foreign { found, cluster });
        }
        checkpoint.position = content.position;
        // The name it was found under may be one whose sync has failed.
        env.replace_file(&checkpoint.path, bytes).await?;
        Ok(checkpoint)
    }

    /// The last position that was processed.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Makes a later position durable. Everything up to it has been processed.
    ///
    /// # Errors
    /// [`CheckpointError::Backwards`], or what the disk answers.
    pub async fn save(&mut self, position: Position) -> Result<(), CheckpointError> {
        if position < self.position {
            return Err(CheckpointError::Backwards { is: self.position, asked: position });
        }
        let content = Content { cluster: &self.owner.0, node: &self.owner.1, position };
        let mut bytes = vec![0; 4];
        bytes = postcard::to_extend(&content, bytes).expect("strings and numbers can be encoded");
        let checksum = crc32c::crc32c(&bytes[4..]).to_le_bytes();
        bytes[..4].copy_from_slice(&checksum);
        self.env.replace_file(&self.path, bytes).await?;
        self.position = position;
        Ok(())
    }
}
