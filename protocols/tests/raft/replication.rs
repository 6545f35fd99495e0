//! Replication: what is sent, stored, committed and applied.

use crate::bench::{Bench, LONG, Write};
use squall_protocols::raft::{Entry, Index, Message, Payload, Reply, Request, Term, Timer};

fn entries(terms: &[Term]) -> Vec<Entry> {
    terms.iter().map(|term| Entry { term: *term, payload: Payload::NoOp }).collect()
}

fn append(term: Term, previous: (Index, Term), terms: &[Term], commit: Index) -> Message {
    let (previous_index, previous_term) = previous;
    let entries = entries(terms);
    Message::AppendEntries { term, previous_index, previous_term, entries, commit, round: 0 }
}

/// The numbers of the entries that members 2 and 3 were sent and have not got yet.
fn under_way(bench: &Bench, to: u16) -> Vec<(Index, usize)> {
    let sent = bench.wire.iter().filter(|letter| letter.to == to);
    let sent = sent.filter_map(|letter| match &letter.message {
        Message::AppendEntries { previous_index, entries, .. } if !entries.is_empty() => {
            Some((*previous_index, entries.len()))
        }
        _ => None,
    });
    sent.collect()
}

/// Opens a session at the leader.
fn session(bench: &mut Bench, leader: u16) -> u64 {
    let opened = bench.ask(leader, Request::OpenSession);
    bench.settle();
    match bench.replies.get(&opened) {
        Some(Reply::Session(session)) => *session,
        other => panic!("no session: {other:?}"),
    }
}

#[test]
fn a_leader_sends_entries_with_the_one_before_and_commits_what_a_majority_has() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    let session = session(&mut bench, 1);
    let id = bench.ask(1, Request::Propose { session, sequence: 1, command: Write(7) });
    assert_eq!((under_way(&bench, 2), under_way(&bench, 3)), (vec![(2, 1)], vec![(2, 1)]));
    assert_eq!(bench.at(1).commit(), 2);
    assert!(!bench.replies.contains_key(&id), "nothing is answered before");
    bench.settle();
    assert_eq!((bench.at(1).commit(), &bench.replies[&id]), (3, &Reply::Applied(())));
    assert_eq!(bench.at(2).commit(), 2, "a follower learns of it by the next message");
    bench.beat(1);
    assert!((1..=3).all(|member| bench.at(member).state().0 == [7]));
}

#[test]
fn an_entry_crosses_the_network_once_for_each_follower() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    let session = session(&mut bench, 1);
    let mut sent = 0;
    for sequence in 1..=10 {
        bench.propose(1, session, sequence, sequence);
        while let Some(letter) = bench.wire.pop_front() {
            if let Message::AppendEntries { entries, .. } = &letter.message {
                sent += entries.len();
            }
            bench.send(letter.from, letter.to, letter.message);
        }
    }
    assert_eq!((sent, bench.at(1).commit()), (20, 12));
}

#[test]
fn nothing_commits_without_a_majority_and_everything_once_there_is_one() {
    let mut bench = Bench::of(5);
    bench.campaign(1);
    let session = session(&mut bench, 1);
    bench.cut(&[3, 4, 5]);
    for (sequence, value) in (1..).zip([7, 8, 9]) {
        bench.ask(1, Request::Propose { session, sequence, command: Write(value) });
    }
    bench.settle();
    bench.beat(1);
    assert!(bench.at(1).state().0.is_empty());
    bench.cut(&[4, 5]);
    bench.beat(1);
    assert_eq!(bench.at(1).state().0, [7, 8, 9], "with the last all before it");
}

#[test]
fn a_leader_counts_its_own_disk_like_any_other() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    let session = session(&mut bench, 1);
    bench.stall(1, true);
    bench.cut(&[3]);
    let id = bench.ask(1, Request::Propose { session, sequence: 1, command: Write(7) });
    bench.settle();
    assert_eq!(bench.at(2).log().last_index(), 3, "the follower has it before the own disk");
    assert!(!bench.replies.contains_key(&id));
    bench.stall(1, false);
    assert_eq!(bench.replies[&id], Reply::Applied(()));
}

#[test]
fn two_disks_of_followers_commit_before_the_leaders_own() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    let session = session(&mut bench, 1);
    bench.stall(1, true);
    bench.ask(1, Request::Propose { session, sequence: 1, command: Write(7) });
    bench.settle();
    assert_eq!(bench.at(1).commit(), 3);
}

