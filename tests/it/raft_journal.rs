//! A journal that a member of `raft/register` wrote with the first format of its records: terms,
//! votes, entries, and entries in the place of others.

use squall_env::NodeId;
use squall_env::journal::{Files, Identity, recover};
use squall_env::machine::alone;
use squall_env::shown::Image;
use squall_protocols::raft::{Config, NAME, Payload, Raft};
use squall_scenarios::raft::Value;

const SEGMENT: &[u8] = include_bytes!("journals/raft.00000001.log");

struct Disk;

impl Image for Disk {
    fn file(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn each<'a>(&'a self, _: &str, show: &mut dyn FnMut(&'a str, &'a [u8])) {
        show("raft.00000001.log", SEGMENT);
    }
}

#[test]
fn a_journal_of_the_first_format_still_opens() {
    let files = Files::of(&Disk, NAME);
    let identity = Identity {
        cluster: "squall".to_owned(),
        node: "member-3".to_owned(),
        journal: NAME.to_owned(),
    };
    let recovered = recover(&identity, &files).unwrap();
    assert_eq!((recovered.damage, recovered.torn), (None, 0));
    let members = [1, 2, 3].map(|ordinal| NodeId::new(0, ordinal));
    let config = Config::of(members.to_vec());
    let records = recovered.records.into_iter();
    let member: Raft<Value> = alone::recover(&config, None, records).unwrap();
    assert_eq!((member.term(), member.vote()), (4, Some(members[2])));
    let log = member.log();
    assert_eq!((log.last_index(), log.last_term(), log.bytes()), (40, 4, 1_277));
    let opened = log.entries().filter(|entry| entry.payload == Payload::OpenSession).count();
    let elected = log.entries().filter(|entry| entry.payload == Payload::NoOp).count();
    assert_eq!((elected, opened), (3, 4));
}
