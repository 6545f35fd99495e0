//! One byte of a journal that becomes another while its node is down, as on a disk that rots.
//!
//! A node tells damage from the torn tail of a write that nobody was told of by what was written
//! later; so a byte of the last writes may be taken for such a tail, and what they held is lost as
//! if it had never been synced. The byte is therefore one of the first half of a journal that is
//! long enough.

use super::node::Error;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The shortest journal of which a byte is flipped, in bytes.
const LENGTH_MIN: usize = 8 << 10;

/// A byte of a file, and which of its bits are turned.
pub(super) struct Flip {
    path: PathBuf,
    offset: u64,
    bits: u8,
}

impl Flip {
    /// A byte of the longest journal in a directory; none if none is long enough.
    pub(super) fn draw(data: &Path, bits: u64) -> Result<Option<Flip>, Error> {
        let failed = || Error::io(data.display().to_string());
        let (mut longest, mut found) = (Vec::new(), None);
        for entry in std::fs::read_dir(data).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            if path.extension().is_none_or(|ending| ending != "log") {
                continue;
            }
            let bytes = std::fs::read(&path).map_err(failed())?;
            if bytes.len() >= LENGTH_MIN.max(longest.len()) {
                (longest, found) = (bytes, Some(path));
            }
        }
        let from = (bits % (LENGTH_MIN as u64 / 4)) as usize;
        // What is zero most often fills a sector up, and nobody reads it.
        let offset = longest.iter().skip(from).position(|byte| *byte != 0);
        let byte = found.zip(offset.map(|at| from + at));
        let byte = byte.filter(|(_, offset)| *offset < longest.len() / 2);
        Ok(byte.map(|(path, offset)| Flip { path, offset: offset as u64, bits: 1 << (bits >> 61) }))
    }

    /// Turns the bits: done twice, nothing has changed.
    pub(super) fn turn(&self) -> Result<(), Error> {
        let turned = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().read(true).write(true).open(&self.path)?;
            let mut byte = [0];
            file.seek(SeekFrom::Start(self.offset))?;
            file.read_exact(&mut byte)?;
            file.seek(SeekFrom::Start(self.offset))?;
            file.write_all(&[byte[0] ^ self.bits])
        };
        turned().map_err(Error::io(self.path.display().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_is_turned_and_turned_back() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("raft.00000002.log");
        let whole = vec![7; LENGTH_MIN];
        std::fs::write(data.path().join("raft.snapshot"), vec![7; 1 << 20]).unwrap();
        std::fs::write(data.path().join("raft.00000001.log"), [7; 100]).unwrap();
        assert!(Flip::draw(data.path(), 5).unwrap().is_none(), "all are too short");
        std::fs::write(&path, vec![0; LENGTH_MIN]).unwrap();
        assert!(Flip::draw(data.path(), 5).unwrap().is_none(), "there is nothing in it");
        for bits in [0, 12_345, u64::MAX] {
            std::fs::write(&path, &whole).unwrap();
            let flip = Flip::draw(data.path(), bits).unwrap().unwrap();
            flip.turn().unwrap();
            let turned = std::fs::read(&path).unwrap();
            let differ: Vec<usize> = (0..whole.len()).filter(|at| turned[*at] != 7).collect();
            assert!(differ.len() == 1 && differ[0] < whole.len() / 2, "{differ:?}");
            assert_eq!((turned[differ[0]] ^ 7).count_ones(), 1);
            flip.turn().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }
}
