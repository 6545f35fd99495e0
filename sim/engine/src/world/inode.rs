//! One file, once as programs see it and once as it is on the disk.

use super::spare::leave;
use crate::choice::{below, mix};
use std::borrow::Cow;
use std::collections::VecDeque;

/// What a disk writes as a whole.
pub(crate) const SECTOR: usize = 512;

/// What a power loss may do to what was not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Losses {
    pub(crate) writes: bool,
    pub(crate) torn: bool,
    pub(crate) garbage: bool,
    pub(crate) length_without_data: bool,
    pub(crate) entries: bool,
}

/// Which of the losses did something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) writes: u64,
    pub(crate) torn: u64,
    pub(crate) garbage: u64,
    pub(crate) lengths: u64,
    pub(crate) entries: u64,
}

#[derive(Clone, Copy)]
pub(super) enum Change {
    /// Bytes of the file's log, written at an offset.
    Write {
        offset: usize,
        start: usize,
        length: usize,
    },
    Length(usize),
}

/// A file or directory: what programs see, and what is on the disk.
#[derive(Default, Clone)]
pub(super) struct Inode {
    pub(super) is_directory: bool,
    pub(super) data: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Changes that no sync has covered yet, and how many were covered before them.
    pub(super) pending: VecDeque<Change>,
    pub(super) covered: u64,
    /// The bytes of pending writes.
    pub(super) log: Vec<u8>,
}

impl Inode {
    /// An empty file, with the room of these buffers.
    pub(super) fn new(is_directory: bool, spare: &mut Vec<Vec<u8>>) -> Inode {
        let mut inode = Inode { is_directory, ..Inode::default() };
        if !is_directory {
            for content in [&mut inode.data, &mut inode.durable, &mut inode.log] {
                *content = spare.pop().unwrap_or_default();
            }
        }
        inode
    }

    /// Leaves the room that it had.
    pub(super) fn leave(self, spare: &mut Vec<Vec<u8>>) {
        for content in [self.log, self.durable, self.data] {
            leave(spare, content);
        }
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let start = self.log.len();
        put(&mut self.data, offset, bytes);
        put(&mut self.log, start, bytes);
        self.pending.push_back(Change::Write { offset, start, length: bytes.len() });
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.data.resize(length, 0);
        self.pending.push_back(Change::Length(length));
    }

    /// Makes the first changes durable, up to this count since the file was made.
    pub(super) fn sync(&mut self, upto: u64, keep: bool) {
        while self.covered < upto {
            let Some(change) = self.pending.pop_front() else { break };
            self.covered += 1;
            match change {
                _ if !keep => {}
                Change::Length(length) => self.durable.resize(length, 0),
                Change::Write { offset, start, length } => {
                    put(&mut self.durable, offset, &self.log[start..start + length]);
                }
            }
        }
        if self.pending.is_empty() {
            self.log.clear();
        }
    }

    /// The content that a power loss leaves.
    pub(super) fn after_power_loss(
        &self,
        draw: &dyn Fn(u64) -> u64,
        losses: Losses,
    ) -> (Cow<'_, [u8]>, Lost) {
        let mut lost = Lost::default();
        if self.pending.is_empty() {
            return (Cow::Borrowed(&self.durable), lost);
        }
        if !losses.writes {
            let mut whole = self.durable.clone();
            for change in &self.pending {
                apply(&mut whole, *change, &self.log);
            }
            return (Cow::Owned(whole), lost);
        }
        let kept_length = below(draw(0), self.pending.len() as u64 + 1) as usize;
        let mut length = self.durable.len();
        let mut longest = length;
        for (at, change) in self.pending.iter().enumerate() {
            let after = match *change {
                Change::Length(length) => length,
                Change::Write { offset, length: bytes, .. } => length_after(length, offset + bytes),
            };
            longest = longest.max(after);
            if at < kept_length {
                length = after;
            }
        }
        let mut content = Vec::with_capacity(longest);
        for sector in 0..longest.div_ceil(SECTOR) {
            let bits = draw(1 + sector as u64);
            let after = self.sector_after(sector, bits, losses);
            lost.torn += u64::from(after.torn);
            lost.garbage += u64::from(after.garbage);
            if after.lost && sector * SECTOR >= self.durable.len() && sector * SECTOR < length {
                if losses.length_without_data {
                    lost.lengths += 1;
                } else {
                    // A file that orders its data before its length ends here.
                    length = sector * SECTOR;
                }
            }
            content.extend_from_slice(&after.bytes);
        }
        content.resize(length, 0);
        lost.writes = u64::from(content != self.data);
        (Cow::Owned(content), lost)
    }

