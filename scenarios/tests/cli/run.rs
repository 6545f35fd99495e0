//! One seed: how it ended, its trace, and whether it is exact.

use super::*;

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
        let (trace, report) = said.split_once("breaks: ").unwrap();
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
