use super::{Command, Keyspace, Reply};

const LOCK: &str = "lock";

fn set(value: &str, px_ms: u64) -> Command {
    Command::SetNxPx { key: LOCK.to_owned(), value: value.to_owned(), px_ms }
}

fn delete(value: &str) -> Command {
    Command::CompareAndDelete { key: LOCK.to_owned(), value: value.to_owned() }
}

fn expire(value: &str, px_ms: u64) -> Command {
    Command::CompareAndPexpire { key: LOCK.to_owned(), value: value.to_owned(), px_ms }
}

fn fenced(value: &str) -> Command {
    let (key, counter) = (LOCK.to_owned(), "counter".to_owned());
    Command::AcquireFenced { key, value: value.to_owned(), px_ms: 100, counter }
}

/// What each command answers at its time of day.
fn answers(commands: &[(i64, Command)]) -> Vec<Reply> {
    let mut keys = Keyspace::default();
    commands.iter().map(|(now, command)| keys.execute(*now, command).0).collect()
}

#[test]
fn a_key_goes_when_the_clock_says_so_and_comes_back_for_nobody() {
    let get = || Command::Get(LOCK.to_owned());
    let told = answers(&[(0, set("a", 100)), (99, set("b", 100)), (99, get()), (100, get())]);
    assert_eq!(told, [Reply::Ok, Reply::Nil, Reply::Value("a".to_owned()), Reply::Nil]);
    // Set forward, the clock ends it early; set back, it keeps it longer.
    let told = answers(&[(0, set("a", 100)), (5_000, set("b", 100)), (1_000, set("c", 100))]);
    assert_eq!(told, [Reply::Ok, Reply::Ok, Reply::Nil]);
}

#[test]
fn scripts_touch_only_what_has_the_value_that_they_are_told() {
    let all = [(0, set("a", 100)), (1, delete("b")), (2, expire("b", 9)), (3, expire("a", 500))];
    let more = [(400, delete("a")), (401, delete("a"))];
    let told = answers(&[&all[..], &more[..]].concat());
    let integer = Reply::Integer;
    assert_eq!(told, [Reply::Ok, integer(0), integer(0), integer(1), integer(1), integer(0)]);
}

#[test]
fn a_fenced_acquisition_counts_up_once_for_each_holder() {
    let told = answers(&[
        (0, fenced("a")),
        (50, fenced("a")),
        (60, fenced("b")),
        (149, fenced("b")),
        (150, fenced("b")),
    ]);
    let integer = Reply::Integer;
    assert_eq!(told, [integer(1), integer(1), Reply::Nil, Reply::Nil, integer(2)]);
}

#[test]
fn what_was_done_makes_the_same_keys_elsewhere() {
    let (mut keys, mut copy) = (Keyspace::default(), Keyspace::default());
    for command in [fenced("a"), delete("a"), fenced("b"), Command::Del("counter".to_owned())] {
        let (_, effects) = keys.execute(7, &command);
        effects.iter().for_each(|effect| copy.apply(effect));
    }
    assert_eq!(keys, copy);
    let mut again = Keyspace::default();
    keys.effects().iter().for_each(|effect| again.apply(effect));
    assert_eq!(keys, again);
}
