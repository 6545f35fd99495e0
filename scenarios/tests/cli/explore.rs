//! `squall explore`.

use super::{json, keys, squall, stderr, stdout};

#[test]
fn explore_says_how_it_ended_and_exits_accordingly() {
    let (complete, code) = json("explore model/two-phase-commit --json");
    assert_eq!((complete["verdict"].as_str(), code), (Some("clean"), 0));
    assert_eq!(complete["states"], 8_832);
    let wanted = [
        "bytes",
        "depth",
        "ended",
        "name",
        "property",
        "seconds",
        "states",
        "steps",
        "transitions",
        "unreached",
        "verdict",
        "why",
    ];
    assert_eq!(keys(&complete), wanted);
    let (broken, code) = json("explore mutant/register-quorum-off-by-one --json");
    assert_eq!((broken["verdict"].as_str(), code), (Some("broken"), 1));
    assert_eq!(broken["steps"].as_array().map(Vec::len), Some(9));
    for limit in ["--states 100", "--depth 3", "--memory 1 --crashes 1"] {
        let (cut, code) = json(&format!("explore register/replicas --json {limit}"));
        assert_eq!((cut["verdict"].as_str(), code), (Some("undecided"), 3), "{limit}");
    }
}

#[test]
fn explore_prints_the_shortest_way_as_numbered_sentences() {
    let said = stdout(&squall("explore mutant/register-quorum-off-by-one"));
    assert!(said.contains("broken: the history is linearizable"), "{said}");
    assert!(said.contains("\n   1. client-1 begins to write 1\n"), "{said}");
    assert!(said.contains("\n   5. replica-1's disk has synced 1 record\n"), "{said}");
}

#[test]
fn explore_lists_what_there_is_and_knows_nothing_else() {
    let listed = stdout(&squall("explore"));
    assert!(listed.lines().any(|line| line.starts_with("register/replicas ")), "{listed}");
    for (line, wanted) in [
        ("explore nothing", "`explore` alone lists it"),
        ("explore register/replicas --states 0", "not in 1.."),
        ("explore register/replicas --crashes -1", "Usage"),
    ] {
        let output = squall(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(stderr(&output).contains(wanted), "{line}: {}", stderr(&output));
    }
}
