//! What the disk itself can do: one write and one fdatasync after the other.

use crate::clients::Failed;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is written before each sync, in bytes.
const BLOCK: usize = 512;

/// How much of a file is there before it is written over.
const THERE: usize = 1 << 20;

/// The median of a write and its sync.
pub(crate) struct Syncs {
    /// Behind the end of a file, which has to have its new length synced, too.
    pub(crate) appended: Duration,
    /// Over bytes that are there already.
    pub(crate) in_place: Duration,
}

/// Measures both for so long each, in this directory.
pub(crate) fn probe(directory: &Path, length: Duration) -> Result<Syncs, Failed> {
    let path = directory.join("probe");
    let file = File::create(&path)?;
    let appended = measure(&file, length, |nth| nth * BLOCK)?;
    let file = File::create(&path)?;
    file.write_all_at(&vec![0; THERE], 0)?;
    file.sync_all()?;
    let in_place = measure(&file, length, |nth| nth * BLOCK % THERE)?;
    fs::remove_file(path)?;
    Ok(Syncs { appended, in_place })
}

fn measure(
    file: &File,
    length: Duration,
    place: impl Fn(usize) -> usize,
) -> Result<Duration, Failed> {
    let (begin, mut took) = (Instant::now(), Vec::new());
    while begin.elapsed() < length {
        let start = Instant::now();
        file.write_all_at(&[7; BLOCK], place(took.len()) as u64)?;
        file.sync_data()?;
        took.push(start.elapsed());
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}
