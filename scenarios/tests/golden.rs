//! What the command says of failures, word for word, so that a change of the wording is seen in
//! review. To take in new words, run the test with `INSTA_UPDATE=always` and read the difference.

use serde_json::Value;
use std::process::Command;

/// What the command says with these words, and how it exits.
fn said(line: &str, tell: fn(&str) -> String) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.args(line.split_whitespace()).env("SQUALL_POLL_MAX_S", "1");
    command.env_remove("SQUALL_LOG").env_remove("SQUALL_LEAK_SPECIMEN");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<String> = text.lines().map(tell).collect();
    let code = output.status.code().unwrap();
    format!("$ squall {}\n{}\n(exit code {code})\n", tell(line), lines.join("\n"))
}

/// The line without its numbers and hashes, which hang on draws, line numbers and the machine, and
/// without the weather. The numbers of nodes stay.
fn plain(line: &str) -> String {
    if let Some((before, _)) = line.split_once("weather: ") {
        return format!("{before}weather: ...");
    }
    let mut plain = String::new();
    for word in line.split_inclusive([' ', '/', ':', '.', ',', ';', '(', ')']) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_number = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit());
        let is_hash = bare.len() >= 16 && bare.chars().all(|c| c.is_ascii_hexdigit());
        match is_number || is_hash {
            true => plain.push_str(&format!("#{}", &word[bare.len()..])),
            false => plain.push_str(word),
        }
    }
    plain.replace("#, #, #", "#, #").replace("#, #, #", "#, #")
}

/// The first seed of which a run of this specimen fails.
fn first_failing(name: &str) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.args(["sweep", name, "--seeds", "32", "--json"]).env("SQUALL_POLL_MAX_S", "1");
    let swept: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    swept["scenarios"][0]["failures"][0]["seed"].as_u64().unwrap()
}

#[test]
fn every_class_of_failure_has_its_words() {
    let classes =
        ["property", "panic", "livelock", "runaway", "deadlock", "hang", "abort", "undecided"];
    let run = |class| {
        let name = format!("specimen/engine-{class}");
        said(&format!("run {name} --seed {}", first_failing(&name)), plain)
    };
    insta::assert_snapshot!(classes.map(run).join("\n"));
}

#[test]
fn sweeps_and_runs_that_differ_have_their_words() {
    let lines = [
        "sweep specimen/engine-property specimen/engine-undecided --seeds 12",
        "sweep specimen/engine-drift --from 40 --to 50",
    ];
    insta::assert_snapshot!(lines.map(|line| said(line, plain)).join("\n"));
}

#[test]
fn wrong_arguments_have_their_words() {
    let lines = [
        "swep",
        "dmo",
        "sweep regster",
        "sweep --from 5 --to 5",
        "sweep --time 90",
        "run register/atomic",
        "replay no-such-file.json",
    ];
    insta::assert_snapshot!(lines.map(|line| said(line, str::to_owned)).join("\n"));
}
