//! Clusters as real processes on loopback, killed and stopped while clients use them.

use std::process::{Command, Output};

fn demo(line: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_squall");
    let arguments = line.split_whitespace();
    Command::new(program).arg("demo").args(arguments).output().expect("the program starts")
}

/// Runs it, and sees to it that it went well although so many faults of each kind struck.
fn is_kept(line: &str, faults: usize) {
    let output = demo(line);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("verdict: linearizable, no acknowledged write was lost"), "{text}");
    for kind in ["kill node", "pause node"] {
        let struck = text.lines().filter(|line| line.contains(kind)).count();
        assert!(struck >= faults, "{kind}: only {struck}\n{text}");
    }
}

#[test]
fn real_replicas_keep_their_promise_for_ten_seconds() {
    is_kept("register --time 10s", 3);
}

#[test]
fn real_members_of_raft_keep_their_promise_for_ten_seconds() {
    is_kept("raft --time 10s", 3);
}

#[test]
#[ignore = "takes two minutes; the continuous integration runs it"]
fn real_replicas_keep_their_promise_for_two_minutes() {
    is_kept("register --time 2m", 30);
}

#[test]
#[ignore = "takes two minutes; the continuous integration runs it"]
fn three_real_members_of_raft_keep_their_promise_for_two_minutes() {
    is_kept("raft --time 2m --seed 2", 30);
}

#[test]
#[ignore = "takes a minute; the continuous integration runs it"]
fn five_real_members_of_raft_keep_their_promise_for_a_minute() {
    is_kept("raft --nodes 5 --time 1m --seed 3", 15);
}

#[test]
fn wrong_arguments_and_files_are_named() {
    let unknown = demo("registre");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("register"));
    assert_eq!(demo("raft --nodes 0").status.code(), Some(2));
    let program = env!("CARGO_BIN_EXE_squall");
    for node in ["replica", "member"] {
        let arguments = ["node", node, "--config", "no-such-file.json"];
        let missing = Command::new(program).args(arguments).output().unwrap();
        assert_eq!(missing.status.code(), Some(75));
        assert!(String::from_utf8_lossy(&missing.stderr).contains("no-such-file.json"));
    }
}
