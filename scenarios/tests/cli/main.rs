//! The `squall` command as its users start it.

mod crash_points;
mod explore;
mod files;
mod run;
mod shrink;
mod strategies;
mod sweep;
mod traces;
mod why;

use serde_json::Value;
use std::process::{Command, Output};

/// Runs the command with these words.
fn squall(line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.args(line.split_whitespace());
    command.env("SQUALL_POLL_MAX_S", "1").env("SQUALL_LEAK_SPECIMEN", "1");
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The last line of the output, and the exit code.
fn json(line: &str) -> (Value, i32) {
    let output = squall(line);
    let text = stdout(&output);
    let last = text.lines().last().unwrap_or_default();
    let value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{line}: {e}: {last}"));
    (value, output.status.code().unwrap())
}

/// An object's keys.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn wrong_arguments_exit_with_2_and_say_what_would_be_right() {
    for (line, wanted) in [
        ("", "Usage"),
        ("swep", "'sweep'"),
        ("sweep regster/atomic", "did you mean \"register/atomic\"?"),
        ("sweep regist", "did you mean \"register\"?"),
        ("sweep nothing/like/it", "`list`"),
        ("sweep --seeds many", "invalid digit"),
        ("sweep --from 5 --to 5", "--to must be the greater"),
        ("sweep --time 5", "as in 500ms, 90s, 5m or 1h"),
        ("run register/atomic", "--seed"),
        ("run specimen --seed 1", "one is needed"),
        ("run register/atomic --seed -1", "Usage"),
        ("replay no-such-file.json", "cannot read no-such-file.json"),
        ("specimens register/atomic", "no specimen or mutant"),
        ("dmo", "'demo'"),
        ("nod", "'node'"),
        ("demo", "Usage: squall demo"),
        ("demo regster", "'register'"),
        ("demo register --time many", "as in 500ms"),
        ("node replica", "--config"),
        ("node replica --confg x", "--config"),
        ("help nothing", "'nothing'"),
    ] {
        let output = squall(line);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains(wanted), "{line}: {said}");
        assert!(!said.contains("panicked"), "{line}: {said}");
    }
}

#[test]
fn lists_name_scenarios_and_specimens() {
    let listed = squall("list");
    assert_eq!(listed.status.code(), Some(0));
    assert!(stdout(&listed).lines().any(|line| line.starts_with("register/atomic ")));
    assert!(!stdout(&listed).contains("specimen/"));
    let specimens = stdout(&squall("list --specimens"));
    assert!(specimens.contains("specimen/engine-hang"), "{specimens}");
    assert!(specimens.lines().all(|line| line.contains("must break: ")), "{specimens}");
    let help = squall("--help");
    assert_eq!(help.status.code(), Some(0));
    assert!(stdout(&help).contains("sweep"));
}

#[test]
fn real_processes_are_commands_like_the_others() {
    let help = stdout(&squall("--help"));
    for wanted in ["sweep ", "node ", "demo ", "Runs one real node until it is ended"] {
        assert!(help.contains(wanted), "{wanted:?} is not in {help}");
    }
    for line in ["demo --help", "help demo", "demo help"] {
        let helped = squall(line);
        assert_eq!(helped.status.code(), Some(0), "{line}");
        let said = stdout(&helped);
        assert!(said.contains("Usage: squall demo") && said.contains("register"), "{said}");
    }
    let said = stdout(&squall("help demo register"));
    assert!(said.contains("--time") && said.contains("squall demo register"), "{said}");
    let unknown = squall("node replica --config no-such-file.json");
    assert_eq!(unknown.status.code(), Some(75), "{}", stderr(&unknown));
    assert!(stderr(&unknown).contains("no-such-file.json"), "{}", stderr(&unknown));
}