    /// One of the contents that a sector had since the last sync, a mixture of two, or garbage.
    fn sector_after(&self, sector: usize, bits: u64, losses: Losses) -> SectorAfter {
        let start = sector * SECTOR;
        let mut versions = vec![[0; SECTOR]];
        copy_into(&mut versions[0], start, 0, &self.durable);
        for change in &self.pending {
            let mut next = versions[versions.len() - 1];
            match *change {
                Change::Length(length) if length < start + SECTOR => {
                    next[length.saturating_sub(start)..].fill(0);
                }
                Change::Length(_) => {}
                Change::Write { offset, start: from, length } => {
                    copy_into(&mut next, start, offset, &self.log[from..from + length]);
                }
            }
            if next != versions[versions.len() - 1] {
                versions.push(next);
            }
        }
        let picked = below(bits, versions.len() as u64) as usize;
        // Whatever way it came by what it had at first, nothing of what was written is there.
        let lost = versions.len() > 1 && versions[picked] == versions[0];
        let mut after = SectorAfter { bytes: versions[picked], lost, torn: false, garbage: false };
        let bits = mix(bits);
        if versions.len() < 2 {
            return after;
        }
        if losses.garbage && bits >> 62 == 0 {
            (after.garbage, after.lost) = (true, false);
            fill_with_garbage(&mut after.bytes, bits);
            return after;
        }
        if !losses.torn || bits & 1 == 0 {
            return after;
        }
        // The head is of another version than the tail, as when power fails while it is written.
        let other = &versions[(picked + 1) % versions.len()];
        let cut = 1 + below(mix(bits), SECTOR as u64 - 1) as usize;
        after.bytes[..cut].copy_from_slice(&other[..cut]);
        after.torn = !versions.contains(&after.bytes);
        after.lost = after.bytes == versions[0];
        after
    }
}

/// What a power loss made of a sector.
struct SectorAfter {
    bytes: [u8; SECTOR],
    /// Whether nothing of what was written is there.
    lost: bool,
    torn: bool,
    garbage: bool,
}

fn fill_with_garbage(sector: &mut [u8; SECTOR], mut bits: u64) {
    for chunk in sector.chunks_exact_mut(8) {
        bits = mix(bits.wrapping_add(1));
        chunk.copy_from_slice(&bits.to_le_bytes());
    }
}

/// How much room a file gets at first, so that small journals do not move as they grow.
const ROOM: usize = 8 * SECTOR;

/// Writes at an offset; a gap behind the end reads as zeros.
pub(super) fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.capacity() == 0 {
        content.reserve(ROOM.max(offset + bytes.len()));
    }
    if content.len() < offset {
        content.resize(offset, 0);
    }
    let (over, behind) = bytes.split_at(bytes.len().min(content.len() - offset));
    content[offset..offset + over.len()].copy_from_slice(over);
    content.extend_from_slice(behind);
}

fn length_after(length: usize, end: usize) -> usize {
    length.max(end)
}

fn apply(content: &mut Vec<u8>, change: Change, log: &[u8]) {
    match change {
        Change::Length(length) => content.resize(length, 0),
        Change::Write { offset, start, length } => {
            put(content, offset, &log[start..start + length]);
        }
    }
}

/// Copies what of `bytes` (which begin at `offset` of the file) falls into the sector at `start`.
fn copy_into(sector: &mut [u8; SECTOR], start: usize, offset: usize, bytes: &[u8]) {
    let from = start.max(offset);
    let to = (start + SECTOR).min(offset + bytes.len());
    if from < to {
        sector[from - start..to - start].copy_from_slice(&bytes[from - offset..to - offset]);
    }
}
