//! The files of one node, and what a failed sync makes of them.

use crate::error::RunError;
use crate::hello::{self, Greeting};
use squall_env::disk::{DiskError, Done, FileToken, Operation};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

/// The file in a node's directory that it keeps locked while it runs. A node can neither use nor
/// see it.
pub const LOCK_FILE: &str = "squall.lock";

/// The directory of one node, which nobody else has while this exists.
pub(crate) struct Files {
    root: PathBuf,
    open: BTreeMap<u64, Open>,
    last: u64,
    /// Files and directories whose sync has failed, under the names that they have now. The system
    /// may have dropped what it could not write, and would report the next sync a success.
    failed: BTreeSet<String>,
    /// Holds the name of the node that the directory belongs to. Closing it gives the directory
    /// back.
    lock: File,
}

struct Open {
    file: File,
    /// The name it has now; none once it is removed or replaced.
    path: Option<String>,
    failed: bool,
}

impl Files {
    /// Makes the directory if it is not there, and locks it.
    pub(crate) fn open(root: &Path) -> Result<Files, RunError> {
        let failed = |source| RunError::Data { path: root.to_owned(), source };
        make_durably(root).map_err(failed)?;
        let mut options = OpenOptions::new();
        let lock = options.read(true).write(true).create(true).truncate(false);
        let lock = lock.open(root.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(RunError::DataInUse { path: root.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(Files {
            root: root.to_owned(),
            open: BTreeMap::new(),
            last: 0,
            failed: BTreeSet::new(),
            lock,
        })
    }

    /// Sees to it that the directory is this node's, and makes it so if it is nobody's.
    pub(crate) fn claim(
        &mut self,
        cluster: &str,
        node: Option<String>,
        must_exist: bool,
    ) -> Result<(), RunError> {
        let failed = |source| RunError::Data { path: self.root.clone(), source };
        let mut bytes = Vec::new();
        (&self.lock).read_to_end(&mut bytes).map_err(failed)?;
        let mine = Greeting::Hello { cluster: cluster.to_owned(), node };
        // Nothing is done in a directory before this name in it is durable, so what is no name was
        // torn when the node was started first.
        match hello::decode(&bytes) {
            Ok(owner) if owner == mine => return Ok(()),
            Ok(Greeting::Hello { cluster, node }) => {
                let node = node.unwrap_or_else(|| "a guest".to_owned());
                let (path, found) = (self.root.clone(), format!("{node} of {cluster}"));
                return Err(RunError::DataForeign { path, found });
            }
            _ if must_exist => return Err(RunError::DataMissing { path: self.root.clone() }),
            _ => {}
        }
        let name = hello::encode(&mine);
        self.lock.set_len(0).map_err(failed)?;
        self.lock.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.lock.write_all(&name).and_then(|()| self.lock.sync_all()).map_err(failed)?;
        sync_names(&self.root).map_err(failed)
    }

    /// Carries an operation out.
    pub(crate) fn execute(&mut self, operation: Operation) -> Result<Done, DiskError> {
        match operation {
            Operation::Open { path, create } => self.open_file(path, create),
            Operation::Close { file } => {
                self.open.remove(&file.0).map(|_| Done::Unit).ok_or_else(not_open)
            }
            Operation::Read { file, offset, length, buffer } => {
                self.read(file, offset, length, buffer)
            }
            Operation::Write { file, offset, data } => self.write(file, offset, data),
            Operation::WriteSync { file, offset, data } => {
                let written = self.write(file, offset, data)?;
                self.sync(file, File::sync_data).map(|_| written)
            }
            Operation::Truncate { file, length } => {
                let set = self.usable(file)?.file.set_len(length);
                set.map(|()| Done::Unit).map_err(|error| mapped(&error, ""))
            }
            // The length is part of what has to be known to read the data back.
            Operation::Sync { file } => self.sync(file, File::sync_data),
            Operation::CreateDirectory { path } => self.create_directory(&path),
            Operation::SyncDirectory { path } => {
                self.sync_directory(&path, |full| File::open(full)?.sync_all())
            }
            Operation::Rename { from, to } => self.rename(&from, to),
            Operation::Remove { path } => self.remove(&path),
            Operation::List { path } => self.list(&path),
        }
    }

    fn open_file(&mut self, path: String, create: bool) -> Result<Done, DiskError> {
        let full = self.named(&path)?;
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(create).truncate(false).open(full);
        let file = opened.map_err(|error| mapped(&error, &path))?;
        let length = file.metadata().map_err(|error| mapped(&error, &path))?.len();
        self.last += 1;

        self.open.insert(self.last, Open { file, path: Some(path), failed: false });
        Ok(Done::Opened { file: FileToken(self.last), length })
    }

    fn read(
        &mut self,
        file: FileToken,
        offset: u64,
        length: usize,
        mut buffer: Vec<u8>,
    ) -> Result<Done, DiskError> {
        let file = &mut self.usable(file)?.file;
        buffer.clear();
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| {
            // The size is a hint alone: what is not there is not reserved for.
            let there = file.metadata()?.len().saturating_sub(offset);
            let expected = usize::try_from(there).unwrap_or(usize::MAX).min(length);
            buffer.try_reserve_exact(expected)?;
            file.take(length as u64).read_to_end(&mut buffer)
        });
        read.map(|_| Done::Buffer(buffer)).map_err(|error| mapped(&error, ""))
    }

    fn write(&mut self, file: FileToken, offset: u64, data: Vec<u8>) -> Result<Done, DiskError> {
        let file = &mut self.usable(file)?.file;
        let written = file.seek(SeekFrom::Start(offset)).and_then(|_| file.write_all(&data));
        written.map(|()| Done::Buffer(data)).map_err(|error| mapped(&error, ""))
    }

    fn sync(
        &mut self,
        file: FileToken,
        flush: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<Done, DiskError> {
        let open = self.usable(file)?;
        let Err(error) = flush(&open.file) else { return Ok(Done::Unit) };
        open.failed = true;
        if let Some(path) = open.path.clone() {
            for other in self.open.values_mut().filter(|other| other.path.as_ref() == Some(&path)) {
                other.failed = true;
            }
            self.failed.insert(path);
        }
        Err(mapped(&error, ""))
    }

    fn sync_directory(
        &mut self,
        path: &str,
        flush: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<Done, DiskError> {
        let full = self.directory(path)?;
        match flush(&full) {
            Ok(()) => Ok(Done::Unit),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    self.failed.insert(path.to_owned());
                }
                Err(mapped(&error, path))
            }
        }
    }

    fn create_directory(&mut self, path: &str) -> Result<Done, DiskError> {
        let full = self.named(path)?;
        match fs::create_dir(&full) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && full.is_dir() => {}
            result => result.map_err(|error| mapped(&error, path))?,
        }
        Ok(Done::Unit)
    }

    fn rename(&mut self, from: &str, to: String) -> Result<Done, DiskError> {
        let (full_from, full_to) = (self.named(from)?, self.named(&to)?);
        let found = fs::symlink_metadata(&full_from).map_err(|error| mapped(&error, from))?;
        if found.is_dir() {
            return Err(DiskError::Invalid(format!("{from:?} is a directory")));
        }
        fs::rename(full_from, full_to).map_err(|error| mapped(&error, from))?;
        if from != to {
            self.rename_open(&to, None);
            self.rename_open(from, Some(&to));
        }
        Ok(Done::Unit)
    }

    fn remove(&mut self, path: &str) -> Result<Done, DiskError> {
        fs::remove_file(self.named(path)?).map_err(|error| mapped(&error, path))?;
        self.rename_open(path, None);
        Ok(Done::Unit)
    }

    fn rename_open(&mut self, from: &str, to: Option<&str>) {
        for open in self.open.values_mut().filter(|open| open.path.as_deref() == Some(from)) {
            open.path = to.map(str::to_owned);
        }
    }

    fn list(&mut self, path: &str) -> Result<Done, DiskError> {
        let full = self.directory(path)?;
        let read = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(full)? {
                let entry = entry?;
                // A name that is not UTF-8 was not given by a node.
                let Ok(name) = entry.file_name().into_string() else { continue };
                let hidden = path.is_empty() && name == LOCK_FILE;
                if !hidden && !entry.file_type()?.is_dir() {
                    names.push(name);
                }
            }
            names.sort();
            Ok(names)
        };
        read().map(Done::Names).map_err(|error| mapped(&error, path))
    }

