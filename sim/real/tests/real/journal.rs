//! The journal on real files.

use crate::support::{Cluster, run_as};
use squall_env::journal::{Contents, Journal, SEGMENT_MAX};
use squall_real::LOCK_FILE;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[test]
fn the_records_of_a_journal_are_there_when_the_node_is_started_again() {
    let cluster = Cluster::new();
    for boot in 0..3u8 {
        let found = run_as(cluster.config("replica-1"), move |env| async move {
            let (mut journal, recovered) = Journal::open(&env, "log").await.unwrap();
            assert_eq!(recovered.damage, None);
            journal.append(&[boot; 100]);
            journal.append(&[boot]);
            journal.commit().await.unwrap();
            journal.append(b"never committed");
            recovered.records
        });
        let before = (0..boot).flat_map(|earlier| [vec![earlier; 100], vec![earlier]]);
        assert_eq!(found, before.collect::<Vec<_>>());
    }
}

/// More than a segment holds.
const LONG: usize = SEGMENT_MAX as usize + 1;

/// Commits a record for each of these bytes, of which each begins a segment of its own.
fn commit(cluster: &Cluster, records: &'static [u8]) -> Contents {
    run_as(cluster.config("replica-1"), move |env| async move {
        let (mut journal, found) = Journal::open(&env, "log").await.unwrap();
        for record in records {
            journal.append(&vec![*record; LONG]);
            journal.commit().await.unwrap();
        }
        found
    })
}

/// The files of a node that does not run.
fn files(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(data).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let wanted = named.filter(|(name, _)| name != LOCK_FILE);
    wanted.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

fn damage(data: &Path, segment: u64) {
    let path = data.join(format!("log.{segment:08}.log"));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_journal_is_left_as_it_is() {
    let cluster = Cluster::new();
    let data = cluster.config("replica-1").data;
    commit(&cluster, b"abc");
    let whole = files(&data);
    for segment in 1..=2 {
        damage(&data, segment);
        let damaged = files(&data);
        let found = commit(&cluster, b"");
        assert!(found.damage.is_some() && found.records.len() == segment as usize - 1);
        assert_eq!(files(&data), damaged);
        damage(&data, segment);
        assert_eq!(files(&data), whole);
    }
    let found = commit(&cluster, b"");
    assert_eq!((found.damage, found.records.len()), (None, 3));
}

#[test]
fn a_snapshot_takes_the_place_of_a_damaged_journal() {
    let cluster = Cluster::new();
    let data = cluster.config("replica-1").data;
    commit(&cluster, b"abc");
    damage(&data, 2);
    run_as(cluster.config("replica-1"), |env| async move {
        let (mut journal, found) = Journal::open(&env, "log").await.unwrap();
        assert!(found.damage.is_some());
        let upto = journal.last();
        journal.replace_snapshot(upto, b"mended").await.unwrap();
        journal.covered();
        journal.append(b"later");
        journal.commit().await.unwrap();
    });
    let found = commit(&cluster, b"");
    assert_eq!(found.damage, None);
    assert_eq!(found.snapshot.unwrap().1, b"mended");
    assert_eq!(found.records, [b"later"]);
    let names: Vec<String> = files(&data).into_keys().collect();
    assert_eq!(names, ["log.00000004.log", "log.snapshot"]);
}
