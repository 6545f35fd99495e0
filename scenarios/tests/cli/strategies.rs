//! Ways of looking: which seed is drawn how, and which way finds what sooner.

use super::*;

/// What a sweep says, without what differs from one time to the next.
fn swept(folder: &std::path::Path, line: &str) -> (Value, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.current_dir(folder).args(line.split_whitespace());
    let output = command.output().unwrap();
    let text = stdout(&output);
    let mut value: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for scenario in value["scenarios"].as_array_mut().unwrap() {
        scenario.as_object_mut().unwrap().remove("wall_seconds");
    }
    (value, output.status.code().unwrap())
}

#[test]
fn what_coverage_finds_is_confirmed_kept_and_replayed_whatever_the_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let line = "sweep specimen/recovery-forgets --strategy coverage --seeds 60 --json";
    let (value, exit) = swept(folder.path(), &format!("{line} --jobs 1"));
    assert_eq!(exit, 1, "{value}");
    assert_eq!(swept(folder.path(), &format!("{line} --jobs 3")), (value.clone(), exit));
    let scenario = &value["scenarios"][0];
    assert_eq!((&scenario["seeds"], &scenario["coverage"]["runs"]), (&0.into(), &60.into()));
    assert!(scenario["coverage"]["kept"].as_u64() > Some(0), "{scenario}");
    let failures = scenario["failures"].as_array().unwrap();
    assert!(failures.iter().all(|found| found["strategy"] == "coverage"));
    let files: Vec<&str> = failures.iter().filter_map(|found| found["file"].as_str()).collect();
    assert_eq!(files.len(), 1, "one for each fingerprint: {value}");
    let mut replay = Command::new(env!("CARGO_BIN_EXE_squall"));
    let replayed = replay.current_dir(folder.path()).args(["replay", files[0]]).output().unwrap();
    let said = stdout(&replayed);
    assert!(said.contains("the run is the same as when the file was written"), "{said}");
    assert!(said.contains("the same property breaks"), "{said}");
}

#[test]
fn a_sweep_uses_every_strategy_and_says_which_found_what() {
    let folder = tempfile::tempdir().unwrap();
    let line = "sweep specimen/recovery-forgets --seeds 160 --json";
    let (value, _) = swept(folder.path(), line);
    let scenario = &value["scenarios"][0];
    assert_eq!((&scenario["seeds"], &scenario["coverage"]["runs"]), (&160.into(), &20.into()));
    for found in scenario["failures"].as_array().unwrap() {
        let seed = found["seed"].as_u64().unwrap();
        let wanted = match (seed >= 1 << 48, seed % 8) {
            (true, _) => "coverage",
            (_, 7) => "pct",
            _ => "random",
        };
        assert_eq!(found["strategy"], wanted, "{found}");
    }
    let by = |name: &str| {
        let found = scenario["failures"].as_array().unwrap().iter();
        found.filter(|found| found["strategy"] == name).count()
    };
    assert!(by("random") > 0 && by("pct") > 0 && by("coverage") > 0, "{value}");
    // By chance alone, and by priorities alone.
    for (strategy, other) in [("random", "pct"), ("pct", "random")] {
        let (value, _) = swept(folder.path(), &format!("{line} --strategy {strategy}"));
        let scenario = &value["scenarios"][0];
        assert_eq!(scenario["coverage"]["runs"], 0);
        let found = scenario["failures"].as_array().unwrap();
        assert!(found.iter().any(|found| found["strategy"] == strategy), "{value}");
        assert!(!found.iter().any(|found| found["strategy"] == other), "{value}");
    }
}

#[test]
fn what_is_new_leads_to_a_bug_that_chance_takes_far_longer_to_find() {
    let (value, exit) = json("specimens specimen/repair-gives-up --strategies --json");
    assert_eq!((exit, &value["repetitions"]), (0, &30.into()), "{value}");
    let median = |name: &str| value["strategies"][name]["median_runs"].as_u64();
    let coverage = median("coverage").expect("it is found");
    assert!(median("random").is_none_or(|random| 2 * coverage < random), "{value}");
    assert_eq!(value["strategies"]["coverage"]["found"], 30);
    assert!(value["strategies"]["pct"].is_object());
    let table = stdout(&squall("specimens specimen/engine-panic --strategies"));
    assert!(table.starts_with("median runs") && table.contains("coverage"), "{table}");
}
