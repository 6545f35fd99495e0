//! One byte of a journal that becomes another while its node is down, as on a disk that rots.
//!
//! A node tells damage from the torn tail of a write that nobody was told of by what was written
//! later; so a byte of the last writes may be taken for such a tail, and what they held is lost as
//! if it had never been synced. Only members that doubt torn tails survive this, as long as it
//! happens to a minority of them.

use super::node::Error;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The shortest journal of which a byte is flipped, in bytes.
const LENGTH_MIN: usize = 8 << 10;

/// The unit in which journals are written, in bytes.
const SECTOR: usize = 512;

/// Which byte of a journal becomes another. What is drawn comes with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// One near the start of the longest journal, so that much was written later.
    Early(u64),
    /// Any one of the longest journal.
    Anywhere(u64),
    /// One of the records that were written last.
    Last(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Early(_) => "an early byte in the journal",
            Place::Anywhere(_) => "any byte in the journal",
            Place::Last(_) => "a byte of the last records",
        })
    }
}

/// A byte of a file, and which of its bits are turned.
pub(super) struct Flip {
    path: PathBuf,
    offset: u64,
    bits: u8,
}

/// The journals in a directory in the order in which they were written.
fn journals(data: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, Error> {
    let failed = || Error::io(data.display().to_string());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.extension().is_some_and(|ending| ending == "log") {
            let bytes = std::fs::read(&path).map_err(failed())?;
            found.push((path, bytes));
        }
    }
    found.sort();
    Ok(found)
}

/// The first byte from here on that is not zero: what is zero most often fills a sector up, and
/// nobody reads it.
fn written(bytes: &[u8], from: usize) -> Option<usize> {
    Some(from + bytes.get(from..)?.iter().position(|byte| *byte != 0)?)
}

/// A byte of the last sector that holds records, and no header and no seal.
fn last(bytes: &[u8], bits: u64) -> Option<usize> {
    let holds_records =
        |sector: &[u8]| sector.iter().any(|byte| *byte != 0) && sector.get(4..8) != Some(b"seal");
    let sectors: Vec<&[u8]> = bytes.chunks(SECTOR).skip(1).collect();
    let start = (sectors.iter().rposition(|sector| holds_records(sector))? + 1) * SECTOR;
    let end = bytes.len().min(start + SECTOR);
    let from = start + (bits % SECTOR as u64) as usize;
    written(&bytes[..end], from).or_else(|| written(&bytes[..end], start))
}

impl Flip {
    /// A byte of a journal in a directory; none if none is long enough.
    pub(super) fn draw(data: &Path, place: Place) -> Result<Option<Flip>, Error> {
        let journals = journals(data)?;
        let longest = journals.iter().max_by_key(|(_, bytes)| bytes.len());
        let longest = longest.filter(|(_, bytes)| bytes.len() >= LENGTH_MIN);
        let (Place::Early(bits) | Place::Anywhere(bits) | Place::Last(bits)) = place;
        let found = match place {
            Place::Early(_) => longest.and_then(|(path, bytes)| {
                let at = written(bytes, (bits % (LENGTH_MIN as u64 / 4)) as usize)?;
                (at < bytes.len() / 2).then_some((path, at))
            }),
            Place::Anywhere(_) => longest.and_then(|(path, bytes)| {
                Some((path, written(bytes, (bits % bytes.len() as u64) as usize)?))
            }),
            Place::Last(_) => {
                journals.iter().rev().find_map(|(path, bytes)| Some((path, last(bytes, bits)?)))
            }
        };
        let bits = 1 << (bits >> 61);
        Ok(found.map(|(path, offset)| Flip { path: path.clone(), offset: offset as u64, bits }))
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
        let draw = |place| Flip::draw(data.path(), place).unwrap();
        assert!(draw(Place::Early(5)).is_none(), "all are too short");
        std::fs::write(&path, vec![0; LENGTH_MIN]).unwrap();
        for place in [Place::Early(5), Place::Anywhere(5), Place::Last(5)] {
            assert!(draw(place).is_none(), "there is nothing in it");
        }
        for bits in [0, 12_345, u64::MAX] {
            for place in [Place::Early(bits), Place::Anywhere(bits), Place::Last(bits)] {
                std::fs::write(&path, &whole).unwrap();
                let flip = draw(place).unwrap();
                flip.turn().unwrap();
                let turned = std::fs::read(&path).unwrap();
                let differ: Vec<usize> = (0..whole.len()).filter(|at| turned[*at] != 7).collect();
                assert_eq!(differ.len(), 1, "{differ:?}");
                match place {
                    Place::Early(_) => assert!(differ[0] < whole.len() / 2),
                    Place::Anywhere(bits) => {
                        assert_eq!(differ[0], (bits % whole.len() as u64) as usize);
                    }
                    Place::Last(_) => assert!(differ[0] >= whole.len() - SECTOR),
                }
                assert_eq!((turned[differ[0]] ^ 7).count_ones(), 1);
                flip.turn().unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), whole);
            }
        }
    }

    #[test]
    fn the_last_records_stand_before_their_seals_and_the_room_for_others() {
        let data = tempfile::tempdir().unwrap();
        let sector = |start: &[u8]| [start, &vec![0; SECTOR - start.len()]].concat();
        let seal = sector(b"\x01\x02\x03\x04seal and a claim");
        let header = sector(b"a header");
        let records = [header.clone(), sector(b"old"), seal.clone(), sector(b"new"), seal.clone()];
        let journal = [records.concat(), vec![0; 4 * SECTOR]].concat();
        std::fs::write(data.path().join("raft.00000007.log"), &journal).unwrap();
        // Nothing but a header is in the latest.
        std::fs::write(data.path().join("raft.00000008.log"), &header).unwrap();
        for bits in [0, 1, 2, 3, 511, u64::MAX] {
            let flip = Flip::draw(data.path(), Place::Last(bits)).unwrap().unwrap();
            assert!(flip.path.ends_with("raft.00000007.log"));
            let new = 3 * SECTOR as u64;
            assert!((new..new + 3).contains(&flip.offset), "{}", flip.offset);
        }
    }
}
