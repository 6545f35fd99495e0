//! The `squall` command as its users start it.

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
fn a_sweep_in_json_has_every_field() {
    let (swept, code) = json("sweep register/atomic register --seeds 50 --json");
    assert_eq!((code, &swept["exit"]), (0, &Value::from(0)));
    assert_eq!(keys(&swept), ["canary", "exit", "scenarios"]);
    assert!(swept["canary"]["found_after_seeds"].as_u64().unwrap() >= 1);
    let scenarios = swept["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 1, "a scenario that is named twice runs once");
    let one = &scenarios[0];
    let wanted = [
        "events",
        "failures",
        "faults",
        "messages",
        "name",
        "never_fired",
        "never_seen",
        "operations",
        "seeds",
        "sim_seconds",
        "sometimes",
        "wall_seconds",
    ];
    assert_eq!(keys(one), wanted);
    assert_eq!((&one["name"], &one["seeds"]), (&"register/atomic".into(), &50.into()));
    assert_eq!(keys(&one["operations"]), ["fail", "ok", "unknown"]);
    assert_eq!(keys(&one["faults"]["loss"]), ["fired", "refused"]);
    assert!(one["sometimes"]["a read had to write back"].as_u64().unwrap() > 0);
    assert!(one["events"].as_u64().unwrap() > 50 && one["wall_seconds"].is_f64());
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
    let names = ["property", "panic", "livelock", "deadlock", "hang", "abort", "undecided"];
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
            let wanted = ["at_ns", "class", "digest", "fingerprint", "property", "seed"];
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
fn a_run_says_how_it_ended() {
    let (well, code) = json("run register --seed 3 --json");
    let wanted = ["at_ns", "digest", "events", "name", "outcome", "property", "seed"];
    assert_eq!(keys(&well), wanted);
    assert_eq!((code, &well["outcome"], &well["property"]), (0, &"ok".into(), &Value::Null));
    assert!(well["digest"].as_str().unwrap().chars().all(|c| c.is_ascii_hexdigit()));
    assert_eq!(json("run register --seed 3 --json").0, well);
    let (stuck, code) = json("run specimen/engine-deadlock --seed 3 --json");
    assert_eq!((code, &stuck["outcome"]), (1, &"deadlock".into()));
    let (_, code) = json("run specimen/engine-undecided --seed 3 --json");
    assert_eq!(code, 3);
    let seeds: Vec<_> = (0..40).collect();
    let died = seeds.iter().find_map(|seed| {
        let (ended, code) = json(&format!("run specimen/engine-abort --seed {seed} --json"));
        (code != 0).then_some((ended, code))
    });
    let (died, code) = died.unwrap();
    assert_eq!((code, &died["outcome"], &died["digest"]), (1, &"abort".into(), &Value::Null));
}

#[test]
fn a_run_that_is_done_twice_is_alike_or_says_where_it_differs() {
    let alike = squall("run register/atomic --seed 5 --twice");
    assert_eq!(alike.status.code(), Some(0), "{}", stderr(&alike));
    assert!(stdout(&alike).contains("alike"));
    let differs = squall("run specimen/engine-leak --seed 5 --twice");
    let said = stdout(&differs);
    assert_eq!(differs.status.code(), Some(1), "{said}");
    assert!(said.contains("two runs of one seed are alike"), "{said}");
    assert!(said.contains("then the one:") && said.contains("sets a timer"), "{said}");
    let (swept, code) = json("sweep register specimen/engine-property --seeds 40 --twice --json");
    assert_eq!(code, 1);
    let scenarios = swept["scenarios"].as_array().unwrap();
    let failures = scenarios.iter().flat_map(|one| one["failures"].as_array().unwrap());
    for failure in failures {
        assert_eq!(failure["property"], "no client draws a zero");
    }
    let (_, code) = json("sweep specimen/engine-leak --seeds 20 --twice --json");
    assert_eq!(code, 1);
}

#[test]
fn a_trace_tells_the_run_in_words() {
    let traced = stdout(&squall("run register/atomic --seed 5 --trace"));
    for wanted in ["replica-1 boots", "client-1: writes ", "sends ", "the world heals"] {
        assert!(traced.contains(wanted), "{wanted:?} is not in the trace");
    }
}

#[test]
fn a_saved_run_is_replayed_and_a_damaged_file_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved.json");
    let file = file.to_str().unwrap();
    let saved = squall(&format!("run specimen/engine-panic --seed 0 --save {file}"));
    assert_eq!(saved.status.code(), Some(1), "{}", stderr(&saved));
    let replayed = squall(&format!("replay {file}"));
    let said = stdout(&replayed);
    assert_eq!(replayed.status.code(), Some(1), "{said}");
    assert!(said.contains("the run is the same as when the file was written"), "{said}");
    assert!(said.contains("the same property breaks: no node panics"), "{said}");
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, text.replace("\"loss_ppm\"", "\"los_ppm\"")).unwrap();
    let refused = squall(&format!("replay {file}"));
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("saved.json") && said.contains("`los_ppm`"), "{said}");
    let unwritable = squall("run register --seed 1 --save /proc/no-such-folder/file.json");
    assert_eq!(unwritable.status.code(), Some(75), "{}", stderr(&unwritable));
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
        let wanted = ["found", "median_seeds", "name", "property", "seeds_tried"];
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

