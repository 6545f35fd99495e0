//! A log reads back what it wrote, drops what was torn, and refuses what is damaged.

use super::*;
use crate::journal::{LogError, LogImage};

fn log(disk: &Disk) -> Result<Vec<Vec<u8>>, LogError> {
    let image = LogImage::of(disk, ("c", "node-1"), "j")?;
    Ok(image.records().map(<[u8]>::to_vec).collect())
}

fn two_segments() -> (Vec<u8>, Vec<u8>) {
    (three_batches(), segment(2, 5, &[&[b"d"], &[b"e", b"f"]]))
}

#[test]
fn records_are_read_back_over_all_segments() {
    let (first, second) = two_segments();
    let wanted: Vec<Vec<u8>> = ["a", "b", "c"].map(|text| text.as_bytes().to_vec()).into();
    let mut wanted = [wanted, vec![vec![7; 900]]].concat();
    assert_eq!(log(&disk(vec![(1, first.clone())])), Ok(wanted.clone()));
    wanted.extend(["d", "e", "f"].map(|text| text.as_bytes().to_vec()));
    assert_eq!(log(&disk(vec![(1, first), (2, second)])), Ok(wanted));
    assert_eq!(log(&disk(Vec::new())), Ok(Vec::new()));
}

#[test]
fn a_torn_tail_of_the_last_segment_is_dropped_wherever_it_is_torn() {
    let bytes = three_batches();
    for end in SECTOR..bytes.len() {
        let read = log(&disk(vec![(1, bytes[..end].to_vec())]));
        let records = read.unwrap_or_else(|error| panic!("cut at {end}: {error}"));
        assert!([0, 2, 3, 4].contains(&records.len()), "cut at {end}: {records:?}");
    }
}

#[test]
fn what_a_later_batch_or_segment_vouches_for_is_damage() {
    let (first, second) = two_segments();
    // The second of three batches.
    let mut damaged = first.clone();
    damaged[SECTOR * 2 + 32] ^= 1;
    assert!(matches!(log(&disk(vec![(1, damaged)])), Err(LogError::Damaged(_))));
    // The last batch of a segment that another follows.
    let mut damaged = first.clone();
    damaged[SECTOR * 3 + 40] ^= 1;
    let read = log(&disk(vec![(1, damaged), (2, second.clone())]));
    assert!(matches!(read, Err(LogError::Damaged(_))));
    // A segment that is not there, and a header that is none.
    assert!(matches!(log(&disk(vec![(2, second.clone())])), Err(LogError::Damaged(_))));
    let mut damaged = second;
    damaged[0] ^= 1;
    let read = log(&disk(vec![(1, first), (2, damaged)]));
    assert!(matches!(read, Err(LogError::Damaged(_))));
}

#[test]
fn another_nodes_log_is_refused() {
    let disk = disk(vec![(1, three_batches())]);
    let foreign = LogImage::of(&disk, ("c", "node-2"), "j").err();
    assert!(matches!(foreign, Some(LogError::Journal(JournalError::Foreign { .. }))));
}

proptest! {
    #[test]
    fn no_bytes_make_a_log_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = log(&disk(vec![(1, bytes)]));
    }
}
