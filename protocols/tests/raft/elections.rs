//! Elections: who campaigns, who votes, and who steps down.

use crate::bench::{Bench, LONG, node};
use squall_protocols::raft::{Campaign, Message, Reply, Request, Timer};
use std::time::Duration;

fn ask(term: u64, last_index: u64, last_term: u64) -> Message {
    Message::RequestVote { term, last_index, last_term, campaign: Campaign::Election }
}

fn heartbeat(term: u64) -> Message {
    Message::AppendEntries {
        term,
        previous_index: 0,
        previous_term: 0,
        entries: Vec::new(),
        commit: 0,
        round: 1,
    }
}

#[test]
fn members_start_as_followers_and_wait() {
    let bench = Bench::of(3);
    assert!(bench.leaders().is_empty());
    assert!(bench.wire.is_empty());
    assert!((1..=3).all(|member| bench.is_armed(member, Timer::Election)));
}

#[test]
fn who_hears_of_no_leader_asks_all_others_and_leads_with_a_majority() {
    for count in 1..=5 {
        let mut bench = Bench::of(count);
        bench.campaign(1);
        assert_eq!(bench.leaders(), [1], "{count} members");
        assert_eq!((bench.at(1).term(), bench.at(1).vote()), (1, Some(node(1))));
    }
}

#[test]
fn nobody_leads_without_a_majority() {
    for (count, cut) in [(2, vec![2]), (3, vec![2, 3]), (4, vec![3, 4]), (5, vec![3, 4, 5])] {
        let mut bench = Bench::of(count);
        bench.cut(&cut);
        bench.campaign(1);
        assert!(bench.leaders().is_empty(), "{count} members");
        // To ask who would vote changes no term (section 9.6).
        assert_eq!(bench.at(1).term(), 0);
    }
}

#[test]
fn each_member_can_lead_in_turn() {
    let mut bench = Bench::of(3);
    for (member, term) in [(1, 1), (2, 2), (3, 3), (1, 4)] {
        bench.campaign(member);
        bench.beat(member);
        assert_eq!((bench.leaders(), bench.at(member).term()), (vec![member], term));
    }
}

#[test]
fn a_member_votes_once_in_a_term_for_whoever_asks_first() {
    let mut bench = Bench::of(3);
    bench.pass(LONG);
    let vote = |bench: &mut Bench, from| bench.answer(from, 3, ask(1, 0, 0));
    let granted = Some(Message::Vote { term: 1, granted: true, pre_vote: false });
    let refused = Some(Message::Vote { term: 1, granted: false, pre_vote: false });
    assert_eq!(vote(&mut bench, 1), granted);
    assert_eq!(vote(&mut bench, 2), refused);
    assert_eq!(vote(&mut bench, 1), granted, "the first question may have been lost");
    bench.restart(3);
    bench.pass(LONG);
    assert_eq!(vote(&mut bench, 2), refused, "a restart forgets no vote");
}

#[test]
fn a_vote_waits_until_it_is_durable() {
    let mut bench = Bench::of(3);
    bench.pass(LONG);
    bench.stall(3, true);
    assert_eq!(bench.answer(1, 3, ask(1, 0, 0)), None);
    bench.stall(3, false);
    let vote = bench.wire.pop_back().expect("the vote").message;
    assert_eq!(vote, Message::Vote { term: 1, granted: true, pre_vote: false });
}

#[test]
fn a_candidate_with_an_older_log_gets_no_vote() {
    // The voter's last entry is of term 1, at 4.
    for (last_index, last_term, granted) in
        [(3, 1, false), (4, 1, true), (5, 1, true), (1, 2, true), (9, 0, false)]
    {
        let mut bench = Bench::of(3);
        bench.campaign(1);
        bench.write(1, &[7, 8]);
        assert_eq!(bench.at(3).log().last_index(), 4);
        bench.pass(LONG);
        let vote = bench.answer(2, 3, ask(5, last_index, last_term));
        let expected = Message::Vote { term: 5, granted, pre_vote: false };
        assert_eq!(vote, Some(expected), "{last_index} of term {last_term}");
    }
}

#[test]
fn who_has_just_heard_a_leader_votes_for_nobody_else() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    bench.beat(1);
    assert_eq!(bench.answer(2, 3, ask(9, 9, 9)), None);
    assert_eq!(bench.at(3).term(), 1, "not even the term changes");
    bench.pass(LONG);
    assert!(bench.answer(2, 3, ask(9, 9, 9)).is_some());
    assert_eq!(bench.at(3).term(), 9);
}

