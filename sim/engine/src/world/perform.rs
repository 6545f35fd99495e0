//! What disk operations do to a node's files, and how they fail.

use super::disk::{Effect, Handle, NodeDisk};
use super::files::parent;
use crate::choice::{Entity, below, hash_text};
use squall_env::disk::{DiskError, Done, FileToken, Operation};
use std::mem;

pub(super) const CODE_CLOSE: u64 = 2;
pub(super) const CODE_READ: u64 = 3;
pub(super) const CODE_WRITE: u64 = 4;
pub(super) const CODE_SYNC: u64 = 6;

/// The operation's number in digests, and the path or file that its choices go by.
pub(super) fn name(disk: &NodeDisk, operation: &Operation) -> (u64, u64) {
    let of = |file: &FileToken| {
        let handle = disk.handles.get(file.0 as usize).copied().flatten();
        handle.map_or(0, |handle| handle.entity.0)
    };
    match operation {
        Operation::Open { path, .. } => (1, hash_text(path)),
        Operation::Close { file } => (CODE_CLOSE, of(file)),
        Operation::Read { file, .. } => (CODE_READ, of(file)),
        Operation::Write { file, .. } | Operation::WriteSync { file, .. } => (CODE_WRITE, of(file)),
        Operation::Truncate { file, .. } => (5, of(file)),
        Operation::Sync { file } => (CODE_SYNC, of(file)),
        Operation::CreateDirectory { path } => (7, hash_text(path)),
        Operation::SyncDirectory { path } => (8, hash_text(path)),
        Operation::Rename { to, .. } => (9, hash_text(to)),
        Operation::Remove { path } => (10, hash_text(path)),
        Operation::List { path } => (11, hash_text(path)),
    }
}

fn check_path(path: &str) -> Result<(), DiskError> {
    let good = |part: &str| !part.is_empty() && part != "." && part != "..";
    if path.split('/').all(good) {
        return Ok(());
    }
    Err(DiskError::Invalid(format!("{path:?} is not a path within the node's directory")))
}

/// What is wrong with a disk for a while.
#[derive(Clone, Copy)]
pub(super) struct Health {
    full: bool,
    lying: bool,
}

impl Health {
    pub(super) fn of(full: bool, lying: bool) -> Health {
        Health { full, lying }
    }
}

/// Takes out of an operation what it holds.
pub(super) fn perform(
    disk: &mut NodeDisk,
    operation: &mut Operation,
    failing: Option<u64>,
    health: Health,
) -> (Result<Done, DiskError>, Effect) {
    if health.full && grows(disk, operation) {
        return (Err(DiskError::NoSpace), Effect::None);
    }
    match operation {
        Operation::Sync { file } => {
            let Some(handle) = disk.handles.get(file.0 as usize).copied().flatten() else {
                return (Err(not_open()), Effect::None);
            };
            let (inode, mark) = (handle.inode, disk.files.sync_mark(handle.inode));
            let failed = failing.is_some();
            if health.lying && !failed {
                disk.files.lie(inode, mark);
                return (Ok(Done::Unit), Effect::None);
            }
            let effect = Effect::Sync { inode, mark };
            (if failed { Err(DiskError::Io) } else { Ok(Done::Unit) }, effect)
        }
        Operation::SyncDirectory { path } => {
            let path = mem::take(path);
            if !disk.files.directory_exists(&path) {
                return (Err(DiskError::NotFound(path)), Effect::None);
            }
            let (mark, failed) = (disk.files.directory_mark(), failing.is_some());
            if health.lying && !failed {
                disk.files.lie_about_directory(path, mark);
                return (Ok(Done::Unit), Effect::None);
            }
            let effect = Effect::SyncDirectory { path, mark };
            (if failed { Err(DiskError::Io) } else { Ok(Done::Unit) }, effect)
        }
        other => match failing {
            Some(bits) => (Err(fail(disk, other, bits)), Effect::None),
            None => (change(disk, other), Effect::None),
        },
    }
}

/// Whether an operation needs space that is not there.
fn grows(disk: &mut NodeDisk, operation: &Operation) -> bool {
    let length = |disk: &mut NodeDisk, file: FileToken| {
        let handle = disk.handles.get(file.0 as usize).copied().flatten();
        handle.map_or(u64::MAX, |handle| disk.files.length(handle.inode))
    };
    match operation {
        Operation::Open { path, create } => *create && disk.files.find(path).is_none(),
        Operation::Write { file, offset, data } | Operation::WriteSync { file, offset, data } => {
            *offset + data.len() as u64 > length(disk, *file)
        }
        Operation::Truncate { file, length: wanted } => *wanted > length(disk, *file),
        Operation::CreateDirectory { path } => !disk.files.directory_exists(path),
        _ => false,
    }
}

