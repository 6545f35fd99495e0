//! What a disk may hold: a model that is told of every question and answer.

use super::{Ask, NAMES};
use squall_env::disk::DiskError;
use std::collections::BTreeMap;

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// What a power loss may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Losses {
    pub(super) writes: bool,
    pub(super) torn: bool,
    pub(super) garbage: bool,
    pub(super) lengths: bool,
    pub(super) entries: bool,
}

/// Of how many disks is known at a time that they may be the node's.
const DISKS_MAX: usize = 64;

/// One node's disk, as all that it may be by what is known of it: two files that a power loss has
/// emptied cannot be told apart by what is in them.
pub(super) struct Disks(Vec<Disk>);

impl Default for Disks {
    fn default() -> Disks {
        Disks(vec![Disk::default()])
    }
}

impl Disks {
    /// A question is asked.
    pub(super) fn asked(&mut self, ask: Option<&Ask>) {
        self.0.iter_mut().for_each(|disk| disk.open = ask.cloned());
    }

    /// How long the file is that is asked about, at least.
    pub(super) fn length(&self, ask: &Ask) -> usize {
        self.0.iter().map(|disk| disk.length(ask)).min().unwrap_or_default()
    }

    /// It is answered.
    pub(super) fn answered(
        &mut self,
        ask: &Ask,
        answer: &Result<Vec<u8>, DiskError>,
    ) -> Result<(), String> {
        self.keep(|disk| disk.answered(ask, answer).map(|()| Vec::new()))
    }

    /// A boot has found these files: after a power loss that may have taken something, or as the
    /// operating system had them.
    pub(super) fn found(
        &mut self,
        found: &BTreeMap<&'static str, Vec<u8>>,
        losses: Option<Losses>,
    ) -> Result<(), String> {
        self.keep(|disk| disk.found(found, losses))
    }

    /// Goes on with those disks that do not contradict, or with what each of them became.
    fn keep(
        &mut self,
        mut step: impl FnMut(&mut Disk) -> Result<Vec<Disk>, String>,
    ) -> Result<(), String> {
        let (mut kept, mut story) = (Vec::new(), String::new());
        for mut disk in std::mem::take(&mut self.0) {
            match step(&mut disk) {
                Ok(became) if became.is_empty() => kept.push(disk),
                Ok(became) => kept.extend(became),
                Err(why) => story = why,
            }
        }
        if kept.is_empty() {
            return Err(story);
        }
        kept.dedup();
        kept.truncate(DISKS_MAX);
        self.0 = kept;
        Ok(())
    }
}

#[derive(Default, PartialEq)]
struct Disk {
    files: Vec<File>,
    names: Names,
    durable: Names,
    pending: Vec<NameChange>,
    /// The last question, if it had no answer or a bad one: it may have taken effect.
    open: Option<Ask>,
}

type Names = BTreeMap<&'static str, usize>;

#[derive(Clone, Copy, PartialEq)]
enum NameChange {
    Bind(&'static str, usize),
    Unbind(&'static str),
    Rename(&'static str, &'static str, usize),
}

/// One file: what programs see, what is on the disk, and what was changed in between.
#[derive(Clone, Default, PartialEq)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, PartialEq)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

fn apply(names: &mut Names, change: NameChange) {
    match change {
        NameChange::Bind(name, file) => drop(names.insert(name, file)),
        NameChange::Unbind(name) => drop(names.remove(name)),
        NameChange::Rename(from, to, file) => {
            if names.get(from) == Some(&file) {
                names.remove(from);
            }
            names.insert(to, file);
        }
    }
}

fn change(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => content.resize(*length, 0),
        Change::Write(offset, bytes) => {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(bytes);
        }
    }
}

impl Disk {
    fn length(&self, ask: &Ask) -> usize {
        let Ask::Read(path) = ask else { return 0 };
        self.names.get(path).map_or(0, |file| self.files[*file].seen.len())
    }

    fn answered(&mut self, ask: &Ask, answer: &Result<Vec<u8>, DiskError>) -> Result<(), String> {
        match answer {
            Err(DiskError::NoSpace) => self.open = None,
            // What a failing sync gives up is seen by programs and is never on the disk.
            Err(_) if matches!(ask, Ask::Sync(_) | Ask::SyncNames) => {
                self.open = None;
                match ask {
                    Ask::Sync(path) => self.named(path)?.pending.clear(),
                    _ => self.pending.clear(),
                }
            }
            // Whether anything else took effect is seen at the next boot.
            Err(_) => {}
            Ok(bytes) => {
                self.open = None;
                return self.done(ask, bytes);
            }
        }
        Ok(())
    }

