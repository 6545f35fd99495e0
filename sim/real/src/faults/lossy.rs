//! A node's files, with a note of how to undo each change that no sync has covered.

use super::record::{Log, Record};
use super::{DiskFaults, Skip};
use crate::files::Files;
use squall_env::disk::{DiskError, Done, FileToken, Operation};
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// A node's files, whose power can be lost.
pub(super) struct Lossy {
    files: Files,
    log: Log,
    skip: Option<Skip>,
    sync_delay: Duration,
}

fn failed(error: io::Error) -> DiskError {
    DiskError::Other(format!("the undo log: {error}"))
}

impl Lossy {
    pub(super) fn new(files: Files, faults: &DiskFaults) -> io::Result<Lossy> {
        let DiskFaults { undo, skip, sync_delay } = faults;
        Ok(Lossy { files, log: Log::open(undo)?, skip: *skip, sync_delay: *sync_delay })
    }

    /// Carries an operation out, and notes before a change how to undo it.
    pub(super) fn execute(&mut self, operation: Operation) -> Result<Done, DiskError> {
        match operation {
            Operation::WriteSync { file, offset, data } => {
                let written = self.execute(Operation::Write { file, offset, data })?;
                self.execute(Operation::Sync { file })?;
                Ok(written)
            }
            Operation::Sync { file } => self.sync(file),
            Operation::SyncDirectory { path } => self.sync_directory(path),
            other => {
                let record = self.undoes(&other).map_err(failed)?;
                if let Some(record) = record {
                    self.log.add(record).map_err(failed)?;
                }
                self.files.execute(other)
            }
        }
    }

    fn sync(&mut self, file: FileToken) -> Result<Done, DiskError> {
        if self.skip == Some(Skip::Files) {
            return Ok(Done::Unit);
        }
        thread::sleep(self.sync_delay);
        let done = self.files.execute(Operation::Sync { file })?;
        let number = self.files.handle(file).map(number_of).transpose().map_err(failed)?;
        if let Some(file) = number {
            self.log.add(Record::Synced { file }).map_err(failed)?;
        }
        Ok(done)
    }

    fn sync_directory(&mut self, path: String) -> Result<Done, DiskError> {
        if self.skip == Some(Skip::Directories) {
            return Ok(Done::Unit);
        }
        thread::sleep(self.sync_delay);
        let done = self.files.execute(Operation::SyncDirectory { path: path.clone() })?;
        self.log.add(Record::SyncedDirectory { path }).map_err(failed)?;
        Ok(done)
    }

    /// How to undo what an operation is about to do; nothing if it will change nothing. What cannot
    /// be done is refused by the files, and a note of it undoes nothing.
    fn undoes(&self, operation: &Operation) -> io::Result<Option<Record>> {
        Ok(match operation {
            Operation::Open { path, create: true } if self.is_missing(path) => {
                Some(Record::Create { path: path.clone() })
            }
            Operation::CreateDirectory { path } if self.is_missing(path) => {
                Some(Record::CreateDirectory { path: path.clone() })
            }
            Operation::Write { file, offset, data } => {
                self.content(*file, *offset, data.len())?.map(|(file, before, old)| Record::Write {
                    file,
                    offset: *offset,
                    length: data.len() as u64,
                    before,
                    old,
                })
            }
            Operation::Truncate { file, length } => {
                let cut = self.content(*file, *length, usize::MAX)?;
                cut.map(|(file, before, old)| Record::Length { file, length: *length, before, old })
            }
            Operation::Rename { from, to } if from != to && !self.is_missing(from) => {
                let replaced = self.keep(to)?;
                Some(Record::Rename { from: from.clone(), to: to.clone(), replaced })
            }
            Operation::Remove { path } => {
                self.keep(path)?.map(|file| Record::Remove { path: path.clone(), file })
            }
            _ => None,
        })
    }

    /// Whether nothing has this name; a path that leads out of the directory has something.
    fn is_missing(&self, path: &str) -> bool {
        self.files.named(path).is_ok_and(|full| !full.exists())
    }

    /// The number of an open file, its length, and up to so many bytes at an offset.
    fn content(
        &self,
        file: FileToken,
        offset: u64,
        most: usize,
    ) -> io::Result<Option<(u64, u64, Vec<u8>)>> {
        let Some(file) = self.files.handle(file) else { return Ok(None) };
        let length = file.metadata()?.len();
        let there = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut old = vec![0; there.min(most)];
        file.read_exact_at(&mut old, offset)?;
        Ok(Some((number_of(file)?, length, old)))
    }

    /// Keeps a file that is about to lose its name. Says which one, if there is one.
    fn keep(&self, path: &str) -> io::Result<Option<u64>> {
        let Ok(full) = self.files.named(path) else { return Ok(None) };
        let Ok(metadata) = fs::symlink_metadata(&full) else { return Ok(None) };
        if !metadata.is_file() {
            return Ok(None);
        }
        let number = metadata.ino();
        link(&full, &self.log.kept(number))?;
        Ok(Some(number))
    }
}

fn number_of(file: &fs::File) -> io::Result<u64> {
    Ok(file.metadata()?.ino())
}

/// Gives a file a second name, if it has not got that yet.
fn link(file: &Path, second: &Path) -> io::Result<()> {
    match fs::hard_link(file, second) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
