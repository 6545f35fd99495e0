//! Reads that cost no entry.

use crate::bench::{Bench, LONG, node};
use squall_protocols::raft::{Campaign, Message, Reply, Request, Timer};
use std::time::Duration;

#[test]
fn a_read_waits_for_a_quorum_that_still_follows() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    bench.write(1, &[7]);
    bench.cut(&[2, 3]);
    let read = bench.ask(1, Request::Read(()));
    bench.settle();
    assert!(!bench.replies.contains_key(&read));
    bench.cut(&[3]);
    bench.beat(1);
    assert_eq!(bench.replies[&read], Reply::Answer(vec![7]));
}

#[test]
fn a_new_leader_answers_once_an_entry_of_its_own_term_is_committed() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    bench.write(1, &[7]);
    // The second does not know yet that the value is committed.
    bench.pass(LONG);
    bench.stall(2, true);
    bench.fire(2, Timer::Election);
    bench.settle();
    bench.stall(2, false);
    bench.cut(&[1]);
    while bench.leaders() != [1, 2] {
        let letter = bench.wire.pop_front().expect("the vote of the third");
        if letter.to != 1 {
            bench.send(letter.from, letter.to, letter.message);
        }
    }
    let read = bench.ask(2, Request::Read(()));
    assert!(!bench.replies.contains_key(&read));
    bench.settle();
    assert_eq!(bench.replies[&read], Reply::Answer(vec![7]));
}

#[test]
fn a_leader_that_was_deposed_sends_readers_away() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    bench.write(1, &[7]);
    bench.cut(&[1]);
    let read = bench.ask(1, Request::Read(()));
    bench.campaign(2);
    bench.write(2, &[8]);
    bench.cut(&[]);
    bench.beat(2);
    assert_eq!(bench.replies[&read], Reply::NotLeader(Some(node(2))));
}

#[test]
fn reads_that_come_meanwhile_share_the_next_round() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    bench.write(1, &[7]);
    let reads: Vec<_> = (0..50).map(|_| bench.ask(1, Request::Read(()))).collect();
    assert_eq!(bench.wire.iter().filter(|letter| letter.to == 2).count(), 1);
    bench.settle();
    assert!(reads.iter().all(|read| bench.replies[read] == Reply::Answer(vec![7])));
}

#[test]
fn a_lease_answers_at_once_until_it_is_over() {
    let mut bench = Bench::with(3, |_, config| config.lease_drift_max_ppm = Some(0));
    bench.campaign(1);
    bench.write(1, &[7]);
    bench.beat(1);
    bench.cut(&[2, 3]);
    let read = |bench: &mut Bench| {
        let id = bench.ask(1, Request::Read(()));
        bench.replies.get(&id).cloned()
    };
    bench.pass(Duration::from_millis(149));
    assert_eq!(read(&mut bench), Some(Reply::Answer(vec![7])));
    bench.pass(Duration::from_millis(1));
    assert_eq!(read(&mut bench), None);
}

#[test]
fn with_leases_a_voter_that_restarts_waits_before_it_votes() {
    let mut bench = Bench::with(3, |_, config| config.lease_drift_max_ppm = Some(0));
    bench.campaign(1);
    bench.beat(1);
    bench.restart(3);
    let ask =
        Message::RequestVote { term: 5, last_index: 9, last_term: 4, campaign: Campaign::Election };
    assert_eq!(bench.answer(2, 3, ask.clone()), None);
    bench.pass(Duration::from_millis(150));
    assert!(bench.answer(2, 3, ask).is_some());
}