    fn done(&mut self, ask: &Ask, bytes: &[u8]) -> Result<(), String> {
        match ask {
            Ask::Sync(path) => {
                let file = self.named(path)?;
                for change_of in std::mem::take(&mut file.pending) {
                    change(&mut file.durable, &change_of);
                }
            }
            Ask::SyncNames => {
                for change in std::mem::take(&mut self.pending) {
                    apply(&mut self.durable, change);
                }
            }
            Ask::Read(path) => {
                let seen = &self.named(path)?.seen;
                if bytes.is_empty() != seen.is_empty() || !seen.starts_with(bytes) {
                    return Err(format!("reads other than it wrote from {path:?}"));
                }
            }
            other => self.take_effect(other)?,
        }
        Ok(())
    }

    fn named(&mut self, path: &str) -> Result<&mut File, String> {
        let file = self.names.get(path).ok_or_else(|| format!("there is no {path:?}"))?;
        Ok(&mut self.files[*file])
    }

    /// A change that programs see from now on.
    fn take_effect(&mut self, ask: &Ask) -> Result<(), String> {
        let of_names = match ask {
            Ask::Create(path) => {
                self.files.push(File::default());
                NameChange::Bind(path, self.files.len() - 1)
            }
            Ask::Rename(from, to) => {
                let file = *self.names.get(from).ok_or("there is nothing to rename")?;
                NameChange::Rename(from, to, file)
            }
            Ask::Remove(path) => NameChange::Unbind(path),
            Ask::Write { path, offset, bytes } => {
                let file = self.named(path)?;
                file.change(Change::Write(*offset as usize, bytes.clone()));
                return Ok(());
            }
            Ask::Truncate { path, length } => {
                self.named(path)?.change(Change::Length(*length as usize));
                return Ok(());
            }
            _ => return Ok(()),
        };
        apply(&mut self.names, of_names);
        self.pending.push(of_names);
        Ok(())
    }

    /// What the disk may be if a boot has found these files.
    fn found(
        &mut self,
        found: &BTreeMap<&'static str, Vec<u8>>,
        losses: Option<Losses>,
    ) -> Result<Vec<Disk>, String> {
        let open = self.open.take();
        // What was not answered well may have been done or not, and a write in part.
        let mut stories = vec![self.with(None)];
        stories.extend(open.as_ref().map(|ask| self.with(Some(ask))));
        let part = match &open {
            Some(Ask::Write { path, offset, bytes }) => Some((*path, *offset as usize, bytes)),
            _ => None,
        };
        let mut settled = Vec::new();
        for story in stories {
            for names in story.possible_names(losses) {
                let fits = names.keys().eq(found.keys())
                    && names.iter().all(|(name, file)| {
                        let file = &story.files[*file];
                        let part =
                            part.filter(|(path, ..)| self.names.get(path) == names.get(name));
                        let part = part.map(|(_, offset, bytes)| (offset, bytes.as_slice()));
                        file.may_hold(&found[name], losses, part)
                    });
                if fits {
                    settled.push(story.settle(names, found, losses.is_some()));
                }
            }
        }
        if !settled.is_empty() {
            return Ok(settled);
        }
        let lengths = |files: &BTreeMap<&'static str, Vec<u8>>| -> Vec<String> {
            files.iter().map(|(name, bytes)| format!("{name} of {}", bytes.len())).collect()
        };
        let seen = NAMES
            .into_iter()
            .filter_map(|name| Some((name, self.files[*self.names.get(name)?].seen.clone())));
        Err(format!(
            "finds {:?} after {:?}; programs had seen {:?}, {} names and {open:?} were open",
            lengths(found),
            losses,
            lengths(&seen.collect()),
            self.pending.len()
        ))
    }

    /// The disk with this question done.
    fn with(&self, ask: Option<&Ask>) -> Disk {
        let mut other = Disk {
            files: self.files.clone(),
            names: self.names.clone(),
            durable: self.durable.clone(),
            pending: self.pending.clone(),
            open: None,
        };
        if let Some(ask) = ask {
            // One that has failed had nothing to change.
            let _ = other.take_effect(ask);
        }
        other
    }

    /// All sets of names that may be left.
    fn possible_names(&self, losses: Option<Losses>) -> Vec<Names> {
        let Some(losses) = losses else { return vec![self.names.clone()] };
        let all = vec![self.durable.clone()];
        self.pending.iter().fold(all, |all, change| {
            let with = all.iter().map(|names| {
                let mut names = names.clone();
                apply(&mut names, *change);
                names
            });
            let mut both: Vec<Names> = with.collect();
            if losses.entries {
                both.extend(all);
            }
            both.sort();
            both.dedup();
            both
        })
    }

    /// What was found is what there is.
    fn settle(
        &self,
        names: Names,
        found: &BTreeMap<&'static str, Vec<u8>>,
        power_loss: bool,
    ) -> Disk {
        let mut disk = self.with(None);
        for (name, file) in &names {
            let file = &mut disk.files[*file];
            if power_loss {
                let content = found[name].clone();
                *file = File { seen: content.clone(), durable: content, pending: Vec::new() };
            } else if file.seen != found[name] {
                // A write has taken effect in part.
                file.change(Change::Length(found[name].len()));
                file.change(Change::Write(0, found[name].clone()));
            }
        }
        if power_loss {
            disk.durable = names.clone();
            disk.pending.clear();
        }
        Disk { names, ..disk }
    }
}

