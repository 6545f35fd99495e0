//! Nodes whose power is lost, and syncs that are left out.

use crate::support::{Cluster, PATIENCE, ended};
use squall_env::journal::{Contents, Journal};
use squall_real::faults::{DiskFaults, Skip, lose_power, start};
use squall_real::{Config, RunError};
use std::future::Future;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::time::Duration;

struct Tested {
    config: Config,
    faults: DiskFaults,
}

impl Tested {
    fn new(cluster: &Cluster, skip: Option<Skip>) -> Tested {
        let config = cluster.config("replica-1");
        let undo = config.data.with_extension("undo");
        Tested { config, faults: DiskFaults { undo, skip, sync_delay: Duration::ZERO } }
    }

    /// Opens the journal, commits a record, appends another, and is gone. Gives what was found.
    fn boot(&self, record: u8) -> Vec<Vec<u8>> {
        let found = self.open(move |mut journal, recovered| async move {
            assert_eq!(recovered.damage, None);
            journal.append(&[record; 3_000]);
            journal.commit().await.unwrap();
            journal.append(b"never committed");
            recovered
        });
        found.records
    }

    /// Opens the journal, does something with it, and is gone.
    fn open<S, F>(&self, body: S) -> Contents
    where
        S: FnOnce(Journal, Contents) -> F + Send + 'static,
        F: Future<Output = Contents> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel();
        let node = start(self.config.clone(), &self.faults, move |env| async move {
            let (journal, recovered) = Journal::open(&env, "log").await.unwrap();
            let recovered = body(journal, recovered).await;
            sender.send(recovered).map_err(|_| "the test has gone")
        });
        let node = node.unwrap();
        let found = receiver.recv_timeout(PATIENCE).unwrap();
        ended(node).unwrap();
        found
    }

    /// Flips a byte in the middle of the first record; once more, and it is as it was.
    fn flip(&self) {
        let path = self.config.data.join("log.00000001.log");
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() / 4;
        assert_eq!(bytes[at] & 0x7f, 1);
        bytes[at] ^= 1 << 7;
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
    }

    fn lose_power(&self, seed: u64) {
        lose_power(&self.config.data, &self.faults.undo, seed).unwrap();
    }
}

#[test]
fn what_a_journal_has_committed_survives_every_loss_of_power() {
    let cluster = Cluster::new();
    let tested = Tested::new(&cluster, None);
    for record in 0..30 {
        let found = tested.boot(record);
        let committed: Vec<Vec<u8>> = (0..record).map(|earlier| vec![earlier; 3_000]).collect();
        assert_eq!(found, committed);
        tested.lose_power(record.into());
    }
}

/// A member whose disk errs refuses to start, and starts once the disk has come to its senses. What
/// it found then may never have been synced, and must be once it goes on.
#[test]
fn what_was_found_behind_damage_that_has_gone_survives_every_loss_of_power() {
    for seed in 0..20 {
        let cluster = Cluster::new();
        let mut tested = Tested::new(&cluster, Some(Skip::Files));
        tested.boot(1);
        tested.boot(2);
        tested.faults.skip = None;
        tested.flip();
        let refused = tested.open(|_, recovered| async { recovered });
        assert!(refused.damage.is_some());
        tested.flip();
        assert_eq!(tested.boot(3), [[1; 3_000], [2; 3_000]]);
        tested.lose_power(seed);
        assert_eq!(tested.boot(4), [[1; 3_000], [2; 3_000], [3; 3_000]]);
    }
}

#[test]
fn a_sync_that_was_left_out_is_found_by_a_loss_of_power() {
    for skip in [Skip::Files, Skip::Directories] {
        let is_lost = |seed| {
            let cluster = Cluster::new();
            let tested = Tested::new(&cluster, Some(skip));
            assert!(tested.boot(1).is_empty());
            tested.lose_power(seed);
            tested.boot(2).is_empty()
        };
        assert!((0..20).any(is_lost), "{skip:?}");
    }
}

#[test]
fn without_a_loss_of_power_nobody_notices() {
    for skip in [Skip::Files, Skip::Directories] {
        let cluster = Cluster::new();
        let tested = Tested::new(&cluster, Some(skip));
        assert!(tested.boot(1).is_empty());
        assert_eq!(tested.boot(2), [vec![1; 3_000]]);
    }
}

#[test]
fn a_node_that_runs_keeps_its_power() {
    let cluster = Cluster::new();
    let tested = Tested::new(&cluster, None);
    let running = start(tested.config.clone(), &tested.faults, crate::support::echo).unwrap();
    let refused = lose_power(&tested.config.data, &tested.faults.undo, 1);
    assert!(matches!(refused, Err(RunError::DataInUse { .. })));
    running.stop().unwrap();
    tested.lose_power(1);
}
