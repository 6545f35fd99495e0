//! Shrinking of failing runs.

use super::*;
use std::path::{Path, PathBuf};

/// The first seed that breaks this mutant.
fn first_of(name: &str) -> u64 {
    let (swept, _) = json(&format!("sweep {name} --seeds 64 --json"));
    let failures = swept["scenarios"][0]["failures"].as_array().unwrap().clone();
    failures.iter().map(|found| found["seed"].as_u64().unwrap()).min().unwrap()
}

fn text(sentence: &Value) -> &str {
    sentence["text"].as_str().unwrap()
}

fn temp(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("squall-shrink-{}-{name}", std::process::id()))
}

fn shrunk(name: &str, seed: u64, file: &Path, more: &str) -> Value {
    let file = file.display();
    let (value, exit) = json(&format!("shrink {name} --seed {seed} -o {file} --json {more}"));
    assert_eq!(exit, 0, "{value}");
    value
}

#[test]
fn a_failing_run_is_shrunk_to_what_it_needs_and_replayed() {
    let name = "mutant/register-quorum-off-by-one";
    let seed = first_of(name);
    let (one, other) = (temp("one.json"), temp("other.json"));
    let value = shrunk(name, seed, &one, "--jobs 1");
    assert_eq!(value["minimal"], true);
    let steps = |size: &str, of: &str| value[size][of].as_u64().unwrap();
    assert!(steps("shrunk", "faults") <= 8 && steps("shrunk", "operations") <= 10, "{value}");
    assert!(steps("shrunk", "faults") < steps("found", "faults"), "{value}");
    // It is told in the words of the protocol.
    let told: Vec<&str> = value["story"].as_array().unwrap().iter().map(text).collect();
    assert!(told.iter().any(|said| said.contains(" gets `Written` ")), "{told:?}");
    assert!(told.iter().any(|said| said.contains("`Stored` from replica-")), "{told:?}");
    // The number of workers changes nothing.
    assert_eq!(shrunk(name, seed, &other, "--jobs 3"), value);
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&other).unwrap());
    let (replayed, exit) = json(&format!("replay {} --json", one.display()));
    assert_eq!(exit, 1);
    assert_eq!((&replayed["same_run"], &replayed["same_property"]), (&true.into(), &true.into()));
    assert_eq!(
        (&replayed["same_fingerprint"], &replayed["story"]),
        (&true.into(), &value["story"])
    );
    let said = stdout(&squall(&format!("replay {}", one.display())));
    assert!(said.contains("  what happened:\n") && said.contains(" this breaks: "), "{said}");
    assert!(told.iter().all(|sentence| said.contains(sentence)), "{said}");
    // There is nothing left to shrink.
    let (again, _) = json(&format!("shrink {} --json", one.display()));
    assert_eq!(again["shrunk"], value["shrunk"]);
    let _ = (std::fs::remove_file(one), std::fs::remove_file(other));
}

#[test]
fn a_budget_that_is_used_up_is_told() {
    let name = "mutant/register-quorum-off-by-one";
    let output = squall(&format!("shrink {name} --seed {} --runs 30", first_of(name)));
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("not minimal: runs or time were used up"), "{said}");
    assert!(stderr(&output).contains("after "), "{}", stderr(&output));
}

#[test]
fn what_does_not_fail_is_not_shrunk() {
    for (line, wanted) in [
        ("shrink register/atomic --seed 3", "does not fail, so there is nothing to shrink"),
        ("shrink register/atomic", "of a scenario, say which seed: --seed S"),
        ("shrink register/atomc --seed 3", "register/atomic"),
        ("shrink register/atomic --seed 3 --runs 0", "1.."),
    ] {
        let output = squall(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(stderr(&output).contains(wanted), "{line}: {}", stderr(&output));
    }
}