impl File {
    fn change(&mut self, made: Change) {
        change(&mut self.seen, &made);
        self.pending.push(made);
    }

    /// Whether this may be its content. `part` is a write that may have taken effect in part.
    fn may_hold(
        &self,
        content: &[u8],
        losses: Option<Losses>,
        part: Option<(usize, &[u8])>,
    ) -> bool {
        let Some(losses) = losses.filter(|losses| losses.writes) else {
            let whole = if losses.is_some() { self.after_all() } else { self.seen.clone() };
            let in_part = |(offset, bytes): (usize, &[u8])| {
                (0..=bytes.len()).any(|length| {
                    let mut whole = whole.clone();
                    change(&mut whole, &Change::Write(offset, bytes[..length].to_vec()));
                    whole == content
                })
            };
            return whole == content || part.is_some_and(in_part);
        };
        self.may_have_length(content, losses, part)
            && (0..content.len().div_ceil(SECTOR))
                .all(|sector| self.may_have_sector(sector, content, losses, part))
    }

    /// What there is after a power loss that takes nothing but what a sync gave up.
    fn after_all(&self) -> Vec<u8> {
        let mut content = self.durable.clone();
        self.pending.iter().for_each(|made| change(&mut content, made));
        content
    }

    fn may_have_length(
        &self,
        content: &[u8],
        losses: Losses,
        part: Option<(usize, &[u8])>,
    ) -> bool {
        let mut length = self.durable.len();
        let mut lengths = vec![length];
        for made in &self.pending {
            length = match made {
                Change::Length(length) => *length,
                Change::Write(offset, bytes) => length.max(offset + bytes.len()),
            };
            lengths.push(length);
        }
        let longest = lengths.iter().copied().max().unwrap_or_default();
        // Where the data orders the length, a file ends where the first lost sector begins.
        let ends_early = !losses.lengths
            && content.len() >= self.durable.len()
            && content.len().is_multiple_of(SECTOR)
            && content.len() < longest;
        let in_part = part.is_some_and(|(offset, bytes)| {
            (length..=offset + bytes.len()).contains(&content.len())
        });
        lengths.contains(&content.len()) || ends_early || in_part
    }

    fn may_have_sector(
        &self,
        sector: usize,
        content: &[u8],
        losses: Losses,
        part: Option<(usize, &[u8])>,
    ) -> bool {
        let (start, end) = (sector * SECTOR, content.len().min((sector + 1) * SECTOR));
        let cut = |whole: &[u8]| {
            let mut bytes = [0; SECTOR];
            if start < whole.len() {
                let upto = whole.len().min(start + SECTOR);
                bytes[..upto - start].copy_from_slice(&whole[start..upto]);
            }
            bytes
        };
        let mut whole = self.durable.clone();
        let mut versions = vec![cut(&whole)];
        let (mut written, mut behind) = (false, false);
        let part = part.map(|(offset, bytes)| Change::Write(offset, bytes.to_vec()));
        for made in self.pending.iter().chain(&part) {
            change(&mut whole, made);
            written |= matches!(made, Change::Write(offset, bytes)
                if *offset < end && offset + bytes.len() > start);
            behind |= matches!(made, Change::Write(offset, bytes)
                if *offset < start + SECTOR && offset + bytes.len() > end);
            versions.push(cut(&whole));
        }
        versions.dedup();
        let found = &content[start..end];
        if versions.len() > 1 && losses.garbage {
            return true;
        }
        let cuts = self.pending.iter().any(|made| matches!(made, Change::Length(_)));
        // A torn sector may have kept of what was written only what is behind the file's end.
        let hidden = losses.torn && behind;
        let missing = written && !cuts && !hidden && start >= self.durable.len();
        if missing && !losses.lengths && found.iter().all(|byte| *byte == 0) {
            return false;
        }
        let pieces = 1 + usize::from(losses.torn) + usize::from(part.is_some());
        pieces_of(found, &versions) <= pieces
    }
}

/// Of how many pieces of these versions, one behind the other, this is made at least.
fn pieces_of(found: &[u8], versions: &[[u8; SECTOR]]) -> usize {
    let (mut at, mut pieces) = (0, 0);
    while at < found.len() {
        let same = |version: &[u8; SECTOR]| {
            found[at..].iter().zip(&version[at..]).take_while(|(a, b)| a == b).count()
        };
        let longest = versions.iter().map(same).max().unwrap_or_default();
        if longest == 0 {
            return usize::MAX;
        }
        at += longest;
        pieces += 1;
    }
    pieces
}
