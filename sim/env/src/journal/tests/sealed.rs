//! Batches with seals.

use super::*;

/// The first segment, with these batches of one record, each sealed with a claim of its own.
fn sealed(records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = SegmentHeader::new(&identity(), 1, 1).encode(SEALED);
    for (record, position) in records.iter().zip(1..) {
        let mut batch = Batch::default();
        batch.start(Vec::new(), position);
        batch.push(|into| into.extend_from_slice(record));
        bytes.extend_from_slice(&batch.finish(position - 1));
        bytes.extend_from_slice(&encode_seal(Position(position), &claim(position)));
    }
    bytes
}

fn claim(position: u64) -> Vec<u8> {
    format!("claim {position}").into_bytes()
}

/// How many records are read back, what is in doubt, and the damage.
fn read(bytes: Vec<u8>) -> (usize, Vec<Vec<u8>>, Option<Damage>) {
    let disk = disk(vec![(1, bytes)]);
    let files = Files::of(&disk, "j");
    let found = recover(&identity(), &files).unwrap();
    let doubts = found.doubts.iter().map(|claim| claim.to_vec()).collect();
    (found.records.len(), doubts, found.damage)
}

fn three() -> Vec<u8> {
    sealed(&[b"a", b"b", &[7; 900]])
}

/// Where the batches and their seals begin: the last batch takes two sectors.
const BATCHES: [usize; 3] = [SECTOR, 4 * SECTOR, 7 * SECTOR];
const SEALS: [usize; 3] = [2 * SECTOR, 5 * SECTOR, 9 * SECTOR];

#[test]
fn batches_with_seals_are_read_back() {
    assert_eq!(read(three()), (3, vec![], None));
}

#[test]
fn a_batch_that_is_gone_while_its_seal_is_there_is_in_doubt() {
    for at in [BATCHES[2] + 40, BATCHES[2] + SECTOR + 40] {
        let mut bytes = three();
        bytes[at] ^= 1;
        assert_eq!(read(bytes), (2, vec![claim(3)], None));
    }
    let mut astray = three();
    astray[BATCHES[2]..SEALS[2]].fill(0);
    assert_eq!(read(astray), (2, vec![claim(3)], None));
}

#[test]
fn a_batch_without_its_seal_stands() {
    for mut bytes in [three(), three()[..SEALS[2]].to_vec(), three()[..SEALS[2] + 9].to_vec()] {
        if let Some(byte) = bytes.get_mut(SEALS[2] + 20) {
            *byte ^= 1;
        }
        assert_eq!(read(bytes), (3, vec![], None));
    }
    let mut earlier = three();
    earlier[SEALS[0] + 5] ^= 1;
    assert_eq!(read(earlier), (3, vec![], None));
}

#[test]
fn a_torn_tail_without_its_seal_is_dropped() {
    for cut in BATCHES[2]..SEALS[2] - 200 {
        assert_eq!(read(three()[..cut].to_vec()), (2, vec![], None), "cut at {cut}");
    }
}

#[test]
fn damage_comes_with_the_last_claim_if_that_can_be_told() {
    let mut bytes = three();
    bytes[BATCHES[1] + 32] ^= 1;
    let (records, doubts, damage) = read(bytes.clone());
    assert_eq!((records, doubts), (1, vec![]));
    assert_eq!(damage.unwrap().claim, Some(claim(3)));
    // There were later records, of which nobody knows what was claimed with them.
    bytes[SEALS[2] + 20] ^= 1;
    assert_eq!(read(bytes.clone()).2.unwrap().claim, Some(claim(3)), "there is a second copy");
    bytes[SEALS[2] + SECTOR + 20] ^= 1;
    assert_eq!(read(bytes).2.unwrap().claim, None);
    let mut headless = three();
    headless[8] ^= 1;
    assert_eq!(read(headless).2.unwrap().claim, None);
}

#[test]
fn a_new_segment_leaves_the_last_claim_in_the_one_before() {
    let mut first = three();
    first[BATCHES[0] + 32] ^= 1;
    let owner = identity();
    let second = SegmentHeader::new(&owner, 2, 4);
    let last_claim = |second: Vec<u8>| {
        let disk = disk(vec![(1, first.clone()), (2, second)]);
        let files = Files::of(&disk, "j");
        recover(&identity(), &files).unwrap().damage.unwrap().claim
    };
    assert_eq!(last_claim(second.encode(SEALED)), Some(claim(3)));
    assert_eq!(last_claim(Vec::new()), None);
    let mut written = second.encode(SEALED);
    written.extend_from_slice(&[1; SECTOR]);
    assert_eq!(last_claim(written), None);
}

#[test]
fn a_snapshot_carries_what_is_in_doubt() {
    let mut disk = disk(vec![]);
    let snapshot = encode_snapshot(&identity(), Position(2), (b"claim", 3), b"state");
    disk.0.insert("j.snapshot".to_owned(), snapshot);
    let files = Files::of(&disk, "j");
    let found = recover(&identity(), &files).unwrap();
    assert_eq!(found.snapshot, Some((Position(2), &b"state"[..])));
    assert_eq!(found.doubts, [b"claim"]);
}

#[test]
fn what_a_snapshot_covers_may_be_damaged() {
    let mut first = three();
    first[3] ^= 1;
    let owner = identity();
    let mut disk = disk(vec![(1, first), (2, SegmentHeader::new(&owner, 2, 4).encode(SEALED))]);
    let snapshot = encode_snapshot(&owner, Position(3), (&[], 0), b"state");
    disk.0.insert("j.snapshot".to_owned(), snapshot);
    assert_eq!(recovered(&disk), (vec![], None));
}

#[test]
fn segments_that_were_given_up_count_for_nothing_though_they_are_there_again() {
    let mut disk = disk(vec![(1, three()), (2, vec![9; 700])]);
    let snapshot = encode_snapshot(&identity(), Position(1), (b"claim", 2), b"state");
    disk.0.insert("j.snapshot".to_owned(), snapshot);
    let files = Files::of(&disk, "j");
    let found = recover(&identity(), &files).unwrap();
    assert_eq!((found.next(), found.records.len(), found.damage), (Position(2), 0, None));
}

#[test]
fn what_is_in_the_wrong_place_is_damage() {
    let bytes = three();
    // The second batch once more in place of the third, a header, and the first seal.
    for stray in [BATCHES[1], 0, SEALS[0]] {
        let mut bytes = bytes[..BATCHES[2]].to_vec();
        bytes.extend_from_within(stray..stray + SECTOR);
        assert!(read(bytes).2.is_some(), "from {stray}");
    }
}

proptest! {
    #[test]
    fn two_damaged_sectors_are_never_taken_for_a_torn_tail(
        records in proptest::collection::vec(1usize..1_500, 1..5),
        places: [prop::sample::Index; 2],
        bit in 0u32..8,
    ) {
        let records: Vec<Vec<u8>> = records.iter().map(|length| vec![7; *length]).collect();
        let borrowed: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let mut bytes = sealed(&borrowed);
        let places = places.map(|place| place.index(bytes.len()));
        prop_assume!(places[0] / SECTOR != places[1] / SECTOR);
        places.iter().for_each(|at| bytes[*at] ^= 1 << bit);
        let (read, doubts, damage) = read(bytes);
        prop_assert!(read == records.len() || !doubts.is_empty() || damage.is_some());
    }
}