#[test]
fn an_acknowledgement_waits_until_the_entries_are_durable() {
    let mut bench = Bench::of(3);
    bench.stall(3, true);
    assert_eq!(bench.answer(1, 3, append(1, (0, 0), &[1, 1], 0)), None);
    // A later term's leader puts others in their place before they are synced.
    assert_eq!(bench.answer(2, 3, append(2, (1, 1), &[2], 0)), None);
    bench.stall(3, false);
    let told: Vec<(u16, Index)> = bench
        .wire
        .drain(..)
        .filter_map(|letter| match letter.message {
            Message::Appended { matched, .. } => Some((letter.to, matched)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(1, 2), (2, 2)]);
    assert_eq!(bench.terms(3), [1, 2]);
}

type Case<'a> = (&'a [Term], (Index, Term), &'a [Term], &'a [Term], bool);

#[test]
fn a_follower_stores_what_fits_and_refuses_what_does_not() {
    // Each with the log before, what comes, the log after, and whether it is accepted.
    let cases: [Case<'_>; 7] = [
        (&[1, 2], (2, 2), &[3], &[1, 2, 3], true),
        (&[1, 2], (3, 3), &[4], &[1, 2], false),
        (&[1, 2], (2, 1), &[3], &[1, 2], false),
        (&[1, 2], (1, 1), &[2], &[1, 2], true),
        (&[1, 2, 2], (0, 0), &[1], &[1, 2, 2], true),
        (&[1, 2, 2], (1, 1), &[4], &[1, 4], true),
        (&[1, 2, 2], (0, 0), &[3, 4], &[3, 4], true),
    ];
    for (before, previous, new, after, accepted) in cases {
        let mut bench = Bench::of(3);
        bench.send(1, 3, append(4, (0, 0), before, 0));
        let answer = bench.answer(1, 3, append(4, previous, new, 0));
        assert_eq!(bench.terms(3), after, "{previous:?} {new:?}");
        match answer {
            Some(Message::Appended { matched, .. }) => {
                assert!(accepted);
                assert_eq!(matched, previous.0 + new.len() as u64);
            }
            Some(Message::Refused { previous_index, .. }) => {
                assert!(!accepted);
                assert_eq!(previous_index, previous.0);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_follower_commits_no_further_than_what_a_message_has_shown_to_agree() {
    let mut bench = Bench::of(3);
    bench.send(1, 3, append(1, (0, 0), &[1, 1, 1], 0));
    bench.send(2, 3, append(2, (1, 1), &[], 3));
    assert_eq!(bench.at(3).commit(), 1, "what stands behind it may be another's");
    bench.send(2, 3, append(2, (1, 1), &[2], 9));
    assert_eq!(bench.at(3).commit(), 2);
}

#[test]
fn a_committed_entry_is_never_overwritten_whoever_asks() {
    let mut bench = Bench::of(3);
    bench.send(1, 3, append(1, (0, 0), &[1, 1], 2));
    assert_eq!(bench.answer(2, 3, append(2, (1, 1), &[2], 2)), None);
    assert_eq!((bench.terms(3), bench.at(3).commit()), (vec![1, 1], 2));
}

/// Figure 3.6 of the thesis: the leader of term 8 brings the logs of all these followers in line.
#[test]
fn a_leader_brings_every_log_in_line_with_its_own() {
    let leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [&[Term]; 6] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    for follower in followers {
        let mut bench = Bench::of(3);
        bench.send(2, 1, append(7, (0, 0), &leader, 0));
        bench.send(2, 3, append(7, (0, 0), follower, 0));
        bench.wire.clear();
        bench.campaign(1);
        bench.beat(1);
        assert_eq!(bench.leaders(), [1]);
        let mut all = leader.to_vec();
        all.push(8);
        assert_eq!(bench.terms(3), all, "{follower:?}");
        assert_eq!(bench.at(3).commit(), 11);
    }
}

#[test]
fn entries_of_earlier_terms_commit_with_one_of_the_leaders_own() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    bench.cut(&[2, 3]);
    bench.ask(1, Request::OpenSession);
    bench.settle();
    bench.fire(1, Timer::Quorum);
    bench.fire(1, Timer::Quorum);
    bench.cut(&[]);
    bench.campaign(1);
    assert_eq!((bench.terms(1), bench.at(1).commit()), (vec![1, 1, 2], 3));
}

#[test]
fn answers_that_come_late_or_twice_move_nothing_back() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    bench.write(1, &[7, 8]);
    let (commit, term) = (bench.at(1).commit(), bench.at(1).term());
    for matched in [0, 1, 2] {
        bench.send(2, 1, Message::Appended { term, matched, round: 0 });
        let (previous_index, hint_index) = (matched, matched);
        let late = Message::Refused { term, previous_index, hint_index, hint_term: 1, round: 0 };
        bench.send(2, 1, late);
    }
    bench.settle();
    assert_eq!(bench.at(1).commit(), commit);
    // An answer to what was never sent is no reason to trust anybody.
    bench.send(2, 1, Message::Appended { term, matched: 99, round: 0 });
    assert_eq!(bench.at(1).commit(), commit);
}

#[test]
fn so_many_messages_are_under_way_and_a_heartbeat_goes_beyond() {
    let mut bench = Bench::with(3, |_, config| {
        config.under_way_max = 3;
        config.entries_max = 1;
    });
    bench.campaign(1);
    let session = session(&mut bench, 1);
    for sequence in 1..=9 {
        bench.ask(1, Request::Propose { session, sequence, command: Write(sequence) });
    }
    assert_eq!(under_way(&bench, 2), [(2, 1), (3, 1), (4, 1)]);
    bench.settle();
    bench.beat(1);
    assert!((1..=3).all(|member| bench.at(member).state().0.len() == 9));
}

#[test]
fn a_leader_that_looks_for_the_parting_asks_one_question_at_a_time() {
    let mut bench = Bench::with(3, |_, config| config.entries_max = 1);
    bench.cut(&[3]);
    bench.campaign(1);
    bench.write(1, &[7, 8, 9]);
    bench.wire.clear();
    bench.cut(&[]);
    bench.fire(1, Timer::Heartbeat);
    let to_third = bench.wire.iter().filter(|letter| letter.to == 3).count();
    assert_eq!(to_third, 1);
    bench.settle();
    assert_eq!(bench.at(3).log().last_index(), bench.at(1).log().last_index());
}

#[test]
fn a_leader_takes_no_more_than_fits_into_its_bounds() {
    let mut bench = Bench::with(3, |_, config| {
        config.uncommitted_max = 100;
        config.command_max = 8;
    });
    bench.campaign(1);
    let session = session(&mut bench, 1);
    bench.cut(&[2, 3]);
    let mut replies = Vec::new();
    for sequence in 1..=9 {
        let id = bench.ask(1, Request::Propose { session, sequence, command: Write(sequence) });
        replies.push(bench.replies.get(&id).cloned());
    }
    assert_eq!(replies.iter().filter(|reply| reply.is_none()).count(), 4);
    assert!(replies[4..].iter().all(|reply| *reply == Some(Reply::Busy)));
    bench.cut(&[]);
    bench.beat(1);
    let large = Request::Propose { session, sequence: 10, command: Write(u64::MAX) };
    let large = bench.ask(1, large);
    assert_eq!(bench.replies[&large], Reply::TooLarge);
}

#[test]
fn a_member_that_restarts_keeps_its_term_its_log_and_what_was_agreed() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    bench.write(1, &[7, 8]);
    bench.beat(1);
    bench.restart(2);
    assert_eq!((bench.at(2).term(), bench.at(2).log().last_index()), (1, 4));
    bench.beat(1);
    assert_eq!(bench.at(2).state().0, [7, 8]);
}

#[test]
fn a_command_that_is_sent_twice_is_applied_once() {
    let mut bench = Bench::of(3);
    bench.campaign(1);
    let session = session(&mut bench, 1);
    let twice: Vec<_> = (0..2)
        .map(|_| bench.ask(1, Request::Propose { session, sequence: 1, command: Write(7) }))
        .collect();
    bench.settle();
    assert!(twice.iter().all(|id| bench.replies[id] == Reply::Applied(())));
    assert_eq!(bench.at(1).state().0, [7]);
}

#[test]
fn who_lacks_entries_that_are_compacted_gets_the_snapshot_and_then_the_rest() {
    for bytes_max in [4, 64, 4_096] {
        let mut bench = Bench::with(3, |_, config| {
            config.snapshot_entries = 4;
            config.tail_entries = 0;
            config.bytes_max = bytes_max;
        });
        bench.cut(&[3]);
        bench.campaign(1);
        bench.write(1, &[1, 2, 3, 4, 5, 6]);
        assert!(bench.at(1).log().base().0 >= 4);
        bench.cut(&[]);
        bench.beat(1);
        bench.beat(1);
        assert_eq!(bench.at(3).state().0, [1, 2, 3, 4, 5, 6], "{bytes_max} bytes a message");
        assert!(bench.at(3).log().base().0 >= 4);
        // A snapshot of what is there already changes nothing.
        bench.pass(LONG);
        bench.restart(3);
        bench.beat(1);
        assert_eq!(bench.at(3).state().0, [1, 2, 3, 4, 5, 6]);
    }
}
