//! Sweeps over many seeds, and specimens.

use super::*;

#[test]
fn a_sweep_in_json_has_every_field() {
    let (swept, code) = json("sweep register/atomic register --seeds 50 --json");
    assert_eq!((code, &swept["exit"]), (0, &Value::from(0)));
    assert_eq!(keys(&swept), ["canary", "exit", "scenarios"]);
    assert!(swept["canary"]["found_after_seeds"].as_u64().unwrap() >= 1);
    let scenarios = swept["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 1, "a scenario that is named twice runs once");
    let one = &scenarios[0];
    let wanted = [
        "combinations",
        "coverage",
        "events",
        "failures",
        "faults",
        "messages",
        "name",
        "never_fired",
        "never_seen",
        "operations",
        "run_twice",
        "seeds",
        "sim_seconds",
        "sometimes",
        "wall_seconds",
        "watermarks",
    ];
    assert_eq!(keys(one), wanted);
    assert_eq!((&one["name"], &one["seeds"]), (&"register/atomic".into(), &50.into()));
    assert_eq!(keys(&one["operations"]), ["fail", "ok", "unknown"]);
    assert_eq!(keys(&one["faults"]["loss"]), ["fired", "refused"]);
    assert!(one["sometimes"]["a read had to write back"].as_u64().unwrap() > 0);
    let mark = &one["watermarks"]["records since a snapshot"];
    assert!(mark["max"].as_u64().unwrap() > 10 && mark["seed"].as_u64().unwrap() < 50, "{mark}");
    let reads = &one["combinations"]["what a read finds"];
    assert_eq!(reads["of"], Value::from(vec!["asked again", "all agree"]));
    let (seen, unseen) = (reads["seen"].as_object().unwrap(), reads["unseen"].as_array().unwrap());
    assert_eq!(seen.len() + unseen.len(), 4);
    assert!(seen["no, yes"].as_u64().unwrap() > 0, "{reads}");
    assert!(one["events"].as_u64().unwrap() > 50 && one["wall_seconds"].is_f64());
}

#[test]
fn a_sweep_says_how_high_things_came_and_which_combinations_were_met() {
    let said = stdout(&squall("sweep register example/http --seeds 60"));
    let line = |what: &str| said.lines().find(|line| line.starts_with(what));
    assert!(line("  \"what a read finds\": 4 of 4 combinations").is_some(), "{said}");
    let (json, _) = json("sweep register --seeds 60 --json");
    let mark = &json["scenarios"][0]["watermarks"]["records since a snapshot"];
    let (max, seed) = (&mark["max"], &mark["seed"]);
    let told = format!("  \"records since a snapshot\": at most {max}, with seed {seed}");
    assert_eq!(line("  \"records"), Some(told.as_str()));
    // A scenario without any says nothing of them.
    assert_eq!(said.lines().filter(|line| line.contains("combinations")).count(), 1);
}

#[test]
fn a_sweep_does_not_hang_on_the_number_of_workers() {
    let swept = |jobs: u32| {
        let names = "specimen/engine-abort specimen/engine-property register";
        let line = format!("sweep {names} --from 5 --to 60 --jobs {jobs} --json");
        let (mut swept, code) = json(&line);
        for scenario in swept["scenarios"].as_array_mut().unwrap() {
            scenario.as_object_mut().unwrap().remove("wall_seconds");
        }
        (swept, code)
    };
    let one = swept(1);
    assert_eq!(one.1, 1);
    assert_eq!(one, swept(3));
}

#[test]
fn every_class_of_failure_is_reported_as_what_it_is() {
    let names =
        ["property", "panic", "livelock", "runaway", "deadlock", "hang", "abort", "undecided"];
    let (swept, code) = json("sweep specimen/ --seeds 20 --json");
    assert_eq!(code, 1);
    let scenarios = swept["scenarios"].as_array().unwrap();
    for class in names {
        let name = format!("specimen/engine-{class}");
        let one = scenarios.iter().find(|one| one["name"] == *name).unwrap();
        assert_eq!(one["seeds"], 20, "{name}: a failing seed stops no other");
        let failures = one["failures"].as_array().unwrap();
        assert!(!failures.is_empty(), "{name} did not fail");
        for failure in failures {
            let wanted =
                ["at_ns", "class", "digest", "file", "fingerprint", "property", "seed", "strategy"];
            assert_eq!(keys(failure), wanted);
            assert_eq!(failure["class"], class, "{name}");
            let ended = !["hang", "abort"].contains(&class);
            assert_eq!(failure["digest"].is_string(), ended, "{name}");
            assert_eq!(failure["at_ns"].is_u64(), ended, "{name}");
        }
    }
    let leak = scenarios.iter().find(|one| one["name"] == "specimen/engine-leak").unwrap();
    let failure = &leak["failures"][0];
    assert_eq!(failure["property"], "not reproducible: state leaks between runs");
    let (_, code) = json("sweep specimen/engine-undecided --seeds 5 --json");
    assert_eq!(code, 3);
}

#[test]
fn one_seed_in_fifty_is_run_twice_unless_all_or_none_are() {
    let twice = |flags: &str| {
        let (swept, code) = json(&format!("sweep register --seeds 101 --json {flags}"));
        assert_eq!(code, 0, "{flags}");
        swept["scenarios"][0]["run_twice"].as_u64().unwrap()
    };
    assert_eq!(twice(""), 2);
    assert_eq!(twice("--once"), 0);
    assert_eq!(twice("--twice"), 101);
}

#[test]
fn state_that_leaks_is_found_by_the_seeds_that_are_run_twice_and_by_no_others() {
    let drift = |flags: &str| json(&format!("sweep specimen/engine-drift --json {flags}"));
    let (swept, code) = drift("--from 0 --to 101");
    assert_eq!(code, 1);
    let failures = swept["scenarios"][0]["failures"].as_array().unwrap();
    let seeds: Vec<_> = failures.iter().map(|failure| failure["seed"].as_u64()).collect();
    assert_eq!(seeds, [Some(49), Some(99)]);
    let alike = "two runs of one seed are alike";
    assert!(failures.iter().all(|failure| failure["property"] == alike));
    for flags in ["--from 0 --to 49", "--from 0 --to 101 --once"] {
        let (swept, code) = drift(flags);
        let failures = swept["scenarios"][0]["failures"].as_array().unwrap();
        assert_eq!((code, failures.len()), (0, 0), "{flags}");
    }
    let found = json("specimens specimen/engine-drift --json").0;
    assert_eq!((&found["found"], &found["median_seeds"]), (&true.into(), &1.into()));
}

#[test]
fn the_weather_can_be_asked_for_by_presets_faults_and_values() {
    let (value, code) = json("sweep register --seeds 200 --jobs 1 --weather process,-pause --json");
    assert_eq!(code, 0, "{value}");
    let faults = &value["scenarios"][0]["faults"];
    assert!(faults["crash"]["fired"].as_u64() > Some(0), "{faults}");
    assert!(faults.get("pause").is_none() && faults.get("loss").is_none(), "{faults}");
    for (line, wanted) in [
        ("run register --seed 1 --weather netwrok", "the presets are calm, network"),
        ("run register --seed 1 --weather loss_ppm=-1", "invalid value"),
        ("run register --seed 1 --weather bit-rot", "does not tolerate bit-rot, only latency"),
        ("sweep register --weather calm,wipe", "register/atomic does not tolerate wipe, only"),
        ("sweep register raft --weather wipe", "none of these scenarios tolerates wipe, only"),
        ("why register --seed 1 --weather wipe", "does not tolerate wipe, only latency"),
    ] {
        let output = squall(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(stderr(&output).contains(wanted), "{}", stderr(&output));
    }
    let trace = stdout(&squall("run register --seed 1 --weather loss --trace"));
    assert!(trace.contains("fault: loss"));
    assert!(!trace.contains("fault: duplication"));
    let calm = stdout(&squall("run register --seed 1 --weather calm --trace"));
    assert!(!calm.contains("fault: "));
}

#[test]
fn specimens_are_found_under_the_plans_of_the_good_code() {
    let names = "specimen/engine-property mutant/register-quorum-off-by-one";
    let output = squall(&format!("specimens {names} --json"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        let found: Value = serde_json::from_str(line).unwrap();
        let wanted = [
            "found",
            "found_steps",
            "median_at_ms",
            "median_seeds",
            "minimal",
            "name",
            "property",
            "seeds_tried",
            "shrink_runs",
            "shrink_seconds",
            "shrunk_faults",
            "shrunk_operations",
        ];
        assert_eq!(keys(&found), wanted);
        assert_eq!(found["found"], true);
        assert!(found["median_seeds"].as_u64().unwrap() >= 1);
    }
}

#[test]
fn a_sweep_within_a_time_ends_by_itself() {
    let (swept, code) = json("sweep register --time 300ms --json");
    assert_eq!(code, 0);
    assert!(swept["scenarios"][0]["seeds"].as_u64().unwrap() >= 16);
}
