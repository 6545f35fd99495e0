//! Journals that members of earlier versions wrote, byte for byte.

use squall_env::NodeId;
use squall_env::journal::{Files, Identity, recover};
use squall_env::machine::alone;
use squall_env::shown::Image;
use squall_protocols::raft::{Change, Config, Configuration, NAME, Payload, Raft};
use squall_scenarios::raft::Value;

/// The files of a journal, sorted by name.
pub(crate) struct Disk(pub(crate) &'static [(&'static str, &'static [u8])]);

impl Image for Disk {
    fn file(&self, path: &str) -> Option<&[u8]> {
        self.0.iter().find(|(name, _)| *name == path).map(|(_, bytes)| *bytes)
    }

    fn each<'a>(&'a self, _: &str, show: &mut dyn FnMut(&'a str, &'a [u8])) {
        for (name, bytes) in self.0 {
            show(name, bytes);
        }
    }
}

/// Terms, votes, entries, and entries in the place of others.
const FIRST: Disk =
    Disk(&[("raft.00000001.log", include_bytes!("journals/first/raft.00000001.log"))]);

/// The founders, changes of the members among the entries, and entries that were compacted.
const FOUNDER: Disk = Disk(&[
    ("raft.00000001.log", include_bytes!("journals/founder/raft.00000001.log")),
    ("raft.00000002.log", include_bytes!("journals/founder/raft.00000002.log")),
]);

/// A snapshot, and behind it changes of the members and a snapshot that a leader sent.
const FOLLOWER: Disk = Disk(&[
    ("raft.00000001.log", include_bytes!("journals/follower/raft.00000001.log")),
    ("raft.00000002.log", include_bytes!("journals/follower/raft.00000002.log")),
    ("raft.00000003.log", include_bytes!("journals/follower/raft.00000003.log")),
    ("raft.00000004.log", include_bytes!("journals/follower/raft.00000004.log")),
    ("raft.snapshot", include_bytes!("journals/follower/raft.snapshot")),
]);

fn nodes<const N: usize>(ordinals: [u16; N]) -> [NodeId; N] {
    ordinals.map(|ordinal| NodeId::new(0, ordinal))
}

/// The member as it would start.
fn open(disk: &Disk, node: &str, voters: &[NodeId]) -> Raft<Value> {
    let files = Files::of(disk, NAME);
    let identity =
        Identity { cluster: "squall".to_owned(), node: node.to_owned(), journal: NAME.to_owned() };
    let recovered = recover(&identity, &files).unwrap();
    assert_eq!((recovered.damage, recovered.torn), (None, 0));
    let snapshot = recovered.snapshot.map(|(_, bytes)| bytes);
    let config = Config::of(voters.to_vec());
    alone::recover(&config, snapshot, recovered.records.into_iter()).unwrap()
}

fn count(member: &Raft<Value>, wanted: impl Fn(&Payload) -> bool) -> usize {
    member.log().entries().filter(|entry| wanted(&entry.payload)).count()
}

#[test]
fn a_journal_of_the_first_format_still_opens() {
    let members = nodes([1, 2, 3]);
    let member = open(&FIRST, "member-3", &members);
    assert_eq!((member.term(), member.vote()), (4, Some(members[2])));
    let log = member.log();
    assert_eq!((log.last_index(), log.last_term(), log.bytes()), (40, 4, 1_277));
    let opened = count(&member, |payload| *payload == Payload::OpenSession);
    let elected = count(&member, |payload| *payload == Payload::NoOp);
    assert_eq!((elected, opened), (3, 4));
    // It says nothing of who founded the cluster.
    assert_eq!(member.configuration(), &Configuration::of(members));
}

#[test]
fn a_journal_with_founders_and_compacted_entries_still_opens() {
    // What it is told now is not what it was told when it founded the cluster.
    let member = open(&FOUNDER, "member-2", &nodes([7]));
    assert_eq!((member.term(), member.log().base(), member.log().last_index()), (2, (8, 1), 15));
    let changed = count(&member, |payload| matches!(payload, Payload::Configuration(_)));
    assert_eq!((changed, member.configuration_index()), (3, 15));
    assert_eq!(member.configuration(), &Configuration::of(nodes([2, 3, 6])));
}

#[test]
fn a_journal_with_a_snapshot_and_one_from_a_leader_still_opens() {
    let member = open(&FOLLOWER, "member-1", &[]);
    assert_eq!((member.term(), member.log().base(), member.log().last_index()), (3, (32, 2), 32));
    let learns = nodes([1, 2, 4]).map(Change::Learner);
    let members = Configuration::of(nodes([3])).change(&learns).unwrap();
    assert_eq!((member.configuration(), member.configuration_index()), (&members, 0));
}