fn not_open() -> DiskError {
    DiskError::Invalid("the file is not open".to_owned())
}

/// An operation that answers with an error may have taken effect all the same, or in part.
fn fail(disk: &mut NodeDisk, operation: &mut Operation, bits: u64) -> DiskError {
    match operation {
        Operation::Write { data, .. } | Operation::WriteSync { data, .. } => {
            data.truncate(below(bits, data.len() as u64 + 1) as usize);
            let _ = change(disk, operation);
        }
        Operation::Truncate { .. } | Operation::Rename { .. } | Operation::Remove { .. }
            if bits & 1 == 0 =>
        {
            let _ = change(disk, operation);
        }
        _ => {}
    }
    DiskError::Io
}

fn change(disk: &mut NodeDisk, operation: &mut Operation) -> Result<Done, DiskError> {
    let handle = |disk: &NodeDisk, file: &FileToken| {
        disk.handles.get(file.0 as usize).copied().flatten().ok_or_else(not_open)
    };
    match operation {
        Operation::Open { path, create } => open(disk, mem::take(path), *create),
        Operation::Close { file } => {
            let handle = handle(disk, file)?;
            disk.handles[file.0 as usize] = None;
            disk.files.closed(handle.inode);
            Ok(Done::Unit)
        }
        Operation::Read { file, offset, length, buffer } => {
            let handle = handle(disk, file)?;
            disk.files.read(handle.inode, *offset, *length, buffer);
            Ok(Done::Buffer(mem::take(buffer)))
        }
        // The sync behind a write is an operation of its own.
        Operation::Write { file, offset, data } | Operation::WriteSync { file, offset, data } => {
            let handle = handle(disk, file)?;
            disk.files.write(handle.inode, *offset, data);
            Ok(Done::Buffer(mem::take(data)))
        }
        Operation::Truncate { file, length } => {
            let handle = handle(disk, file)?;
            disk.files.truncate(handle.inode, *length);
            Ok(Done::Unit)
        }
        Operation::CreateDirectory { path } => {
            check_path(path)?;
            if !disk.files.directory_exists(parent(path)) {
                return Err(DiskError::NotFound(mem::take(path)));
            }
            if !disk.files.directory_exists(path) {
                disk.files.make(path, true);
            }
            Ok(Done::Unit)
        }
        Operation::Rename { from, to } => {
            check_path(to)?;
            if disk.files.find(from).is_none() || !disk.files.directory_exists(parent(to)) {
                return Err(DiskError::NotFound(mem::take(from)));
            }
            disk.files.rename(from, to);
            // A file that is open goes by its new name from now on.
            let (inode, entity) = (disk.files.find(to), Entity(hash_text(to)));
            let renamed = disk.handles.iter_mut().flatten();
            renamed.filter(|handle| Some(handle.inode) == inode).for_each(|handle| {
                handle.entity = entity;
            });
            Ok(Done::Unit)
        }
        Operation::Remove { path } => {
            if disk.files.find(path).is_none() {
                return Err(DiskError::NotFound(mem::take(path)));
            }
            disk.files.remove(path);
            Ok(Done::Unit)
        }
        Operation::List { path } => {
            if !disk.files.directory_exists(path) {
                return Err(DiskError::NotFound(mem::take(path)));
            }
            Ok(Done::Names(disk.files.list(path)))
        }
        Operation::Sync { .. } | Operation::SyncDirectory { .. } => Ok(Done::Unit),
    }
}

fn open(disk: &mut NodeDisk, path: String, create: bool) -> Result<Done, DiskError> {
    check_path(&path)?;
    let inode = match disk.files.find(&path) {
        Some(inode) => inode,
        None if create && disk.files.directory_exists(parent(&path)) => {
            disk.files.make(&path, false)
        }
        None => return Err(DiskError::NotFound(path)),
    };
    disk.files.opened(inode);
    let entry = Some(Handle { inode, entity: Entity(hash_text(&path)) });
    let place = match disk.handles.iter().position(Option::is_none) {
        Some(free) => {
            disk.handles[free] = entry;
            free
        }
        None => {
            disk.handles.push(entry);
            disk.handles.len() - 1
        }
    };
    let length = disk.files.length(inode);
    Ok(Done::Opened { file: FileToken(place as u64), length })
}