#[test]
fn a_later_term_makes_a_follower_of_everybody() {
    for role in ["follower", "candidate", "leader"] {
        let mut bench = Bench::of(3);
        if role == "candidate" {
            bench.cut(&[1]);
        }
        if role != "follower" {
            bench.campaign(1);
        }
        bench.send(2, 1, heartbeat(7));
        assert_eq!((bench.at(1).term(), bench.at(1).vote()), (7, None), "{role}");
        assert_eq!(bench.at(1).leader(), Some(node(2)), "{role}");
        assert!(bench.leaders().is_empty() && bench.is_armed(1, Timer::Election), "{role}");
    }
}

#[test]
fn a_message_of_an_earlier_term_changes_nothing() {
    let mut bench = Bench::of(3);
    bench.send(2, 1, heartbeat(7));
    let answer = bench.answer(3, 1, heartbeat(6));
    assert!(matches!(answer, Some(Message::Refused { term: 7, .. })), "{answer:?}");
    assert_eq!(bench.at(1).leader(), Some(node(2)));
}

#[test]
fn who_comes_back_from_a_partition_does_not_disturb() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    bench.cut(&[3]);
    for _ in 0..10 {
        bench.pass(LONG);
        bench.fire(3, Timer::Election);
        bench.settle();
        bench.beat(1);
    }
    bench.cut(&[]);
    bench.fire(3, Timer::Election);
    bench.settle();
    bench.beat(1);
    assert_eq!((bench.leaders(), bench.at(3).term()), (vec![1], 1));
    assert_eq!(bench.at(3).leader(), Some(node(1)));
}

#[test]
fn of_two_candidates_one_leads() {
    let mut bench = Bench::of(3);
    bench.pass(LONG);
    bench.fire(1, Timer::Election);
    bench.fire(3, Timer::Election);
    bench.settle();
    assert_eq!(bench.leaders().len(), 1);
    bench.beat(bench.leaders()[0]);
    assert!((1..=3).all(|member| bench.at(member).leader() == bench.at(1).leader()));
}

#[test]
fn a_leader_without_a_quorum_steps_down_and_one_with_a_quorum_stays() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    for _ in 0..3 {
        bench.beat(1);
        bench.fire(1, Timer::Quorum);
        assert_eq!(bench.leaders(), [1]);
    }
    bench.cut(&[2, 3]);
    bench.beat(1);
    bench.fire(1, Timer::Quorum);
    assert!(bench.leaders().is_empty());
    assert_eq!(bench.at(1).leader(), None);
}

#[test]
fn an_election_that_comes_to_nothing_is_tried_again() {
    let mut bench = Bench::of(3);
    bench.cut(&[1, 2, 3]);
    for _ in 0..5 {
        bench.campaign(1);
    }
    bench.cut(&[]);
    bench.campaign(1);
    assert_eq!((bench.leaders(), bench.at(1).term()), (vec![1], 1));
}

#[test]
fn a_vote_that_comes_late_elects_nobody() {
    let mut bench = Bench::of(3);
    bench.cut(&[2, 3]);
    bench.campaign(1);
    bench.send(2, 1, heartbeat(4));
    bench.send(3, 1, Message::Vote { term: 1, granted: true, pre_vote: false });
    bench.send(3, 1, Message::Vote { term: 4, granted: true, pre_vote: false });
    assert!(bench.leaders().is_empty());
    assert_eq!(bench.at(1).leader(), Some(node(2)));
}

#[test]
fn a_transfer_elects_who_has_the_whole_log_at_once() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    bench.write(1, &[7]);
    let request = Request::Transfer(node(3));
    let id = bench.ask(1, request);
    bench.settle();
    assert_eq!(bench.leaders(), [3]);
    assert_eq!(bench.replies[&id], Reply::Transferred);
}

#[test]
fn a_transfer_to_itself_or_to_nobody_is_refused_and_one_that_fails_is_given_up() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    bench.beat(1);
    for to in [1, 9] {
        let id = bench.ask(1, Request::Transfer(node(to)));
        assert_eq!(bench.replies[&id], Reply::NotTransferred, "to {to}");
    }
    bench.cut(&[3]);
    bench.write(1, &[7]);
    let transfer = bench.ask(1, Request::Transfer(node(3)));
    let refused = bench.ask(1, Request::OpenSession);
    bench.settle();
    assert_eq!(bench.replies[&refused], Reply::Busy, "no proposals meanwhile");
    assert!(!bench.replies.contains_key(&transfer));
    bench.pass(Duration::from_millis(150));
    bench.fire(1, Timer::Transfer);
    assert_eq!(bench.replies[&transfer], Reply::NotTransferred);
    bench.write(1, &[8]);
    assert_eq!((bench.leaders(), &bench.at(1).state().0), (vec![1], &vec![7, 8]));
}
