//! What goes wrong with what is on a disk: bits that flip, writes that go astray, syncs that lie,
//! old copies and empty disks.

use super::files::{Files, Lie};
use super::inode::{Inode, SECTOR};
use crate::choice::{below, mix};

/// Where a fault struck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spot {
    pub(crate) inode: u32,
    pub(crate) sector: u64,
}

impl Files {
    /// A sector of what the disk holds, if it holds anything.
    fn pick_sector(&self, bits: u64) -> Option<Spot> {
        let files =
            || self.inodes.iter().enumerate().filter_map(|(at, file)| Some((at, file.as_ref()?)));
        let sectors = |length: usize| length.div_ceil(SECTOR) as u64;
        let all: u64 = files().map(|(_, file)| sectors(file.durable.len())).sum();
        let mut left = below(bits, all);
        for (at, file) in files() {
            let here = sectors(file.durable.len());
            if left < here {
                return Some(Spot { inode: at as u32, sector: left });
            }
            left -= here;
        }
        None
    }

    /// Flips one to eight bits of a sector, on the disk and in what is read from it.
    pub(crate) fn rot(&mut self, bits: u64) -> Option<Spot> {
        let spot = self.pick_sector(bits)?;
        let file = self.inode(spot.inode);
        let start = spot.sector as usize * SECTOR;
        let end = (start + SECTOR).min(file.durable.len());
        let (mut bits, mut flipped) = (mix(bits), Vec::new());
        for _ in 0..=below(bits, 8) {
            bits = mix(bits.wrapping_add(1));
            let bit = below(bits, (end - start) as u64 * 8) as usize;
            if flipped.contains(&bit) {
                continue;
            }
            flipped.push(bit);
            let (byte, mask) = (start + bit / 8, 1 << (bit % 8));
            file.durable[byte] ^= mask;
            if let Some(seen) = file.data.get_mut(byte) {
                *seen ^= mask;
            }
        }
        self.version += 1;
        Some(spot)
    }

    /// Writes over a sector of any file instead of where it should.
    pub(crate) fn misdirect(&mut self, bits: u64, bytes: &[u8]) -> Option<Spot> {
        let spot = self.pick_sector(bits)?;
        let file = self.inode(spot.inode);
        let start = spot.sector as usize * SECTOR;
        for content in [&mut file.durable, &mut file.data] {
            let end = (start + bytes.len()).min(content.len());
            if start < end {
                content[start..end].copy_from_slice(&bytes[..end - start]);
            }
        }
        self.version += 1;
        Some(spot)
    }

    /// What the disk holds, and nothing that is still to be written.
    pub(crate) fn copy(&self) -> Files {
        let mut copy = Files::default();
        copy.durable = self.durable.clone();
        copy.names = self.durable.clone();
        for inode in &self.inodes {
            copy.inodes.push(inode.as_ref().map(|file| Inode {
                is_directory: file.is_directory,
                data: file.durable.clone(),
                durable: file.durable.clone(),
                ..Inode::default()
            }));
        }
        copy
    }

    /// A sync is answered well and not done.
    pub(crate) fn lie(&mut self, inode: u32, mark: u64) {
        self.lies.push(Lie::File(inode, mark));
    }

    /// A sync of a directory is answered well and not done.
    pub(crate) fn lie_about_directory(&mut self, path: String, mark: u64) {
        self.lies.push(Lie::Directory(path, mark));
    }

    /// Whether something was reported durable and is not.
    pub(crate) fn has_lied(&self) -> bool {
        !self.lies.is_empty()
    }

    /// Does what was reported as done.
    pub(crate) fn make_good(&mut self) {
        for lie in std::mem::take(&mut self.lies) {
            match lie {
                Lie::File(inode, mark) => self.synced(inode, mark, true),
                Lie::Directory(path, mark) => self.directory_synced(&path, mark, true),
            }
        }
    }
}