#[test]
fn check_tells_valid_wrong_and_malformed_files_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let read = |value: &str| {
        format!(
            "[{{:process 1 :type :invoke :f :read}} \
             {{:process 1 :type :ok :f :read :value {value}}}]"
        )
    };
    let valid = file("valid.edn", &read("0"));
    let wrong = file("wrong.edn", &read("1"));
    let broken = file("broken.edn", "[{:process 1\n :type}]");
    let code = |files: &str| squall(&format!("check --model cas-register {files}")).status.code();
    assert_eq!(code(&valid), Some(0));
    assert_eq!(code(&format!("--initial 1 {wrong}")), Some(0));
    assert_eq!(code(&format!("{valid} {wrong}")), Some(1));
    assert_eq!(code(&format!("{broken} {valid} {wrong}")), Some(2));
    assert_eq!(code(""), Some(2));
    assert_eq!(code(&format!("--format nothing {valid}")), Some(2));
    assert_eq!(code("no-such-file.edn"), Some(2));
    let said = stderr(&squall(&format!("check --model cas-register {broken}")));
    assert!(said.contains("line 1, column 2: a map with a key"), "{said}");

    let (line, code) = json(&format!("check --json --model cas-register {wrong}"));
    assert_eq!(code, 1);
    let wanted = ["explanation", "file", "level", "millis", "model", "ops", "verdict"];
    assert_eq!(keys(&line), wanted);
    assert_eq!(line["verdict"], "violation");
    assert_eq!(line["ops"], 1);
    assert!(line["explanation"].as_str().unwrap().contains("reads 1"), "{line}");
    let page = folder.path().join("page.html");
    squall(&format!("check --model cas-register --timeline {} {wrong}", page.display()));
    assert!(std::fs::read_to_string(page).unwrap().contains("<svg"));
}

#[test]
fn check_says_undecided_when_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for process in 0..40_u64 {
        let amount = 1_u64 << process;
        text += &format!("{{:process {process} :type :invoke :f :add :value {amount}}}\n");
    }
    for process in 0..40_u64 {
        text += &format!("{{:process {process} :type :ok :f :add}}\n");
    }
    text += "{:process 99 :type :invoke :f :read}\n{:process 99 :type :ok :f :read :value 7}";
    let path = folder.path().join("hard.edn");
    std::fs::write(&path, text).unwrap();
    let (line, code) =
        json(&format!("check --json --time 100ms --model counter {}", path.display()));
    assert_eq!((code, &line["verdict"]), (3, &Value::from("undecided")));
    assert!(line["explanation"].as_str().unwrap().contains("of 41 operations"), "{line}");
}
