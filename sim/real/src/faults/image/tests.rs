//! What a power loss leaves, on real files and in memory.

use super::super::lossy::Lossy;
use super::super::record::{Log, Record};
use super::super::{DiskFaults, after_power_loss};
use super::*;
use crate::files::Files;
use proptest::prelude::*;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use squall_env::disk::{Done, FileToken, Operation};
use std::time::Duration;
use tempfile::TempDir;

/// A node's files whose power can be lost, and what is known to be durable.
struct Tested {
    root: TempDir,
    lossy: Lossy,
    durable: Durable,
}

/// What a disk promises to have kept.
#[derive(Clone, Default)]
struct Durable {
    names: BTreeMap<String, u64>,
    files: BTreeMap<u64, Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Does {
    Write {
        name: u8,
        offset: u16,
        length: u16,
        byte: u8,
    },
    Truncate {
        name: u8,
        length: u16,
    },
    Rename {
        from: u8,
        to: u8,
    },
    Remove {
        name: u8,
    },
    Sync {
        name: u8,
    },
    SyncNames,
    /// The process is killed and another one starts.
    Restart,
}

fn does() -> impl Strategy<Value = Does> {
    let name = 0..3u8;
    prop_oneof![
        4 => (name.clone(), 0..2_000u16, 0..1_500u16, 1..255u8)
            .prop_map(|(name, offset, length, byte)| Does::Write { name, offset, length, byte }),
        1 => (name.clone(), 0..2_500u16)
            .prop_map(|(name, length)| Does::Truncate { name, length }),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Does::Rename { from, to }),
        1 => name.clone().prop_map(|name| Does::Remove { name }),
        2 => name.prop_map(|name| Does::Sync { name }),
        2 => Just(Does::SyncNames),
        1 => Just(Does::Restart),
    ]
}

fn name(number: u8) -> String {
    format!("file-{number}")
}

impl Tested {
    fn new() -> Tested {
        let root = tempfile::tempdir().unwrap();
        let lossy = lossy(&root);
        Tested { root, lossy, durable: Durable::default() }
    }

    fn open(&mut self, number: u8) -> FileToken {
        let open = Operation::Open { path: name(number), create: true };
        match self.lossy.execute(open).unwrap() {
            Done::Opened { file, .. } => file,
            other => panic!("an open file was answered with {other:?}"),
        }
    }

    fn image(&self) -> Image {
        Image::read(&self.root.path().join("data"), &self.root.path().join("undo")).unwrap()
    }

    fn does(&mut self, does: &Does) {
        match *does {
            Does::Write { name, offset, length, byte } => {
                let file = self.open(name);
                let (offset, data) = (offset.into(), vec![byte; length.into()]);
                self.lossy.execute(Operation::Write { file, offset, data }).unwrap();
            }
            Does::Truncate { name, length } => {
                let file = self.open(name);
                let length = length.into();
                self.lossy.execute(Operation::Truncate { file, length }).unwrap();
            }
            Does::Rename { from, to } => {
                // One that is not there is refused, and nothing is noted that matters.
                let _ = self.lossy.execute(Operation::Rename { from: name(from), to: name(to) });
            }
            Does::Remove { name: number } => {
                let _ = self.lossy.execute(Operation::Remove { path: name(number) });
            }
            Does::Sync { name: number } => {
                let file = self.open(number);
                self.lossy.execute(Operation::Sync { file }).unwrap();
                let image = self.image();
                let file = image.names[&name(number)];
                self.durable.files.insert(file, image.files[&file].clone());
            }
            Does::SyncNames => {
                self.lossy.execute(Operation::SyncDirectory { path: String::new() }).unwrap();
                let named = self.image().names;
                // A number that belongs to no name any more may soon be another file's.
                self.durable.files.retain(|file, _| named.values().any(|other| other == file));
                self.durable.names = named;
            }
            Does::Restart => {
                // The directory is given back first.
                let other = tempfile::tempdir().unwrap();
                self.lossy = lossy(&other);
                self.lossy = lossy(&self.root);
            }
        }
    }

    /// What is there under which name after a power loss whose first draw is this.
    fn after(self, draws: u64) -> BTreeMap<String, Vec<u8>> {
        let first = |seed: &u64| ChaCha12Rng::seed_from_u64(*seed).next_u64() % 4 == draws;
        let seed = (0..).find(first).unwrap();
        let (data, undo) = (self.root.path().join("data"), self.root.path().join("undo"));
        drop(self.lossy);
        after_power_loss(&data, &undo, seed).unwrap();
        assert!(Log::open(&undo).unwrap().records().is_empty());
        contents(&Image::read(&data, &undo).unwrap())
    }
}

