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
        ("dmo", "'demo'"),
        ("nod", "'node'"),
        ("demo", "Usage: squall demo"),
        ("demo regster", "'register'"),
        ("demo register --seconds many", "invalid digit"),
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
    assert!(said.contains("--seconds") && said.contains("squall demo register"), "{said}");
    let unknown = squall("node replica --config no-such-file.json");
    assert_eq!(unknown.status.code(), Some(75), "{}", stderr(&unknown));
    assert!(stderr(&unknown).contains("no-such-file.json"), "{}", stderr(&unknown));
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
        "run_twice",
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
    let wanted = ["at_ns", "digest", "events", "name", "outcome", "overrides", "property", "seed"];
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
fn a_trace_tells_the_run_in_words() {
    let traced = stdout(&squall("run register/atomic --seed 5 --trace"));
    for wanted in ["replica-1 boots", "client-1: writes ", "sends ", "the world heals"] {
        assert!(traced.contains(wanted), "{wanted:?} is not in the trace");
    }
}

/// The first seed of which a run ends with this class, and its output with a trace.
fn traced_until(class: &str) -> (u64, Output) {
    let name = format!("specimen/engine-{class}");
    let (swept, _) = json(&format!("sweep {name} --seeds 32 --json"));
    let seed = swept["scenarios"][0]["failures"][0]["seed"].as_u64().unwrap();
    (seed, squall(&format!("run {name} --seed {seed} --trace")))
}

#[test]
fn a_trace_reaches_up_to_the_moment_of_a_hang_or_an_abort() {
    for class in ["hang", "abort"] {
        let (seed, output) = traced_until(class);
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let (trace, report) = said.split_once("fails: ").unwrap();
        let last: Vec<&str> = trace.lines().rev().skip(1).take(3).collect();
        // A second into the run the client wakes up and draws its lot, and that is the end.
        assert!(last[0].contains("client-1 draws "), "{last:?}");
        assert!(last[1].contains("client-1 runs task "), "{last:?}");
        assert!(trace.starts_with("0.000000 s client-1 boots"), "{trace}");
        assert!(report.contains(&format!("seed {seed}, class {class}")), "{report}");
    }
}

#[test]
fn the_trace_of_a_livelock_is_bounded_and_has_both_ends() {
    let output = squall("run specimen/engine-livelock --seed 3 --trace");
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].ends_with("client-1 boots, for the 1. time"), "{}", lines[0]);
    assert!(lines[100_000].ends_with(" lines are left out here ..."), "{}", lines[100_000]);
    assert!(lines[110_000].ends_with("sees a property fail"), "{}", lines[110_000]);
    assert!((110_001..110_030).contains(&lines.len()), "{} lines", lines.len());
}

#[test]
fn events_of_tracing_stand_in_a_trace_with_virtual_time_node_and_boot() {
    let run = |flags: &str, log: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        command.args(format!("run specimen/engine-property --seed 1 {flags}").split_whitespace());
        command.env_remove("RUST_LOG").env_remove("SQUALL_LOG");
        command.envs(log.map(|log| ("SQUALL_LOG", log))).output().unwrap()
    };
    let event =
        "1.000000 s client-1 boot 1: INFO squall_scenarios::specimens::engine: draws drawn=";
    let both = stdout(&run("--trace", None));
    let before = both.find("client-1 draws ").unwrap();
    let at = both.find(event).unwrap_or_else(|| panic!("{both}"));
    assert!(before < at && at < both.find("client-1 shows the state").unwrap(), "{both}");
    let alone = stdout(&run("", Some("squall_scenarios=info")));
    let events = alone.lines().filter(|line| line.contains("boot 1: INFO")).count();
    assert_eq!(events, 2, "{alone}");
    assert!(!alone.contains("client-1 boots"), "{alone}");
    assert!(!stdout(&run("--trace", Some("warn"))).contains("INFO"));
    assert!(!stdout(&run("", None)).contains("INFO"));
    // Three runs, of which one is traced, are alike.
    let alike = run("--trace --twice --json", None);
    let digests = [alike, run("--json", Some("trace")), run("--json", None)].map(|output| {
        let text = stdout(&output);
        let run: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        run["digest"].as_str().unwrap().to_owned()
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    let refused = run("", Some("my_crate=loud"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("SQUALL_LOG=debug"), "{}", stderr(&refused));
}

#[test]
fn sources_are_looked_through_and_the_list_for_clippy_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lib.rs");
    std::fs::write(&file, "fn f() {\n    std::thread::yield_now();\n}\n").unwrap();
    let found = squall(&format!("lint {}", folder.path().display()));
    assert_eq!(found.status.code(), Some(1));
    let wanted = format!("{}:2:5: std::thread: use Env::spawn", file.display());
    assert!(stdout(&found).starts_with(&wanted), "{}", stdout(&found));
    std::fs::write(&file, "fn f() {}\n").unwrap();
    let clean = squall(&format!("lint {}", folder.path().display()));
    assert_eq!(clean.status.code(), Some(0), "{}", stdout(&clean));
    assert_eq!(squall("lint no-such-folder").status.code(), Some(2));
    let printed = squall("lint --print-clippy");
    assert_eq!(stdout(&printed), squall::lint::CLIPPY);
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
fn a_replay_says_by_what_its_overrides_matched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edited.json");
    let file = file.to_str().unwrap();
    squall(&format!("run register --seed 3 --save {file}"));
    let text = std::fs::read_to_string(file).unwrap();
    let mut repro: Value = serde_json::from_str(&text).unwrap();
    let message = |name: &str, value: u64| {
        let mut wish = serde_json::json!({
            "what": "message", "from": "client-1", "to": "replica-1",
            "port": squall_env::Port::named("register").number(), "message_kind": 0, "fate": "lost",
        });
        wish[name] = value.into();
        wish
    };
    let skip = serde_json::json!({"what": "skip-operation", "client": "client-1", "number": 0});
    repro["plan"]["overrides"] =
        vec![message("count", 0), message("at_ns", 1_000), message("payload", 1), skip].into();
    std::fs::write(file, repro.to_string()).unwrap();
    let (replayed, code) = json(&format!("replay {file} --json"));
    let wanted = serde_json::json!({
        "by_hash": 0, "by_count": 1, "by_time": 1, "operations": 1, "not_at_all": 1
    });
    assert_eq!((code, &replayed["overrides"]), (0, &wanted), "{replayed}");
    assert_eq!((&replayed["same_build"], &replayed["same_run"]), (&true.into(), &false.into()));
    let said = stdout(&squall(&format!("replay {file}")));
    assert!(said.contains("of 4 overrides of the plan 0 matched a message by hash"), "{said}");
    repro["plan"]["overrides"] = vec![message("nth", 0)].into();
    std::fs::write(file, repro.to_string()).unwrap();
    let refused = squall(&format!("replay {file}"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("give it `payload`"), "{}", stderr(&refused));
}
