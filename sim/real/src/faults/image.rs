//! A node's directory as it is in memory, and what a power loss makes of it.

use super::record::Record;
use crate::files::LOCK_FILE;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a disk writes as a whole, in bytes.
const SECTOR: usize = 512;

/// What a power loss took away.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lost {
    /// Changes of files and names that no sync had covered.
    pub pending: usize,
    /// Files whose content is another than before.
    pub files: usize,
    /// Changes of names that did not happen.
    pub names: usize,
}

/// The files of a directory: what they are called and what is in them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Image {
    pub(super) names: BTreeMap<String, u64>,
    pub(super) files: BTreeMap<u64, Vec<u8>>,
    pub(super) directories: BTreeSet<String>,
}

/// A change that was undone and may happen all the same.
enum Undone<'a> {
    Content(u64, Change),
    Create(&'a str, u64),
    Rename { from: &'a str, to: &'a str, file: u64 },
    Remove(&'a str, u64),
    CreateDirectory(&'a str),
}

enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// How much of what was not synced a power loss leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Nothing,
    All,
    Some,
}

impl Keeps {
    /// One of the first `count` numbers and of `count` itself.
    fn of(self, count: usize, draw: &mut dyn FnMut() -> u64) -> usize {
        match self {
            Keeps::Nothing => 0,
            Keeps::All => count,
            Keeps::Some => (draw() % (count as u64 + 1)) as usize,
        }
    }
}

impl Image {
    /// Undoes what no sync has covered, and lets any part of it happen again.
    pub(super) fn lose_power(&mut self, pending: &[Record], draw: &mut dyn FnMut() -> u64) -> Lost {
        let keeps = [Keeps::Nothing, Keeps::All, Keeps::Some, Keeps::Some][(draw() % 4) as usize];
        let before = self.files.clone();
        let mut undone: Vec<Undone<'_>> =
            pending.iter().rev().filter_map(|record| self.undo(record)).collect();
        undone.reverse();
        let mut lost = Lost { pending: pending.len(), ..Lost::default() };
        let mut changes: BTreeMap<u64, Vec<Change>> = BTreeMap::new();
        let mut directories = Vec::new();
        for undone in undone {
            if let Undone::Content(file, change) = undone {
                changes.entry(file).or_default().push(change);
                continue;
            }
            if keeps.of(1, draw) == 1 {
                self.redo(&undone);
                continue;
            }
            lost.names += 1;
            if let Undone::CreateDirectory(path) = undone {
                directories.push(format!("{path}/"));
            }
        }
        for (file, changes) in changes {
            let Some(content) = self.files.get_mut(&file) else { continue };
            *content = some_of(content, &changes, &mut |count| keeps.of(count, draw));
            lost.files += usize::from(before.get(&file) != Some(content));
        }
        // What is in a directory that is not there is not there either.
        for directory in directories {
            self.names.retain(|name, _| !name.starts_with(&directory));
            self.directories.retain(|name| !name.starts_with(&directory));
        }
        lost
    }

    /// Takes a change back, if it was made, and says what would make it again.
    fn undo<'a>(&mut self, record: &'a Record) -> Option<Undone<'a>> {
        match record {
            Record::Write { file, offset, length, before, old } => {
                let content = self.files.get_mut(file)?;
                let start = *offset as usize;
                let end = content.len().min(start + *length as usize);
                let bytes = content.get(start..end).unwrap_or_default().to_vec();
                content.resize((*before as usize).max(start + old.len()), 0);
                content[start..start + old.len()].copy_from_slice(old);
                content.truncate(*before as usize);
                Some(Undone::Content(*file, Change::Write(start, bytes)))
            }
            Record::Length { file, length, before, old } => {
                let content = self.files.get_mut(file)?;
                content.truncate((*length).min(*before) as usize);
                content.extend_from_slice(old);
                Some(Undone::Content(*file, Change::Length(*length as usize)))
            }
            Record::Create { path } => {
                let file = self.names.remove(path)?;
                Some(Undone::Create(path, file))
            }
            Record::Rename { from, to, replaced } => {
                // The process was killed before it came to that.
                if self.names.contains_key(from) {
                    return None;
                }
                let file = self.names.remove(to)?;
                self.names.insert(from.clone(), file);
                if let Some(replaced) = replaced {
                    self.names.insert(to.clone(), *replaced);
                }
                Some(Undone::Rename { from, to, file })
            }
            Record::Remove { path, file } => {
                if self.names.contains_key(path) {
                    return None;
                }
                self.names.insert(path.clone(), *file);
                Some(Undone::Remove(path, *file))
            }
            Record::CreateDirectory { path } => {
                self.directories.remove(path).then_some(Undone::CreateDirectory(path))
            }
            Record::Synced { .. } | Record::SyncedDirectory { .. } => None,
        }
    }

    fn redo(&mut self, undone: &Undone<'_>) {
        match *undone {
            Undone::Content(..) => {}
            Undone::Create(path, file) => {
                self.names.insert(path.to_owned(), file);
            }
            Undone::Rename { from, to, file } => {
                if self.names.get(from) == Some(&file) {
                    self.names.remove(from);
                }
                self.names.insert(to.to_owned(), file);
            }
            Undone::Remove(path, file) => {
                if self.names.get(path) == Some(&file) {
                    self.names.remove(path);
                }
            }
            Undone::CreateDirectory(path) => {
                self.directories.insert(path.to_owned());
            }
        }
    }

    /// Reads a node's directory, and the files that have lost their names.
    pub(super) fn read(data: &Path, undo: &Path) -> io::Result<Image> {
        let mut image = Image::default();
        image.read_directory(data, "")?;
        for entry in fs::read_dir(undo)? {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            if let Some(number) = number {
                image.files.insert(number, fs::read(path)?);
            }
        }
        Ok(image)
    }

    fn read_directory(&mut self, directory: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                self.read_directory(&entry.path(), &format!("{name}/"))?;
                self.directories.insert(name);
            } else if name != LOCK_FILE {
                let number = entry.metadata()?.ino();
                self.files.insert(number, fs::read(entry.path())?);
                self.names.insert(name, number);
            }
        }
        Ok(())
    }

    /// Makes a directory hold this and nothing else, each file anew.
    pub(super) fn write(&self, data: &Path) -> io::Result<()> {
        for entry in fs::read_dir(data)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else if entry.file_name() != LOCK_FILE {
                fs::remove_file(entry.path())?;
            }
        }
        for directory in &self.directories {
            fs::create_dir_all(data.join(directory))?;
        }
        for (name, file) in &self.names {
            fs::write(data.join(name), self.files.get(file).map_or(&[][..], Vec::as_slice))?;
        }
        Ok(())
    }
}