    /// The open file as the system has it.
    #[cfg(all(feature = "faults", unix))]
    pub(crate) fn handle(&self, file: FileToken) -> Option<&File> {
        self.open.get(&file.0).map(|open| &open.file)
    }

    /// The open file, unless its sync has failed.
    fn usable(&mut self, file: FileToken) -> Result<&mut Open, DiskError> {
        let open = self.open.get_mut(&file.0).ok_or_else(not_open)?;
        if open.failed { Err(DiskError::Io) } else { Ok(open) }
    }

    /// The place of a file or directory that is not the node's own.
    pub(crate) fn named(&self, path: &str) -> Result<PathBuf, DiskError> {
        if path == LOCK_FILE {
            return Err(DiskError::Invalid(format!("{path:?} is the lock of the directory")));
        }
        if path.is_empty() {
            return Err(DiskError::Invalid("the empty path is no file".to_owned()));
        }
        self.directory(path)
    }

    /// The place of a file or directory; the empty path is the node's own.
    fn directory(&self, path: &str) -> Result<PathBuf, DiskError> {
        if !path.is_empty() && !path.split('/').all(is_name) {
            return Err(DiskError::Invalid(format!("{path:?} is no path within the directory")));
        }
        if self.failed.contains(path) {
            return Err(DiskError::Io);
        }
        Ok(if path.is_empty() { self.root.clone() } else { self.root.join(path) })
    }
}

