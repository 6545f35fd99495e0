//! Quorums, logs, snapshots on their way and a leader's pace, each by itself.

use super::configuration::{Change, ChangeError, Configuration, Election};
use super::log::{Entry, Log, Payload};
use super::members::Members;
use super::message::Part;
use super::progress::{Pace, Progress, Transfer};
use super::snapshots::Incoming;
use super::transfer::Outgoing;
use squall_env::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;

fn node(ordinal: u16) -> NodeId {
    NodeId::new(0, ordinal)
}

fn entries(terms: &[u64]) -> Vec<Entry> {
    terms.iter().map(|term| Entry { term: *term, payload: Payload::NoOp }).collect()
}

fn log(terms: &[u64]) -> Log {
    let mut log = Log::default();
    log.replace(0, &entries(terms));
    log
}

#[test]
fn a_majority_of_both_halves_decides() {
    let joint = Configuration::of([1, 2, 3].map(node)).joint_with([3, 4, 5].map(node));
    let votes = |yes: &[u16], no: &[u16]| {
        let all = yes.iter().map(|n| (node(*n), true));
        let votes: BTreeMap<_, _> = all.chain(no.iter().map(|n| (node(*n), false))).collect();
        joint.tally(&votes)
    };
    assert_eq!(votes(&[1, 2], &[]), Election::Pending);
    assert_eq!(votes(&[1, 2, 4, 5], &[]), Election::Won);
    assert_eq!(votes(&[1, 3, 4], &[]), Election::Won);
    assert_eq!(votes(&[1, 2, 3], &[4, 5]), Election::Lost);
    assert_eq!(Configuration::default().tally(&BTreeMap::new()), Election::Won);
}

#[test]
fn the_committed_index_is_what_a_majority_of_both_halves_has() {
    let reached = |n: NodeId| [0, 13, 100, 7, 50, 50][usize::from(n.ordinal())];
    assert_eq!(Configuration::of([1, 2, 3].map(node)).committed(reached), 13);
    assert_eq!(Configuration::of([1, 2].map(node)).committed(reached), 13);
    assert_eq!(Configuration::of([4, 5, 3, 1].map(node)).committed(reached), 13);
    let joint = Configuration::of([1, 2, 3].map(node)).joint_with([4, 5].map(node));
    assert_eq!(joint.committed(reached), 13);
    assert_eq!(Configuration::default().committed(reached), u64::MAX);
}

#[test]
fn one_voter_changes_at_once_and_more_by_a_joint_configuration() {
    let [one, two, three, four] = [1, 2, 3, 4].map(node);
    let first = Configuration::of([one, two, three]);
    let learning = first.change(&[Change::Learner(four)]).unwrap();
    assert_eq!(learning.members().len(), 4);
    assert!(!learning.is_voter(four));
    let replace = [Change::Voter(four), Change::Remove(one)];
    assert_eq!(learning.change(&replace), Err(ChangeError::SeveralVoters));
    let joint = learning.enter_joint(&replace).unwrap();
    assert!(joint.is_voter(one) && joint.is_voter(four) && joint.is_joint());
    assert_eq!(joint.change(&[]), Err(ChangeError::Joint));
    assert_eq!(joint.enter_joint(&[]), Err(ChangeError::Joint));
    assert_eq!(joint.leave_joint().unwrap(), Configuration::of([two, three, four]));
    assert_eq!(first.leave_joint(), Err(ChangeError::NotJoint));
    let nobody = [one, two, three].map(Change::Remove);
    assert_eq!(first.enter_joint(&nobody), Err(ChangeError::NoVoters));
}

#[test]
fn a_voter_that_is_to_learn_votes_until_the_joint_configuration_is_left() {
    let [one, two] = [1, 2].map(node);
    let first = Configuration::of([one]);
    let joint = first.enter_joint(&[Change::Voter(two), Change::Learner(one)]).unwrap();
    assert!(joint.is_voter(one) && joint.learners().is_empty());
    let next = joint.leave_joint().unwrap();
    assert!(!next.is_voter(one) && next.learners().contains(&one));
}

#[test]
fn the_latest_configuration_of_the_log_is_in_force() {
    let [one, two, three] = [1, 2, 3].map(node);
    let of = |nodes: &[NodeId]| Configuration::of(nodes.iter().copied());
    let entry = |nodes: &[NodeId]| Entry { term: 1, payload: Payload::Configuration(of(nodes)) };
    let mut members = Members::of(None, &[one, two, three]);
    assert_eq!(members.latest(), &of(&[one, two, three]));
    members.replaced(4, &[entry(&[one, two]), entry(&[two])]);
    assert_eq!((members.latest(), members.latest_index()), (&of(&[two]), 6));
    // Who was removed may be the only one to know as long as that is not committed.
    assert!(members.may_lead(three, 4) && !members.may_lead(three, 5));
    assert!(members.may_lead(one, 5) && !members.may_lead(one, 6));
    members.replaced(5, &[]);
    assert_eq!((members.latest(), members.latest_index()), (&of(&[one, two]), 5));
    members.compacted(5);
    assert_eq!((members.base(), members.latest_index()), (Some(&of(&[one, two])), 0));
    members.replaced(7, &[entry(&[one])]);
    members.installed(6, of(&[two]), true);
    assert_eq!((members.latest(), members.latest_index()), (&of(&[one]), 8));
    members.installed(9, of(&[three]), false);
    assert_eq!((members.latest(), members.latest_index()), (&of(&[three]), 0));
}

