//! Histories of other projects, with the verdicts those projects give.
//!
//! They lie in the folder that the environment variable `SQUALL_HISTORIES` names.

#[path = "common/given.rs"]
mod given;

use std::fs;
use std::io::BufReader;

use serde_json::Value as Json;
use squall_check::file::{Finding, Format, Request};
use squall_check::transactions::{
    Anomaly, Initial, Kind, Level, Options, Status, TransactionVerdict, check, read,
};

/// The names of levels in the table of expected verdicts.
fn level(name: &str) -> Level {
    match name {
        "SER" => Level::Serializable,
        "SI" => Level::SnapshotIsolation,
        "TCC" => Level::Causal,
        "RA" => Level::ReadAtomic,
        name => name.parse().unwrap(),
    }
}

/// The levels of `illegal(SER,SI); ok(RA)`, with whether each must hold.
fn expected(text: &str) -> Vec<(Level, bool)> {
    let mut levels = Vec::new();
    for part in text.split("; ") {
        let (verdict, names) = part.trim_end_matches(')').split_once('(').unwrap();
        let holds = match verdict {
            "ok" => true,
            "illegal" => false,
            other => panic!("{other:?} is no verdict"),
        };
        levels.extend(names.split(',').map(|name| (level(name), holds)));
    }
    levels
}

#[test]
#[ignore = "reads histories that are not part of the project"]
fn every_file_of_transactions_gets_the_expected_verdict() {
    let folder = given::folder();
    let table = fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let mut checked = 0;
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [file, model, format, verdicts, ..] = columns[..] else { panic!("{row:?}") };
        if !["edn-lines", "rw-text", "dbcop-yaml"].contains(&format) {
            continue;
        }
        let format: Format = format.parse().unwrap();
        let model = model.split('(').next().map(str::to_owned);
        for (level, holds) in expected(verdicts) {
            // The format and the model are the same whether they are named or guessed.
            for (format, model) in [(Some(format), model.clone()), (None, None)] {
                let mut input = BufReader::new(fs::File::open(folder.join(file)).unwrap());
                let level = Some(level.name().to_owned());
                let request = Request { format, model, level: level.clone(), ..Request::default() };
                let report = squall_check::file::check(&mut input, &request).unwrap();
                let explanation = &report.explanation;
                println!("{file} {level:?} {:?}\n{explanation}\n", report.elapsed);
                let finding = if holds { Finding::Valid } else { Finding::Violation };
                assert_eq!(report.finding, finding, "{file} {level:?}: {explanation}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 11, "only {checked} verdicts were checked");
}

/// A test case of Elle.
fn options(case: &Json) -> Options {
    let given = &case["options"];
    let is_set = |name: &str| given[name].as_bool().unwrap_or(false);
    let ranks = given["transaction-order"].as_object().into_iter().flatten();
    let rank = |(txn, rank): (&String, &Json)| (txn.parse().unwrap(), rank.as_u64().unwrap());
    Options {
        writes_follow_reads: is_set("wfr-keys"),
        sequential_keys: is_set("sequential-keys"),
        linearizable_keys: is_set("linearizable-keys"),
        commit_order: ranks.map(rank).collect(),
        ..Options::default()
    }
}

fn judge(case: &Json, level: Level, sessions: bool, initial: Initial) -> TransactionVerdict {
    let kind = match case["model"].as_str().unwrap() {
        "list-append" => Kind::ListAppend,
        "rw-register" => Kind::RwRegister,
        other => panic!("{other:?} is no model"),
    };
    let events = case["history"].as_array().unwrap();
    let lines: Vec<String> = events.iter().map(Json::to_string).collect();
    let options = Options { sessions, initial, ..options(case) };
    let lines = lines.join("\n");
    let history = read(lines.as_bytes(), Format::JsonLines, kind, &options.initial).unwrap();
    check(&history, level, &options)
}

/// Whether an anomaly is among those that Elle looks for under one name.
fn is_among(anomaly: &Anomaly, sought: &str) -> bool {
    let name = anomaly.kind.to_string();
    let sought: &[&str] = match sought {
        "G0" => &["G0"],
        "G1" => &["G0", "G1a", "G1b", "G1c", "incompatible-order"],
        "G-single" => &["G-single"],
        "G2" => &["G2-item", "G-single", "G-nonadjacent"],
        "internal" => &["internal"],
        "internal-cases" => &["internal", "future-read"],
        "dirty-update" => &["dirty-update"],
        other => panic!("{other:?} is no anomaly"),
    };
    sought.contains(&name.as_str())
}

/// Elle's verdicts which a complete answer contradicts, with the reason.
const BEYOND_ELLE: [(&str, &str); 2] = [
    ("rw-wfr-off", "T2 sees T1, which replaced y = 1, and yet read that"),
    ("rw-known-gap-garbage-read", "nobody wrote x = 2"),
];

#[test]
#[ignore = "reads histories that are not part of the project"]
fn every_case_of_elle_gets_its_verdict() {
    let cases = fs::read_to_string(given::folder().join("elle/derived_cases.jsonl")).unwrap();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for line in cases.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap();
        for (question, expected) in case["verdicts"].as_object().unwrap() {
            checked += 1;
            let (level, sessions) = match question.as_str() {
                "default(strict-serializable)" | "strong-serializable" => {
                    (Level::StrictSerializable, false)
                }
                "strong-session-snapshot-isolation" => (Level::SnapshotIsolation, true),
                name => (name.parse().unwrap_or(Level::StrictSerializable), false),
            };
            let verdict = judge(&case, level, sessions, Initial::unknown());
            let is_valid = match question.strip_prefix("anomalies:") {
                Some(sought) => !verdict.anomalies().iter().any(|one| is_among(one, sought)),
                None => verdict.status() == &Status::Holds,
            };
            // Elle does not judge an empty graph; then nothing may be found against it either.
            let is_expected = expected["valid"].as_bool().unwrap_or(true);
            if is_valid != is_expected {
                wrong.push(format!("{name} {question}: expected {expected}, but {verdict}"));
            }
        }
    }
    assert!(checked >= 60, "only {checked} verdicts were checked");
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
#[ignore = "reads histories that are not part of the project"]
fn where_elle_is_incomplete_the_verdict_is_a_violation() {
    let cases = fs::read_to_string(given::folder().join("elle/derived_cases.jsonl")).unwrap();
    for (name, reason) in BEYOND_ELLE {
        let find = |line: &str| {
            let case: Json = serde_json::from_str(line).unwrap();
            (case["name"] == name).then_some(case)
        };
        let case = cases.lines().find_map(find).unwrap();
        let initial = Options::default().initial;
        let verdict = judge(&case, Level::StrictSerializable, false, initial);
        assert_eq!(verdict.status(), &Status::Violated, "{name}: {reason}");
    }
}
