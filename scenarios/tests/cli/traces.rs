//! Traces with causes on the command line: exports, reports, two runs compared, columns.

use super::*;
use std::fs;

const BROKEN: &str = "mutant/register-reads-without-write-back";

#[test]
fn a_trace_is_exported_in_each_format() {
    let folder = tempfile::tempdir().unwrap();
    let plain = json(&format!("run {BROKEN} --seed 8 --json")).0;
    for (format, begins) in [
        ("jsonl", "{\"trace\":\"squall\",\"format\":1,"),
        ("mermaid", "sequenceDiagram\n"),
        ("shiviz", r"(?<host>\S+) (?<clock>\{.*\})\n(?<event>.*)"),
    ] {
        let file = folder.path().join(format);
        let line = format!("run {BROKEN} --seed 8 --export {format}");
        let output = squall(&format!("{line} -o {}", file.display()));
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("breaks: the history is linearizable"));
        assert!(stderr(&output).contains("each event because of the one before"));
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(begins), "{text}");
        assert_eq!(stdout(&squall(&line)), text, "the standard output has the same");
        if format == "jsonl" {
            let digest = plain["digest"].as_str().unwrap();
            assert!(text.lines().next().unwrap().contains(digest));
        }
    }
    let died = squall("run specimen/engine-hang --seed 1 --export jsonl");
    let died = [died, squall("run specimen/engine-hang --seed 2 --export jsonl")];
    let told: String = died.iter().map(|output| stdout(output) + &stderr(output)).collect();
    assert!(told.contains("{\"trace\":") || told.contains("does not end"), "{told}");
}

#[test]
fn a_report_is_written_of_a_seed_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (page, repro) = (folder.path().join("a").join("page.html"), folder.path().join("r.json"));
    let output = squall(&format!("report {BROKEN} --seed 8 -o {}", page.display()));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("breaks at") && stdout(&output).contains("what led there"));
    let of_seed = fs::read_to_string(&page).unwrap();
    assert!(of_seed.contains(&format!("squall run {BROKEN} --seed 8")));
    squall(&format!("run {BROKEN} --seed 8 --save {}", repro.display()));
    let output = squall(&format!("report {} -o {}", repro.display(), page.display()));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let of_file = fs::read_to_string(&page).unwrap();
    assert!(of_file.contains(&format!("squall replay {}", repro.display())));
    let refused = squall("report register/atomic");
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("say which seed"), "{}", stderr(&refused));
}

#[test]
fn two_runs_are_the_same_or_part_at_an_event() {
    let same = squall("diff register/atomic:3 register/atomic:3");
    assert_eq!(same.status.code(), Some(0), "{}", stderr(&same));
    assert!(stdout(&same).contains("the runs are the same"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.jsonl");
    squall(&format!("run register/atomic --seed 3 --export jsonl -o {}", file.display()));
    let (kept, code) = json(&format!("diff {} register/atomic:3 --json", file.display()));
    assert_eq!((code, &kept["same"]), (0, &true.into()));
    let (parted, code) = json(&format!("diff {} register/atomic:4 --json", file.display()));
    assert_eq!((code, &parted["same"]), (1, &false.into()));
    // Exactly the first event that is not the same is named.
    let text = fs::read_to_string(&file).unwrap();
    let changed = folder.path().join("changed.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    let other = lines[501].replace("\"text\":\"", "\"text\":\"never ");
    fs::write(&changed, text.replacen(lines[501], &other, 1)).unwrap();
    let line = format!("diff {} {}", file.display(), changed.display());
    let (parted, _) = json(&format!("{line} --json"));
    assert_eq!(parted["agree"], 500);
    let said = stdout(&squall(&line));
    assert!(said.contains("the runs agree for 500 events, up to:"), "{said}");
    let after = said.split("then the other").nth(1).unwrap();
    let first = after.lines().nth(1).unwrap();
    assert!(first.starts_with("  > ") && first.contains("never "), "{said}");
}

#[test]
fn a_run_is_compared_with_itself_without_a_fault() {
    let without = squall("diff mutant/register-reads-without-write-back:8 --off partition");
    let said = stdout(&without);
    assert_eq!(without.status.code(), Some(1), "{said}");
    assert!(said.contains("8 without partition)"), "{said}");
    assert!(said.contains("then the one") && said.contains("the first because:"), "{said}");
    let (same, code) = json("diff register/atomic:3 --off buggify --json");
    assert_eq!((code, &same["same"]), (0, &true.into()), "it was not on");
    for (line, wanted) in [
        ("diff register/atomic:3", "--off FAULT"),
        ("diff register/atomic:3 --off thunder", "no fault \"thunder\""),
        ("diff register/atomic nothing", "neither a file nor NAME:SEED"),
        ("diff Cargo.toml register/atomic:3", "is not a repro file"),
    ] {
        let output = squall(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(stderr(&output).contains(wanted), "{line}: {}", stderr(&output));
    }
}

#[test]
fn lanes_have_a_line_for_each_turn_and_a_column_for_each_node() {
    let said = stdout(&squall("run register/atomic --seed 3 --trace=lanes"));
    let mut lines = said.lines();
    assert!(lines.next().unwrap().starts_with("^ boots  + is ready"), "{said}");
    let names: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(names[0], "r1");
    assert!(names.contains(&"c1"));
    assert!(said.contains(" r1 boots, for the 1. time") && said.contains("world heals"));
    assert!(!said.contains("runs task"), "tasks are no turns");
    let all = stdout(&squall("run register/atomic --seed 3 --trace"));
    assert!(all.contains("runs task") && !all.contains("^ boots"));
    let begun = |text: &str| text.matches("begins an operation").count();
    assert_eq!(begun(&said), begun(&all));
}
