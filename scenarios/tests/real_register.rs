//! The register as real processes on loopback, killed and stopped while clients use it.

use std::process::{Command, Output};

fn demo(seconds: u64) -> Output {
    let seconds = seconds.to_string();
    let program = env!("CARGO_BIN_EXE_squall");
    let arguments = ["demo", "register", "--seconds", &seconds];
    Command::new(program).args(arguments).output().expect("the program starts")
}

fn assert_good(output: &Output, faults: usize) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("verdict: linearizable, no acknowledged write was lost"), "{text}");
    let struck = text.lines().filter(|line| line.starts_with("replica-")).count();
    assert!(struck >= faults, "only {struck} faults:\n{text}");
}

#[test]
fn real_replicas_keep_their_promise_for_ten_seconds_of_kills_and_pauses() {
    assert_good(&demo(10), 5);
}

#[test]
#[ignore = "takes two minutes; the continuous integration runs it"]
fn real_replicas_keep_their_promise_for_two_minutes_of_kills_and_pauses() {
    assert_good(&demo(120), 60);
}

#[test]
fn wrong_arguments_and_files_are_named() {
    let program = env!("CARGO_BIN_EXE_squall");
    let run = |arguments: &[&str]| Command::new(program).args(arguments).output().unwrap();
    let unknown = run(&["demo", "registre"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("register"));
    let missing = run(&["node", "replica", "--config", "no-such-file.json"]);
    assert_eq!(missing.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no-such-file.json"));
}
