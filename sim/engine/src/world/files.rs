//! A node's files, once as programs see them and once as a power loss would find them.
//!
//! Writes, lengths and names become durable apart from each other. What is not durable is kept as
//! any subset: every sector of a file takes any of the contents it had since the last sync, the
//! length any of its lengths, and every change of a name happened or did not (the model of ALICE:
//! Pillai et al., OSDI 2014). A rename is one change: its target has the old file or the new one.

use super::inode::{Inode, Losses, Lost};
use crate::choice::{Choices, Domain, Entity, hash_text};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

#[derive(Clone)]
struct NameChange {
    directory: Path,
    number: u64,
    kind: NameKind,
}

#[derive(Clone)]
enum NameKind {
    Bind { name: Path, inode: u32 },
    Unbind { name: Path },
    Rename { from: Path, to: Path, inode: u32 },
}

/// A path that several tables share.
type Path = Rc<str>;

type Names = BTreeMap<Path, u32>;

/// What is left of a file: its path, its inode and its content.
pub(crate) struct Left<'a> {
    pub(crate) path: Path,
    inode: u32,
    pub(crate) content: Cow<'a, [u8]>,
}

fn rename(names: &mut Names, kind: &NameKind) {
    match kind {
        NameKind::Bind { name, inode } => {
            names.insert(Rc::clone(name), *inode);
        }
        NameKind::Unbind { name } => {
            names.remove(name);
        }
        NameKind::Rename { from, to, inode } => {
            if names.get(from) == Some(inode) {
                names.remove(from);
            }
            names.insert(Rc::clone(to), *inode);
        }
    }
}

/// The directory part of a path.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// All files of one node.
#[derive(Default)]
pub(crate) struct Files {
    pub(super) inodes: Vec<Option<Inode>>,
    pub(super) names: Names,
    pub(super) durable: Names,
    pending: Vec<NameChange>,
    changes: u64,
    /// Inodes that are open, with how often.
    open: BTreeMap<u32, u32>,
    /// Syncs that were answered well and are still to be done.
    pub(super) lies: Vec<Lie>,
    /// Goes up with every change of content or names.
    pub(super) version: u64,
    /// Empty buffers for the files to come.
    pub(super) spare: Vec<Vec<u8>>,
}

/// A sync that has done nothing yet: of a file, or of a directory.
pub(super) enum Lie {
    File(u32, u64),
    Directory(String, u64),
}

impl Files {
    pub(crate) fn find(&self, path: &str) -> Option<u32> {
        self.names.get(path).copied().filter(|inode| !self.is_directory(*inode))
    }

    fn is_directory(&self, inode: u32) -> bool {
        self.inodes[inode as usize].as_ref().is_some_and(|inode| inode.is_directory)
    }

    pub(crate) fn directory_exists(&self, path: &str) -> bool {
        path.is_empty() || self.names.get(path).is_some_and(|inode| self.is_directory(*inode))
    }

    pub(crate) fn make(&mut self, path: &str, is_directory: bool) -> u32 {
        let fresh = Some(Inode::new(is_directory, &mut self.spare));
        let inode = match self.inodes.iter().position(Option::is_none) {
            Some(free) => {
                self.inodes[free] = fresh;
                free as u32
            }
            None => {
                self.inodes.push(fresh);
                self.inodes.len() as u32 - 1
            }
        };
        self.change(parent(path), NameKind::Bind { name: path.into(), inode });
        inode
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.change(parent(path), NameKind::Unbind { name: path.into() });
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        let Some(inode) = self.names.get(from).copied() else { return };
        let kind = NameKind::Rename { from: from.into(), to: to.into(), inode };
        self.change(parent(to), kind);
    }

    fn change(&mut self, directory: &str, kind: NameKind) {
        rename(&mut self.names, &kind);
        self.version += 1;
        self.changes += 1;
        let directory = directory.into();
        self.pending.push(NameChange { directory, number: self.changes, kind });
    }

    pub(crate) fn list(&self, directory: &str) -> Vec<String> {
        let inside = |path: &&Path| parent(path) == directory;
        let files = self.names.iter().filter(|(_, inode)| !self.is_directory(**inode));
        let names = files.map(|(path, _)| path).filter(inside);
        names.map(|path| path.rsplit('/').next().unwrap_or_default().to_owned()).collect()
    }

    pub(super) fn inode(&mut self, inode: u32) -> &mut Inode {
        self.inodes[inode as usize].as_mut().expect("an open file exists")
    }

    pub(crate) fn opened(&mut self, inode: u32) {
        *self.open.entry(inode).or_default() += 1;
    }

