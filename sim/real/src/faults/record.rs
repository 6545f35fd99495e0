//! What a node writes down before each change, so that the change can be undone.
//!
//! A record is `length u32 | checksum u32 | body`, little-endian; the body is in the format of
//! postcard, and the checksum is its CRC-32C. One that is torn ends the log: its change was not
//! begun. The log need not be synced, for it outlives the process and not the machine.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A change that is about to be made, or a sync that was. Files are known by the numbers that the
/// system gives them, which stay with a file whatever it is called.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Record {
    /// So many bytes are written at an offset of a file that has the length `before`; these are
    /// there now.
    Write { file: u64, offset: u64, length: u64, before: u64, old: Vec<u8> },
    /// A file that has the length `before` gets another; these bytes are cut off.
    Length { file: u64, length: u64, before: u64, old: Vec<u8> },
    /// A file is made.
    Create { path: String },
    /// A file gets another name, which another file may have had.
    Rename { from: String, to: String, replaced: Option<u64> },
    /// A file is removed.
    Remove { path: String, file: u64 },
    /// A directory is made.
    CreateDirectory { path: String },
    /// What was written to the file before is durable.
    Synced { file: u64 },
    /// The names in the directory are durable.
    SyncedDirectory { path: String },
}

/// What has to be synced for a change to be durable.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Scope<'a> {
    File(u64),
    Directory(&'a str),
}

/// The directory part of a path.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

impl Record {
    fn scope(&self) -> Scope<'_> {
        match self {
            Record::Write { file, .. } | Record::Length { file, .. } | Record::Synced { file } => {
                Scope::File(*file)
            }
            Record::Create { path }
            | Record::Remove { path, .. }
            | Record::CreateDirectory { path } => Scope::Directory(parent(path)),
            Record::Rename { to, .. } => Scope::Directory(parent(to)),
            Record::SyncedDirectory { path } => Scope::Directory(path),
        }
    }

    fn is_sync(&self) -> bool {
        matches!(self, Record::Synced { .. } | Record::SyncedDirectory { .. })
    }

    /// The file that loses a name.
    fn unnamed(&self) -> Option<u64> {
        match self {
            Record::Rename { replaced, .. } => *replaced,
            Record::Remove { file, .. } => Some(*file),
            _ => None,
        }
    }
}

/// The changes that no sync has covered yet, in memory and on the disk.
pub(super) struct Log {
    directory: PathBuf,
    file: File,
    pending: Vec<Record>,
}

impl Log {
    /// Opens the log in its directory, which is made if it is not there.
    pub(super) fn open(directory: &Path) -> io::Result<Log> {
        fs::create_dir_all(directory)?;
        let path = directory.join("log");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let mut pending = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((record, behind)) = decode(rest) {
            note(&mut pending, record);
            rest = behind;
        }
        let whole = (bytes.len() - rest.len()) as u64;
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        file.set_len(whole)?;
        Ok(Log { directory: directory.to_owned(), file, pending })
    }

    /// The changes that no sync has covered, in order.
    pub(super) fn records(&self) -> &[Record] {
        &self.pending
    }

    /// Where a file without a name is kept, so that it can have it back.
    pub(super) fn kept(&self, file: u64) -> PathBuf {
        self.directory.join(file.to_string())
    }

    /// Writes a record down.
    pub(super) fn add(&mut self, record: Record) -> io::Result<()> {
        let is_sync = record.is_sync();
        if is_sync && !self.pending.iter().any(|pending| pending.scope() == record.scope()) {
            return Ok(());
        }
        self.file.write_all(&encode(&record)?)?;
        let settled = note(&mut self.pending, record);
        if self.pending.is_empty() {
            self.file.set_len(0)?;
        }
        for file in settled.into_iter().filter_map(|record| record.unnamed()) {
            let is_wanted = |record: &Record| record.unnamed() == Some(file);
            if !self.pending.iter().any(is_wanted) {
                remove(&self.kept(file))?;
            }
            // Its number may soon be another's.
            self.add(Record::Synced { file })?;
        }
        Ok(())
    }

    /// Forgets everything: all that is there is durable.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        for file in self.pending.iter().filter_map(Record::unnamed) {
            remove(&self.kept(file))?;
        }
        self.pending.clear();
        self.file.set_len(0)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Adds a change, or takes those out that a sync covers and gives them back.
fn note(pending: &mut Vec<Record>, record: Record) -> Vec<Record> {
    if !record.is_sync() {
        pending.push(record);
        return Vec::new();
    }
    let (settled, left) =
        std::mem::take(pending).into_iter().partition(|other| other.scope() == record.scope());
    *pending = left;
    settled
}

fn encode(record: &Record) -> io::Result<Vec<u8>> {
    let body = postcard::to_stdvec(record).map_err(io::Error::other)?;
    let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// The first record and what is behind it, if it is whole.
fn decode(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    Some((postcard::from_bytes(body).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: u64) -> Record {
        Record::Write { file, offset: 0, length: 1, before: 0, old: Vec::new() }
    }

    fn create(path: &str) -> Record {
        Record::Create { path: path.to_owned() }
    }

    #[test]
    fn a_sync_covers_what_came_before_it_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let mut log = Log::open(root.path()).unwrap();
        for record in [write(1), write(2), create("a"), create("in/b")] {
            log.add(record).unwrap();
        }
        log.add(Record::Synced { file: 1 }).unwrap();
        log.add(Record::SyncedDirectory { path: "in".to_owned() }).unwrap();
        log.add(write(1)).unwrap();
        let left = [write(2), create("a"), write(1)];
        assert_eq!(log.records(), left);
        assert_eq!(Log::open(root.path()).unwrap().records(), left, "as a new process sees it");
    }

    #[test]
    fn the_log_is_empty_once_all_is_durable() {
        let root = tempfile::tempdir().unwrap();
        let mut log = Log::open(root.path()).unwrap();
        fs::write(log.kept(7), "removed").unwrap();
        log.add(Record::Remove { path: "a".to_owned(), file: 7 }).unwrap();
        log.add(write(7)).unwrap();
        log.add(Record::SyncedDirectory { path: String::new() }).unwrap();
        assert!(log.records().is_empty() && !log.kept(7).exists());
        assert_eq!(fs::metadata(root.path().join("log")).unwrap().len(), 0);
    }

    #[test]
    fn a_torn_record_ends_the_log() {
        let root = tempfile::tempdir().unwrap();
        let mut log = Log::open(root.path()).unwrap();
        log.add(write(1)).unwrap();
        log.add(write(2)).unwrap();
        let path = root.path().join("log");
        let bytes = fs::read(&path).unwrap();
        for cut in [1, 5, bytes.len() / 2 - 1] {
            fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
            let mut log = Log::open(root.path()).unwrap();
            assert_eq!(log.records(), [write(1)]);
            log.add(write(3)).unwrap();
            assert_eq!(Log::open(root.path()).unwrap().records(), [write(1), write(3)]);
        }
    }
}