/// The content of a file of whose changes any may have happened. `keep` draws how many of so many.
fn some_of(durable: &[u8], changes: &[Change], keep: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
    let after = |count: usize| {
        changes[..count].iter().fold(durable.len(), |length, change| match change {
            // The process was killed before it came to that.
            Change::Write(_, bytes) if bytes.is_empty() => length,
            Change::Write(offset, bytes) => length.max(offset + bytes.len()),
            Change::Length(length) => *length,
        })
    };
    let length = after(keep(changes.len()));
    let mut content = Vec::with_capacity(length);
    for start in (0..length).step_by(SECTOR) {
        let kept = keep(changes.len());
        content.extend_from_slice(&sector(start, durable, &changes[..kept]));
    }
    content.resize(length, 0);
    content
}

/// A sector after these changes.
fn sector(start: usize, durable: &[u8], changes: &[Change]) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    put(&mut sector, start, 0, durable);
    for change in changes {
        match change {
            Change::Write(offset, bytes) => put(&mut sector, start, *offset, bytes),
            Change::Length(length) if *length < start + SECTOR => {
                sector[length.saturating_sub(start)..].fill(0);
            }
            Change::Length(_) => {}
        }
    }
    sector
}

/// Puts into the sector at `start` what of these bytes at `offset` belongs there.
fn put(sector: &mut [u8; SECTOR], start: usize, offset: usize, bytes: &[u8]) {
    let from = offset.max(start);
    let to = (offset + bytes.len()).min(start + SECTOR);
    if from < to {
        sector[from - start..to - start].copy_from_slice(&bytes[from - offset..to - offset]);
    }
}

#[cfg(test)]
mod tests;
