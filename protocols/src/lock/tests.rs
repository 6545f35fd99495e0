//! The table by itself.

use super::{Acquire, AcquisitionId, Claim, Command, Output, Refused, Standing, Table, Token};

fn claim(number: u64) -> Claim {
    Claim { name: "a".to_owned(), id: AcquisitionId { owner: 1, number } }
}

fn ask(number: u64) -> Command {
    Command::Acquire(Acquire { claim: claim(number), ttl_ms: 100, wait_ms: 100 })
}

fn held(token: u64) -> Result<Output, Refused> {
    Ok(Output::Standing(Standing::Held(Token(token))))
}

#[test]
fn who_asks_again_is_answered_the_same() {
    let mut table = Table::default();
    assert_eq!(table.execute(&ask(1)), held(1));
    assert_eq!(table.execute(&ask(1)), held(1));
    assert_eq!(table.execute(&ask(2)), Ok(Output::Standing(Standing::Waiting)));
    assert_eq!(table.execute(&ask(2)), Ok(Output::Standing(Standing::Waiting)));
    assert_eq!(table.terms().count(), 2);
}

#[test]
fn the_lock_goes_to_who_waits_longest_under_a_new_token() {
    let mut table = Table::default();
    (1..=4).for_each(|number| drop(table.execute(&ask(number))));
    // The second has left.
    assert_eq!(table.execute(&Command::Release(claim(2))), Ok(Output::Held(false)));
    assert_eq!(table.execute(&Command::Release(claim(1))), Ok(Output::Held(true)));
    assert_eq!(table.standing(&claim(3)), Standing::Held(Token(2)));
    assert_eq!(table.standing(&claim(4)), Standing::Waiting);
}

#[test]
fn a_late_release_frees_nobody_elses_lock() {
    let mut table = Table::default();
    table.execute(&ask(1)).unwrap();
    table.execute(&Command::Release(claim(1))).unwrap();
    table.execute(&ask(2)).unwrap();
    assert_eq!(table.execute(&Command::Release(claim(1))), Ok(Output::Held(false)));
    assert_eq!(table.standing(&claim(2)), Standing::Held(Token(2)));
}

#[test]
fn what_was_asked_before_the_end_and_arrives_after_it_takes_nothing() {
    let mut table = Table::default();
    // Even if the end arrives first.
    table.execute(&Command::Release(claim(7))).unwrap();
    assert_eq!(table.execute(&ask(7)), Ok(Output::Standing(Standing::Ended)));
    assert_eq!(table.held().count(), 0);
}

#[test]
fn a_lease_that_was_renewed_meanwhile_does_not_run_out() {
    let mut table = Table::default();
    table.execute(&ask(1)).unwrap();
    let due: Vec<_> = table.terms().map(|term| (term.claim, term.turn)).collect();
    assert_eq!(table.execute(&Command::Renew(claim(1))), Ok(Output::Held(true)));
    assert_eq!(table.execute(&Command::Expire(due)), Ok(Output::Expired(0)));
    let due: Vec<_> = table.terms().map(|term| (term.claim, term.turn)).collect();
    assert_eq!(table.execute(&Command::Expire(due)), Ok(Output::Expired(1)));
    assert_eq!(table.execute(&Command::Renew(claim(1))), Ok(Output::Held(false)));
}

#[test]
fn who_does_not_wait_is_told_that_the_lock_is_taken() {
    let mut table = Table::default();
    table.execute(&ask(1)).unwrap();
    let at_once = Acquire { claim: claim(2), ttl_ms: 100, wait_ms: 0 };
    assert_eq!(table.execute(&Command::Acquire(at_once)), Err(Refused::Taken));
    let too_short = Acquire { claim: claim(3), ttl_ms: 1, wait_ms: 100 };
    assert_eq!(table.execute(&Command::Acquire(too_short)), Err(Refused::Ttl { ttl_ms: 1 }));
    let name = "n".repeat(300);
    let claim = Claim { name, ..claim(4) };
    let too_long = Acquire { claim, ttl_ms: 100, wait_ms: 100 };
    assert_eq!(
        table.execute(&Command::Acquire(too_long)),
        Err(Refused::NameTooLong { bytes: 300 })
    );
}
