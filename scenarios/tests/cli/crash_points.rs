//! A crash at every I/O step, and at every step of the recovery that follows.

use super::*;
use std::path::Path;

/// The command's JSON and exit code, in a folder of its own.
fn swept(folder: &Path, line: &str) -> (Value, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.current_dir(folder).args(line.split_whitespace());
    let output = command.output().unwrap();
    let text = stdout(&output);
    let last = text.lines().last().unwrap_or_default();
    let value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{line}: {e}: {text}"));
    (value, output.status.code().unwrap())
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {value}"))
}

/// Checks that every point was tried, and gives the only scenario.
fn all_tried(value: &Value) -> &Value {
    let scenario = &value["scenarios"][0];
    let points = number(scenario, "points") + number(scenario, "recovery_points");
    assert_eq!(number(scenario, "tried"), points, "{scenario}");
    assert_eq!(scenario["bounded"], false, "{scenario}");
    assert!(number(scenario, "points") > 0 && number(scenario, "recovery_points") > 0);
    scenario
}

#[test]
fn the_right_register_survives_every_crash_point() {
    let folder = tempfile::tempdir().unwrap();
    let line = "sweep register/atomic --crash-points --operations 1 --json";
    let (value, exit) = swept(folder.path(), line);
    assert_eq!(exit, 0, "{value}");
    let scenario = all_tried(&value);
    assert_eq!((number(scenario, "refused"), number(scenario, "seeds")), (0, 1));
    assert_eq!(scenario["failures"].as_array().unwrap().len(), 0);
    assert!(!folder.path().join("squall-failures").exists());
}

#[test]
fn an_acknowledgement_before_durability_is_found_and_replayed_and_shrunk() {
    let folder = tempfile::tempdir().unwrap();
    let name = "mutant/register-acknowledges-before-durable";
    let line = format!("sweep {name} --crash-points --operations 1 --seeds 2 --json");
    let (value, exit) = swept(folder.path(), &format!("{line} --jobs 1"));
    assert_eq!(exit, 1, "{value}");
    // Whatever the number of workers.
    assert_eq!(swept(folder.path(), &format!("{line} --jobs 3")), (value.clone(), exit));
    let scenario = all_tried(&value);
    let failures = scenario["failures"].as_array().unwrap();
    let durable = "what is acknowledged is durable on a majority";
    let found = failures.iter().find(|found| found["property"] == durable).expect("it is found");
    let file = found["file"].as_str().unwrap();
    let (replayed, exit) = swept(folder.path(), &format!("replay {file} --json"));
    assert_eq!(exit, 1, "{replayed}");
    assert_eq!((&replayed["same_run"], &replayed["same_property"]), (&true.into(), &true.into()));
    let (shrunk, exit) = swept(folder.path(), &format!("shrink {file} --json"));
    assert_eq!(exit, 0, "{shrunk}");
    assert!(number(&shrunk["shrunk"], "faults") <= 1, "{shrunk}");
}

#[test]
fn a_bug_in_the_recovery_is_found_by_a_crash_in_the_recovery_alone() {
    let folder = tempfile::tempdir().unwrap();
    let line = "sweep specimen/recovery-forgets --crash-points --json";
    let (value, exit) = swept(folder.path(), line);
    assert_eq!(exit, 1, "{value}");
    let failures = all_tried(&value)["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{value}");
    assert_eq!(failures[0]["property"], "what is acknowledged is kept");
    assert_eq!(number(&failures[0], "points"), number(&failures[0], "recovery_points"));
}

#[test]
fn a_bound_that_is_reached_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let line = "sweep register/atomic --crash-points --operations 1 --points 5 --json";
    let (value, exit) = swept(folder.path(), line);
    assert_eq!(exit, 0, "{value}");
    let scenario = &value["scenarios"][0];
    assert_eq!((number(scenario, "tried"), &scenario["bounded"]), (5, &true.into()));
    let said = stdout(&squall("sweep register/atomic --crash-points --operations 1 --points 5"));
    assert!(said.contains("the bound was reached: 5 were tried"), "{said}");
}

#[test]
fn what_tolerates_no_crash_has_no_crash_points() {
    let refused = squall("sweep weather/links --crash-points");
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("weather/links tolerates no crashes"));
}