/// Whether this is one plain name on this system: neither `..` nor, say, a drive.
fn is_name(part: &str) -> bool {
    let mut components = Path::new(part).components();
    let plain = matches!(components.next(), Some(Component::Normal(name)) if name == part);
    plain && components.next().is_none() && !part.contains(['\0', '\\'])
}

fn not_open() -> DiskError {
    DiskError::Invalid("the file is not open".to_owned())
}

fn mapped(error: &io::Error, path: &str) -> DiskError {
    match error.kind() {
        ErrorKind::NotFound => DiskError::NotFound(path.to_owned()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskError::NoSpace,
        _ if is_device_error(error) => DiskError::Io,
        _ => DiskError::Other(error.to_string()),
    }
}

#[cfg(unix)]
fn is_device_error(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::IO)
}

#[cfg(not(unix))]
fn is_device_error(_error: &io::Error) -> bool {
    false
}

#[cfg(unix)]
fn sync_names(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_names(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes a directory and its parents, each durable in the one that holds it.
fn make_durably(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_durably(parent)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (tempfile::TempDir, Files) {
        let root = tempfile::tempdir().unwrap();
        let files = Files::open(root.path()).unwrap();
        (root, files)
    }

    fn open(files: &mut Files, path: &str) -> Result<FileToken, DiskError> {
        match files.execute(Operation::Open { path: path.to_owned(), create: true })? {
            Done::Opened { file, .. } => Ok(file),
            other => panic!("an open file was answered with {other:?}"),
        }
    }

    fn broken(_: &File) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(5))
    }

    #[test]
    fn after_a_failed_sync_nothing_more_is_done_with_the_file() {
        let (_root, mut files) = files();
        let (file, second) = (open(&mut files, "a").unwrap(), open(&mut files, "a").unwrap());
        assert_eq!(files.sync(file, broken).unwrap_err(), DiskError::Io);
        for token in [file, second] {
            let write = Operation::Write { file: token, offset: 0, data: vec![1] };
            assert_eq!(files.execute(write).unwrap_err(), DiskError::Io);
            let sync = Operation::Sync { file: token };
            assert_eq!(files.execute(sync).unwrap_err(), DiskError::Io);
            let both = Operation::WriteSync { file: token, offset: 0, data: vec![1] };
            assert_eq!(files.execute(both).unwrap_err(), DiskError::Io);
        }
        assert_eq!(open(&mut files, "a").unwrap_err(), DiskError::Io);
        let (from, to) = ("a".to_owned(), "b".to_owned());
        assert_eq!(files.execute(Operation::Rename { from, to }).unwrap_err(), DiskError::Io);
        assert!(open(&mut files, "b").is_ok(), "other files are not concerned");
    }

    #[test]
    fn a_failed_sync_follows_the_file_to_its_new_name() {
        let (_root, mut files) = files();
        let file = open(&mut files, "a.new").unwrap();
        let (from, to) = ("a.new".to_owned(), "a".to_owned());
        files.execute(Operation::Rename { from, to }).unwrap();
        files.sync(file, broken).unwrap_err();
        assert_eq!(open(&mut files, "a").unwrap_err(), DiskError::Io);
        assert!(open(&mut files, "a.new").is_ok());
    }

    #[test]
    fn after_a_failed_sync_of_a_directory_it_is_not_synced_again() {
        let (_root, mut files) = files();
        let broken = |_: &Path| Err(io::Error::from_raw_os_error(5));
        assert_eq!(files.sync_directory("", broken).unwrap_err(), DiskError::Io);
        let again = Operation::SyncDirectory { path: String::new() };
        assert_eq!(files.execute(again).unwrap_err(), DiskError::Io);
    }

    #[test]
    fn a_path_is_made_of_plain_names() {
        let (_root, files) = files();
        for path in
            ["", "/", "/a", "a/", "a//b", ".", "./a", "..", "a/../b", "a\\b", "a\0", LOCK_FILE]
        {
            assert!(matches!(files.named(path), Err(DiskError::Invalid(_))), "{path:?}");
        }
        for path in ["a", "a.b", "a/b", "...", "a b"] {
            assert!(files.named(path).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn errors_of_the_system_are_told_apart() {
        let of = |code| mapped(&io::Error::from_raw_os_error(code), "a");
        assert_eq!(of(2), DiskError::NotFound("a".to_owned()));
        assert_eq!(of(5), DiskError::Io);
        assert_eq!(of(28), DiskError::NoSpace);
        assert!(matches!(of(13), DiskError::Other(_)));
    }
}