#[test]
fn an_entry_that_takes_the_place_of_another_takes_all_behind_it() {
    let mut log = log(&[1, 1, 2, 2]);
    log.replace(2, &entries(&[3]));
    assert_eq!((log.last_index(), log.last_term()), (3, 3));
    assert_eq!([0, 1, 2, 3, 4].map(|i| log.term_at(i)), [Some(0), Some(1), Some(1), Some(3), None]);
    assert_eq!(log.bytes(), 24);
}

#[test]
fn the_search_for_the_last_common_entry_skips_whole_terms() {
    let leader = log(&[1, 1, 1, 4, 4, 5, 5, 6, 6, 6]);
    // Figure 3.6 (f) of the thesis: the follower's terms 2 and 3 are nowhere in the leader's log.
    let follower = log(&[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]);
    let (index, term) = follower.agrees_at_most(10, 6);
    assert_eq!((index, term), (10, 3));
    assert_eq!(leader.agrees_at_most(index, term), (3, 1));
}

#[test]
fn late_answers_move_a_leader_neither_back_nor_into_a_search() {
    let mut progress = Progress::behind(10);
    progress.sent(10);
    assert!(!progress.may_send(8), "one question at a time");
    assert!(progress.refused(10, 4));
    assert_eq!(progress.next, 4);
    assert!(!progress.refused(10, 2), "the answer to a question asked before");
    assert!(progress.accepted(6, 0));
    progress.sent(9);
    assert_eq!((progress.matched, progress.next), (6, 10));
    assert!(!progress.accepted(5, 0), "an answer that was overtaken");
    assert!(!progress.refused(6, 3), "it has had that entry since");
    assert_eq!((progress.matched, progress.next), (6, 10));
    assert!(progress.refused(9, 7), "a message was lost");
    assert_eq!(progress.next, 7);
}

#[test]
fn no_more_than_so_many_messages_are_under_way() {
    let mut progress = Progress::behind(0);
    progress.accepted(0, 0);
    for last in 1..=3 {
        assert!(progress.may_send(3));
        progress.sent(last);
    }
    assert!(!progress.may_send(3));
    progress.accepted(2, 0);
    assert!(progress.may_send(3));
}

fn part(offset: u64, data: &[u8]) -> Part {
    let whole = b"a snapshot";
    Part {
        last_index: 7,
        last_term: 3,
        size: whole.len() as u64,
        checksum: crc32c::crc32c(whole),
        offset,
        data: data.to_vec(),
    }
}

#[test]
fn parts_are_taken_in_order_and_once_whoever_sends_them() {
    let (first, second) = (part(0, b"a snap"), part(6, b"shot"));
    let mut incoming = Incoming::of(node(1), &second);
    incoming.take(&second);
    assert_eq!(incoming.received(), 0, "what comes before it is missing");
    assert!(!incoming.goes_on_from(node(2)), "nothing is here yet");
    incoming.take(&first);
    incoming.take(&first);
    assert_eq!(incoming.received(), 6);
    assert!(!incoming.goes_on_from(node(2)));
    assert!(incoming.goes_on_from(node(3)));
    incoming.take(&part(6, b"shot and more"));
    assert_eq!(incoming.received(), 6, "more than the whole");
    incoming.take(&second);
    assert!(incoming.is_whole());
    assert!(incoming.fits(&first));
    assert!(!incoming.fits(&Part { last_term: 4, ..second.clone() }));
    assert!(!incoming.fits(&Part { checksum: 0, ..second }));
}

#[test]
fn what_is_lost_of_a_snapshot_is_sent_again_and_no_more() {
    let outgoing = Arc::new(Outgoing::new((7, 3), vec![0; 100]));
    let mut transfer = Transfer::of(outgoing);
    assert!(!transfer.beat(), "it has just begun");
    transfer.sent = 40;
    assert!(!transfer.may_send(40), "enough is under way");
    transfer.received(20, 1);
    assert!(transfer.may_send(40));
    assert!(!transfer.beat(), "something has come");
    assert!(transfer.beat(), "nothing has come since");
    assert_eq!(transfer.sent, 20);
    transfer.received(10, 1);
    assert_eq!(transfer.sent, 20, "an answer that was overtaken");
    transfer.received(60, 2);
    assert_eq!(transfer.sent, 60, "another leader had sent that");
    transfer.received(0, 3);
    assert_eq!(transfer.sent, 0, "the follower has restarted");
}

#[test]
fn a_snapshot_is_sent_until_the_follower_has_what_the_log_begins_behind() {
    let sending = || {
        let mut progress = Progress::behind(10);
        let outgoing = Arc::new(Outgoing::new((7, 3), vec![0; 100]));
        progress.pace = Pace::Snapshot(Transfer::of(outgoing));
        progress
    };
    let mut progress = sending();
    progress.accepted(5, 7);
    assert!(progress.transfer().is_some());
    progress.accepted(7, 7);
    assert_eq!((progress.next, progress.transfer()), (8, None));
    let mut progress = sending();
    progress.accepted(7, 9);
    assert_eq!((progress.next, progress.transfer()), (8, None), "there is another one to send");
    let mut progress = sending();
    assert!(!progress.refused(7, 3), "it is known to lack that");
}

#[test]
fn a_log_behind_a_snapshot_knows_the_term_of_its_last_entry() {
    let mut log = log(&[1, 1, 2, 2]);
    assert_eq!(log.compact(3), 24);
    assert_eq!((log.base(), log.last_index(), log.bytes()), ((3, 2), 4, 8));
    assert_eq!([2, 3, 4].map(|i| log.term_at(i)), [None, Some(2), Some(2)]);
    assert_eq!(log.agrees_at_most(9, 1), (3, 2), "there is nothing before it to look at");
    assert_eq!(log.compact(9), 8, "no more than there is");
    assert_eq!((log.base(), log.last_index()), ((4, 2), 4));
}
