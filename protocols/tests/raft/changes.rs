//! Changes of the members.

use crate::bench::{Bench, LONG, Values, node};
use squall_protocols::raft::{Change, ChangeError, Configuration, Reply, Request, Timer};

/// The first three found the cluster, the others are to join.
fn three_of(count: u16) -> Bench {
    Bench::with(count, |ordinal, config| {
        config.voters = if ordinal <= 3 { (1..=3).map(node).collect() } else { Vec::new() };
    })
}

fn change(bench: &mut Bench, leader: u16, changes: &[Change]) -> Option<Reply<Values>> {
    let id = bench.ask(leader, Request::Change(changes.to_vec()));
    bench.settle();
    bench.beat(leader);
    bench.replies.get(&id).cloned()
}

#[test]
fn a_node_learns_before_it_votes() {
    let mut bench = three_of(4);
    bench.campaign(1);
    bench.write(1, &[7]);
    let voter = [Change::Voter(node(4))];
    assert_eq!(
        change(&mut bench, 1, &voter),
        Some(Reply::NotChanged(ChangeError::NotCaughtUp(node(4))))
    );
    assert_eq!(change(&mut bench, 1, &[Change::Learner(node(4))]), Some(Reply::Changed));
    assert_eq!(bench.at(4).state().0, [7]);
    // Whoever learns never campaigns, and answers who does.
    bench.pass(LONG);
    bench.fire(4, Timer::Election);
    assert!(bench.wire.is_empty());
    assert_eq!(change(&mut bench, 1, &voter), Some(Reply::Changed));
    assert_eq!(bench.at(4).configuration(), &Configuration::of((1..=4).map(node)));
    bench.campaign(4);
    assert_eq!(bench.at(4).term(), 2);
    assert!(bench.at(4).is_leader());
}

#[test]
fn to_ask_again_for_what_is_so_changes_nothing() {
    let mut bench = three_of(3);
    bench.campaign(1);
    bench.beat(1);
    let end = bench.at(1).log().last_index();
    for same in [Change::Voter(node(2)), Change::Remove(node(9))] {
        assert_eq!(change(&mut bench, 1, &[same]), Some(Reply::Changed));
    }
    assert_eq!(bench.at(1).log().last_index(), end);
}

#[test]
fn one_change_at_a_time_and_none_before_the_leaders_own_entry() {
    let mut bench = three_of(4);
    bench.cut(&[1, 2, 3]);
    bench.campaign(1);
    bench.cut(&[]);
    bench.campaign(1);
    bench.cut(&[2, 3]);
    let learner = |bench: &mut Bench| {
        let id = bench.ask(1, Request::Change(vec![Change::Learner(node(4))]));
        (id, bench.replies.get(&id).cloned())
    };
    let (first, reply) = learner(&mut bench);
    assert_eq!(reply, None);
    assert_eq!(learner(&mut bench).1, Some(Reply::Busy));
    bench.cut(&[]);
    bench.beat(1);
    assert_eq!(bench.replies[&first], Reply::Changed);
}

#[test]
fn several_voters_change_by_a_joint_configuration_that_is_left_by_itself() {
    let mut bench = three_of(5);
    bench.campaign(1);
    bench.write(1, &[7]);
    let learn = [Change::Learner(node(4)), Change::Learner(node(5))];
    assert_eq!(change(&mut bench, 1, &learn), Some(Reply::Changed));
    let replace = [4, 5].map(|new| Change::Voter(node(new)));
    let replace = [replace.to_vec(), [2, 3].map(|old| Change::Remove(node(old))).to_vec()].concat();
    let id = bench.ask(1, Request::Change(replace));
    assert!(bench.at(1).configuration().is_joint());
    bench.cut(&[2, 3]);
    bench.settle();
    bench.beat(1);
    assert!(!bench.replies.contains_key(&id), "the old voters have a say as well");
    bench.cut(&[]);
    bench.beat(1);
    assert_eq!(bench.replies[&id], Reply::Changed);
    assert_eq!(bench.at(1).configuration(), &Configuration::of([1, 4, 5].map(node)));
    bench.cut(&[2, 3]);
    bench.write(1, &[8]);
    assert_eq!(bench.at(1).state().0, [7, 8]);
}

#[test]
fn a_leader_that_removes_itself_leads_until_that_is_committed() {
    let mut bench = three_of(3);
    bench.campaign(1);
    bench.write(1, &[7]);
    bench.cut(&[2, 3]);
    let id = bench.ask(1, Request::Change(vec![Change::Remove(node(1))]));
    bench.settle();
    assert_eq!(bench.leaders(), [1]);
    bench.cut(&[]);
    bench.beat(1);
    assert_eq!(bench.replies[&id], Reply::Changed);
    assert_eq!(bench.leaders().len(), 1);
    assert_ne!(bench.leaders(), [1], "another was asked to lead");
    bench.beat(bench.leaders()[0]);
    let term = bench.at(2).term();
    bench.pass(LONG);
    bench.fire(1, Timer::Election);
    bench.settle();
    assert_eq!(bench.at(2).term(), term, "who is removed disturbs nobody");
}

#[test]
fn who_was_removed_by_an_entry_that_only_it_has_still_campaigns() {
    let mut bench = three_of(3);
    bench.campaign(1);
    bench.write(1, &[7]);
    assert_eq!(change(&mut bench, 1, &[Change::Remove(node(3))]), Some(Reply::Changed));
    bench.cut(&[2, 3]);
    bench.ask(1, Request::Change(vec![Change::Remove(node(1))]));
    bench.settle();
    bench.fire(1, Timer::Quorum);
    bench.fire(1, Timer::Quorum);
    assert!(bench.leaders().is_empty());
    bench.cut(&[]);
    // The second cannot win: the first does not vote for a shorter log.
    bench.campaign(2);
    assert!(bench.leaders().is_empty());
    bench.campaign(1);
    bench.beat(1);
    assert_eq!(bench.leaders(), [2], "the entry is committed, and the first gives way");
    assert_eq!(bench.at(2).configuration(), &Configuration::of([node(2)]));
}

#[test]
fn fewer_voters_need_fewer_to_commit() {
    let mut bench = three_of(3);
    bench.campaign(1);
    bench.beat(1);
    assert_eq!(change(&mut bench, 1, &[Change::Remove(node(3))]), Some(Reply::Changed));
    assert_eq!(change(&mut bench, 1, &[Change::Remove(node(2))]), Some(Reply::Changed));
    bench.cut(&[2, 3]);
    bench.write(1, &[7]);
    assert_eq!(bench.at(1).state().0, [7]);
    let nobody = change(&mut bench, 1, &[Change::Remove(node(1))]);
    assert_eq!(nobody, Some(Reply::NotChanged(ChangeError::NoVoters)));
}

#[test]
fn a_configuration_that_is_overwritten_is_not_in_force_any_more() {
    let mut bench = three_of(3);
    bench.campaign(1);
    bench.write(1, &[7]);
    bench.cut(&[1]);
    bench.ask(1, Request::Change(vec![Change::Remove(node(3))]));
    assert_eq!(bench.at(1).configuration(), &Configuration::of([1, 2].map(node)));
    bench.campaign(2);
    bench.cut(&[]);
    bench.beat(2);
    bench.beat(2);
    assert_eq!(bench.at(1).configuration(), &Configuration::of([1, 2, 3].map(node)));
}
