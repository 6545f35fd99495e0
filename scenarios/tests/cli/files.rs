//! Files that the command reads: repro files, histories, sources.

use super::*;

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
    std::fs::write(file, text.replace("\"heal_at_ns\"", "\"heal_at\"")).unwrap();
    let refused = squall(&format!("replay {file}"));
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("saved.json") && said.contains("`heal_at`"), "{said}");
    let unwritable = squall("run register --seed 1 --save /proc/no-such-folder/file.json");
    assert_eq!(unwritable.status.code(), Some(75), "{}", stderr(&unwritable));
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
    let missed =
        "  not matched: a message from client-1 to replica-1 is lost: the 0. with the payload";
    assert!(said.contains(missed), "{said}");
    assert_eq!(replayed["missed"], serde_json::json!([2]));
    repro["plan"]["overrides"] = vec![message("nth", 0)].into();
    std::fs::write(file, repro.to_string()).unwrap();
    let refused = squall(&format!("replay {file}"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("give it `payload`"), "{}", stderr(&refused));
}

#[test]
fn a_replay_plays_the_script_that_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told.json");
    let file = file.to_str().unwrap();
    squall(&format!("run register --seed 3 --save {file}"));
    let text = std::fs::read_to_string(file).unwrap();
    let mut repro: Value = serde_json::from_str(&text).unwrap();
    let mut told = |node: &str| {
        let sync = serde_json::json!({"asked": {"node": node, "io": "sync", "nth": 3}});
        let link = serde_json::json!({"from": "replica-1", "to": "client-1"});
        repro["plan"]["script"] = serde_json::json!([
            {"when": sync, "then": {"hold": link}},
            {"when": {"after-ns": 50_000_000}, "then": {"release": link}},
        ]);
        std::fs::write(file, repro.to_string()).unwrap();
    };
    told("replica-1");
    let (first, code) = json(&format!("replay {file} --json"));
    assert_eq!((code, &first["same_run"]), (0, &false.into()), "{first}");
    assert_eq!(json(&format!("replay {file} --json")).0["digest"], first["digest"]);
    let traced = stdout(&squall(&format!("replay {file} --trace")));
    let step = "the world plays step 1, when replica-1 asks its disk for \"sync\" the 3. time: \
                what replica-1 sends to client-1 is held";
    assert!(traced.contains(step), "the trace does not tell the step");
    told("replica-9");
    let refused = squall(&format!("replay {file}"));
    assert_eq!(refused.status.code(), Some(2));
    let said = stderr(&refused);
    assert!(said.contains("step 1 of its script") && said.contains("replica-9"), "{said}");
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
