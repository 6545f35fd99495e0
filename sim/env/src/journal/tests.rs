use super::format::{Batch, SegmentHeader};
use super::*;
use crate::shown::Image;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Default, Clone)]
struct Disk(BTreeMap<String, Vec<u8>>);

impl Image for Disk {
    fn file(&self, path: &str) -> Option<&[u8]> {
        self.0.get(path).map(Vec::as_slice)
    }

    fn each<'a>(&'a self, _directory: &str, show: &mut dyn FnMut(&'a str, &'a [u8])) {
        self.0.iter().for_each(|(name, content)| show(name, content));
    }
}

fn identity() -> Identity {
    Identity { cluster: "c".into(), node: "node-1".into(), journal: "j".into() }
}

/// One segment with these batches, each known durable when the next was written.
fn segment(number: u64, first: u64, batches: &[&[&[u8]]]) -> Vec<u8> {
    let mut bytes = SegmentHeader::new(&identity(), number, first).encode(PLAIN);
    let mut next = first;
    for records in batches {
        let mut batch = Batch::default();
        batch.start(Vec::new(), next);
        records.iter().for_each(|record| batch.push(|into| into.extend_from_slice(record)));
        bytes.extend_from_slice(&batch.finish(next - 1));
        next += records.len() as u64;
    }
    bytes
}

fn disk(segments: Vec<(u64, Vec<u8>)>) -> Disk {
    let path = |number| segment_path("j", number);
    Disk(segments.into_iter().map(|(number, bytes)| (path(number), bytes)).collect())
}

fn recovered(disk: &Disk) -> (Vec<Vec<u8>>, Option<Damage>) {
    let files = Files::of(disk, "j");
    let found = recover(&identity(), &files).unwrap();
    (found.records.iter().map(|record| record.to_vec()).collect(), found.damage)
}

fn three_batches() -> Vec<u8> {
    segment(1, 1, &[&[b"a", b"b"], &[b"c"], &[&[7; 900]]])
}

#[test]
fn what_was_written_is_read_back() {
    let (records, damage) = recovered(&disk(vec![(1, three_batches())]));
    assert_eq!(records, [b"a".to_vec(), b"b".to_vec(), b"c".to_vec(), vec![7; 900]]);
    assert_eq!(damage, None);
}

#[test]
fn a_torn_tail_is_dropped_wherever_it_is_torn() {
    let whole = three_batches();
    for cut in SECTOR..whole.len() {
        let (records, damage) = recovered(&disk(vec![(1, whole[..cut].to_vec())]));
        assert_eq!(damage, None, "cut at {cut}");
        let all = [b"a".to_vec(), b"b".to_vec(), b"c".to_vec(), vec![7; 900]];
        assert!(all.starts_with(&records), "cut at {cut}");
    }
}

#[test]
fn a_segment_without_its_header_is_damage() {
    let whole = three_batches();
    for cut in [0, 1, 20] {
        let (records, damage) = recovered(&disk(vec![(1, whole[..cut].to_vec())]));
        assert!(records.is_empty() && damage.is_some(), "cut at {cut}");
    }
}

#[test]
fn a_record_that_a_later_batch_vouches_for_is_damage_and_not_a_torn_tail() {
    let mut bytes = three_batches();
    bytes[2 * SECTOR + 32] ^= 1;
    let (records, damage) = recovered(&disk(vec![(1, bytes)]));
    assert_eq!(records, [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(damage.unwrap().after, Position(2));
}

#[test]
fn a_batch_that_nobody_vouches_for_is_a_torn_tail() {
    let mut bytes = three_batches();
    bytes[3 * SECTOR + 40] ^= 1;
    let (records, damage) = recovered(&disk(vec![(1, bytes)]));
    assert_eq!((records.len(), damage), (3, None));
}

#[test]
fn a_segment_that_is_missing_in_between_is_damage() {
    let first = segment(1, 1, &[&[b"a"]]);
    let third = segment(3, 3, &[&[b"c"]]);
    let (records, damage) = recovered(&disk(vec![(1, first), (3, third)]));
    assert_eq!(records, [b"a".to_vec()]);
    assert_eq!(damage.unwrap().after, Position(1));
}

#[test]
fn a_snapshot_takes_the_place_of_the_records_that_it_covers() {
    let mut disk = disk(vec![(1, three_batches())]);
    let snapshot = encode_snapshot(&identity(), Position(2), (&[], 0), b"state");
    disk.0.insert("j.snapshot".to_owned(), snapshot);
    let files = Files::of(&disk, "j");
    let found = recover(&identity(), &files).unwrap();
    assert_eq!(found.snapshot, Some((Position(2), &b"state"[..])));
    assert_eq!(found.records, [b"c".to_vec(), vec![7; 900]]);
    assert_eq!(found.last(), Position(4));
}

#[test]
fn a_damaged_snapshot_is_damage() {
    let mut disk = disk(vec![(1, three_batches())]);
    let mut snapshot = encode_snapshot(&identity(), Position(2), (&[], 0), b"state");
    let last = snapshot.len() - 1;
    snapshot[last] ^= 1;
    disk.0.insert("j.snapshot".to_owned(), snapshot);
    assert!(recovered(&disk).1.is_some());
}

#[test]
fn another_nodes_disk_is_refused() {
    let other = Identity { node: "node-2".into(), ..identity() };
    let disk = disk(vec![(1, three_batches())]);
    let files = Files::of(&disk, "j");
    let refused = recover(&other, &files);
    assert!(matches!(refused, Err(JournalError::Foreign { .. })));
    let unnamed = Files::of(&disk, "k");
    assert_eq!(recover(&identity(), &unnamed).unwrap().records, Vec::<&[u8]>::new());
}

#[test]
fn a_later_format_is_refused_and_says_so() {
    let bytes = SegmentHeader::new(&identity(), 1, 1).encode(VERSION + 1);
    let disk = disk(vec![(1, bytes)]);
    let files = Files::of(&disk, "j");
    let error = recover(&identity(), &files).unwrap_err();
    assert_eq!(error.to_string(), "j.00000001.log has format version 3; this build reads up to 2");
}

mod log;
mod sealed;

proptest! {
    #[test]
    fn no_damage_makes_it_panic_or_invent_a_record(
        flips in proptest::collection::vec((0usize..2_560, any::<u8>()), 1..6),
        cut in 0usize..3_000,
    ) {
        let mut bytes = three_batches();
        for (at, byte) in flips {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(cut);
        let disk = disk(vec![(1, bytes)]);
        let files = Files::of(&disk, "j");
        if let Ok(found) = recover(&identity(), &files) {
            let all: [&[u8]; 4] = [b"a", b"b", b"c", &[7; 900]];
            prop_assert!(all.starts_with(&found.records));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let mut disk = disk(vec![(1, bytes.clone())]);
        disk.0.insert("j.snapshot".to_owned(), bytes);
        let _ = recover(&identity(), &Files::of(&disk, "j"));
    }
}
