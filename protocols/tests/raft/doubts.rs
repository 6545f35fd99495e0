//! Members that cannot read what they wrote last.

use crate::bench::{Bench, node};
use squall_protocols::raft::{Campaign, Message, Timer};

fn cluster() -> Bench {
    Bench::with(3, |_, config| config.doubts_torn_tails = true)
}

fn ask(term: u64, (last_term, last_index): (u64, u64)) -> Message {
    Message::RequestVote { term, last_index, last_term, campaign: Campaign::Election }
}

fn end(bench: &Bench, member: u16) -> (u64, u64) {
    let log = bench.at(member).log();
    (log.last_term(), log.last_index())
}

/// Member 3 has forgotten all that the leader of the first term has sent it, but not its claim.
fn forgetful() -> Bench {
    let mut bench = cluster();
    let saved = bench.saved(3);
    bench.campaign(1);
    bench.write(1, &[7, 8]);
    bench.beat(1);
    assert_eq!(end(&bench, 3), end(&bench, 1));
    bench.forget(3, &saved);
    bench
}

#[test]
fn who_has_forgotten_entries_keeps_its_term_and_its_vote() {
    let bench = forgetful();
    assert_eq!((bench.at(3).term(), bench.at(3).vote()), (1, Some(node(1))));
    assert_eq!((end(&bench, 3), bench.at(3).claimed_end()), ((0, 0), end(&bench, 1)));
    assert!(bench.at(3).is_doubtful() && !bench.at(2).is_doubtful());
}

#[test]
fn who_has_forgotten_entries_votes_only_for_those_who_have_them() {
    let mut bench = forgetful();
    bench.pass(crate::bench::LONG);
    let (of, last) = end(&bench, 1);
    let vote = |term, granted| Some(Message::Vote { term, granted, pre_vote: false });
    assert_eq!(bench.answer(2, 3, ask(2, (of, last - 1))), vote(2, false));
    assert_eq!(bench.answer(2, 3, ask(3, (of, last))), vote(3, true));
}

#[test]
fn who_has_forgotten_entries_does_not_campaign() {
    let mut bench = forgetful();
    bench.cut(&[1]);
    for _ in 0..3 {
        bench.pass(crate::bench::LONG);
        bench.fire(3, Timer::Election);
        let asks = |letter: &crate::bench::Letter| {
            letter.from != 3 || matches!(letter.message, Message::AskEnd { .. })
        };
        assert!(bench.wire.iter().all(asks));
        bench.settle();
    }
    bench.send(1, 3, Message::TimeoutNow { term: 1 });
    bench.settle();
    assert!(bench.at(3).is_doubtful() && bench.at(3).term() == 1);
}

#[test]
fn a_leader_sends_again_what_its_follower_has_forgotten() {
    let mut bench = forgetful();
    bench.beat(1);
    bench.beat(1);
    assert_eq!(end(&bench, 3), end(&bench, 1));
    assert!(!bench.at(3).is_doubtful());
}

/// Member 3 led, wrote what it could send to nobody, and has forgotten it.
fn alone() -> Bench {
    let mut bench = cluster();
    bench.campaign(3);
    bench.write(3, &[7]);
    bench.beat(3);
    let saved = bench.saved(3);
    bench.cut(&[3]);
    let session = end(&bench, 3).1 - 1;
    bench.propose(3, session, 2, 8);
    bench.settle();
    bench.forget(3, &saved);
    assert!(bench.at(3).is_doubtful());
    bench
}

#[test]
fn what_all_others_lack_was_never_committed() {
    let mut bench = alone();
    bench.cut(&[]);
    bench.campaign(3);
    assert!(!bench.at(3).is_doubtful());
    bench.campaign(3);
    assert_eq!(bench.leaders(), [3]);
}

#[test]
fn what_another_has_may_have_been_committed_though_all_have_answered() {
    let mut bench = forgetful();
    let claimed = bench.at(3).claimed_end();
    bench.pass(crate::bench::LONG);
    bench.fire(3, Timer::Election);
    bench.settle();
    assert!(bench.at(3).is_doubtful());
    assert_eq!(bench.at(3).claimed_end(), claimed);
}

#[test]
fn as_long_as_one_has_not_answered_it_may_have_been() {
    let mut bench = alone();
    bench.cut(&[1]);
    bench.campaign(3);
    bench.campaign(3);
    assert!(bench.at(3).is_doubtful() && bench.leaders().is_empty());
}