fn lossy(root: &TempDir) -> Lossy {
    let files = Files::open(&root.path().join("data")).unwrap();
    let undo = root.path().join("undo");
    let faults = DiskFaults { undo, skip: None, sync_delay: Duration::ZERO };
    Lossy::new(files, &faults).unwrap()
}

fn contents(image: &Image) -> BTreeMap<String, Vec<u8>> {
    image.names.iter().map(|(name, file)| (name.clone(), image.files[file].clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn at_worst_what_was_synced_is_left_and_no_more(
        steps in proptest::collection::vec(does(), 0..25),
    ) {
        let mut tested = Tested::new();
        steps.iter().for_each(|step| tested.does(step));
        let Durable { names, files } = tested.durable.clone();
        let content = |file: &u64| files.get(file).cloned().unwrap_or_default();
        let expected: BTreeMap<String, Vec<u8>> =
            names.iter().map(|(name, file)| (name.clone(), content(file))).collect();
        prop_assert_eq!(tested.after(0), expected);
    }

    #[test]
    fn at_best_everything_is_left(steps in proptest::collection::vec(does(), 0..25)) {
        let mut tested = Tested::new();
        steps.iter().for_each(|step| tested.does(step));
        let expected = contents(&tested.image());
        prop_assert_eq!(tested.after(1), expected);
    }

    #[test]
    fn what_is_durable_is_left_whatever_happens_to_the_rest(
        steps in proptest::collection::vec(does(), 0..15),
        after in proptest::collection::vec(does(), 0..10),
    ) {
        let mut tested = Tested::new();
        steps.iter().for_each(|step| tested.does(step));
        for number in 0..3 {
            tested.does(&Does::Sync { name: number });
        }
        tested.does(&Does::SyncNames);
        let before = contents(&tested.image());
        // Nothing more is done with the first file.
        let touches = |does: &&Does| match **does {
            Does::Write { name, .. } | Does::Truncate { name, .. } => name == 0,
            Does::Rename { from, to } => from == 0 || to == 0,
            Does::Remove { name } | Does::Sync { name } => name == 0,
            Does::SyncNames | Does::Restart => false,
        };
        after.iter().filter(|does| !touches(does)).for_each(|step| tested.does(step));
        prop_assert_eq!(&tested.after(2)["file-0"], &before["file-0"]);
    }
}

/// A file of two sectors that were overwritten and made longer by another, and all contents that
/// are found after many power losses.
fn found() -> BTreeSet<Vec<u8>> {
    let records = [
        Record::Write { file: 1, offset: 0, length: 1_024, before: 1_024, old: vec![1; 1_024] },
        Record::Write { file: 1, offset: 1_024, length: 100, before: 1_024, old: Vec::new() },
    ];
    let mut image = Image::default();
    image.names.insert("a".to_owned(), 1);
    image.files.insert(1, [vec![2; 1_024], vec![3; 100]].concat());
    let mut found = BTreeSet::new();
    for seed in 0..500 {
        let (mut image, mut draw) = (image.clone(), ChaCha12Rng::seed_from_u64(seed));
        image.lose_power(&records, &mut || draw.next_u64());
        found.insert(image.files.remove(&1).unwrap());
    }
    found
}

#[test]
fn writes_are_torn_between_sectors_and_lengths_come_without_data() {
    let found = found();
    let sectors = |one: u8, other: u8| [vec![one; 512], vec![other; 512]].concat();
    for (one, other) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        let short = sectors(one, other);
        for tail in [vec![], vec![0; 100], vec![3; 100]] {
            let content = [short.clone(), tail].concat();
            assert!(found.contains(&content), "{:?}", (one, other));
        }
    }
    assert_eq!(found.len(), 12, "and there is nothing else");
}

#[test]
fn a_rename_happened_or_did_not() {
    let rename = |replaced| Record::Rename { from: "new".into(), to: "a".into(), replaced };
    let records = [Record::Create { path: "new".to_owned() }, rename(Some(1))];
    let mut image = Image::default();
    image.names.insert("a".to_owned(), 2);
    image.files.extend([(1, vec![1]), (2, vec![2])]);
    let mut found = BTreeSet::new();
    for seed in 0..200 {
        let (mut image, mut draw) = (image.clone(), ChaCha12Rng::seed_from_u64(seed));
        image.lose_power(&records, &mut || draw.next_u64());
        found.insert(contents(&image).into_iter().collect::<Vec<_>>());
    }
    let (old, new) = (("a".to_owned(), vec![1]), ("a".to_owned(), vec![2]));
    let left = ("new".to_owned(), vec![2]);
    assert_eq!(found, [vec![old.clone()], vec![old, left], vec![new]].into());
}
