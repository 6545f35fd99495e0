//! Files of a node, opened and used one operation at a time.

use crate::Env;
use crate::disk::{Completion, DiskError, Done, FileToken, Operation, Slot};

impl Env {
    /// Opens a file, and creates it if `create` is set. A created file is durable once it and its
    /// directory are synced.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn open_file(&self, path: &str, create: bool) -> Result<File, DiskError> {
        let operation = Operation::Open { path: path.to_owned(), create };
        let mut slot = Slot::default();
        match slot.run(self.platform(), operation).await? {
            Done::Opened { file, length } => {
                Ok(File { env: self.clone(), slot, file, length, kept: false })
            }
            _ => Err(unexpected()),
        }
    }

    async fn disk(&self, operation: Operation) -> Result<Done, DiskError> {
        Slot::default().run(self.platform(), operation).await
    }

    /// Makes a directory; its parent must exist.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn create_directory(&self, path: &str) -> Result<(), DiskError> {
        self.disk(Operation::CreateDirectory { path: path.to_owned() }).await.map(drop)
    }

    /// Makes the names in a directory durable; the empty path is the node's own directory.
    ///
    /// # Errors
    /// What the disk answers; after that nothing is known of the names, and the node must stop.
    pub async fn sync_directory(&self, path: &str) -> Result<(), DiskError> {
        self.disk(Operation::SyncDirectory { path: path.to_owned() }).await.map(drop)
    }

    /// Gives a file another name and replaces what had it, in one step.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let operation = Operation::Rename { from: from.to_owned(), to: to.to_owned() };
        self.disk(operation).await.map(drop)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn remove_file(&self, path: &str) -> Result<(), DiskError> {
        self.disk(Operation::Remove { path: path.to_owned() }).await.map(drop)
    }

    /// The names of the files in a directory, sorted; the empty path is the node's own.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn list(&self, directory: &str) -> Result<Vec<String>, DiskError> {
        match self.disk(Operation::List { path: directory.to_owned() }).await? {
            Done::Names(names) => Ok(names),
            _ => Err(unexpected()),
        }
    }

    /// The whole content of a file, or `None` if there is no such file.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
        match self.open_file(path, false).await {
            Ok(mut file) => file.read_all().await.map(Some),
            Err(DiskError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces a file as a whole: after a crash at any moment it has the old content or the new,
    /// and once this returns it has the new. It writes `PATH.new`, syncs it, renames it and syncs
    /// the directory.
    ///
    /// # Errors
    /// What the disk answers. What the file holds is then unknown until the node has recovered.
    pub async fn replace_file(&self, path: &str, content: Vec<u8>) -> Result<(), DiskError> {
        self.put_file(path, content).await.map(drop)
    }

    /// As [`Env::replace_file`], and gives the new file, which is still open.
    pub(crate) async fn put_file(&self, path: &str, content: Vec<u8>) -> Result<File, DiskError> {
        let fresh = [path, ".new"].concat();
        let mut file = self.open_file(&fresh, true).await?;
        if file.length() > 0 {
            // An earlier attempt has left it behind.
            file.truncate(0).await?;
        }
        file.write_and_sync(0, content).await?;
        file.run(Operation::Rename { from: fresh, to: path.to_owned() }).await?;
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        file.run(Operation::SyncDirectory { path: directory.to_owned() }).await?;
        Ok(file)
    }
}

fn unexpected() -> DiskError {
    DiskError::Other("the disk answered another question than was asked".to_owned())
}

/// An open file. Dropping it closes it; what was not synced stays so.
pub struct File {
    env: Env,
    slot: Slot,
    file: FileToken,
    length: u64,
    /// Whether somebody else closes it.
    kept: bool,
}

impl File {
    /// The length in bytes, as far as this handle knows: what it was at opening, and what this
    /// handle changed since.
    pub fn length(&self) -> u64 {
        self.length
    }

    async fn run(&mut self, operation: Operation) -> Result<Done, DiskError> {
        self.slot.run(self.env.platform(), operation).await
    }

    /// Reads up to `length` bytes; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn read_at(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, DiskError> {
        let mut bytes = self.read_some(offset, length, Vec::new()).await?;
        let mut more = bytes.len();
        while bytes.len() < length && more > 0 {
            let rest = length - bytes.len();
            let next = self.read_some(offset + bytes.len() as u64, rest, Vec::new()).await?;
            more = next.len();
            bytes.extend_from_slice(&next);
        }
        Ok(bytes)
    }

    /// One read, which may give less than there is, but nothing only at the end.
    async fn read_some(
        &mut self,
        offset: u64,
        length: usize,
        buffer: Vec<u8>,
    ) -> Result<Vec<u8>, DiskError> {
        let file = self.file;
        match self.run(Operation::Read { file, offset, length, buffer }).await? {
            Done::Buffer(bytes) => Ok(bytes),
            _ => Err(unexpected()),
        }
    }

    /// Reads the file as it is now from start to end.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn read_all(&mut self) -> Result<Vec<u8>, DiskError> {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        self.read_at(0, length).await
    }

    /// Writes at an offset. Durable after the next [`File::sync`].
    ///
    /// # Errors
    /// What the disk answers; part of the data may then be written.
    pub async fn write_at(&mut self, offset: u64, data: Vec<u8>) -> Result<(), DiskError> {
        let end = offset + data.len() as u64;
        self.run(Operation::Write { file: self.file, offset, data }).await?;
        self.length = self.length.max(end);
        Ok(())
    }

    /// Writes at an offset and makes data and length durable.
    ///
    /// # Errors
    /// As [`File::sync`].
    pub async fn write_and_sync(&mut self, offset: u64, data: Vec<u8>) -> Result<(), DiskError> {
        let end = offset + data.len() as u64;
        self.run(Operation::WriteSync { file: self.file, offset, data }).await?;
        self.length = self.length.max(end);
        Ok(())
    }

    /// Writes at the end.
    ///
    /// # Errors
    /// As [`File::write_at`].
    pub async fn append(&mut self, data: Vec<u8>) -> Result<(), DiskError> {
        self.write_at(self.length, data).await
    }

    /// Cuts or extends the file.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn truncate(&mut self, length: u64) -> Result<(), DiskError> {
        self.run(Operation::Truncate { file: self.file, length }).await?;
        self.length = length;
        Ok(())
    }

    /// Makes data and length durable.
    ///
    /// # Errors
    /// After a failure nothing is known of what was written since the last success, and asking
    /// again proves nothing: the node must stop and recover.
    pub async fn sync(&mut self) -> Result<(), DiskError> {
        self.run(Operation::Sync { file: self.file }).await.map(drop)
    }
}

impl File {
    /// The file, which is open until somebody else closes it.
    pub(crate) fn into_token(mut self) -> FileToken {
        self.kept = true;
        self.file
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let close = Operation::Close { file: self.file };
        self.env.platform().submit(close, Completion::unobserved());
    }
}