    pub(crate) fn closed(&mut self, inode: u32) {
        if let Some(count) = self.open.get_mut(&inode) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&inode);
                self.collect();
            }
        }
    }

    pub(crate) fn length(&mut self, inode: u32) -> u64 {
        self.inode(inode).data.len() as u64
    }

    pub(crate) fn read(&mut self, inode: u32, offset: u64, length: usize, into: &mut Vec<u8>) {
        let data = &self.inode(inode).data;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        let end = start.saturating_add(length).min(data.len());
        into.clear();
        into.extend_from_slice(&data[start..end]);
    }

    pub(crate) fn write(&mut self, inode: u32, offset: u64, bytes: &[u8]) {
        self.version += 1;
        self.inode(inode).write(offset as usize, bytes);
    }

    pub(crate) fn truncate(&mut self, inode: u32, length: u64) {
        self.version += 1;
        self.inode(inode).truncate(length as usize);
    }

    /// How many changes a sync that starts now covers.
    pub(crate) fn sync_mark(&mut self, inode: u32) -> u64 {
        let inode = self.inode(inode);
        inode.covered + inode.pending.len() as u64
    }

    /// A sync is done. If it failed, what it should have made durable counts as clean and is not
    /// on the disk.
    pub(crate) fn synced(&mut self, inode: u32, mark: u64, well: bool) {
        if let Some(Some(inode)) = self.inodes.get_mut(inode as usize) {
            inode.sync(mark, well);
        }
    }

    pub(crate) fn directory_mark(&self) -> u64 {
        self.changes
    }

    pub(crate) fn directory_synced(&mut self, directory: &str, mark: u64, well: bool) {
        let durable = &mut self.durable;
        self.pending.retain(|change| {
            let covered = &*change.directory == directory && change.number <= mark;
            if covered && well {
                rename(durable, &change.kind);
            }
            !covered
        });
        self.collect();
    }

    /// Forgets files that nobody can reach any more.
    fn collect(&mut self) {
        let mut used = vec![false; self.inodes.len()];
        let named = self.names.values().chain(self.durable.values()).chain(self.open.keys());
        for inode in named {
            used[*inode as usize] = true;
        }
        for change in &self.pending {
            if let NameKind::Bind { inode, .. } | NameKind::Rename { inode, .. } = &change.kind {
                used[*inode as usize] = true;
            }
        }
        for (inode, used) in self.inodes.iter_mut().zip(used) {
            if !used && let Some(file) = inode.take() {
                file.leave(&mut self.spare);
            }
        }
    }

    /// The files as a power loss now would leave them: path, inode, content.
    pub(crate) fn after_power_loss(
        &self,
        choices: &Choices,
        crash: Entity,
        losses: Losses,
    ) -> (Vec<Left<'_>>, Lost) {
        let mut lost = Lost::default();
        let mut names = Cow::Borrowed(&self.durable);
        for change in &self.pending {
            let (NameKind::Bind { name, .. }
            | NameKind::Unbind { name }
            | NameKind::Rename { to: name, .. }) = &change.kind;
            let entity = crash.named(name);
            let bits = choices.draw(Domain::CrashEntry, entity, change.number);
            if losses.entries && bits & 1 == 0 {
                lost.entries += 1;
            } else {
                rename(names.to_mut(), &change.kind);
            }
        }
        let mut left = Vec::with_capacity(names.len());
        for (path, inode) in &*names {
            let Some(Some(file)) = self.inodes.get(*inode as usize) else { continue };
            let (path, inode) = (Rc::clone(path), *inode);
            if file.is_directory {
                left.push(Left { path, inode, content: Cow::Borrowed(&[]) });
                continue;
            }
            let directory = parent(&path);
            if !directory.is_empty() && !names.contains_key(directory) {
                continue;
            }
            let entity = crash.named(&path);
            let draw = |n| choices.draw(Domain::CrashData, entity, n);
            let (content, parts) = file.after_power_loss(&draw, losses);
            lost.writes += parts.writes;
            lost.torn += parts.torn;
            lost.garbage += parts.garbage;
            lost.lengths += parts.lengths;
            left.push(Left { path, inode, content });
        }
        (left, lost)
    }

    /// The files as programs see them.
    pub(crate) fn now(&self) -> Vec<Left<'_>> {
        let left = |(path, inode): (&Path, &u32)| match self.inodes.get(*inode as usize) {
            Some(Some(file)) if !file.is_directory => {
                let content = Cow::Borrowed(file.data.as_slice());
                Some(Left { path: Rc::clone(path), inode: *inode, content })
            }
            _ => None,
        };
        self.names.iter().filter_map(left).collect()
    }

    /// The power fails.
    pub(crate) fn lose_power(
        &mut self,
        choices: &Choices,
        crash: Entity,
        losses: Losses,
    ) -> (Lost, u64) {
        let (left, lost) = self.after_power_loss(choices, crash, losses);
        let left: Vec<(Path, u32, Option<Vec<u8>>)> = left
            .into_iter()
            .map(|Left { path, inode, content }| match content {
                // Nothing was pending, so what programs see is what is durable.
                Cow::Borrowed(_) => (path, inode, None),
                Cow::Owned(content) => (path, inode, Some(content)),
            })
            .collect();
        let mut hash = 0;
        self.names = left.iter().map(|(path, inode, _)| (Rc::clone(path), *inode)).collect();
        self.durable = self.names.clone();
        self.pending.clear();
        self.lies.clear();
        for (path, inode, content) in left {
            let file = self.inode(inode);
            file.covered += file.pending.len() as u64;
            file.pending.clear();
            file.log.clear();
            if let Some(content) = content {
                file.durable = content;
            }
            // After a failed sync there may be clean pages that the disk does not have.
            file.data.clone_from(&file.durable);
            hash ^= hash_text(&path) ^ crate::digest::hash_bytes(&file.data);
        }
        self.open.clear();
        self.collect();
        (lost, hash)
    }

    /// The files that have changes which a power loss may take, with how many.
    pub(crate) fn unsynced(&self) -> Vec<(String, u64)> {
        let files = self.names.iter().filter_map(|(path, inode)| {
            let file = self.inodes.get(*inode as usize)?.as_ref()?;
            Some((path.to_string(), file.pending.len() as u64))
        });
        files.filter(|(_, changes)| *changes > 0).collect()
    }

    /// Whether there is anything on the disk.
    pub(crate) fn holds_something(&self) -> bool {
        self.inodes.iter().flatten().any(|file| !file.durable.is_empty())
    }

    /// The process ends and the operating system lives on, with all that it has cached.
    pub(crate) fn close_all(&mut self) {
        self.open.clear();
        self.collect();
    }
}
